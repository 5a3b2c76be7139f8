"""Ids of inputs out of what the data call them: paths, ids of other programs, rows. Next: `prepare`.

The platform's rule for ids of inputs is kept (1 to 128 printable characters in NFC, no slashes). The same data get the
same ids each time, so that an import that is done again finds its inputs.
"""

import hashlib
import unicodedata

from luthier.runs.manifest import Example
from luthier.worker.importing.source import Found, Source

LONGEST = 128
_MARK = 12  # hexadecimal digits of a hash that make an id its own
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def input_ids(source: Source) -> dict[int, str]:
    """By the item's number; no two are equal."""
    taken: set[str] = set()
    return {item.number: _free(_wanted(item, source), taken) for item in source.items if item.example}


def _wanted(item: Found, source: Source) -> str:
    example = item.example
    if example is None or example.id not in source.unnamed:
        return _allowed(item.name)
    if item.extra.url:
        return f"url-{hashlib.sha256(item.extra.url.encode('utf-8', 'surrogatepass')).hexdigest()[:_MARK]}"
    return _allowed(f"{item.name}-{_hash(example)}")  # row 3 of another file is another input


def _hash(example: Example) -> str:
    turns = [part for message in example.messages for part in (message.role, message.content)]
    content = "\0".join([example.text, *turns, example.path and example.id])
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]


def _allowed(name: str) -> str:
    plain = unicodedata.normalize("NFC", name).replace("/", "_").replace("\\", "_")
    seen = "".join("_" if unicodedata.category(character) in _UNSEEN else character for character in plain).strip()
    if seen in ("", ".", ".."):
        seen = f"input{seen.replace('.', '_')}"
    if len(seen) <= LONGEST:
        return seen
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    return f"{seen[: LONGEST - _MARK - 1].rstrip()}-{mark}"


def _free(wanted: str, taken: set[str]) -> str:
    number, id = 1, wanted
    while id in taken:
        number += 1
        end = f"-{number}"
        id = wanted[: LONGEST - len(end)].rstrip() + end
    taken.add(id)
    return id
