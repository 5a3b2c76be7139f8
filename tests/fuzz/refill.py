"""Puts Bob's things back while they are being deleted, so that most calls find something. Next: `messages`, `rest`."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc

from luthier.wire.methods import BY_NAME
from tests.api.world import BOB, DOG, FROZEN, INPUT, OTHER, SECOND, THEIRS, Entry, labelled, request_of

EVERY_SECONDS = 1.0
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("PostApps", {"apps": [{"id": THEIRS}]}),
    ("PostApps", {"apps": [{"id": SECOND}]}),
    ("PostConcepts", {"concepts": [{"id": "cat"}, {"id": "dog"}]}),
    ("PostInputs", {"inputs": [labelled("i1", "cat"), labelled("other-input", "dog", 1)], "inputs_add_job_id": "job"}),
    ("PostAnnotations", {"annotations": [{**DOG, "id": "a"}]}),
    ("PostDatasets", {"datasets": [{"id": "d"}]}),
    ("PostDatasetInputs", {"dataset_id": "d", "dataset_inputs": [{"input": INPUT}, {"input": OTHER}]}),
    ("PostDatasetVersions", {"dataset_id": "d", "dataset_versions": [{"id": FROZEN["dataset_version_id"]}]}),
    ("PostModels", {"models": [{"id": "m", "model_type_id": "visual-classifier"}]}),
    ("PostUploads", {"uploads": [{"id": "u", "content_name": "u.csv", "content_length": 1}]}),
    ("PostUploads", {"uploads": [{"id": "half", "content_name": "half.csv", "content_length": 2}]}),
)


@contextmanager
def refilled(address: str, token: str) -> Iterator[None]:
    """Answers are not looked at: what is there already is refused, and what holds it may be deleted just now."""
    done = threading.Event()

    def work() -> None:
        with grpc.insecure_channel(address) as channel:
            while not done.wait(EVERY_SECONDS):
                for name, asks in CALLS:
                    method = BY_NAME[name]
                    request = request_of(method, Entry(asks, app=name != "PostApps"), BOB, THEIRS)
                    call = channel.unary_unary(method.grpc_path)
                    with suppress(grpc.RpcError):  # that is what the fuzzing itself looks for
                        metadata = [("authorization", f"Key {token}")]
                        call(request.SerializeToString(), metadata=metadata, timeout=60)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60)
