"""What an id may look like, and making new ones. Next: `context` for who uses them.

Two groups: ids of apps, datasets, models, versions and annotations go into addresses and file names of exports, so they
are plain ASCII. Ids of concepts and inputs come from people's folder names and spreadsheets:
any printable text will do.
"""

import re
import unicodedata
from uuid import uuid4

from luthier.errors import InvalidRequest, shown

MAX_LENGTH = 128
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, bidi and zero-width, surrogate, unassigned, separators


def new_id() -> str:
    """32 hexadecimal digits, never used before."""
    return uuid4().hex


def plain_id(value: str, field: str) -> str:
    """`value`, if it is an id of the plain group; raises InvalidRequest naming `field` otherwise."""
    if not _PLAIN.fullmatch(value):
        raise InvalidRequest(
            f"{field} is {shown(value)!r}; an id begins with a letter or digit "
            f"and has 1 to {MAX_LENGTH} characters out of A-Z a-z 0-9 _ . -"
        )
    return value


def label_id(value: str, field: str) -> str:
    """`value`, if it may name a concept or an input; raises InvalidRequest naming `field` otherwise."""
    fault = _fault_of_label(value)
    if fault:
        raise InvalidRequest(f"{field} is {shown(value)!r}: {fault}")
    return value


def _fault_of_label(value: str) -> str:
    if not 1 <= len(value) <= MAX_LENGTH:
        return f"an id has 1 to {MAX_LENGTH} characters, this one has {len(value)}"
    if value != value.strip():
        return "an id must not begin or end with a space"
    if "/" in value or "\\" in value or value in (".", ".."):
        return "an id must not hold / or \\ nor be . or .."
    if any(unicodedata.category(character) in _UNSEEN for character in value):
        return "an id must not hold control, direction or invisible characters"
    if not unicodedata.is_normalized("NFC", value):
        return f"an id must be in Unicode form NFC; send {shown(unicodedata.normalize('NFC', value))!r}"
    return ""
