"""What an upload holds, item by item: an archive is unpacked, then the readers tell. Next: `prepare`."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from luthier.data import archives, readers
from luthier.data.archives import Limits
from luthier.data.readers import conll, csv, jsonl
from luthier.data.readers.found import Extra, ReadResult, entries
from luthier.errors import DiskFull, InvalidRequest, LuthierError, NoTrainingData
from luthier.runs.manifest import Example
from luthier.settings import Settings
from luthier.store.imports import Request

_TABLES = (*csv.ENDINGS, *jsonl.ENDINGS, *conll.ENDINGS, ".json")
_HEADER_BYTES = 512


NOTHING = Extra()


@dataclass(frozen=True, slots=True)
class Found:
    """One item of the data. `example` is None for one that the readers left out, `reason` says why."""

    number: int  # from 1, in the order of the data
    name: str  # where it stands: a path, a row
    example: Example | None
    reason: str = ""
    extra: Extra = NOTHING  # with a URL, the bytes are to be fetched


@dataclass(frozen=True)
class Source:
    items: list[Found]
    unnamed: set[str] = field(default_factory=set)  # ids that the data did not give


def unpacked(upload: Path, name: str, folder: Path, settings: Settings, check: Callable[[], None]) -> Path:
    """The data of an uploaded file called `name`, below the empty `folder`. Raises ArchiveExtractFailed.

    What is no archive is one file, alone in the folder, so that nothing beside it can be named.
    """
    with upload.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    if archives.is_archive(start):
        inside = folder / "data"
        inside.mkdir()
        limits = Limits(settings.max_archive_files, settings.max_archive_mb * 2**20)

        def checked() -> None:
            check()
            _require_space(folder, settings.disk_reserve_mb)

        archives.unpack(upload, inside, limits, checked)
        return inside
    alone = folder / f"data{PurePosixPath(name).suffix.lower()[:16]}"
    try:
        os.link(upload, alone)
    except OSError:  # another file system
        shutil.copyfile(upload, alone)
    return alone


def _require_space(folder: Path, reserve_mb: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < reserve_mb * 2**20:
        raise DiskFull(
            f"{free} bytes are free beside the data, less than the reserve of {reserve_mb} MiB (setting "
            "disk_reserve_mb); free some space"
        )


def found_in(data: Path, request: Request) -> Source:
    """Every item of a file or folder, in order. Raises InvalidRequest where it cannot be read, without our own paths.

    Raises NoTrainingData where there is nothing.
    """
    place = data if data.is_dir() else data.parent
    try:
        result = readers.drafts(_root(data), request.columns or None, keep_good=request.keep_good)
    except LuthierError as error:
        raise type(error)(_without_paths(error.details, place, request.content_name)) from error
    if not result.examples and not result.rejected:
        raise NoTrainingData(f"{request.content_name}: there is no input in it")
    return Source(list(_numbered(result, place, request.content_name)), result.unnamed)


def _numbered(result: ReadResult, place: Path, name: str) -> Iterator[Found]:
    for number, example in enumerate(result.examples, start=1):
        extra = result.extras.get(example.id, NOTHING)
        yield Found(number, _name(example, extra), example, extra=extra)
    for number, one in enumerate(result.rejected, start=len(result.examples) + 1):
        yield Found(number, one.path, None, _without_paths(one.reason, place, name))


def _name(example: Example, extra: Extra) -> str:
    """What lists show: an address without what may be a secret in it."""
    if example.id != extra.url:
        return example.id
    path, mark, _ = extra.url.partition("?")
    return f"{path}{mark and '?***'}"


def _without_paths(text: str, place: Path, name: str) -> str:
    """Messages of readers name files; where ours are is nobody's business."""
    for path in {place.absolute(), place.resolve()}:
        for alone in path.glob("data.*"):
            text = text.replace(str(alone), name)
        text = text.replace(f"{path}/", "").replace(str(path), name)
    return text


def _root(data: Path) -> Path:
    """The folder that holds the data: folders around it are passed through; or the one table that tells the labels."""
    if data.is_file():
        return data
    folder = data
    while (inner := _only_folder(folder)) and _holds_data(inner):
        folder = inner
    if _layout(folder) not in ("", "imagefolder"):
        return folder
    tables = [entry.name for entry in entries(folder) if Path(entry.name).suffix.lower() in _TABLES]
    return folder / tables[0] if len(tables) == 1 else folder


def _layout(folder: Path) -> str:
    try:
        return readers.recognise(folder).name
    except InvalidRequest:  # a table of any name, and nothing else
        return ""


def _only_folder(folder: Path) -> Path | None:
    inside = entries(folder)
    return folder / inside[0].name if len(inside) == 1 and inside[0].is_dir(follow_symlinks=False) else None


def _holds_data(folder: Path) -> bool:
    """Whether a folder is not itself the only class: it holds folders, or a file that tells of labels."""
    inside = entries(folder)
    return any(one.is_dir() or Path(one.name).suffix.lower() in (*_TABLES, ".yaml", ".yml") for one in inside)
