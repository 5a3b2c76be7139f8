"""The API process: HTTP, gRPC and gRPC over TLS on one event loop; drained on SIGTERM. Next: `rest`, `grpc_server`."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import uvicorn
import uvloop

from luthier import rpcs
from luthier.api import access_log, tls
from luthier.api.connection import Connection
from luthier.api.dispatch import Dispatcher
from luthier.api.docs_page import docs
from luthier.api.events import EVENTS_PATH, Events
from luthier.api.export_files import EXPORTS_PATH, ExportFiles
from luthier.api.files import LOG_PATH, Files
from luthier.api.grpc_server import make_server
from luthier.api.health import Health
from luthier.api.hosts import split_address
from luthier.api.metrics import Metrics
from luthier.api.openapi import OpenApi
from luthier.api.pools import Pools
from luthier.api.rest import Page, RestApp
from luthier.errors import InvalidSettings
from luthier.predictors.client import PredictorsClient
from luthier.settings import Settings
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.store.secrets import MEDIA_PATH

DRAIN_SECONDS = 15
KEEP_ALIVE_SECONDS = 30
BACKLOG = 2048

log = logging.getLogger("luthier.api")


class HttpServer(uvicorn.Server):
    """uvicorn, with our signals instead of its own, and a look at every connection's clocks once a second."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(loop.time())


class ApiServer:
    """The three listeners. `start`, then `stop`, on one event loop. Raises InvalidSettings where it cannot listen."""

    def __init__(self, settings: Settings, modules: Sequence[ModuleType] = rpcs.MODULES) -> None:
        self._settings = settings
        self._database = Database.of(settings)
        self._blobs = blobs = Blobs(settings.blobs_folder, settings.disk_reserve_mb)
        predictors = PredictorsClient(settings.predictors_socket)
        self._pools = Pools(quick=self._database.local)
        self._dispatcher = Dispatcher(self._database, blobs, predictors, settings, modules)
        self._modules = modules
        self._events = Events(settings, self._database, self._pools.reads)
        self._http = HttpServer(self._config())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when all three listen."""
        certificate = tls.certificate(self._settings)
        listener = bind("LUTHIER_HTTP_ADDRESS", self._settings.http_address)
        self._grpc = make_server(self._dispatcher, self._settings, self._pools, certificate)
        await self._grpc.start()
        serving = asyncio.create_task(self._http.serve(sockets=[listener]))
        self._tasks = [serving, asyncio.create_task(self._http.watch())]
        while not self._http.started:
            if serving.done():
                serving.result()
                raise RuntimeError("the HTTP listener ended before it began")
            await asyncio.sleep(0.01)

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """No new calls; those under way get their answers, for at most `seconds`."""
        self._http.should_exit = True
        self._events.close()
        await asyncio.gather(self._tasks[0], self._grpc.stop(seconds))
        self._tasks[1].cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._pools.close)
        self._database.close()

    def hurry(self) -> None:
        """Do not wait for calls any longer."""
        self._http.force_exit = True
        self._hurrying = asyncio.ensure_future(self._grpc.stop(0))

    def _config(self) -> uvicorn.Config:
        pages = self._pages()
        return uvicorn.Config(
            RestApp(self._dispatcher, self._settings, self._pools, pages),
            http=Connection,
            loop="none",
            lifespan="off",
            ws="none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )

    def _pages(self) -> dict[str, Page]:
        health = Health(self._settings, self._database, self._pools.probes)
        files = Files(self._settings, self._database, self._blobs, self._pools.reads)
        archives = ExportFiles(self._settings, self._database, self._blobs, self._pools.reads)
        metrics = Metrics(self._database, self._pools.reads)
        openapi = OpenApi(self._modules, self._pools.reads)
        return {
            "/livez": health.livez,
            "/readyz": health.readyz,
            "/v2/auth/methods": health.auth_methods,
            LOG_PATH: files.training_log,
            EXPORTS_PATH: archives.page,
            MEDIA_PATH: files.media,
            EVENTS_PATH: self._events.page,
            "/metrics": metrics.page,
            "/openapi.json": openapi.page,
            "/docs": docs,
        }


def bind(setting: str, address: str) -> socket.socket:
    """A listening socket; raises InvalidSettings naming the setting."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise InvalidSettings(f"{setting} is {address}, which cannot be listened on: {error}") from error
    return listener


async def serve(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the waiting. Raises InvalidSettings."""
    server = ApiServer(settings)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            server.hurry()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    await server.start()
    log.info(
        "listening: REST %s, gRPC %s, TLS %s", settings.http_address, settings.grpc_address, settings.grpc_tls_address
    )
    gc.collect()
    gc.freeze()  # what is here now stays; looking through it again would stop every call for a tenth of a second
    on_ready()
    await stop.wait()
    log.info("draining")
    await server.stop()


def run(settings: Settings, on_ready: Callable[[], None]) -> None:
    """The whole process: log, event loop, server."""
    access_log.configure(settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, on_ready))
