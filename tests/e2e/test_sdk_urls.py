"""The Python SDK uploading by URL, and downloading what it uploaded; the web is a server of the test's own."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import DATABASES, Server, on
from tests.rpcs.pictures import picture
from tests.worker.web import Server as Web
from tests.worker.web import answer, by_path, redirect

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "snippets" / "sdk_urls.py"
PICTURES = {name: picture("PNG", (12, 9), colour) for colour, name in enumerate(("one", "two", "three"))}
TEXT = "naïve 日本\r\n".encode()
OWN = "from a file of mine ✓\n".encode()


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    pages = {name: answer(data) for name, data in PICTURES.items()}
    pages |= {"text": answer(TEXT), "redirected": redirect("/three.png"), "missing": answer(status="404 Not Found")}
    web = Web(by_path(**pages, page=answer(b"<html>no picture</html>", Content_Type="image/png")))
    yield web
    web.close()


@pytest.fixture(scope="module", params=DATABASES)
def fetching(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[Server]:
    """Offline but for the test's own site."""
    root = tmp_path_factory.mktemp(f"fetching on {request.param}")
    postgres = partial(request.getfixturevalue, "postgres")
    with on(request.param, postgres, root, fetch_allow=web.allow) as server:
        yield server


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_sdk_uploads_by_url_and_downloads_again(fetching: Server, web: Web, tmp_path: Path) -> None:
    environment = fetching.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{fetching.grpc}",
        "CLARIFAI_PAT": fetching.token,
        "CLARIFAI_USER_ID": fetching.user_id,
        "SITE": web.url(""),
    }
    environment["SITE"] = environment["SITE"].rstrip("/")
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])

    contents = {**PICTURES, "redirected": PICTURES["three"], "single": PICTURES["three"]}
    contents = {name: contents[name] for name in ("one", "two", "redirected", "single")}
    contents |= {"t1": TEXT, "t2": OWN, "t3": OWN}
    assert seen["status"] == dict.fromkeys(contents, 30000), "the SDK deletes what failed"
    assert seen["downloaded"] == {name: [sha(data)] for name, data in contents.items()}
    assert seen["copies"] == {name: sha(data) for name, data in contents.items()}
    assert seen["in_dataset"] == sorted(contents)
    assert seen["kinds"] == {"image": ["one", "redirected", "single", "two"], "text": ["t1", "t2", "t3"]}
    assert seen["refused"] == [30106]

    one = seen["inputs"]["one"]
    assert {concept["id"]: concept["value"] for concept in one["concepts"]} == {"cat": 1, "Not spam": 1}
    assert one["metadata"] == {"from": "a", "size": 3}
    assert one["geo"]["geoPoint"] == {"longitude": 13.5, "latitude": 52.25}
    assert (one["image"]["imageInfo"]["width"], one["image"]["imageInfo"]["format"]) == (12, "PNG")
    assert seen["inputs"]["t1"]["text"]["raw"] == TEXT.decode()
    assert "not-for-everyone" not in json.dumps(seen)
    assert not any(fetching.token in asked for asked in web.asked), "the SDK sends its token to what it downloads from"
