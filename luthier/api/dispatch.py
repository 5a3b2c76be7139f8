"""One call, whichever way it came: authenticate, scope, run the function of that name, report. Next: `rest`."""

import logging
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from google.protobuf.message import Message

from luthier.api.auth import Authenticator, Credentials
from luthier.api.kept import KeptAnswers
from luthier.api.pools import QUICK
from luthier.errors import LuthierError, NotServed
from luthier.predictors.client import PredictorsClient
from luthier.rpcs.context import Caller, Context
from luthier.settings import Settings
from luthier.store.blobs import Blobs
from luthier.store.database import Database
from luthier.wire.methods import METHODS, Method

SUCCESS, SUCCESS_TEXT = 10000, "Ok"
MIXED = 10010
ASKS_FOR_A_STATUS = "GetStatusCode"  # whose answer's status is what was asked for, and not how the call went
INTERNAL = LuthierError("something went wrong in the server; its log tells more under this req_id")

Function = Callable[[Context, Any], Message]

log = logging.getLogger("luthier.api")


@dataclass(frozen=True)
class Answer:
    """A response whose status is set, and what REST makes of it."""

    message: Message
    http_status: int
    code: int
    caller: str = ""  # user id, for the log
    retry_after: int | None = None  # seconds


def _kinds(kind: type[LuthierError]) -> Mapping[int, int]:
    """HTTP status by code, of all kinds of error."""
    found = {kind.code: kind.http_status}
    for more in kind.__subclasses__():
        found.update({code: status for code, status in _kinds(more).items() if code not in found})
    return found


HTTP_STATUS: Mapping[int, int] = {**_kinds(LuthierError), SUCCESS: 200, MIXED: 200}

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def request_id(prefix: str | None = None) -> str:
    """32 hexadecimal digits, behind the prefix that a client may ask for."""
    made = secrets.token_hex(16)
    return f"{prefix}-{made}" if prefix and _PREFIX.fullmatch(prefix) else made


class Dispatcher:
    """The functions of `modules`, found by the names of the calls. Thread-safe; `call` blocks."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        predictors: PredictorsClient,
        settings: Settings,
        modules: Sequence[ModuleType],
    ) -> None:
        self._database, self._blobs, self._predictors, self._settings = database, blobs, predictors, settings
        self._auth = Authenticator(database)
        self._kept = KeptAnswers(database.commits())
        self._functions = {method.name: find(method.name, modules) for method in METHODS}

    def call(self, method: Method, request: Message, credentials: Credentials, req_id: str = "") -> Message:
        return self.answer(method, request, credentials, req_id).message

    def answer(self, method: Method, request: Message, credentials: Credentials, req_id: str = "") -> Answer:
        """Never raises: what goes wrong stands in the response's status."""
        return self.answer_reading(method, lambda: request, credentials, req_id)

    def answer_reading(
        self, method: Method, read: Callable[[], Message], credentials: Credentials, req_id: str = ""
    ) -> Answer:
        """As `answer`; `read` makes the request once the caller is known, and may raise LuthierError."""
        req_id = req_id or request_id()
        who = ""
        try:
            caller = self._auth.caller(method, credentials)
            who = caller.user_id
            response = self._run(method, read, caller, req_id)
        except LuthierError as error:
            return refusal(method, error, req_id, who)
        except Exception:
            log.exception("%s failed, req_id %s", method.name, req_id)
            return refusal(method, INTERNAL, req_id, who)
        return _complete(method, response, req_id, who)

    def authenticate(self, method: Method, credentials: Credentials) -> None:
        """For a transport that wants to know before it reads a large body; raises LuthierError."""
        self._auth.caller(method, credentials)

    def _run(self, method: Method, read: Callable[[], Message], caller: Caller, req_id: str) -> Message:
        function = self._functions[method.name]
        if function is None or method.streaming:
            raise NotServed(f"{method.name} is not served by this version of Luthier")
        context = Context(caller, self._database, self._blobs, self._predictors, self._settings, req_id)
        request = read()
        if method.name in QUICK:
            key = ((method.name, caller), request.SerializeToString(deterministic=True))
            return self._kept.get(key, lambda: function(context, request))
        return function(context, request)


def find(name: str, modules: Sequence[ModuleType]) -> Function | None:
    """The function of that name that a module defines itself, not one that it imports."""
    for module in modules:
        function = getattr(module, name, None)
        if callable(function) and getattr(function, "__module__", None) == module.__name__:
            found: Function = function
            return found
    return None


def refusal(method: Method, error: LuthierError, req_id: str, caller: str = "") -> Answer:
    """The method's response with nothing but the error in its status."""
    message: Any = method.response()
    status = message.status
    status.code, status.description, status.details, status.req_id = (
        error.code,
        error.description,
        error.details,
        req_id,
    )
    return Answer(message, error.http_status, error.code, caller, retry_after(error))


def retry_after(error: LuthierError) -> int | None:
    seconds = getattr(error, "retry_after", None)
    if seconds is not None:
        return int(seconds)
    return 1 if error.http_status in (429, 503) else None


def _complete(method: Method, response: Any, req_id: str, caller: str) -> Answer:
    status = response.status
    if not status.code:
        status.code = SUCCESS
        status.description = status.description or SUCCESS_TEXT
    status.req_id = req_id
    if method.name == ASKS_FOR_A_STATUS:
        return Answer(response, 200, SUCCESS, caller)
    http_status = HTTP_STATUS.get(status.code, 400)
    return Answer(response, http_status, status.code, caller, 1 if http_status in (429, 503) else None)
