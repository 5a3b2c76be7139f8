"""What WebP's decoder does not mind and we do: a file that ends early, a canvas no frame can fill. Next: `decode`."""

from luthier.data.formats import ends_early
from luthier.errors import ImageDecodeError

LONGEST_SIDE = 16383  # of a frame (RFC 9649, section 2.6); a longer canvas costs its decoder many seconds


def check_length(data: bytes) -> None:
    """Raises ImageDecodeError where the file is shorter than its RIFF header says (RFC 9649, section 2.4)."""
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ends_early(data)


def check_sides(width: int, height: int) -> None:
    """Raises ImageDecodeError for a canvas that is longer than WebP's pictures can be."""
    if max(width, height) > LONGEST_SIDE:
        raise ImageDecodeError(f"the picture is {width}x{height} pixels; a side of a WebP has at most {LONGEST_SIDE}")
