"""A ZIP file that is written entry by entry; the same content makes the same bytes. Next: `clarifai_data`, `coco`."""

import shutil
import zipfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from luthier.errors import DiskFull

_CHECKED_EVERY = 64 * 1024 * 1024  # bytes between two looks at the disk
_CHUNK = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that ZIP knows


class Archive:
    """Raises DiskFull before the disk's reserve is touched."""

    def __init__(self, path: Path, reserve_mb: int) -> None:
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED)
        self._folder, self._reserve = path.parent, reserve_mb * 1024 * 1024
        self._unchecked = _CHECKED_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def add(self, name: str, data: bytes, *, packed: bool = True) -> None:
        self._check(len(data))
        self._zip.writestr(_entry(name, packed), data)

    def add_file(self, name: str, path: Path) -> None:
        """A file whose bytes are packed already, as those of pictures are."""
        self._check(path.stat().st_size)
        with path.open("rb") as source, self._zip.open(_entry(name, False), "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, _CHUNK)

    def open(self, name: str) -> IO[bytes]:
        """An entry to write piece by piece; no other one until it is closed."""
        return self._zip.open(_entry(name, True), "w", force_zip64=True)

    def _check(self, size: int) -> None:
        self._unchecked += size
        if self._unchecked < _CHECKED_EVERY:
            return
        self._unchecked = 0
        free = shutil.disk_usage(self._folder).free
        if free - size < self._reserve + _CHECKED_EVERY:
            raise DiskFull(
                f"{free} bytes are free in {self._folder} and {self._reserve} of them are kept in reserve "
                "(setting disk_reserve_mb); free some space and ask for the export again"
            )


def _entry(name: str, packed: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    return entry
