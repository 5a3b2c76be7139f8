"""Clients that upload batch after batch while the API is killed under them, and that remember what they were told."""

import base64
import hashlib
import http.client
import itertools
import json
import random
import threading
from collections.abc import Callable

import grpc
import numpy as np
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_code_pb2

from tests.chaos.apart import Apart
from tests.conftest import png

BATCH = 128
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.02
BROKEN = (grpc.RpcError, OSError, http.client.HTTPException)
Batch = dict[str, bytes]  # picture by input id


class Uploader(threading.Thread):
    """Sends until `done` is set. A batch whose answer never comes is sent again, or every second time given up."""

    def __init__(self, number: int, send: Callable[[Batch], int], done: threading.Event) -> None:
        super().__init__(name=f"uploader-{number}", daemon=True)
        self._number, self._send, self._done = number, send, done
        self._random = np.random.default_rng(number)
        self.batches: list[list[str]] = []
        self.sent: dict[str, str] = {}  # SHA-256 by input id
        self.acknowledged: set[str] = set()
        self.broken = 0
        self.refused: list[int] = []

    def run(self) -> None:
        for turn in itertools.count():
            if self._done.is_set():
                return
            batch = self._new_batch(turn)
            self.batches.append(list(batch))
            self.sent |= {id: hashlib.sha256(data).hexdigest() for id, data in batch.items()}
            if self._delivered(batch):
                self.acknowledged |= batch.keys()

    def _new_batch(self, turn: int) -> Batch:
        pictures = self._random.integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8)
        return {f"u{self._number}-{turn}-{n}": png(picture) for n, picture in enumerate(pictures)}

    def _delivered(self, batch: Batch) -> bool:
        while True:
            try:
                code = self._send(batch)
            except BROKEN as error:
                if not _away(error):
                    self.broken += 1
                    if self.broken % 2:
                        return False
                elif self._done.is_set():
                    return False
            else:
                if code == status_code_pb2.SUCCESS:
                    return True
                self.refused.append(code)
                if code != status_code_pb2.TRY_AGAIN:
                    return False
            self._done.wait(random.uniform(PAUSE_SECONDS, 3 * PAUSE_SECONDS))


def _away(error: Exception) -> bool:
    """The API is not there, so nothing of the batch has reached it."""
    if isinstance(error, grpc.RpcError):
        return "failed to connect" in (error.details() or "")
    return isinstance(error, ConnectionRefusedError)


def over_grpc(apart: Apart, app_id: str) -> Callable[[Batch], int]:
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
    options.append(("grpc.use_local_subchannel_pool", 1))
    channel = grpc.insecure_channel(apart.server.grpc, options)
    post = channel.unary_unary(
        "/clarifai.api.V2/PostInputs",
        request_serializer=service_pb2.PostInputsRequest.SerializeToString,
        response_deserializer=service_pb2.MultiInputResponse.FromString,
    )
    metadata = [("authorization", f"Key {apart.server.token}")]
    ids = resources_pb2.UserAppIDSet(user_id=apart.server.user_id, app_id=app_id)

    def send(batch: Batch) -> int:
        inputs = [
            resources_pb2.Input(
                id=id,
                data=resources_pb2.Data(
                    image=resources_pb2.Image(base64=data), concepts=[resources_pb2.Concept(id="noise", value=1)]
                ),
            )
            for id, data in batch.items()
        ]
        request = service_pb2.PostInputsRequest(user_app_id=ids, inputs=inputs)
        return int(post(request, metadata=metadata, timeout=PATIENCE_SECONDS).status.code)

    return send


def over_rest(apart: Apart, app_id: str) -> Callable[[Batch], int]:
    path = f"/v2/users/{apart.server.user_id}/apps/{app_id}/inputs"
    headers = {"Authorization": f"Key {apart.server.token}"}

    def send(batch: Batch) -> int:
        inputs = [
            {
                "id": id,
                "data": {
                    "image": {"base64": base64.b64encode(data).decode()},
                    "concepts": [{"id": "noise"}],
                },
            }
            for id, data in batch.items()
        ]
        connection = http.client.HTTPConnection(*apart.http, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", path, json.dumps({"inputs": inputs}), headers)
            return int(json.loads(connection.getresponse().read())["status"]["code"])
        finally:
            connection.close()

    return send
