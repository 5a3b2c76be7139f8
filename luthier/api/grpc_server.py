"""gRPC: both services from the table of calls, plain and over TLS. Errors are in-band; gRPC's own status stays OK.

Next: `dispatch`, which REST shares; `tls` for the certificate.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from luthier.api import access_log
from luthier.api.auth import Credentials
from luthier.api.dispatch import Answer, Dispatcher, refusal, request_id
from luthier.api.pools import Pools
from luthier.api.tls import Certificate
from luthier.errors import BadRequestFormat, InvalidSettings, LuthierError
from luthier.settings import Settings
from luthier.wire.methods import METHODS, Method

Handler = Callable[[bytes, Any], Awaitable[bytes]]

KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000


def _options(settings: Settings) -> list[tuple[str, int]]:
    largest = settings.max_request_mb * 2**20
    return [
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.max_concurrent_streams", 1024),
        ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
    ]


def make_server(dispatcher: Dispatcher, settings: Settings, pools: Pools, certificate: Certificate) -> grpc.aio.Server:
    """Bound, not started; raises InvalidSettings where an address is taken. Call it on the running event loop."""
    server = grpc.aio.server(options=_options(settings))
    server.add_generic_rpc_handlers((_Handlers(dispatcher, pools),))
    credentials = grpc.ssl_server_credentials([(certificate.private_key, certificate.chain)])
    _bind("LUTHIER_GRPC_ADDRESS", settings.grpc_address, server.add_insecure_port)
    _bind("LUTHIER_GRPC_TLS_ADDRESS", settings.grpc_tls_address, partial(_secure, server, credentials))
    return server


def _secure(server: grpc.aio.Server, credentials: Any, address: str) -> int:
    return int(server.add_secure_port(address, credentials))


def _bind(setting: str, address: str, add: Callable[[str], int]) -> None:
    try:
        port = add(address)
    except RuntimeError:
        port = 0
    if not port:
        raise InvalidSettings(f"{setting} is {address}, which cannot be listened on: taken, or not of this machine")


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds a call by its path. Messages are decoded in our threads: a broken one gets an answer like any other."""

    def __init__(self, dispatcher: Dispatcher, pools: Pools) -> None:
        self._dispatcher, self._pools = dispatcher, pools
        self._by_path = {method.grpc_path: self._handler(method) for method in METHODS}

    def service(self, handler_call_details: Any) -> Any:
        return self._by_path.get(handler_call_details.method)

    def _handler(self, method: Method) -> Any:
        unary = partial(self._unary, method)
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(partial(self._one_message, unary))
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(partial(self._one_message, unary))
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _one_message(self, unary: Handler, request: Any, context: Any) -> AsyncIterator[bytes]:
        """Streaming calls are not served: one message says so, whatever came in."""
        yield await unary(b"", context)

    async def _unary(self, method: Method, data: bytes, context: Any) -> bytes:
        started = time.perf_counter()
        metadata = context.invocation_metadata() or ()
        req_id = request_id(next((value for key, value in metadata if key == "x-clarifai-request-id-prefix"), None))
        address = _address(context.peer())
        work = partial(self._serve, method, data, metadata, address, req_id)
        answer, response = await self._pools.run(method, len(data), work)
        access_log.line(
            req_id=req_id,
            rpc=method.name,
            caller=answer.caller,
            address=address,
            transport="grpc",
            status=answer.http_status,
            code=answer.code,
            started=started,
        )
        return response

    def _serve(self, method: Method, data: bytes, metadata: Any, address: str, req_id: str) -> tuple[Answer, bytes]:
        try:
            credentials = _credentials(metadata, address)
            answer = self._dispatcher.answer_reading(method, partial(_decode, method, data), credentials, req_id)
        except LuthierError as error:
            answer = refusal(method, error, req_id)
        return answer, answer.message.SerializeToString()


def _decode(method: Method, data: bytes) -> Message:
    try:
        return method.request.FromString(data)
    except DecodeError:
        raise BadRequestFormat(f"the message is no {method.request.DESCRIPTOR.name}, or nested too deeply") from None


def _credentials(metadata: Any, address: str) -> Credentials:
    given = [value for key, value in metadata if key == "authorization"]
    if len(given) > 1:
        raise BadRequestFormat("authorization came twice in the metadata; send it once")
    session = any(key == "x-clarifai-session-token" for key, _ in metadata)
    return Credentials(given[0] if given else None, address, session_token=session)


def _address(peer: str) -> str:
    """127.0.0.1 of "ipv4:127.0.0.1:40312", ::1 of "ipv6:%5B::1%5D:40312"."""
    host = peer.partition(":")[2].rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]")
