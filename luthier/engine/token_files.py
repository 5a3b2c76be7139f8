"""Tokens of texts, kept on disk for later trainings on the same texts. Next: `loading`, which asks for them.

A file holds those of one split. Its name is the hash of all that they depend on, so what stands in it never goes stale:
the texts, the tokenizer's files, what the recipe does with them, the libraries. In it stand the SHA-256 of the rest, a
line of JSON, for each text the SHA-256 of its bytes, and for each kind of array the lengths, int32, and then the arrays
one after the other. `store/token_files` removes those of inputs that were deleted.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from luthier import __version__
from luthier.engine.recipe import Encoded, Recipe, Tokenises
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

FORM = 1  # to be raised where the code makes other tokens of a text than it did
HASH_BYTES = 32
LIBRARIES = ("tokenizers", "jinja2", "snowballstemmer")  # which have a say in what tokens come of a text
WORTH_SECONDS = 0.5  # what is read sooner than that is not worth a file
MISSING = -1  # as a length, of a text that could not be read, or that memory had no room for
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tokens:
    """Of the texts of a split, in its order: by name where each one's array starts, how long it is, and all of them."""

    columns: dict[str, tuple[Array, Array, Array]]

    def row(self, index: int) -> Encoded | None:
        row = {}
        for name, (starts, lengths, values) in self.columns.items():
            if lengths[index] == MISSING:
                return None
            row[name] = values[starts[index] : starts[index] + lengths[index]]
        return row


@dataclass(frozen=True)
class TokenFiles:
    """The files of one folder. Trouble with them is logged, and costs no more than the time to read the texts anew."""

    folder: Path
    most_bytes: int  # of all files together; the longest unused make way
    reserve_bytes: int  # of the disk, that are left free
    fields: tuple[str, ...]  # of what a recipe makes of a text: those that are kept
    labelled: Callable[[Encoded, Example], Encoded]  # the recipe's: these and the rest of what it makes of a text
    depends_on: str
    log: Callable[[str], None]

    def file_of(self, contents: Sequence[bytes]) -> Path:
        """For texts by their hashes, in order."""
        digest = hashlib.sha256(self.depends_on.encode())
        for one in contents:
            digest.update(one)
        return self.folder / f"{digest.hexdigest()}.tokens"

    def read(self, file: Path) -> Tokens | None:
        """None where the file is not there; nor is a damaged one, after this."""
        try:
            whole = memoryview(file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            self.log(f"Tokens of an earlier training cannot be read, the texts are read anew: {error}.")
            return None
        if hashlib.sha256(whole[HASH_BYTES:]).digest() != whole[:HASH_BYTES]:
            self.log(f"{file} is damaged: it is removed, and the texts are read anew.")
            _remove(file)
            return None
        with contextlib.suppress(OSError):
            os.utime(file)  # used just now
        self.log(f"Tokens of an earlier training on the same texts are used: {file.name}.")
        return _parsed(whole[HASH_BYTES:])

    def write(self, file: Path, blobs: Sequence[bytes], rows: Sequence[Encoded | None]) -> None:
        """`blobs`: the hash of each text's bytes, by which it goes when those are deleted; a row for each of them."""
        if sum(row[name].nbytes for row in rows if row is not None for name in self.fields) > self.most_bytes:
            return  # before memory is taken to lay them out
        parts = _laid(blobs, rows, self.fields)
        size = HASH_BYTES + sum(map(len, parts))
        if not parts or size > self.most_bytes:
            return
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        temporary = file.with_name(f".{secrets.token_hex(16)}.tmp")  # process ids come again, in other containers too
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if (free := shutil.disk_usage(self.folder).free) < size + self.reserve_bytes:
                raise OSError(f"{self.folder} has {free} bytes free, {self.reserve_bytes} are kept (disk_reserve_mb)")
            with temporary.open("wb") as to:
                to.writelines((digest.digest(), *parts))
            temporary.replace(file)
            self._make_way()
        except OSError as error:
            _remove(temporary)
            self.log(f"Tokens are not kept for later trainings: {error}.")

    def _make_way(self) -> None:
        found = []
        for one in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another training makes way too
                found += [(one.stat().st_mtime_ns, one.stat().st_size, one)] if one.is_file() else []
        room = self.most_bytes
        for _, size, one in sorted(found, reverse=True):
            room -= size
            if room < 0:
                _remove(one)


def open_files(spec: RunSpec, recipe: Recipe, log: Callable[[str], None]) -> TokenFiles | None:
    """None where tokens are not to be kept, and where nobody says which tokenizer they come of."""
    if not (spec.tokens_folder and spec.token_cache_mb and spec.assets and isinstance(recipe, Tokenises)):
        return None
    decisive = {
        "form": [FORM, __version__, unicodedata.unidata_version, *map(_version, LIBRARIES)],
        "recipe": [spec.recipe, recipe.tokens_depend_on()],
        "files": sorted(spec.assets.items()),
    }
    return TokenFiles(
        Path(spec.tokens_folder),
        spec.token_cache_mb * 2**20,
        spec.disk_reserve_mb * 2**20,
        recipe.token_fields,
        recipe.labelled,
        json.dumps(decisive, sort_keys=True),
        log,
    )


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _laid(blobs: Sequence[bytes], rows: Sequence[Encoded | None], fields: Sequence[str]) -> list[bytes]:
    """What follows the hash, in order; [] where no text could be read."""
    read = [row for row in rows if row is not None]
    if not read:
        return []
    kinds = {name: read[0][name].dtype.str for name in fields}
    parts = [json.dumps({"texts": len(rows), "fields": kinds}).encode() + b"\n", b"".join(blobs)]
    for name in fields:
        lengths = [MISSING if row is None else len(row[name]) for row in rows]
        parts += [np.array(lengths, dtype="<i4").tobytes(), np.concatenate([row[name] for row in read]).tobytes()]
    return parts


def _parsed(whole: memoryview) -> Tokens:
    end = bytes(whole[: 2**16]).index(b"\n") + 1
    head = json.loads(bytes(whole[:end]))
    count = head["texts"]
    place, columns = end + HASH_BYTES * count, {}
    for name, kind in head["fields"].items():
        lengths = np.frombuffer(whole, "<i4", count, place)
        place += lengths.nbytes
        present = lengths.clip(min=0).astype(np.int64)
        values = np.frombuffer(whole, kind, int(present.sum()), place)
        place += values.nbytes
        columns[name] = (present.cumsum() - present, lengths, values)
    return Tokens(columns)
