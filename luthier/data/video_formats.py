"""Which kind of video some bytes are, and whether the file is as long as it says of itself. Next: `video`.

The content decides, never a file's name.
"""

from pathlib import Path
from typing import BinaryIO

from luthier.errors import InvalidBytes, UnsupportedFormat, VideoDecodeError

READABLE = "MP4, WebM and animated GIF are read"
START_BYTES = 128  # what tells the kind
_PICTURES = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"M4A ", b"M4B ")  # in MP4's clothes
_CONTENT = (b"mdat", b"moov", b"moof")
_SEGMENT = b"\x18\x53\x80\x67"


def identify(start: bytes) -> str:
    """MP4, WEBM or GIF, by the first bytes. Raises InvalidBytes for none and UnsupportedFormat for anything else."""
    if not start:
        raise InvalidBytes("the file is empty (0 bytes)")
    if start[4:8] == b"ftyp" and start[8:12] not in _PICTURES:
        return "MP4"
    if start.startswith(b"\x1a\x45\xdf\xa3") and any(kind in start[:64] for kind in (b"webm", b"matroska")):
        return "WEBM"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    raise UnsupportedFormat(f"this is no video that is known; {READABLE}")


def identify_whole(path: Path) -> str:
    """As `identify`; raises VideoDecodeError, too, where the file ends before what it announces."""
    size = path.stat().st_size
    with path.open("rb") as file:
        found = identify(file.read(START_BYTES))
        needed = _ENDS[found](file, size) if found in _ENDS else size  # a GIF's end is noticed by decoding it
    if needed > size:
        raise VideoDecodeError(f"the {found} file ends early, at byte {size} of {needed}")
    return found


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last box with content ends (ISO/IEC 14496-12, 4.2); junk behind the boxes does not count."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return size
        if at + length > size:
            return at + length if header[4:8] in _CONTENT else size
        at += length
    return size


def _end_of_segment(file: BinaryIO, size: int) -> int:
    """Where the one segment ends (RFC 8794, 6.2); what is recorded live does not know."""
    file.seek(0)
    start = file.read(START_BYTES)
    at = start.find(_SEGMENT) + len(_SEGMENT)
    if at < len(_SEGMENT) or not start[at : at + 1] or not start[at]:
        return size
    width = 9 - start[at].bit_length()
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(start[at : at + width], "big") & unknown
    return size if length == unknown else at + width + length


_ENDS = {"MP4": _end_of_boxes, "WEBM": _end_of_segment}
