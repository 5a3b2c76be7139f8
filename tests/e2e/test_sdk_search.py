"""The Python SDK's Search over inputs, with every kind of filter that it makes."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import Server

SCRIPT = Path(__file__).parent / "snippets" / "sdk_search.py"


def test_sdk_searches_inputs(server: Server, tmp_path: Path) -> None:
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_PAT": server.token,
        "CLARIFAI_USER_ID": server.user_id,
    }
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: "".join(ids) for name, ids in json.loads(done.stdout.splitlines()[-1]).items()}
    assert found == {
        "nothing asked": "abc",
        "one concept": "ac",
        "two concepts": "c",
        "text": "ac",
        "metadata": "b",
        "place": "ac",
        "dataset": "ac",
        "kind": "",
        "status": "abc",
        "page": "c",
        "first": "a",
    }
