"""P1, P2: whatever is killed, training goes on by itself from its last checkpoint and ends with the same bytes.

Of five kills `make test` does the first two.
"""

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client, until
from tests.e2e.conftest import DATABASES, Server, on

pytestmark = pytest.mark.long

VICTIMS = ("engine.train", "luthier worker", "engine.train", "luthier worker", "engine.train")
PARAMS = {"template": "luthier_tiny_resnet", "num_epochs": 16, "image_size": 32, "seed": 7}


@pytest.fixture(scope="module", params=DATABASES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp(f"kills on {request.param}")
    postgres = partial(request.getfixturevalue, "postgres")
    with on(request.param, postgres, root, lease_seconds="5", training_threads="1", warm_start="1") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server, digits: list[tuple[str, bytes]]) -> Client:
    client = Client(server, "kills")
    client.PostApps(apps=[{"id": "kills"}])
    client.upload([(f"digit-{number}", label, data) for number, (label, data) in enumerate(digits[:600])])
    client.PostDatasets(datasets=[{"id": "digits"}])
    client.PostDatasetInputs(dataset_id="digits", dataset_inputs=[{"input": {"id": f"digit-{n}"}} for n in range(128)])
    for start in range(128, 600, 128):
        client.PostDatasetInputs(
            dataset_id="digits",
            dataset_inputs=[{"input": {"id": f"digit-{n}"}} for n in range(start, min(start + 128, 600))],
        )
    client.PostDatasetVersions(dataset_id="digits", dataset_versions=[{"id": "frozen"}])
    until(
        lambda: (
            client.GetDatasetVersion(dataset_id="digits", dataset_version_id="frozen").dataset_version.status.code
            == 64015
        )
    )
    client.PostModels(models=[{"id": "reader", "model_type_id": "visual-classifier"}])
    return client


def train(client: Client) -> str:
    concepts = [{"id": str(digit)} for digit in range(10)]
    answer = client.PostModelVersions(
        model_id="reader",
        model_versions=[
            {
                "train_info": {"params": {**PARAMS, "dataset_id": "digits", "dataset_version_id": "frozen"}},
                "output_info": {"data": {"concepts": concepts}},
            }
        ],
    )
    return str(answer.model.model_version.id)


def weights_hash(server: Server, version_id: str) -> str:
    """SHA-256 of the weights that are served."""
    (weights,) = server.data_dir.glob(f"runs/**/{version_id}/checkpoints/best/model.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def processes_of(server: Server, module: str) -> list[int]:
    """Process ids below the server whose command line names `module`."""
    assert server.process
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            commands[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended

    def below(pid: int) -> bool:
        return pid == server.process.pid or (pid in parents and parents[pid] != 0 and below(parents[pid]))

    return [pid for pid, command in commands.items() if module in command and below(pid)]


def has_passed(status: Any, percent: int) -> bool:
    """Trained farther than `percent`, or to the end."""
    return status.code == 21100 or (status.code == 21101 and status.percent_completed > percent)


def test_kills_end_with_the_same_bytes(server: Server, client: Client, request: pytest.FixtureRequest) -> None:
    victims = VICTIMS if request.config.getoption("--chaos") else VICTIMS[:2]
    quiet = train(client)
    client.trained("reader", quiet)

    killed = train(client)
    rng = random.Random(1)
    farthest = kills = 0
    for victim in victims:
        until(lambda floor=farthest: has_passed(client.version("reader", killed).status, floor), 180)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 1.0))
        status = client.version("reader", killed).status
        if status.code == 21100:
            break
        farthest = min(status.percent_completed, 90)  # killed at its very end, a training has no farther to go
        for pid in processes_of(server, victim):
            os.kill(pid, signal.SIGKILL)
        kills += 1
    version = client.trained("reader", killed)

    assert kills >= min(3, len(victims)), "a training that is over so soon shows little"
    assert weights_hash(server, killed) == weights_hash(server, quiet)
    first, second = (client.version("reader", one).metadata["luthier"]["metrics"] for one in (quiet, killed))
    assert dict(first) == dict(second)
    assert version.status.percent_completed == 100
    assert not list(server.data_dir.glob(f"runs/**/{killed}/**/*.tmp*"))
