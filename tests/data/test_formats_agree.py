"""The API sniffs headers by itself, for it may not load this room: both must take and refuse the same files."""

import pytest

from luthier.data import formats
from luthier.data.decode import examine
from luthier.errors import LuthierError, UnsupportedFormat
from luthier.rpcs import media
from tests.data.pictures import animated, exif, jpeg, jpeg_with_exif, of_every_format, photo, png_header
from tests.data.test_bad_pictures import NO_PICTURES, OTHERS


def test_the_lists_are_the_same() -> None:
    assert media.FORMATS.upper().split(", ") == list(formats.FORMATS)
    assert media.MAX_PIXELS == formats.MAX_PIXELS


@pytest.mark.parametrize("image_format", formats.FORMATS)
def test_good_pictures_are_the_same_to_both(image_format: str) -> None:
    data = of_every_format(photo(30, 50))[image_format]
    header, facts = media.read_image(data, 20), examine(data)
    assert (header.format, header.width, header.height) == (image_format, 50, 30)
    assert (facts.format, facts.width, facts.height) == (image_format, 50, 30)


def test_turned_and_animated_pictures_are_the_same_to_both() -> None:
    for data in (jpeg_with_exif(jpeg(), exif(6)), *(animated(name) for name in ("GIF", "PNG", "WEBP", "TIFF"))):
        header, facts = media.read_image(data, 20), examine(data)
        assert (header.format, header.width, header.height) == (facts.format, facts.width, facts.height)


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_are_refused_by_both(name: str) -> None:
    with pytest.raises(UnsupportedFormat):
        media.read_image(OTHERS[name], 20)
    with pytest.raises(UnsupportedFormat):
        formats.identify(OTHERS[name])


@pytest.mark.parametrize("data", [*(data for data, _ in NO_PICTURES), png_header(13000, 13000), png_header(0, 5)])
def test_bad_files_get_the_same_code_from_both(data: bytes) -> None:
    with pytest.raises(LuthierError) as theirs:
        media.read_image(data, 20)
    with pytest.raises(LuthierError) as ours:
        examine(data)
    assert theirs.value.code == ours.value.code
