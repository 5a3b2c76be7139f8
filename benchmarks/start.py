"""From PostModelVersions to the first training step, beside a bare process that imports the same libraries and steps.

    python benchmarks/start.py [--repeats 3]

Starts a server of its own in a temporary folder. ResNet-50 from random weights, 224 pixels, batches of 16: the bare
process imports torch and timm, builds the network, and takes one optimizer step on pictures that lie in memory.
"""

import argparse
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from clarifai_grpc.grpc.api import service_pb2
from PIL import Image

IMAGE_SIZE, BATCH, PICTURES = 224, 16, 48
TEMPLATE = "MMClassification_ResNet_50"
PARAMS = {"image_size": IMAGE_SIZE, "batch_size": BATCH, "num_epochs": 1, "pretrained_weights": "None"}

BARE = f"""
import torch, timm
model = timm.create_model("resnet50", num_classes=2).train()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
pictures = torch.rand({BATCH}, 3, {IMAGE_SIZE}, {IMAGE_SIZE})
loss = torch.nn.functional.cross_entropy(model(pictures), torch.zeros({BATCH}, dtype=torch.long))
loss.backward()
optimizer.step()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Call:
    """`call("PostApps", apps=[…])` over plain gRPC; fails on an answer that is no success."""

    def __init__(self, address: str, user_id: str, token: str) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_send_message_length", 128 << 20)])
        self.ids = {"user_id": user_id, "app_id": "start"}
        self.metadata = (("authorization", f"Key {token}"),)

    def __call__(self, rpc: str, **fields: Any) -> Any:
        method = service_pb2.DESCRIPTOR.services_by_name["V2"].methods_by_name[rpc]
        request_class = getattr(service_pb2, method.input_type.name)
        response_class = getattr(service_pb2, method.output_type.name)
        ask = self.channel.unary_unary(
            f"/clarifai.api.V2/{rpc}", request_class.SerializeToString, response_class.FromString
        )
        answer = ask(request_class(user_app_id=self.ids, **fields), metadata=self.metadata)
        if answer.status.code != 10000:
            raise SystemExit(f"{rpc}: {answer.status}")
        return answer


@contextmanager
def server(folder: Path) -> Iterator[Call]:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    names = ("LUTHIER_HTTP_ADDRESS", "LUTHIER_GRPC_ADDRESS", "LUTHIER_GRPC_TLS_ADDRESS")
    environment = {**os.environ, **dict(zip(names, addresses, strict=True)), "LUTHIER_DATA_DIR": str(folder)}
    luthier = [sys.executable, "-m", "luthier"]
    process = subprocess.Popen([*luthier, "serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(f"http://{addresses[0]}/readyz"))
        made = subprocess.run([*luthier, "token", "create", "--json"], env=environment, capture_output=True, check=True)
        yield Call(addresses[1], **json.loads(made.stdout.splitlines()[-1]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=2).status == 200)  # noqa: S310 our own server
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 120, pause: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing happened for {seconds:.0f} s")
        time.sleep(pause)


def upload(call: Call) -> None:
    call("PostApps", apps=[{"id": "start"}])
    rng = np.random.default_rng(0)
    inputs = []
    for number in range(PICTURES):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)).save(buffer, "JPEG")
        concept = {"id": f"class-{number % 2}", "value": 1.0}
        inputs.append(
            {"id": f"picture-{number}", "data": {"image": {"base64": buffer.getvalue()}, "concepts": [concept]}}
        )
    call("PostInputs", inputs=inputs)
    wait_for(lambda: call("GetInputCount").counts.processed == PICTURES)
    call("PostModels", models=[{"id": "model", "model_type_id": "visual-classifier"}])


def to_first_step(call: Call, folder: Path) -> float:
    """Seconds from sending PostModelVersions to the engine's event of its first step."""
    version = {
        "train_info": {"params": {"template": TEMPLATE, **PARAMS}},
        "output_info": {"data": {"concepts": [{"id": "class-0"}, {"id": "class-1"}]}},
    }
    begin = time.perf_counter()
    version_id = call("PostModelVersions", model_id="model", model_versions=[version]).model.model_version.id

    def stepped() -> bool:
        files = list(folder.glob(f"runs/**/{version_id}/events.jsonl"))
        return bool(files) and '"StepDone"' in files[0].read_text()

    wait_for(stepped, pause=0.01)
    seconds = time.perf_counter() - begin
    wait_for(lambda: call("GetModel", model_id="model").model.model_version.status.code in (21100, 21106))
    time.sleep(8)  # a warm start needs the spare process ready again, as it is between a person's trainings
    return seconds


def bare() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE], check=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as call:
        upload(call)
        time.sleep(10)
        pairs = [(to_first_step(call, Path(name)), bare()) for _ in range(repeats)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"PostModelVersions to first step  {ours:6.2f} s   (median of {repeats})")
    print(f"bare process to first step       {theirs:6.2f} s")
    print(f"ratio                            {statistics.median(a / b for a, b in pairs):6.2f}   (target: at most 1.5)")


if __name__ == "__main__":
    main()
