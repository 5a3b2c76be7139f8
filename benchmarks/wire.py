"""Calls a second over REST and gRPC, and pictures a second into PostInputs, beside a bare handler on the same stack.

    python benchmarks/wire.py [--seconds 5] [--connections 32]

Starts its own server in a folder of its own; client and server share the machine's cores.
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import httptools
import uvloop
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

USER, APP, MODEL = "me", "bench", "digits-model"
BATCH = 128
UPLOADERS = 4  # connections that upload batches at once


# -- servers, each in a process of its own ----------------------------------------------------------------------------


def serve_luthier(folder: Path, ports: list[int]) -> None:
    from luthier.api.server import run
    from luthier.settings import load
    from luthier.store import tokens
    from luthier.store.database import Database
    from luthier.store.migrations import migrate

    names = ("HTTP", "GRPC", "GRPC_TLS")
    variables = {f"LUTHIER_{name}_ADDRESS": f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
    settings = load({"LUTHIER_DATA_DIR": str(folder / "data"), **variables})
    database = Database.at(settings.database_file)
    migrate(database)
    with database.write() as connection:
        made = tokens.first_user(connection)
    database.close()
    assert made
    run(settings, lambda: tell_ready(folder, made[1]))


def serve_bare(folder: Path, ports: list[int]) -> None:
    """The same stack with handlers that do nothing: what the transports themselves cost."""
    import uvicorn

    answer = json.dumps({"status": {"code": 10000}, "filler": "x" * 700}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]

    async def app(
        scope: dict[str, object], receive: Callable[[], Awaitable[dict[str, object]]], send: Callable
    ) -> None:  # type: ignore[type-arg]
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    class Bare(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, handler_call_details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(self.answer)

        async def answer(self, request: bytes, context: object) -> bytes:
            return answer

    async def main() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Bare(),))
        server.add_insecure_port(f"127.0.0.1:{ports[1]}")
        await server.start()
        config = uvicorn.Config(app, port=ports[0], http="httptools", lifespan="off", access_log=False, log_config=None)
        asyncio.get_running_loop().call_later(0.5, tell_ready, folder, "none")
        await uvicorn.Server(config).serve()

    uvloop.run(main())


def tell_ready(folder: Path, token: str) -> None:
    (folder / "token.new").write_text(token)
    (folder / "token.new").rename(folder / "token")


class Server:
    """`kind` is "luthier" or "bare"; with `with`: starts it, waits until it answers, ends it."""

    def __init__(self, kind: str) -> None:
        self.kind, self.ports = kind, [free_port() for _ in range(3)]

    def __enter__(self) -> "Server":
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        command = [sys.executable, __file__, "--serve", self.kind, str(folder), *map(str, self.ports)]
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(command, stderr=log)
        while not (folder / "token").exists():
            assert self._process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        self.authorization = "Key " + (folder / "token").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._folder.cleanup()

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return float(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def imported_torch(self) -> bool:
        return "libtorch" in Path(f"/proc/{self._process.pid}/maps").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- clients ----------------------------------------------------------------------------------------------------------


class HttpClient(asyncio.Protocol):
    """One connection, one request at a time, hardly any work of its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.answer.set_result((self.parser.get_status_code(), self.body))
        self.parser = httptools.HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(error or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> bytes:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        status, body = await self.answer
        assert status == 200, body[:500]
        return bytes(body)


async def connect(server: Server) -> HttpClient:
    _, client = await asyncio.get_running_loop().create_connection(HttpClient, "127.0.0.1", server.ports[0])
    return client


def http_request(server: Server, verb: str, path: str, body: object = None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{verb} {path} HTTP/1.1", "Host: localhost", f"Authorization: {server.authorization}"]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


Call = Callable[[], Awaitable[object]]


async def calls_a_second(calls: list[Call], seconds: float) -> float:
    """Each of `calls` is made over and over by a task of its own."""
    done = 0
    end = time.perf_counter() + seconds

    async def keep(call: Call) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    await asyncio.gather(*(call() for call in calls))  # warm
    started = time.perf_counter()
    end = started + seconds
    await asyncio.gather(*map(keep, calls))
    return done / (time.perf_counter() - started)


async def rest_rate(server: Server, connections: int, seconds: float) -> float:
    request = http_request(server, "GET", f"/v2/users/{USER}/apps/{APP}/models/{MODEL}")
    clients = [await connect(server) for _ in range(connections)]
    return await calls_a_second([lambda client=client: client.ask(request) for client in clients], seconds)  # type: ignore[misc]


async def grpc_rate(server: Server, connections: int, seconds: float) -> float:
    app = resources_pb2.UserAppIDSet(user_id=USER, app_id=APP)
    request = service_pb2.GetModelRequest(user_app_id=app, model_id=MODEL).SerializeToString()
    metadata = (("authorization", server.authorization),)
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection each
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{server.ports[1]}", options) for _ in range(connections)]
    stubs = [channel.unary_unary("/clarifai.api.V2/GetModel") for channel in channels]
    checked = service_pb2.SingleModelResponse()
    if server.kind == "luthier":
        checked.ParseFromString(await stubs[0](request, metadata=metadata))
        assert checked.status.code == 10000 and checked.model.id == MODEL, checked
    rate = await calls_a_second([lambda stub=stub: stub(request, metadata=metadata) for stub in stubs], seconds)  # type: ignore[misc]
    for channel in channels:
        await channel.close()
    return rate


async def upload_rate(server: Server, pictures: list[tuple[str, bytes]]) -> float:
    """Pictures a second, in batches, over a few connections at once."""
    path = f"/v2/users/{USER}/apps/{APP}/inputs"
    batches = [
        http_request(server, "POST", path, {"inputs": [an_input(*picture) for picture in pictures[at : at + BATCH]]})
        for at in range(0, len(pictures), BATCH)
    ]
    started = time.perf_counter()
    await asyncio.gather(*(send_all(server, batches[number::UPLOADERS]) for number in range(UPLOADERS)))
    return len(pictures) / (time.perf_counter() - started)


async def send_all(server: Server, batches: list[bytes]) -> None:
    client = await connect(server)
    for batch in batches:
        answer = json.loads(await client.ask(batch))
        assert answer["status"]["code"] == 10000, answer["status"]


def an_input(name: str, data: bytes) -> dict[str, object]:
    concepts = [{"id": name.split("-")[0]}]
    return {"id": name, "data": {"image": {"base64": base64.b64encode(data).decode()}, "concepts": concepts}}


def digits() -> list[tuple[str, bytes]]:
    """scikit-learn's 1,797 handwritten digits as (label-number, PNG)."""
    import io

    from PIL import Image
    from sklearn.datasets import load_digits

    data, result = load_digits(), []
    for number, (label, pixels) in enumerate(zip(data.target, data.images, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray((pixels * 255 / 16).astype("uint8")).save(buffer, "PNG")
        result.append((f"{label}-{number}", buffer.getvalue()))
    return result


async def prepare(server: Server) -> None:
    client = await connect(server)
    base = f"/v2/users/{USER}"
    model = {"id": MODEL, "model_type_id": "visual-classifier"}
    for path, body in (
        (f"{base}/apps", {"apps": [{"id": APP}]}),
        (f"{base}/apps/{APP}/concepts", {"concepts": [{"id": str(digit)} for digit in range(10)]}),
        (f"{base}/apps/{APP}/models", {"models": [model]}),
    ):
        await client.ask(http_request(server, "POST", path, body))


async def measure(server: Server, arguments: argparse.Namespace) -> dict[str, float]:
    if server.kind == "luthier":
        await prepare(server)
    result: dict[str, float] = {}
    for name, rate in (("rest", rest_rate), ("grpc", grpc_rate)):
        before = server.cpu_seconds()
        result[f"{name}_calls_per_second"] = await rate(server, arguments.connections, arguments.seconds)
        calls = result[f"{name}_calls_per_second"] * arguments.seconds
        result[f"{name}_server_cpu_us_per_call"] = (server.cpu_seconds() - before) / calls * 1e6
    result["pictures_per_second"] = await upload_rate(server, digits())
    result["memory_mb"] = server.memory_mb()
    assert not server.imported_torch()
    return {name: round(value) for name, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        kind, folder, *ports = arguments.serve
        serve = {"luthier": serve_luthier, "bare": serve_bare}[kind]
        return serve(Path(folder), [int(port) for port in ports])
    results: dict[str, object] = {"cores": os.cpu_count(), "connections": arguments.connections}
    for kind in ("bare", "luthier"):
        with Server(kind) as server:
            results[kind] = uvloop.run(measure(server, arguments))
    sys.stdout.write(json.dumps(results, indent=2) + "\n")
    return None


if __name__ == "__main__":
    main()
