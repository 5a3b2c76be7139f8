"""Plain clients of the tests: gRPC in the clear, and REST by curl."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc

from tests.e2e.conftest import Server


class Client:
    """A V2 stub that sends the token and fails on an answer that is not a success."""

    def __init__(self, server: Server, app_id: str) -> None:
        host, _, port = server.grpc.rpartition(":")
        self._stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_insecure_grpc_channel(base=host, port=int(port)))
        self.server = server
        self.ids = resources_pb2.UserAppIDSet(user_id=server.user_id, app_id=app_id)

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        request_class = getattr(service_pb2, f"{rpc}Request")

        def call(*, success: bool = True, **fields: Any) -> Any:
            fields.setdefault("user_app_id", self.ids)
            answer = getattr(self._stub, rpc)(
                request_class(**fields), metadata=(("authorization", f"Key {self.server.token}"),), timeout=60
            )
            assert not success or answer.status.code == 10000, (rpc, answer)
            return answer

        return call

    def upload(self, labelled: list[tuple[str, str, bytes]]) -> None:
        """(input id, concept id, bytes) each, in batches of 128, waited for until they are decoded."""
        inputs = [
            resources_pb2.Input(
                id=input_id,
                data=resources_pb2.Data(
                    image=resources_pb2.Image(base64=data), concepts=[resources_pb2.Concept(id=concept, value=1.0)]
                ),
            )
            for input_id, concept, data in labelled
        ]
        for start in range(0, len(inputs), 128):
            self.PostInputs(inputs=inputs[start : start + 128])
        until(lambda: self.GetInputCount().counts.to_process == 0)

    def version(self, model_id: str, version_id: str) -> Any:
        return self.GetModelVersion(model_id=model_id, version_id=version_id).model_version

    def trained(self, model_id: str, version_id: str, seconds: float = 240) -> Any:
        """The version once it has ended; it must have ended well."""
        until(lambda: self.version(model_id, version_id).status.code in (21100, 21106), seconds)
        version = self.version(model_id, version_id)
        assert version.status.code == 21100, version.status
        return version

    def outputs(self, model_id: str, inputs: list[dict[str, Any]]) -> Any:
        """What the model says; a model that is still loading is asked again, as its answer says."""
        asked = {"model_id": model_id, "inputs": inputs, "success": False}
        until(lambda: self.PostModelOutputs(**asked).status.code != 21355, 120)
        return self.PostModelOutputs(**{**asked, "success": True}).outputs


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.1)


def curl(server: Server, verb: str, path: str, body: object = None, *headers: str) -> tuple[int, dict[str, Any]]:
    """HTTP status and JSON answer of one call by the curl program."""
    command = [
        "curl",
        "-sS",
        "-X",
        verb,
        f"{server.url}{path}",
        "-w",
        "\n%{http_code}",
        "-H",
        f"Authorization: Key {server.token}",
    ]
    for header in headers:
        command += ["-H", header]
    if body is not None:
        command += ["--data-raw", json.dumps(body)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise AssertionError("the program curl is missing: `make system-packages` installs it") from None
    text, _, code = done.stdout.rpartition("\n")
    return int(code), json.loads(text)
