"""Bytes once, under their SHA-256: uploaded files and frozen manifests. Next: `collection` for what removes them."""

import contextlib
import errno
import hashlib
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from luthier.errors import CorruptFile, DiskFull

SYNC_THREADS = 8  # an fsync waits for the disk; eight at once are about twice as fast as one after another
TEMPORARY = ".tmp-"
_SHA = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


class Blobs:
    """A folder of files named by content: `root/ab/abcdef…`.

    What a put returns is on disk: temporary file in the same folder -> write -> fsync -> rename -> fsync of the folder.
    Putting bytes that are there already costs a look and restarts their grace time with the garbage collection.
    Below `reserve_mb` MiB of free space every put raises DiskFull.
    """

    def __init__(self, root: Path, reserve_mb: int = 0) -> None:
        self.root = root
        self.reserve_bytes = reserve_mb * 1024 * 1024
        for first in range(256):
            (root / f"{first:02x}").mkdir(parents=True, exist_ok=True)
        _sync_folder(root)
        self._unique = secrets.token_hex(4)  # process ids come again, in other containers too
        self._numbers = itertools.count()
        self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="blobs")

    def path(self, sha: str) -> Path:
        if not _SHA.fullmatch(sha):
            raise ValueError(f"{sha[:100]!r} is not a SHA-256 in lower-case hexadecimal")
        return self.root / sha[:2] / sha

    def put(self, data: bytes) -> str:
        return self.put_many([data])[0]

    def put_many(self, datas: Sequence[bytes]) -> list[str]:
        """Stores them all, several fsyncs at a time; returns their hashes in order. Nothing is named half-written."""
        shas = [hashlib.sha256(data).hexdigest() for data in datas]
        distinct = dict(zip(shas, datas, strict=True))
        self._check_space(sum(len(data) for data in distinct.values()))
        if len(distinct) == 1:
            for sha, data in distinct.items():
                self._write(sha, data)
        else:
            _finish(self._pool.map(self._write, distinct, distinct.values()))
        self._sync_folders({self.path(sha).parent for sha in distinct})
        return shas

    def put_file(self, path: Path) -> str:
        """Stores a copy of a file of any size; the original stays where it is."""
        self._check_space(path.stat().st_size)
        temporary = self._temporary(self.root / "00")
        with _removed_on_error(temporary), _disk_full_named(self.root):
            digest = hashlib.sha256()
            with path.open("rb") as source, temporary.open("xb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            sha = digest.hexdigest()
            temporary.rename(self.path(sha))
        _sync_folder(self.path(sha).parent)
        return sha

    def read(self, sha: str) -> bytes:
        """The bytes, checked against their name; raises FileNotFoundError, or CorruptFile where they have changed."""
        data = self.path(sha).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha:
            raise CorruptFile(f"stored file {sha} no longer holds what its name says; restore it from a backup")
        return data

    def size(self, sha: str) -> int:
        """Bytes; raises FileNotFoundError."""
        return self.path(sha).stat().st_size

    def exists(self, sha: str) -> bool:
        return self.path(sha).exists()

    def delete(self, sha: str) -> None:
        """Removes the file at once, row or no row; `collection.collect` is the careful way."""
        self.path(sha).unlink(missing_ok=True)

    def close(self) -> None:
        self._pool.shutdown()

    def _write(self, sha: str, data: bytes) -> None:
        final = self.path(sha)
        if _touched(final, len(data)):
            return
        temporary = self._temporary(final.parent)
        with _removed_on_error(temporary), _disk_full_named(self.root):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            temporary.rename(final)

    def _temporary(self, folder: Path) -> Path:
        return folder / f"{TEMPORARY}{os.getpid()}-{self._unique}-{next(self._numbers)}"

    def _sync_folders(self, folders: Iterable[Path]) -> None:
        _finish(self._pool.map(_sync_folder, folders))

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free - needed < self.reserve_bytes:
            raise DiskFull(
                f"{needed} bytes are to be stored in {self.root}, {free} are free and {self.reserve_bytes} of them "
                "are kept in reserve (setting disk_reserve_mb); free some space and send it again"
            )


def _touched(path: Path, size: int) -> bool:
    """True where the blob is there, whole in size; its new time tells a garbage collection in progress to keep it."""
    try:
        os.utime(path)
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _finish(results: Iterable[None]) -> None:
    for _ in results:  # map is lazy in its errors: walking over the results raises the first
        pass


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _removed_on_error(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _disk_full_named(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(f"{root}: {error.strerror}; {shutil.disk_usage(root).free} bytes are free") from error
