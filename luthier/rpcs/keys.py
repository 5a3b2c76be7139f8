"""Keys, the wire's word for access tokens: made, listed, revoked by their own user. Next: `scopes`, `store/tokens`."""

import time
from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.errors import DoesNotExist, InsufficientScopes, InvalidRequest, shown
from luthier.rpcs.context import Context, app_of, batch_of, page_of, timestamp, user_of
from luthier.rpcs.patching import check
from luthier.rpcs.scopes import ALL, checked_scopes
from luthier.store import resources, tokens
from luthier.store.database import Connection
from luthier.store.tokens import TokenRow

PERSONAL, OF_AN_APP = "personal_access_token", "app_specific_key"
MAX_DESCRIPTION = 1000  # characters
_YEAR_10000 = 253_402_300_800  # Unix seconds; the wire's times end here


def PostKeys(ctx: Context, request: service_pb2.PostKeysRequest) -> service_pb2.MultiKeyResponse:
    """All of the keys or none. `id` of an answered key is the token itself, which is shown this once."""
    user, sent = user_of(ctx, request.user_app_id), batch_of(request.keys, "keys")
    scopes = [_scopes_of(ctx, key) for key in sent]
    with ctx.database.write() as connection:
        texts = [_make(ctx, connection, user.seq, key, named) for key, named in zip(sent, scopes, strict=True)]
        rows = {row.id: row for row in tokens.list_for(connection, user.seq)}
        answer = service_pb2.MultiKeyResponse()
        for text, id in texts:
            key = _shown(connection, rows[id])
            key.id = text
            answer.keys.append(key)
    return answer


def ListKeys(ctx: Context, request: service_pb2.ListKeysRequest) -> service_pb2.MultiKeyResponse:
    """Oldest first, revoked ones left out. An `id` here names the token for DeleteKey; it is not the token."""
    user, page = user_of(ctx, request.user_app_id), page_of(request)
    if request.endpoints:
        raise InvalidRequest("the filter endpoints is not served; tokens have scopes")
    with ctx.database.read() as connection:
        rows = [row for row in _kept(connection, user.seq) if _is_wanted(row, request)]
        keys = [_shown(connection, row) for row in rows[page.offset : page.offset + page.limit]]
    return service_pb2.MultiKeyResponse(keys=keys)


def ListAppKeys(ctx: Context, request: service_pb2.ListAppKeysRequest) -> service_pb2.MultiKeyResponse:
    """The tokens that reach this app alone; those of the user, which reach it too, are in ListKeys."""
    page = page_of(request)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        rows = [row for row in _kept(connection, app.user) if row.app == app.seq]
        keys = [_shown(connection, row) for row in rows[page.offset : page.offset + page.limit]]
    return service_pb2.MultiKeyResponse(keys=keys)


def DeleteKey(ctx: Context, request: service_pb2.DeleteKeyRequest) -> status_pb2.BaseResponse:
    """Ends a token at once, named by its id or by itself. The last one with all scopes stays: nobody could get in."""
    user = user_of(ctx, request.user_app_id)
    if not request.key_id:
        raise InvalidRequest("key_id is empty; ListKeys shows the ids")
    with ctx.database.write() as connection:
        named = tokens.resolve(connection, request.key_id)
        id = named.id if named else request.key_id
        rows = {row.id: row for row in _kept(connection, user.seq)}
        if id not in rows:
            raise DoesNotExist(f"key {shown(id, 14)!r} does not exist, or was deleted before; ListKeys shows the ids")
        _refuse_last(rows[id], list(rows.values()))
        tokens.revoke(connection, id)
    return status_pb2.BaseResponse()


def _scopes_of(ctx: Context, key: resources_pb2.Key) -> list[str]:
    """Checked; a token cannot make one that may do more than itself."""
    for field in ("endpoints", "authorized_idp_ids", "organization_id"):
        if getattr(key, field):
            raise InvalidRequest(f"keys.{field} is not served; give keys.scopes")
    scopes = checked_scopes(key.scopes, "keys.scopes")
    beyond = sorted(set(scopes) - ctx.caller.scopes)
    if beyond and ALL not in ctx.caller.scopes:
        raise InsufficientScopes(f"keys.scopes: your own token lacks {', '.join(beyond)}, so it cannot give them")
    return scopes


def _make(
    ctx: Context, connection: Connection, user: int, key: resources_pb2.Key, scopes: list[str]
) -> tuple[str, str]:
    if len(key.description) > MAX_DESCRIPTION:
        raise InvalidRequest(f"keys.description has {len(key.description)} characters; at most {MAX_DESCRIPTION}")
    check(key)
    app = _app_of(ctx, connection, key)
    return tokens.make(
        connection, user, description=key.description, scopes=scopes, app=app, expires_at=_expiry_of(key)
    )


def _app_of(ctx: Context, connection: Connection, key: resources_pb2.Key) -> int | None:
    """The only app that the token is to reach; None for a token of the user."""
    if key.type not in ("", PERSONAL, OF_AN_APP):
        raise InvalidRequest(f"keys.type is {shown(key.type)!r}; give {PERSONAL} or {OF_AN_APP}")
    if len(key.apps) > 1 or (key.type == PERSONAL and key.apps) or (key.type == OF_AN_APP and not key.apps):
        raise InvalidRequest(f"keys.apps holds {len(key.apps)} apps; a {PERSONAL} has none, a {OF_AN_APP} exactly one")
    if not key.apps:
        return None
    return app_of(ctx, connection, resources_pb2.UserAppIDSet(user_id=key.apps[0].user_id, app_id=key.apps[0].id)).seq


def _expiry_of(key: resources_pb2.Key) -> float | None:
    if not key.HasField("expires_at"):
        return None
    moment = float(key.expires_at.seconds + key.expires_at.nanos / 1e9)
    if moment <= time.time():
        raise InvalidRequest("keys.expires_at is in the past; give a later time or leave it out")
    if moment >= _YEAR_10000:
        raise InvalidRequest("keys.expires_at is after the year 9999; give an earlier time or leave it out")
    return moment


def _kept(connection: Connection, user: int) -> list[TokenRow]:
    return [row for row in tokens.list_for(connection, user) if row.revoked_at is None]


def _is_wanted(row: TokenRow, request: service_pb2.ListKeysRequest) -> bool:
    if request.not_expired and _expired(row):
        return False
    if request.type and request.type != _type_of(row):
        return False
    return set(request.scopes) <= set(row.scopes)


def _refuse_last(row: TokenRow, rows: Sequence[TokenRow]) -> None:
    whole = [each.id for each in rows if ALL in each.scopes and each.app is None and not _expired(each)]
    if whole == [row.id]:
        raise InvalidRequest(
            "this is your last token with all scopes; make another first, with PostKeys or `luthier token create`"
        )


def _expired(row: TokenRow) -> bool:
    return row.expires_at is not None and row.expires_at <= time.time()


def _type_of(row: TokenRow) -> str:
    return PERSONAL if row.app is None else OF_AN_APP


def _shown(connection: Connection, row: TokenRow) -> resources_pb2.Key:
    key = resources_pb2.Key(id=row.id, type=_type_of(row), description=row.description, scopes=row.scopes)
    key.created_at.CopyFrom(timestamp(row.created_at))
    if row.expires_at is not None:
        key.expires_at.CopyFrom(timestamp(row.expires_at))
    app = resources.app_by_seq(connection, row.app) if row.app is not None else None
    if app:
        key.apps.add(id=app.id, user_id=app.user_id)
    return key
