"""P21: acknowledged means on disk. The API's own system calls show file, folder and commit before the answer."""

import hashlib
import http.client
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.chaos import trace
from tests.chaos.apart import Apart
from tests.chaos.trace import Call
from tests.conftest import png

COMMITTED = r"COMMIT\0Z"  # the end of what PostgreSQL answers to a commit, as strace writes it


@pytest.mark.skipif(sys.platform != "linux", reason="strace, which shows the system calls, runs on Linux alone")
def test_p21_an_upload_is_answered_once_file_folder_and_row_are_on_disk(
    apart: Apart, full: bool, tmp_path: Path
) -> None:
    file = tmp_path / "trace"
    process = apart.start_api(*trace.command(file))
    apart.new_app("on-disk")
    shas = _uploaded(apart, 500 if full else 25)
    apart.stop_api()

    calls = trace.calls(file, process)
    local = not apart.settings.database_url
    for sha in shas:
        _check_order(calls, apart.settings.blobs_folder / sha[:2], sha, _sqlite_commit if local else _postgres_commit)


def _uploaded(apart: Apart, count: int) -> list[str]:
    """One picture after the other over one connection; the hashes of those that were acknowledged, which is all."""
    draw = np.random.default_rng(21)
    connection = http.client.HTTPConnection(*apart.http, timeout=30)
    shas = []
    for _ in range(count):
        data = png(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        sha = hashlib.sha256(data).hexdigest()
        body = json.dumps({"inputs": [{"id": sha, "data": {"image": {"base64": b64encode(data).decode()}}}]})
        path = f"/v2/users/{apart.server.user_id}/apps/on-disk/inputs"
        connection.request("POST", path, body, {"Authorization": f"Key {apart.server.token}"})
        answer = json.loads(connection.getresponse().read())
        assert answer["status"]["code"] == 10000, answer
        shas.append(sha)
    connection.close()
    return shas


def _check_order(calls: list[Call], folder: Path, sha: str, commit: Callable[[Call], bool]) -> None:
    """write, fsync, rename, fsync of the folder, commit, first byte of the answer: each after the end of the last."""
    renamed = _first("rename", calls, 0, lambda call: call.name.startswith("rename") and f"/{sha}" in call.arguments)
    temporary = renamed.arguments.split('"')[1]
    written = _first("write", calls, 0, _on("write", temporary))
    synced = _first("fsync of the file", calls, written.ended, _on("fsync", temporary))
    assert synced.ended < renamed.began, f"{sha} got its name before it was on disk"
    named = _first("fsync of the folder", calls, renamed.ended, _on("fsync", str(folder)))
    committed = _first("commit", calls, named.ended, commit)
    answered = _first("answer", calls, renamed.ended, lambda call: "HTTP/1.1 200" in call.arguments)
    assert committed.ended < answered.began, f"{sha} was acknowledged before it was committed"


def _on(name: str, file: str) -> Callable[[Call], bool]:
    return lambda call: call.name == name and f"<{file}>" in call.arguments


def _sqlite_commit(call: Call) -> bool:
    return call.name in ("fsync", "fdatasync") and "luthier.db-wal>" in call.arguments


def _postgres_commit(call: Call) -> bool:
    return call.name in ("recvfrom", "recvmsg") and COMMITTED in call.arguments


def _first(what: str, calls: list[Call], after: int, condition: Callable[[Call], bool]) -> Call:
    """The first that began after a line of the trace."""
    found = next((call for call in calls if call.began > after and condition(call)), None)
    assert found, f"no {what} after line {after} of the trace"
    return found
