"""What is refused by a look at the header alone (rows of group D that the API decides)."""

import resource

import pytest

from luthier.errors import ImageDecodeError, InputOverLimit, InvalidBytes, LuthierError, UnsupportedFormat
from luthier.rpcs.media import Header, read_image
from tests.rpcs.pictures import gif_that_claims, picture, png_that_claims, turned, webp_that_claims

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_the_six_formats_are_read(image_format: str) -> None:
    assert read_image(picture(image_format, (5, 3)), 20) == Header(image_format, 5, 3)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"save_all": True}])
def test_every_kind_of_webp_is_read(options: dict[str, object]) -> None:
    assert read_image(picture("WEBP", (21, 13), **options), 20) == Header("WEBP", 21, 13)


@pytest.mark.parametrize("data", [b"", b"x", b"this is text, named cat.jpg"])
def test_bad_D1_what_is_no_picture(data: bytes) -> None:
    with pytest.raises((UnsupportedFormat, InvalidBytes)):
        read_image(data, 20)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_bad_D2_files_cut_inside_the_header(image_format: str) -> None:
    data = picture(image_format)
    for length in (12, 15, 20):
        with pytest.raises(ImageDecodeError):
            read_image(data[:length], 20)


@pytest.mark.parametrize("side", [13_000, 30_000, 2**31 - 1])
def test_bad_D4_too_many_pixels(side: int) -> None:
    with pytest.raises(ImageDecodeError, match="85"):
        read_image(png_that_claims(side, side), 20)
    if side < 2**16:
        with pytest.raises(ImageDecodeError, match="85"):
            read_image(gif_that_claims(side, side), 20)
        with pytest.raises(ImageDecodeError, match="85"):
            read_image(webp_that_claims(side, side), 20)


def test_bad_D4_no_pixels_and_thin_ones() -> None:
    with pytest.raises(ImageDecodeError):
        read_image(png_that_claims(0, 0), 20)
    assert read_image(png_that_claims(1, 20_000), 20) == Header("PNG", 1, 20_000)
    assert read_image(png_that_claims(20_000, 1), 20) == Header("PNG", 20_000, 1)


def test_bad_D5_a_large_picture_costs_no_memory_here() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_image(png_that_claims(9_000, 9_000), 20) == Header("PNG", 9_000, 9_000)
    assert read_image(webp_that_claims(9_000, 9_000), 20) == Header("WEBP", 9_000, 9_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
def test_bad_D8_width_and_height_are_upright(orientation: int) -> None:
    size = (20, 40) if 5 <= orientation <= 8 else (40, 20)
    assert read_image(turned(orientation), 20) == Header("JPEG", *size)


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"%PDF-1.7\n",
        b"8BPS\0\x01",
        b"\0\0\0\x18ftypheic",
        b"\xd7\xcd\xc6\x9a\0\0",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"\x0a\x05\x01\x08",
        b"\x00\x00\x80?" * 30,
    ],
    ids=["svg", "eps", "pdf", "psd", "heic", "wmf", "fpx", "pcx", "spider"],
)
def test_bad_D10_other_formats_name_the_six(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG, GIF, WebP, BMP, TIFF"):
        read_image(data + b"\0" * 200, 20)


def test_bad_D11_a_picture_with_something_behind_it_is_a_picture() -> None:
    assert read_image(picture("JPEG") + b"<html><script>alert(1)</script>", 20).format == "JPEG"
    assert read_image(picture("PNG") + b"PK\x03\x04", 20).format == "PNG"


def test_bad_D12_broken_metadata_is_ignored() -> None:
    broken = picture("JPEG", (40, 20), exif=b"Exif\0\0II*\0\xff\xff\xff\xff", icc_profile=b"nonsense")
    assert read_image(broken, 20) == Header("JPEG", 40, 20)


def test_bad_D14_one_byte_over_the_limit() -> None:
    most = 20 * 1024 * 1024
    start = picture("BMP")
    assert read_image(start + b"\0" * (most - len(start)), 20).format == "BMP"
    with pytest.raises(InputOverLimit) as error:
        read_image(start + b"\0" * (most - len(start) + 1), 20)
    assert error.value.code == 30105


def test_bad_D16_damaged_headers_end_in_an_error_of_ours() -> None:
    for image_format in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        data = bytearray(picture(image_format))
        for at in range(4, min(len(data), 120)):
            for value in (0, 255):
                changed = bytes(data[:at]) + bytes([value]) + bytes(data[at + 1 :])
                try:
                    header = read_image(changed, 20)
                except LuthierError:
                    continue
                assert header.width * header.height <= 85_000_000
