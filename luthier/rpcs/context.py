"""What every RPC function is given, and what most begin with. Next: `ids`, `patching`, then `apps` as an example."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from clarifai_grpc.grpc.api import resources_pb2
from clarifai_grpc.grpc.api.status import status_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from luthier.errors import DoesNotExist, InvalidRange, InvalidRequest, LuthierError, shown
from luthier.predictors.client import PredictorsClient
from luthier.rpcs import codes
from luthier.settings import Settings
from luthier.store import resources
from luthier.store.blobs import Blobs
from luthier.store.database import Connection, Database

DEFAULT_PER_PAGE = 128
MAX_PER_PAGE = 1000
MAX_BATCH = 128  # items in one call
_FARTHEST = 2**31 - 1  # no list is so long, and databases count no further

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Caller:
    """Whom a token speaks for. `app` is the seq of the one app that the token reaches, None for all of the user's."""

    user: int  # seq
    user_id: str
    token_id: str
    scopes: frozenset[str]  # names of the wire's scopes; {"All"} for every one
    app: int | None = None


@dataclass(frozen=True)
class Context:
    caller: Caller
    database: Database
    blobs: Blobs
    predictors: PredictorsClient
    settings: Settings
    request_id: str = ""


@dataclass(frozen=True)
class Page:
    """Rows `offset` to `offset + limit` of a list that is ordered by seq."""

    offset: int
    limit: int

    def after(self, rows_before: int) -> "Page":
        """The same page of a list whose first `rows_before` items come from elsewhere."""
        return Page(max(0, self.offset - rows_before), self.limit - min(self.limit, max(0, rows_before - self.offset)))


class Paged(Protocol):
    page: int
    per_page: int


def user_of(ctx: Context, user_app_id: resources_pb2.UserAppIDSet) -> resources.UserRow:
    """The user that a call names; "me" and "" are the caller. Other users' things do not exist for this caller."""
    if user_app_id.user_id not in ("", "me", ctx.caller.user_id):
        raise DoesNotExist(f"user {shown(user_app_id.user_id)!r} does not exist, or your token does not reach it")
    with ctx.database.read() as connection:
        user = resources.user_by_seq(connection, ctx.caller.user)
    if user is None:
        raise DoesNotExist("the user of this token does not exist any more")
    return user


def app_of(ctx: Context, connection: Connection, user_app_id: resources_pb2.UserAppIDSet) -> resources.AppRow:
    """The app that a call names. InvalidRequest where it names none, DoesNotExist where the caller has no such app."""
    if not user_app_id.app_id:
        raise InvalidRequest("user_app_id.app_id is empty; name the app")
    user_id = user_app_id.user_id
    mine = user_id in ("", "me", ctx.caller.user_id)
    app = resources.find_app(connection, ctx.caller.user_id, user_app_id.app_id) if mine else None
    if app is None or ctx.caller.app not in (None, app.seq):
        name = f"app {shown(user_app_id.app_id)!r} of user {shown(user_id or 'me')!r}"
        raise DoesNotExist(f"{name} does not exist, or your token does not reach it")
    return app


def page_of(request: Paged) -> Page:
    """`page` counts from 1; both default where they are 0. Raises InvalidRange for a negative or too large one."""
    page, per_page = request.page or 1, request.per_page or DEFAULT_PER_PAGE
    if page < 1:
        raise InvalidRange(f"page is {page}; pages count from 1")
    if not 1 <= per_page <= MAX_PER_PAGE:
        raise InvalidRange(f"per_page is {per_page}; give 1 to {MAX_PER_PAGE}, maximum {MAX_PER_PAGE}")
    return Page(min((page - 1) * per_page, _FARTHEST), per_page)


def batch_of(items: Sequence[Given], field: str) -> Sequence[Given]:
    """The items themselves; raises InvalidRequest unless there are 1 to MAX_BATCH of them."""
    if not 1 <= len(items) <= MAX_BATCH:
        raise InvalidRequest(f"{field} holds {len(items)} items; send 1 to {MAX_BATCH} in one call")
    return items


def attempt(items: Iterable[Given], make: Callable[[Given], Made]) -> list[Made | LuthierError]:
    """`make` of each item, or the error that it raised: one bad item does not spoil a batch."""
    return [_made_or_error(item, make) for item in items]


def _made_or_error(item: Given, make: Callable[[Given], Made]) -> Made | LuthierError:
    try:
        return make(item)
    except LuthierError as error:
        return error


def timestamp(seconds: float) -> Timestamp:
    """Unix seconds as the wire's Timestamp, to the microsecond."""
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000) * 1000)


def status(code: int, description: str = "", details: str = "") -> status_pb2.Status:
    return status_pb2.Status(code=code, description=description or codes.describe(code), details=details)


def status_of_error(error: LuthierError) -> status_pb2.Status:
    return status(error.code, error.description, error.details)


def mixed_status(results: Sequence[Any]) -> status_pb2.Status | None:
    """MIXED_STATUS where one of the results is an error; None, which the dispatcher makes SUCCESS, where none is."""
    failed = sum(isinstance(result, LuthierError) for result in results)
    if not failed:
        return None
    return status(codes.MIXED_STATUS, details=f"{failed} of {len(results)} items failed; the others are kept")
