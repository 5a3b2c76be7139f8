"""WebP says how long it is; its decoder does not mind when it is not. Next: `decode`."""

from luthier.data.formats import ends_early


def check_length(data: bytes) -> None:
    """Raises ImageDecodeError where the file is shorter than its RIFF header says (RFC 9649, section 2.4)."""
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ends_early(data)
