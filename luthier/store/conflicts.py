"""What PostgreSQL refuses, in words of a call: two that met, a text or number that it cannot hold. Next: `database`.

SQLite has one writer at a time and takes every text and number, so next to nothing of this happens there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from luthier.errors import InvalidRange, InvalidRequest, LuthierError, TryAgain

_MET = "another call was changing the same things at the same moment; send it again"
_GONE = "something that this call builds on was deleted at the same moment; send it again"
_TOO_LARGE = "a number of this call is larger than any that is kept here; send a smaller one"
_TOO_LONG = "a text of this call is longer than is allowed there; send a shorter one"
_NUL = "a text of this call holds the character U+0000 (NUL), which can be neither kept nor looked up; leave it out"
_BUSY = "the server is busy; send the call again"
_AWAY = "the database does not answer right now; send the call again"

_BY_STATE: dict[str, tuple[type[LuthierError], str]] = {
    "40001": (TryAgain, _MET),  # serialization_failure
    "40P01": (TryAgain, _MET),  # deadlock_detected
    "55P03": (TryAgain, _MET),  # lock_not_available: waited for BUSY_SECONDS
    "23505": (TryAgain, _MET),  # unique_violation that nobody expected
    "23503": (TryAgain, _GONE),  # foreign_key_violation
    "22003": (InvalidRange, _TOO_LARGE),  # numeric_value_out_of_range
    "22001": (InvalidRequest, _TOO_LONG),  # string_data_right_truncation
    "22021": (InvalidRequest, _NUL),  # character_not_in_repertoire
}
_TAKEN_IN_SQLITE = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")


@contextmanager
def in_words() -> Iterator[None]:
    """Raises the LuthierError that a database error inside means, where it means one."""
    try:
        yield
    except NoConnectionFree as error:  # for half a minute
        raise TryAgain(_BUSY) from error
    except DBAPIError as error:
        kind, details = _meaning(error)
        if kind is None:
            raise
        raise kind(details) from error


@contextmanager
def unless_taken(error: LuthierError) -> Iterator[None]:
    """Raises `error` where a unique constraint refuses what is written inside; the transaction can then only end."""
    try:
        yield
    except IntegrityError as refusal:
        taken = getattr(refusal.orig, "sqlstate", None) == "23505"
        if taken or getattr(refusal.orig, "sqlite_errorname", "") in _TAKEN_IN_SQLITE:
            raise error from refusal
        raise


def _meaning(error: DBAPIError) -> tuple[type[LuthierError] | None, str]:
    if not type(error.orig).__module__.startswith("psycopg"):
        return None, ""
    state = getattr(error.orig, "sqlstate", None) or ""
    if state in _BY_STATE:
        return _BY_STATE[state]
    if "NUL (0x00)" in str(error.orig):  # said by the driver, which has no state
        return InvalidRequest, _NUL
    lost = state[:2] in ("08", "57") or (not state and isinstance(error, OperationalError | InterfaceError))
    return (TryAgain, _AWAY) if lost else (None, "")
