"""P20: where a connection breaks after the commit and before the answer, sending it again is safe."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.apart import Apart
from tests.chaos.proxy import Proxy, http1, http2
from tests.e2e.client import Client

LOST = 3  # of every ten answers
SCRIPT = Path(__file__).with_name("sdk_uploads.py")
DUPLICATE = 30100


@pytest.fixture(scope="module", autouse=True)
def api(apart: Apart) -> Iterator[None]:
    apart.start_api()
    yield
    apart.stop_api()


def test_p20_a_thousand_posts_with_lost_answers_make_a_thousand_inputs(apart: Apart, full: bool) -> None:
    count = 1000 if full else 50
    client = apart.new_app("retries")
    first: dict[str, Any] = {}
    with Proxy(apart.http, LOST, http1) as proxy, ThreadPoolExecutor(4) as threads:
        for number, answer in enumerate(threads.map(lambda n: _sent(apart, proxy, n, f"text {n}"), range(count))):
            assert answer["status"]["code"] == 10000, answer
            first[f"r{number}"] = answer["inputs"][0]
    assert proxy.resets >= count * LOST // 10
    assert proxy.answers == count + proxy.resets
    assert _ids(client) == set(first)

    direct = Proxy(apart.http, 0, http1)
    for number in range(0, count, 10):
        again = _sent(apart, direct, number, f"text {number}")
        assert again["status"]["code"] == 10000 and again["inputs"][0] == first[f"r{number}"]
        other = _sent(apart, direct, number, "other words")
        assert other["inputs"][0]["status"]["code"] == DUPLICATE, other
    assert _ids(client) == set(first)
    assert client.GetInput(input_id="r0").input.data.text.raw == "text 0"


def test_p20_the_sdk_sends_again_by_itself(apart: Apart, full: bool) -> None:
    """By its own retries, which at full size are five seconds apart, so several of it run side by side."""
    processes, count, pause = (20, 50, 5.0) if full else (2, 4, 0.2)
    client = apart.new_app("sdk-retries")
    with Proxy(apart.grpc, LOST, http2) as proxy:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(apart.server.data_dir.parent),
            "CLARIFAI_API_BASE": "http://{}:{}".format(*proxy.address),
            "CLARIFAI_PAT": apart.server.token,
            "CLARIFAI_USER_ID": apart.server.user_id,
            "CLARIFAI_APP_ID": "sdk-retries",
        }
        running = [
            subprocess.Popen(
                [sys.executable, SCRIPT, f"s{number}", str(count), str(pause)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for number in range(processes)
        ]
        for process in running:
            output, _ = process.communicate(timeout=1200)
            assert process.returncode == 0, output
    assert proxy.resets >= processes * count * LOST // 10
    assert _ids(client) == {f"s{process}-{number}" for process in range(processes) for number in range(count)}


def _sent(apart: Apart, proxy: Proxy, number: int, words: str) -> dict[str, Any]:
    """The answer to a post of one text, sent again for as long as connections break."""
    body = json.dumps({"inputs": [{"id": f"r{number}", "data": {"text": {"raw": words}, "concepts": [{"id": "t"}]}}]})
    path = f"/v2/users/{apart.server.user_id}/apps/retries/inputs"
    while True:
        connection = http.client.HTTPConnection(*proxy.address, timeout=30)
        try:
            connection.request("POST", path, body, {"Authorization": f"Key {apart.server.token}"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        except ConnectionResetError:
            continue
        finally:
            connection.close()


def _ids(client: Client) -> set[str]:
    found = [one.id for page in (1, 2) for one in client.ListInputs(page=page, per_page=1000).inputs]
    assert len(found) == len(set(found))
    return set(found)
