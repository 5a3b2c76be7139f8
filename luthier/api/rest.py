"""REST: an ASGI application over the table of calls. Path, query and JSON body become the request message.

Next: `routes` for how a path finds its call, `json_reader` and `json_writer` for the bodies, `connection` for clocks.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.message import Message

from luthier.api import access_log, forms, json_reader, json_text, json_writer, query
from luthier.api.auth import Credentials
from luthier.api.bodies import ClientGoneError, Receive, read_body
from luthier.api.dispatch import INTERNAL, Answer, Dispatcher, request_id, retry_after
from luthier.api.hosts import Hosts
from luthier.api.http import JSON_HEADERS, SAFE_HEADERS, Request, Response, refused, retry_headers
from luthier.api.pools import Pools
from luthier.api.routes import Routes, Target
from luthier.errors import BodyTooLarge, LuthierError, RequestTimeout
from luthier.settings import Settings
from luthier.wire.methods import METHODS

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Page = Callable[[Request], Awaitable[Response]]

EARLY_CHECK_BYTES = 2**20  # from here on the token is checked before the body is read

PREFLIGHT_HEADERS = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, PUT, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, x-requested-with, "
        b"x-clarifai-request-id-prefix, x-clarifai-session-token",
    ),
    (b"access-control-max-age", b"86400"),
)

log = logging.getLogger("luthier.api")


class RestApp:
    """`pages` are the paths that are no calls, by their beginning: {"/livez": …, "/luthier/v1/logs/": …}."""

    def __init__(
        self, dispatcher: Dispatcher, settings: Settings, pools: Pools, pages: Mapping[str, Page] | None = None
    ) -> None:
        self._dispatcher, self._pools = dispatcher, pools
        self._routes = Routes(METHODS)
        self._hosts = Hosts(settings)
        self._limit = settings.max_request_mb * 2**20
        self._pages = {name.encode(): page for name, page in (pages or {}).items()}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = Request(scope, receive)
        request.req_id = request_id(request.header(b"x-clarifai-request-id-prefix"))
        try:
            response = await self._answer(request)
        except ClientGoneError:
            response = refused(RequestTimeout("the connection ended before the request did"), request.req_id)
        except LuthierError as error:
            response = refused(error, request.req_id, retry_after(error))
            response.close = isinstance(error, BodyTooLarge)
        except Exception:
            log.exception("%s failed, req_id %s", request.verb, request.req_id)
            response = refused(INTERNAL, request.req_id)
        await _send(response, send)
        access_log.line(
            req_id=request.req_id,
            rpc=response.rpc or f"{request.verb} {request.raw_path.decode('latin-1')}",
            caller=response.caller,
            address=request.address,
            transport="rest",
            status=response.status,
            code=response.code,
            started=started,
        )

    async def _answer(self, request: Request) -> Response:
        self._hosts.check(request.header(b"host"), request.local_address)
        if request.verb == "OPTIONS":
            return Response(204, headers=PREFLIGHT_HEADERS)
        page = self._page(request)
        if page:
            return await page(request)
        target, path_values = self._routes.find(request.verb, request.raw_path)
        credentials = request.credentials()
        body = await self._body(request, target, credentials) if target.reads_body else b""
        sent = Sent(request.query, body, request.header(b"content-type") or "")
        work = partial(self._serve, target, path_values, sent, credentials, request.req_id)
        return await self._pools.run(target.method, len(body), work)

    def _page(self, request: Request) -> Page | None:
        path = request.raw_path
        if path.startswith(b"/v2/") and path.rstrip(b"/") not in self._pages:
            return None
        exact = self._pages.get(path.rstrip(b"/"))
        return exact or next(
            (page for name, page in self._pages.items() if name.endswith(b"/") and path.startswith(name)), None
        )

    async def _body(self, request: Request, target: Target, credentials: Credentials) -> bytes:
        declared = request.headers.get(b"content-length", b"")
        if not declared.isdigit() or int(declared) > EARLY_CHECK_BYTES:
            loop = asyncio.get_running_loop()
            check = self._dispatcher.authenticate
            await loop.run_in_executor(self._pools.reads, check, target.method, credentials)
        return await read_body(request.receive, request.headers, self._limit)

    def _serve(
        self, target: Target, path_values: list[str], sent: "Sent", credentials: Credentials, req_id: str
    ) -> Response:
        """In a thread of a pool: JSON -> message -> call -> message -> JSON."""

        def read() -> Message:
            return request_message(target, path_values, sent)

        answer = self._dispatcher.answer_reading(target.method, read, credentials, req_id)
        return _response(target, answer)


@dataclass(frozen=True)
class Sent:
    """What a request holds beside its path."""

    query: bytes
    body: bytes
    content_type: str = ""


def request_message(target: Target, path_values: list[str], sent: Sent) -> Message:
    """The path wins over the body, the body over the query."""
    message = target.method.request()
    if sent.query:
        values = query.values_of(message.DESCRIPTOR, sent.query)
        if values:
            json_reader.read(values, message)
    reads = target.reads_body and (sent.body or not target.body_may_be_empty)
    if reads and not forms.read(target.method.name, sent.content_type, sent.query, sent.body, message):
        json_reader.read(json_text.parse(sent.body), message)
    target.set_path(message, path_values)
    return message


def _response(target: Target, answer: Answer) -> Response:
    return Response(
        answer.http_status,
        json_writer.write_response(answer.message),
        JSON_HEADERS + retry_headers(answer.retry_after),
        rpc=target.method.name,
        caller=answer.caller,
        code=answer.code,
    )


async def _send(response: Response, send: Send) -> None:
    headers = [*response.headers, *SAFE_HEADERS]
    if response.stream is None and response.status != 204:
        headers.append((b"content-length", b"%d" % len(response.body)))
    if response.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream is not None:
        async for part in response.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": response.body})
