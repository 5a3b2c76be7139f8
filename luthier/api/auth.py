"""Credentials -> Caller, and what a Caller may call. A token is looked up again after every commit of any process, so a
revocation counts at once.

Next: `dispatch`.
"""

import hashlib
import time
from dataclasses import dataclass

from luthier.api.throttle import Throttle
from luthier.errors import InsufficientScopes, InvalidKey, LuthierError, TokenExpired, UnknownKey, shown
from luthier.rpcs.context import Caller
from luthier.store import tokens
from luthier.store.database import Database
from luthier.store.tokens import TokenRow
from luthier.wire.methods import Auth, Method

HOW = "send the header `Authorization: Key <token>`; `luthier token create` makes one"
NOT_ACCEPTED = "this token is not accepted; `luthier token create` makes another"
SCHEMES = ("key", "bearer")
ANYONE = Caller(user=0, user_id="", token_id="", scopes=frozenset())


@dataclass(frozen=True)
class Credentials:
    """What came with a call, as it came. `address` is the peer's, without the port."""

    authorization: str | None
    address: str
    session_token: bool = False


class Authenticator:
    """Tokens of one database; wrong ones are counted by address."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wrong = Throttle()
        self._commits = database.commits()
        self._known: tuple[object, dict[bytes, TokenRow]] = (None, {})  # by hash; good while nothing is committed

    def caller(self, method: Method, credentials: Credentials) -> Caller:
        """Raises InvalidKey, UnknownKey, TokenExpired, Throttled, InsufficientScopes."""
        if method.auth is Auth.NONE:
            return ANYONE
        caller = self._who(credentials)
        check_scopes(method, caller)
        return caller

    def _who(self, credentials: Credentials) -> Caller:
        token = token_in(credentials)
        try:
            return self._resolve(token)
        except LuthierError:
            self._wrong.count(credentials.address)  # raises Throttled instead, above the limit
            raise

    def _resolve(self, token: str) -> Caller:
        row = self._row(token)
        if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= time.time()):
            raise TokenExpired(NOT_ACCEPTED)
        return Caller(row.user, row.user_id, row.id, frozenset(row.scopes), row.app)

    def _row(self, token: str) -> TokenRow:
        stamp, digest = self._commits.stamp(), hashlib.sha256(token.encode()).digest()
        known = self._known
        if stamp != known[0]:
            known = self._known = (stamp, {})
        row = known[1].get(digest)
        if row is None:
            row = known[1][digest] = self._look_up(token)
        return row

    def _look_up(self, token: str) -> TokenRow:
        if not tokens.well_formed(token):
            raise InvalidKey(f"this is not a token of this server; {HOW}")
        with self._database.read() as connection:
            row = tokens.resolve(connection, token)
        if row is None:
            raise UnknownKey(NOT_ACCEPTED)
        return row


def token_in(credentials: Credentials) -> str:
    """The token of `Authorization: Key …` or `Bearer …`; raises InvalidKey, and counts as no attempt."""
    if credentials.authorization is None:
        if credentials.session_token:
            raise InvalidKey(f"x-clarifai-session-token is not served; {HOW}")
        raise InvalidKey(HOW)
    scheme, _, token = credentials.authorization.strip().partition(" ")
    if scheme.lower() not in SCHEMES:
        raise InvalidKey(f"the scheme {shown(scheme, 20)!r} is not served; {HOW}")
    if not token.strip():
        raise InvalidKey(f"the token is empty; {HOW}")
    return token.strip()


def check_scopes(method: Method, caller: Caller) -> None:
    if method.auth is not Auth.KEY and caller.app is not None:
        raise InsufficientScopes(f"{method.name} needs a token of the user; this one reaches a single app")
    if "All" in caller.scopes or method.scopes <= caller.scopes:
        return
    missing = ", ".join(sorted(method.scopes - caller.scopes))
    raise InsufficientScopes(f"{method.name} needs a token with {missing}")
