"""The quickstart's own commands, run as they stand, in its order, against a server of their own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.test_serve import Served, until
from tests.conftest import free_port

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
PICTURES_PER_CLASS = 60


def blocks() -> list[tuple[str, str]]:
    """(language, text) of each block marked to be run."""
    return re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(digits: list[tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page asks its reader to have: zeros play the cats, ones the dogs."""
    root = tmp_path_factory.mktemp("quickstart")
    for label, name in (("0", "cats"), ("1", "dogs")):
        (root / "pictures" / name).mkdir(parents=True)
        chosen = [data for digit, data in digits if digit == label]
        for number, data in enumerate(chosen[:PICTURES_PER_CLASS]):
            (root / "pictures" / name / f"{name}{number}.png").write_bytes(data)
        (root / f"{name[:-1]}.jpg").write_bytes(chosen[-1])
    return root


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    addresses = {f"LUTHIER_{n}_ADDRESS": f"127.0.0.1:{free_port()}" for n in ("HTTP", "GRPC", "GRPC_TLS")}
    own = {**os.environ, **addresses, "LUTHIER_DATA_DIR": str(folder / "data"), "LUTHIER_WARM_START": "no"}
    served = Served(folder, own, addresses["LUTHIER_HTTP_ADDRESS"])
    served.start()
    until(served.ready)
    exports = dict(re.findall(r"export (CLARIFAI_(?:USER_ID|PAT|API_BASE))=(\S+)", served.said))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    yield {**own, **exports, "PATH": path, "HOME": str(folder)}
    served.stop()


def test_the_quickstart_does_what_it_says(folder: Path, environment: dict[str, str]) -> None:
    runnable = blocks()
    assert [language for language, _ in runnable] == ["bash", "python", "bash", "bash"]
    local, sdk, train, predict = (text for _, text in runnable)

    said = shell(local, folder, environment)
    assert "Test split: accuracy" in said
    assert re.search(r"cat\.jpg: cats (0\.[5-9]|1\.0)", said)

    said = done([sys.executable, "-c", sdk], folder, environment)
    assert "21100" in said
    assert re.search(r"^cats: (0\.[5-9]|1\.0)", said, flags=re.MULTILINE)

    address = environment["LUTHIER_HTTP_ADDRESS"]
    train, predict = (text.replace("127.0.0.1:8080", address) for text in (train, predict))
    said = shell(train, folder, environment)
    assert "21103" in said or "21101" in said
    app, status = train.splitlines()[0], train.splitlines()[-1]
    until(lambda: "21100" in shell(f"{app}\n{status}", folder, environment), 120)
    said = shell(f"{app}\n{predict}", folder, environment)
    assert '"cats"' in said
    assert "10000" in said


def shell(text: str, folder: Path, environment: dict[str, str]) -> str:
    return done([shutil.which("bash") or "bash", "-euc", text], folder, environment)


def done(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout
