"""Unpacks a ZIP or tar archive that nobody has vouched for into an empty folder, or refuses it. Next: `readers`.

Nothing is ever written outside of the folder: names are checked, every file is made new, links are not made at all.
What it inflates to is counted while it is read, whatever the archive says of itself. Formats: APPNOTE 6.3.10 (ZIP),
POSIX pax (tar).
"""

import gzip
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from luthier.errors import ArchiveExtractFailed, shown

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
_CHUNK = 1 << 18
_LONGEST_NAME = 1024  # bytes of a path
_LONGEST_PART = 255  # bytes of a file's own name, the most that file systems take
_DEEPEST = 32
_SUSPICIOUS_BYTES = 100 * 2**20  # what inflates to more than this ...
_MOST_RATIO = 200  # ... and to so many times its own size, is made to fill the disk; pictures hardly shrink at all
_TAR_HEADER_BYTES = 1 << 20  # of names and other words about one entry
_NAMES_BYTES = 32 << 20  # of names in a ZIP's directory, beside 46 bytes for each entry
_ZIP_END, _ZIP_ENTRY = b"PK\x05\x06", b"PK\x01\x02"
_ZIP_STARTS = (b"PK\x03\x04", _ZIP_END)
_GZIP_START = b"\x1f\x8b"
_TAR_MARK = slice(257, 262)  # "ustar"
_DAMAGED = (  # what the parsers raise over odd bytes
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    struct.error,
    NotImplementedError,
    ValueError,
    OverflowError,
)
_IGNORED = ("__MACOSX", ".DS_Store", "Thumbs.db")  # what systems leave behind


@dataclass(frozen=True)
class Limits:
    files: int = 100_000
    bytes: int = 20 * 2**30  # inflated, all together


def is_archive(start: bytes) -> bool:
    """Whether a file that begins so (512 bytes are enough) is one that `unpack` reads."""
    return start.startswith((*_ZIP_STARTS, _GZIP_START)) or start[_TAR_MARK] == b"ustar"


def unpack(archive: Path, folder: Path, limits: Limits, check: Callable[[], None] = lambda: None) -> int:
    """Fills the empty `folder`; returns the number of files. `check` is called often and may raise to stop it.

    Raises ArchiveExtractFailed naming the entry: one that leads out of the folder, is a link or a device, is encrypted,
    itself an archive, damaged, there twice; or for more files or bytes than `limits`.
    """
    with archive.open("rb") as file:
        start = file.read(512)
    target = _Target(folder, limits, check)
    try:
        if start.startswith(_ZIP_STARTS):
            _unzip(archive, target)
        elif start.startswith(_GZIP_START):
            _untar_gzipped(archive, folder, target)
        elif start[_TAR_MARK] == b"ustar":
            _untar(archive, target)
        else:
            raise ArchiveExtractFailed(f"this is no archive that is read; send one of {', '.join(ENDINGS)}")
    except _DAMAGED as error:
        raise ArchiveExtractFailed(f"{target.at}the archive is damaged: {shown(str(error))}") from error
    return target.files


class _Target:
    """The folder that is filled, and how much of what is allowed has been used. `at` names the entry in messages."""

    def __init__(self, folder: Path, limits: Limits, check: Callable[[], None]) -> None:
        self.folder, self.limits, self.check = folder, limits, check
        self.entries = self.files = self.bytes = 0
        self.at = ""

    def entry(self, name: str, *, is_folder: bool = False) -> Path | None:
        """Where a file goes, its folders made; None for what is passed over. Raises for a name that must not be."""
        self.at = f"entry '{shown(name)}': "
        self.entries += 1
        if self.entries > self.limits.files:
            raise ArchiveExtractFailed(f"{self.at}the archive holds more than {self.limits.files} files; cut it up")
        parts = self._parts(name, is_folder)
        if is_folder or any(part in _IGNORED for part in parts):
            return None
        path = self.folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ArchiveExtractFailed(f"{self.at}a file and a folder have the same name") from None
        return path

    def _parts(self, name: str, is_folder: bool) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if is_folder and not parts and not name.startswith("/"):
            return []  # tar packs the folder itself as "."
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or (parts and parts[0][1:2] == ":"):
            raise ArchiveExtractFailed(f"{self.at}its name leads out of the archive; nothing was unpacked")
        try:
            longest = max(len(part.encode()) for part in parts)
        except (UnicodeEncodeError, ValueError):
            raise ArchiveExtractFailed(f"{self.at}its name is empty or not UTF-8") from None
        if len(name.encode()) > _LONGEST_NAME or longest > _LONGEST_PART or len(parts) > _DEEPEST:
            raise ArchiveExtractFailed(
                f"{self.at}its name is too long; at most {_LONGEST_PART} bytes a part, {_LONGEST_NAME} bytes and "
                f"{_DEEPEST} folders in all"
            )
        return parts

    def fill(self, path: Path, source: IO[bytes], packed: int) -> None:
        """Copies an entry. `packed` is its size in the archive, 0 where that says nothing."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except (FileExistsError, IsADirectoryError):
            raise ArchiveExtractFailed(f"{self.at}the archive holds this name twice") from None
        self.files += 1
        size = 0
        with os.fdopen(handle, "wb") as file:
            while chunk := source.read(_CHUNK):
                if not size and is_archive(chunk[:512]):
                    raise ArchiveExtractFailed(f"{self.at}it is itself an archive; unpack it and pack its files")
                size += len(chunk)
                self.count(len(chunk), size, packed)
                file.write(chunk)
                self.check()

    def count(self, more: int, size: int, packed: int) -> None:
        self.bytes += more
        if self.bytes > self.limits.bytes:
            raise ArchiveExtractFailed(
                f"{self.at}the archive unpacks to more than {self.limits.bytes // 2**20} MiB "
                "(setting max_archive_mb); cut it up"
            )
        if packed and size > _SUSPICIOUS_BYTES and size > packed * _MOST_RATIO:
            raise ArchiveExtractFailed(f"{self.at}it unpacks to more than {_MOST_RATIO} times its size; refused")


# -- ZIP ---------------------------------------------------------------------------------------------------------------


def _unzip(archive: Path, target: _Target) -> None:
    _count_entries(archive, target.limits)
    most = 46 * target.limits.files + _NAMES_BYTES  # zipfile reads the whole directory at once
    with archive.open("rb") as file, zipfile.ZipFile(_Sips(file, most)) as opened:
        entries = opened.infolist()
        declared = sum(entry.file_size for entry in entries)
        if declared > target.limits.bytes:
            raise ArchiveExtractFailed(
                f"the archive unpacks to {declared} bytes, at most {target.limits.bytes} are taken "
                "(setting max_archive_mb); cut it up"
            )
        for entry in entries:
            path = target.entry(entry.orig_filename, is_folder=entry.is_dir())
            _check_entry(entry, target)
            if path:
                with opened.open(entry) as source:
                    target.fill(path, source, max(entry.compress_size, 1))


def _check_entry(entry: zipfile.ZipInfo, target: _Target) -> None:
    mode = entry.external_attr >> 16
    if entry.flag_bits & 1:
        raise ArchiveExtractFailed(f"{target.at}it is encrypted; pack it without a password")
    if stat.S_IFMT(mode) not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise ArchiveExtractFailed(f"{target.at}it is a link or no regular file; pack the files themselves")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveExtractFailed(f"{target.at}it is packed by method {entry.compress_type}; use deflate or none")


def _count_entries(archive: Path, limits: Limits) -> None:
    """Counts the central directory's entries by hand before zipfile makes an object of each.

    What the end record says is not believed, except for where the directory lies; ZIP64 (from 65,535 entries or 4 GiB
    on) has a record of its own for that.
    """
    size = archive.stat().st_size
    with archive.open("rb") as file:
        length, offset = _directory(file, size)
        file.seek(max(0, offset))
        left, count = length, 0
        while left >= 46:
            header = file.read(46)
            if len(header) < 46 or not header.startswith(_ZIP_ENTRY):
                return  # zipfile will say what is wrong
            rest = sum(struct.unpack_from("<HHH", header, 28))
            file.seek(rest, os.SEEK_CUR)
            left -= 46 + rest
            count += 1
            if count > limits.files:
                raise ArchiveExtractFailed(f"the archive holds more than {limits.files} files; cut it up")


def _directory(file: IO[bytes], size: int) -> tuple[int, int]:
    """(length, offset) of the central directory as zipfile will look for it: it ends where its end record begins."""
    tail = min(size, 65_536 + 22)
    file.seek(size - tail)
    data = file.read(tail)
    at = data.rfind(_ZIP_END)
    if at < 0 or len(data) < at + 22:
        raise ArchiveExtractFailed("the archive is damaged: it has no end, so it was cut off on its way")
    length, end = struct.unpack_from("<I", data, at + 12)[0], size - tail + at
    if data[at - 20 : at - 16] == b"PK\x06\x07":  # the locator of a ZIP64 end record lies right before
        end = struct.unpack_from("<Q", data, at - 12)[0]
        file.seek(min(end, size))
        record = file.read(56)
        if record.startswith(b"PK\x06\x06") and len(record) == 56:
            length = struct.unpack_from("<Q", record, 40)[0]
    return length, end - length


# -- tar ---------------------------------------------------------------------------------------------------------------


def _untar_gzipped(archive: Path, folder: Path, target: _Target) -> None:
    """Through an unpacked copy beside the folder, as tar is read with steps back, which gzip cannot take."""
    plain = folder.with_name(folder.name + ".tar")
    try:
        with plain.open("xb") as file:
            _gunzip(archive, file, target)
        target.bytes = 0  # its files are counted by themselves
        _untar(plain, target)
    finally:
        plain.unlink(missing_ok=True)


def _gunzip(archive: Path, file: IO[bytes], target: _Target) -> None:
    packed, size = archive.stat().st_size, 0
    try:
        with gzip.open(archive, "rb") as source:
            while chunk := source.read(_CHUNK):
                if not size and chunk[_TAR_MARK] != b"ustar":
                    raise ArchiveExtractFailed("this is gzip, but no tar inside of it; send a .tar.gz or a .zip")
                size += len(chunk)
                target.count(len(chunk), size, packed)
                file.write(chunk)
                target.check()
    except gzip.BadGzipFile as error:
        raise ArchiveExtractFailed(f"the archive is damaged: {shown(str(error))}") from error
    if not size:
        raise ArchiveExtractFailed("the archive is empty")


def _untar(archive: Path, target: _Target) -> None:
    with archive.open("rb") as file, tarfile.open(fileobj=_Sips(file, _TAR_HEADER_BYTES), mode="r:") as opened:
        for entry in _entries(opened):
            path = target.entry(entry.name, is_folder=entry.isdir())
            if entry.isdir():
                continue
            source = opened.extractfile(entry) if entry.isreg() and not entry.issparse() else None
            if source is None:
                raise ArchiveExtractFailed(f"{target.at}it is a link or no regular file; pack the files themselves")
            if path is None:
                continue
            target.fill(path, source, 0)
            if path.stat().st_size != entry.size:
                raise ArchiveExtractFailed(f"{target.at}the archive ends inside of it; it was cut off on its way")


def _entries(opened: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One at a time: tarfile would remember them all."""
    while entry := opened.next():
        yield entry
        opened.members = []  # type: ignore[attr-defined]


class _Sips:
    """A file of which nobody reads more than a mouthful at once: parsers believe a header that claims gigabytes."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise ArchiveExtractFailed(f"a header says that {size} bytes belong to it; that is no header")
        return self._file.read(size if size >= 0 else self._most)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
