"""The bytes of uploads: one file each, written where a part belongs. Next: `uploads` for what is known of them."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from luthier.errors import DiskFull, UploadFailed
from luthier.settings import Settings
from luthier.store.uploads import Part

_CHUNK = 1 << 20


class UploadFiles:
    """A folder with a file per upload, named by its seq."""

    def __init__(self, settings: Settings) -> None:
        self.root = settings.uploads_folder
        self._reserve_bytes = settings.disk_reserve_mb * 1024 * 1024

    def path(self, upload: int) -> Path:
        return self.root / f"{upload:d}"

    def write(self, upload: int, pieces: Sequence[tuple[int, bytes]]) -> list[Part]:
        """(where it begins, bytes) each; what this returns is on disk. Raises DiskFull."""
        self._check_space(sum(len(data) for _, data in pieces))
        path = self.path(upload)
        is_new = not path.exists()
        if is_new:
            self.root.mkdir(parents=True, exist_ok=True)
        with _disk_full_named(self.root):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                for start, data in pieces:
                    _write_at(handle, start, data)
                os.fsync(handle)
            finally:
                os.close(handle)
        if is_new:
            _sync_folder(self.root)
            _sync_folder(self.root.parent)
        return [Part(start, len(data), hashlib.sha256(data).hexdigest()) for start, data in pieces]

    def verify(self, upload: int, parts: Sequence[Part]) -> Path:
        """The file, read once and compared with what arrived. Raises UploadFailed where it differs or is gone."""
        path = self.path(upload)
        try:
            with path.open("rb") as file:
                for part in parts:
                    _verify(file.fileno(), part)
        except FileNotFoundError:
            raise UploadFailed("its bytes are not there any more; upload the file again") from None
        return path

    def remove(self, uploads: Collection[int]) -> None:
        for upload in uploads:
            self.path(upload).unlink(missing_ok=True)

    def known(self) -> set[int]:
        """Uploads that have a file."""
        if not self.root.is_dir():
            return set()
        return {int(path.name) for path in self.root.iterdir() if path.name.isdigit()}

    def _check_space(self, needed: int) -> None:
        folder = self.root if self.root.exists() else self.root.parent
        free = shutil.disk_usage(folder).free
        if free - needed < self._reserve_bytes:
            raise DiskFull(
                f"{needed} bytes are to be stored in {folder}, {free} are free and {self._reserve_bytes} of them are "
                "kept in reserve (setting disk_reserve_mb); free some space and send them again"
            )


def _write_at(handle: int, start: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, start)
        start, view = start + written, view[written:]


def _verify(handle: int, part: Part) -> None:
    digest, at = hashlib.sha256(), part.range_start
    while at < part.end:
        chunk = os.pread(handle, min(_CHUNK, part.end - at), at)
        if not chunk:
            break
        digest.update(chunk)
        at += len(chunk)
    if digest.hexdigest() != part.sha:
        raise UploadFailed(f"bytes {part.range_start} to {part.end - 1} are not what arrived; upload the file again")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_full_named(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(f"{root}: {error.strerror}; free some space and send the part again") from error
