"""Every template that the published SDK can train, asked for its parameters and for what each of them is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from luthier.catalog.model_type import model_type as find_model_type
from luthier.catalog.model_type import templates_of
from tests.e2e.conftest import Server

SCRIPT = Path(__file__).parent / "snippets" / "sdk_templates.py"


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)  # the catalog is no database's matter
def test_the_sdk_reads_every_template(server: Server, tmp_path: Path) -> None:
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_PAT": server.token,
        "CLARIFAI_USER_ID": server.user_id,
    }
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    seen = json.loads(done.stdout.splitlines()[-1])

    assert seen["without"] == {}
    for model_type in seen["trainable"]:
        chosen = any(field.name == "template" for field in find_model_type(model_type).fields)
        known = templates_of(model_type) if chosen else ()  # transfers and clusters are asked for without one
        assert sorted(seen["templates"][model_type]) == sorted(template.id for template in known), model_type
        for template in known:
            asked = seen["params"][model_type][template.id]
            params, infos = asked["params"]["train_params"], asked["infos"]
            wanted = {field.name for field in template.hyperparameters if not field.internal}
            assert wanted <= set(params), (template.id, wanted - set(params))
            for name, value in params.items():
                if name in ("template", "custom_config"):  # the SDK puts the config into a file of its own
                    assert value == template.id + (".py" if name == "custom_config" else "")
                    continue
                assert name not in infos or infos[name]["description"], (template.id, name)
                assert name not in infos or infos[name].get("defaultValue", value) == value, (template.id, name)
    assert seen["models"] == sorted(f"a-{model_type}" for model_type in seen["trainable"])
