"""Archives of dataset versions are downloaded by their signed URLs and by nothing else."""

import uuid
from typing import Any

import pytest
from sqlalchemy import insert

from luthier.store import exports
from luthier.store.blobs import Blobs
from luthier.store.exports import Format
from luthier.store.secrets import signed_export_url
from luthier.store.tables import dataset_versions
from tests.api.conftest import Running

ARCHIVE = bytes(range(256)) * 4000


@pytest.fixture
def path(server: Running) -> str:
    """Path and query of an export that is done."""
    sha = Blobs(server.settings.blobs_folder).put(ARCHIVE)
    app = server.make_app(uuid.uuid4().hex)
    row = {"app": app, "id": "v", "status": 64015, "origin": 1, "split": "{}", "message": b""}
    with server.database.write() as connection:
        made = connection.execute(insert(dataset_versions).values(**row, created_at=1.0, modified_at=1.0))
        export, _ = exports.ask(connection, int(made.inserted_primary_key[0]), Format.COCO)
        exports.begin(connection, export.seq)
        exports.done(connection, export.seq, sha, len(ARCHIVE), "")
    return signed_export_url(server.settings, export.id).removeprefix(f"http://{server.settings.http_address}")


def test_an_archive_is_a_download(server: Running, path: str) -> None:
    answer = server.ask("GET", path, token=None)
    assert (answer.status, answer.body) == (200, ARCHIVE)
    assert answer.headers["content-type"] == "application/zip"  # the published SDK takes nothing else
    assert answer.headers["content-length"] == str(len(ARCHIVE))
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = server.ask("HEAD", path, token=None)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(ARCHIVE)))
    assert server.ask("POST", path, {}).status == 405


@pytest.mark.parametrize(
    "change", [lambda p: p[:-1] + "x", lambda p: p.partition("?")[0], lambda p: p.replace("exports/", "exports/0")]
)
def test_a_wrong_signature_looks_like_no_export(server: Running, path: str, change: Any) -> None:
    missing = signed_export_url(server.settings, "0" * 32).removeprefix(f"http://{server.settings.http_address}")
    answers = [server.ask("GET", one, token=None) for one in (change(path), missing)]
    assert [(answer.status, answer.code) for answer in answers] == [(404, 11101)] * 2
    assert answers[0].details == answers[1].details
