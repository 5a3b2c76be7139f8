"""The one thing that is read of EXIF: which way up the camera was held. Next: `decode`.

Only the first directory is looked at, entry by entry, so a directory that points at itself costs nothing.
"""

import struct

import numpy as np

from luthier.data.pixels import Pixels

_ORIENTATION = 0x0112
_SHORT = 3


def orientation(exif: bytes) -> int:
    """1 to 8 as EXIF 2.3 numbers them; 1 (upright) for anything missing, damaged or out of range."""
    tiff = exif[6:] if exif.startswith(b"Exif\0\0") else exif
    try:
        value = _first_directory_entry(tiff)
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def _first_directory_entry(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    start = struct.unpack_from(order + "I", tiff, 4)[0]
    count = struct.unpack_from(order + "H", tiff, start)[0]
    for index in range(count):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * index)
        if tag == _ORIENTATION:
            return int(value) if kind == _SHORT else 1
    return 1


def upright(pixels: Pixels, turned: int) -> Pixels:
    """`pixels` (height, width, channels) as they should be seen, given EXIF's orientation number."""
    if turned >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if turned in (2, 3, 7, 6):
        pixels = pixels[:, ::-1]
    if turned in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
