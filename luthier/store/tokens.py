"""Personal access tokens: made, looked up, revoked; only a SHA-256 is kept. Next: `api/auth`, which asks here."""

import hashlib
import hmac
import json
import secrets
import zlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from luthier.store.database import BY_KEY, now
from luthier.store.tables import tokens, users

PREFIX = "luth_pat_"
FIRST_USER = "luthier"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_DIGITS = 43  # base 62, enough for 256 bits
_CHECK_DIGITS = 6  # enough for a CRC32
_SHOWN = len(PREFIX) + 5  # how much of a token stands in lists: 30 of its 256 bits


@dataclass(frozen=True)
class TokenRow:
    user: int  # seq
    user_id: str
    id: str
    scopes: list[str]
    app: int | None  # seq of the only app it reaches
    expires_at: float | None
    revoked_at: float | None
    description: str
    prefix: str
    created_at: float


def make(
    connection: Connection,
    user: int,
    *,
    description: str,
    scopes: list[str],
    app: int | None = None,
    expires_at: float | None = None,
) -> tuple[str, str]:
    """(the token, its id). The token itself is shown now or never."""
    body = PREFIX + _base62(secrets.randbits(256), _RANDOM_DIGITS)
    text, id = body + _checksum(body), secrets.token_hex(16)
    row = {"id": id, "hash": _hash(text), "prefix": text[:_SHOWN], "user": user, "app": app, "description": description}
    connection.execute(
        tokens.insert().values(**row, scopes=json.dumps(scopes), created_at=now(), expires_at=expires_at)
    )
    return text, id


def well_formed(token_text: str) -> bool:
    """Whether it can be one of ours at all: a typing error needs no look-up."""
    body, check = token_text[:-_CHECK_DIGITS], token_text[-_CHECK_DIGITS:]
    if not body.startswith(PREFIX) or len(body) != len(PREFIX) + _RANDOM_DIGITS or not token_text.isascii():
        return False
    return hmac.compare_digest(check, _checksum(body))


def resolve(connection: Connection, token_text: str) -> TokenRow | None:
    """The token's row, also of one that is expired or revoked: the caller judges. None for an unknown one."""
    if not well_formed(token_text):
        return None
    digest = _hash(token_text)
    row = connection.execute(_BY_HASH, {"digest": digest}).mappings().first()
    if row is None or not hmac.compare_digest(row["hash"], digest):
        return None
    return _token(row)


def revoke(connection: Connection, id: str) -> bool:
    """False where there is no such token; a second time keeps the first time's date."""
    known = connection.execute(select(tokens.c.seq).where(tokens.c.id == id)).first()
    connection.execute(update(tokens).where(tokens.c.id == id, tokens.c.revoked_at.is_(None)).values(revoked_at=now()))
    return known is not None


def list_for(connection: Connection, user: int) -> list[TokenRow]:
    """All of a user's tokens, revoked ones too, oldest first."""
    return [
        _token(row)
        for row in connection.execute(_rows().where(tokens.c.user == user).order_by(tokens.c.seq)).mappings()
    ]


def first_user(connection: Connection) -> tuple[str, str] | None:
    """Where there is no user yet: makes one with a token for everything, returns (user id, token); else None."""
    if connection.execute(select(func.count()).select_from(users)).scalar_one():
        return None
    result = connection.execute(users.insert().values(id=FIRST_USER, message=b"", created_at=now()))
    user = int(result.inserted_primary_key[0])  # type: ignore[index]
    return FIRST_USER, make(connection, user, description="made at the first start", scopes=["All"])[0]


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return text


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_DIGITS)


def _hash(token_text: str) -> str:
    return hashlib.sha256(token_text.encode()).hexdigest()


def _rows(*more: Any) -> Select[Any]:
    names = ("user", "id", "scopes", "app", "expires_at", "revoked_at", "description", "prefix", "created_at")
    joined = tokens.join(users, users.c.seq == tokens.c.user)
    return select(*(tokens.c[name] for name in names), users.c.id.label("user_id"), *more).select_from(joined)


def _token(row: Any) -> TokenRow:
    values = {name: row[name] for name in TokenRow.__dataclass_fields__}
    return TokenRow(**{**values, "scopes": json.loads(row["scopes"])})


_THIS = tokens.c.hash == bindparam("digest")
_BY_HASH = _rows(tokens.c.hash).where(_THIS).execution_options(**BY_KEY)  # built once: every call asks it
