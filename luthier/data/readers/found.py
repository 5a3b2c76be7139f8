"""What every reader returns, and the reading of a folder that may hold anything. Next: `imagefolder`."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.runs.manifest import Example
from luthier.runs.run import RunConcept

LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file or folder that was left out. `path` is relative to the folder that was read."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Extra:
    """What the platform keeps of an input and no training needs. `geo`: longitude, latitude."""

    metadata: dict[str, Any] = field(default_factory=dict)
    geo: tuple[float, float] | None = None
    url: str = ""  # where its bytes are; readers fetch nothing


@dataclass
class ReadResult:
    """`examples` hold the unreadable pictures too, marked invalid; `rejected` says of every file left out why.

    `notes` are sentences for the user: what was decided about splits, copies, odd names. `unnamed` are the ids that
    readers made up, by where the inputs stand, as the data give them none. `empty_texts`, set by who reads: a row
    without its text is an example that is invalid, not a row that cannot be read.
    """

    examples: list[Example] = field(default_factory=list)
    concepts: list[RunConcept] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unnamed: set[str] = field(default_factory=set, compare=False)
    extras: dict[str, Extra] = field(default_factory=dict, compare=False)  # by the example's id
    empty_texts: bool = False


def name_problem(name: str) -> str:
    """Why `name` cannot be a concept's id and name, "" if it can: the platform's own rule, for folders may go there."""
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"its name has {len(name)} characters, at most {LONGEST_NAME} are allowed"
    if name != name.strip():
        return "its name begins or ends with a space"
    for character in name:
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in "/\\":
            return f"its name holds {character!a}, which is not allowed in a concept's name"
    return ""


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, in the order of the names' NFC forms; hidden files and macOS's leftovers are passed over."""
    with os.scandir(folder) as found:
        seen = [entry for entry in found if not entry.name.startswith(".") and entry.name != "__MACOSX"]
    return sorted(seen, key=lambda entry: (unicodedata.normalize("NFC", entry.name), entry.name))


def files_below(folder: Path, root: Path, rejected: list[Rejected]) -> Iterator[Path]:
    """Every regular file below `folder`; what is not one, or leads out of `root`, is rejected and never opened."""
    for entry in entries(folder):
        path = folder / entry.name
        if problem := _entry_problem(entry, path, root):
            rejected.append(Rejected(shown_path(path, root), problem))
        elif entry.is_dir(follow_symlinks=False):
            yield from files_below(path, root, rejected)
        else:
            yield path


def _entry_problem(entry: os.DirEntry[str], path: Path, root: Path) -> str:
    if any("\ud800" <= character <= "\udfff" for character in entry.name):
        return "its name is not UTF-8"
    if not entry.is_symlink():
        return _kind_problem(entry.stat(follow_symlinks=False).st_mode)
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError):  # a loop is either, by the version of Python
        return "it is a link that leads nowhere"
    if not target.is_relative_to(root):
        return "it is a link that leads out of the folder"
    return "it is a link to a folder" if stat.S_ISDIR(mode) else _kind_problem(mode)


def _kind_problem(mode: int) -> str:
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "it is not a regular file"


def shown_path(path: Path, root: Path) -> str:
    """Relative to `root`, printable whatever bytes its name is made of."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
