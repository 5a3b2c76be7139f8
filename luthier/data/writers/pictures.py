"""Puts the pictures of examples beside what is written about them, under names that any file system takes. Next: `csv`.

A picture's name is its example's id where that is a path inside the folder with a picture's ending; else it is made of
it. No two pictures differ by their ending or their case alone, as YOLO and VOC name a label file after its picture.
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from luthier.data.formats import identify
from luthier.data.readers.files import PICTURE_ENDINGS
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import Example

_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}
_ODD = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*\ud800-\udfff]')
_HEADER_BYTES = 64


def require_empty(folder: Path) -> None:
    """Makes `folder`; raises InvalidRequest where it holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest(f"{folder} is not an empty folder; name another")
    folder.mkdir(parents=True, exist_ok=True)


def usable(examples: Iterable[Example]) -> Iterator[Example]:
    return (example for example in examples if not example.invalid)


def source_of(example: Example, blob_folder: Path | None) -> Path:
    """The file that holds a picture's bytes; raises InvalidRequest for an example that has none."""
    if example.path:
        return Path(example.path)
    if example.text or example.messages or blob_folder is None:
        raise InvalidRequest(f"{shown(example.id)} is no picture; write CSV or JSON lines, which hold texts")
    return blob_folder / example.blob[:2] / example.blob


class Names:
    """Hands out each picture's name, relative, with slashes; two examples never get the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, example: Example, source: Path, *inside: str) -> str:
        """The name below the folders `inside`; an id that begins with them keeps it."""
        wanted = _safe(example.id)
        if inside and wanted.parts[: len(inside)] != inside:
            wanted = PurePosixPath(*inside, wanted)
        if wanted.suffix.lower() not in PICTURE_ENDINGS:
            with source.open("rb") as file:
                wanted = wanted.with_name(wanted.name + _ENDINGS[identify(file.read(_HEADER_BYTES))])
        stem, number = wanted.with_suffix(""), 1
        while str(stem).casefold() in self._taken:
            number += 1
            stem = wanted.with_name(f"{wanted.stem}-{number}")
        self._taken.add(str(stem).casefold())
        return f"{stem}{wanted.suffix}"


def _safe(id_: str) -> PurePosixPath:
    parts = [_ODD.sub("_", part).rstrip(". ").lstrip() for part in id_.split("/")]
    kept = [part for part in parts if part and not part.startswith(".")]
    return PurePosixPath(*kept) if kept else PurePosixPath("picture")


def put(source: Path, folder: Path, name: str) -> None:
    """Copies a picture; it may lie in folders of its own below `folder`."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
