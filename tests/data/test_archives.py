"""ZIP and tar archives: what is good comes out as it went in, what is hostile or damaged is refused by name."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from luthier.data import archives
from luthier.data.archives import Limits
from luthier.errors import ArchiveExtractFailed

FILES = {"cats/a.jpg": b"\xff\xd8\xff one", "dogs/b.png": b"two", "dogs/deep/c.txt": "Äpfel".encode(), "empty.txt": b""}


def zipped(entries: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(entries: dict[str, bytes], *, format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def one_entry(member: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return one_entry(member)


def link_in_zip(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return buffer.getvalue()


def encrypted() -> bytes:
    """The flag alone, as nobody here can encrypt."""
    data = bytearray(zipped({"a.jpg": b"secret"}))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def unpacked(tmp_path: Path, data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    """What lies in the folder; and nothing beside it."""
    packed, folder = tmp_path / "archive", tmp_path / "inside" / "folder"
    packed.write_bytes(data)
    folder.mkdir(parents=True)
    count = archives.unpack(packed, folder, limits or Limits())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert count == len(found) and list((tmp_path / "inside").iterdir()) == [folder]
    return found


@pytest.mark.parametrize(
    "make",
    [
        zipped,
        lambda files: zipped(files, method=zipfile.ZIP_STORED),
        tarred,
        lambda files: tarred(files, format=tarfile.GNU_FORMAT),
        lambda files: gzip.compress(tarred(files)),
    ],
    ids=["zip", "zip stored", "tar", "gnu tar", "tar.gz"],
)
def test_files_come_out_as_they_went_in(make: Callable[[dict[str, bytes]], bytes], tmp_path: Path) -> None:
    assert unpacked(tmp_path, make(FILES)) == FILES


def test_what_a_system_packs_beside_the_files_is_passed_over(tmp_path: Path) -> None:
    junk = {"__MACOSX/cats/._a.jpg": b"junk", "cats/.DS_Store": b"junk"}
    assert unpacked(tmp_path, zipped({**FILES, **junk})) == FILES


def test_a_tar_of_a_folder_itself(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "cats").mkdir(parents=True)
    (source / "cats" / ("x" * 200 + ".txt")).write_bytes(b"a long name needs a header of its own")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.add(source, arcname=".")
    assert list(unpacked(tmp_path, buffer.getvalue())) == ["cats/" + "x" * 200 + ".txt"]


REFUSED = {
    "zip slip": (zipped({"../../evil": b"x"}), "entry '../../evil': its name leads out"),
    "absolute": (zipped({"/etc/cron.d/evil": b"x"}), "entry '/etc/cron.d/evil': its name leads out"),
    "backslashes": (zipped({"..\\evil": b"x"}), "leads out"),
    "drive": (zipped({"C:evil": b"x"}), "leads out"),
    "tar slip": (tarred({"a/../../evil": b"x"}), "entry 'a/../../evil': its name leads out"),
    "tar.gz slip": (gzip.compress(tarred({"../evil": b"x"})), "entry '../evil': its name leads out"),
    "symlink in zip": (link_in_zip("a.jpg", "/etc/passwd"), "entry 'a.jpg': it is a link"),
    "symlink in tar": (special("a.jpg", tarfile.SYMTYPE, "/etc/passwd"), "entry 'a.jpg': it is a link"),
    "hard link": (special("a.jpg", tarfile.LNKTYPE, "b.jpg"), "entry 'a.jpg': it is a link"),
    "device": (special("a.jpg", tarfile.CHRTYPE), "entry 'a.jpg': it is a link or no regular file"),
    "pipe": (special("a.jpg", tarfile.FIFOTYPE), "entry 'a.jpg': it is a link or no regular file"),
    "encrypted": (encrypted(), "entry 'a.jpg': it is encrypted"),
    "nested zip": (zipped({"in.jpg": zipped(FILES)}), "entry 'in.jpg': it is itself an archive"),
    "nested tar": (tarred({"in.jpg": tarred(FILES)}), "entry 'in.jpg': it is itself an archive"),
    "file and folder": (zipped({"a": b"x", "a/b": b"y"}), "entry 'a/b': a file and a folder have the same name"),
    "folder and file": (zipped({"a/b": b"x", "a": b"y"}), "entry 'a': the archive holds this name twice"),
    "tar twice": (
        tarred({"a.jpg": b"x"})[:1024] + tarred({"a.jpg": b"x"}),
        "entry 'a.jpg': the archive holds this name twice",
    ),
    "long name": (zipped({"x" * 300: b"x"}), "its name is too long"),
    "deep": (zipped({"d/" * 40 + "x": b"x"}), "its name is too long"),
    "bzip2 in zip": (zipped({"a": b"x"}, method=zipfile.ZIP_BZIP2), "entry 'a': it is packed by method 12"),
    "lzma in zip": (zipped({"a": b"x"}, method=zipfile.ZIP_LZMA), "entry 'a': it is packed by method 14"),
    "no archive": (b"<html>", "this is no archive that is read; send one of .zip, .tar"),
    "empty": (b"", "this is no archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "this is no archive that is read"),
    "gzip of a text": (gzip.compress(b"hello"), "this is gzip, but no tar inside"),
    "zip cut off": (zipped(FILES)[:-30], "it was cut off on its way"),
    "tar.gz cut off": (gzip.compress(tarred(FILES))[:-20], "the archive is damaged"),
    "tar cut off": (tarred({"a.jpg": bytes(5000)})[:3000], "the archive"),
}


@pytest.mark.parametrize(("data", "says"), REFUSED.values(), ids=REFUSED)
def test_bad_F16_archives_are_refused_by_name(data: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveExtractFailed) as refused:
        unpacked(tmp_path, data)
    assert says in refused.value.details and refused.value.code == 67000
    beside = sorted(path.name for path in tmp_path.rglob("*") if path.name not in ("archive", "inside", "folder"))
    assert "evil" not in beside and "folder.tar" not in beside
    assert all((tmp_path / "inside" / "folder") in path.parents for path in tmp_path.rglob("*") if path.name in beside)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_bad_F16_duplicate_names(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", b"one")
        archive.writestr("a.jpg", b"two")
    with pytest.raises(ArchiveExtractFailed, match=r"entry 'a\.jpg': the archive holds this name twice"):
        unpacked(tmp_path, buffer.getvalue())


def test_bad_F16_wrong_crc(tmp_path: Path) -> None:
    data = zipped({"good.jpg": b"fine", "bad.jpg": b"B" * 500}, method=zipfile.ZIP_STORED)
    with pytest.raises(ArchiveExtractFailed, match=r"entry 'bad\.jpg': the archive is damaged: Bad CRC"):
        unpacked(tmp_path, data.replace(b"B" * 500, b"B" * 499 + b"C"))


def test_bad_F16_bombs_are_stopped_while_they_inflate(tmp_path: Path) -> None:
    bomb = zipped({"bomb.bmp": bytes(110 * 2**20)})
    with pytest.raises(ArchiveExtractFailed, match=r"entry 'bomb\.bmp': it unpacks to more than 200 times its size"):
        unpacked(tmp_path / "ratio", _made(tmp_path / "ratio", bomb))
    lying = bytearray(zipped({"a.bmp": bytes(3 * 2**20)}))
    struct.pack_into("<I", lying, lying.rindex(b"PK\x01\x02") + 24, 10)  # says that it is ten bytes
    with pytest.raises(ArchiveExtractFailed, match=r"entry 'a\.bmp'"):
        unpacked(tmp_path / "lies", _made(tmp_path / "lies", bytes(lying)), Limits(bytes=2**20))
    with pytest.raises(ArchiveExtractFailed, match="the archive unpacks to"):
        unpacked(tmp_path / "sum", _made(tmp_path / "sum", zipped({"a": bytes(2**20), "b": b"x"})), Limits(bytes=2**20))
    with pytest.raises(ArchiveExtractFailed, match="the archive unpacks to more than 1 MiB"):
        data = gzip.compress(tarred({"a": bytes(2**20), "b": b"x"}))
        unpacked(tmp_path / "tgz", _made(tmp_path / "tgz", data), Limits(bytes=2**20))


def _made(folder: Path, data: bytes) -> bytes:
    folder.mkdir()
    return data


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar"])
def test_bad_F16_more_files_than_allowed(make: Callable[[dict[str, bytes]], bytes], tmp_path: Path) -> None:
    data = make({f"{number}.txt": b"x" for number in range(60)})
    with pytest.raises(ArchiveExtractFailed, match="the archive holds more than 50 files; cut it up"):
        unpacked(tmp_path, data, Limits(files=50))


def test_bad_F16_100k_entries_are_counted_before_they_are_listed(tmp_path: Path) -> None:
    """A directory of 100,001 entries and no files behind them."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 1, 0, 0) + bytes(12) + b"x"
    directory = entry * 100_001
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(directory), 0, 0)
    with pytest.raises(ArchiveExtractFailed, match="more than 100000 files"):
        unpacked(tmp_path, b"PK\x03\x04" + directory + end)


def test_bad_F16_a_directory_that_two_records_tell_differently(tmp_path: Path) -> None:
    """The locator leads to a record of one entry; right before it lies the one that zipfile reads, of gigabytes."""
    honest = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 46, 4)
    lying = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 9, 9, 2**31, 4)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 4, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    with pytest.raises(ArchiveExtractFailed):
        unpacked(tmp_path, b"PK\x03\x04" + honest + bytes(2**20) + lying + locator + end)


def test_bad_F16_names_that_claim_to_be_utf_8(tmp_path: Path) -> None:
    data = bytearray(zipped({"ab.jpg": b"x"}))
    for mark, flags, name in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        at = data.rindex(mark)
        struct.pack_into("<H", data, at + flags, 0x800)
        data[at + name] = 0xFF
    with pytest.raises(ArchiveExtractFailed, match="damaged"):
        unpacked(tmp_path, bytes(data))


def test_bad_F16_a_tar_header_that_says_it_is_gigabytes(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    with pytest.raises(ArchiveExtractFailed, match="that is no header"):
        unpacked(tmp_path, header.tobuf() + bytes(4096))


def test_names_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jpg")
    with pytest.raises(ArchiveExtractFailed, match="not UTF-8"):
        unpacked(tmp_path, tarred({name: b"x"}, format=tarfile.GNU_FORMAT))


def test_the_work_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    packed = tmp_path / "archive"
    packed.write_bytes(zipped(FILES))
    (tmp_path / "folder").mkdir()
    with pytest.raises(KeyboardInterrupt):
        archives.unpack(packed, tmp_path / "folder", Limits(), stop)
