"""Pixels: what a good picture becomes, at full size and resized."""

import io

import numpy as np
import pytest
from PIL import Image

from luthier.data.decode import decode, decode_resized, examine
from tests.data.pictures import jpeg, jpeg_with_exif, of_every_format, photo, saved


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "BMP", "TIFF"])
def test_lossless_formats_give_their_pixels_back(image_format: str) -> None:
    pixels = photo()
    decoded = decode(of_every_format(pixels)[image_format])
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    assert np.array_equal(decoded, pixels)


def test_golden_pixels_of_a_jpeg() -> None:
    blocks = np.zeros((16, 16, 3), np.uint8)
    blocks[:8, :8], blocks[:8, 8:], blocks[8:, :8], blocks[8:, 8:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (250,) * 3
    pixels = decode(saved(Image.fromarray(blocks), "JPEG", quality=100, subsampling=0))
    for place in ((3, 3), (3, 12), (12, 3), (12, 12)):
        assert np.abs(pixels[place].astype(int) - blocks[place]).max() <= 2


def test_grey_jpeg_has_three_equal_channels() -> None:
    pixels = decode(saved(Image.fromarray(photo()[:, :, 0]), "JPEG"))
    assert pixels.shape == (48, 64, 3)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_agree_with_pillow(subsampling: int, progressive: bool) -> None:
    data = saved(Image.fromarray(photo()), "JPEG", quality=90, subsampling=subsampling, progressive=progressive)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data) - theirs).max() <= 4


def test_a_few_stray_bytes_that_every_viewer_forgives_are_forgiven() -> None:
    data = jpeg()
    assert np.array_equal(decode(data[:-2] + b"\0\0\0" + data[-2:]), decode(data))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("resize", ["squash", "shorter_side"])
def test_resized_is_what_resizing_all_pixels_gives(image_format: str, resize: str) -> None:
    data = of_every_format(photo(300, 500))[image_format]
    full = Image.fromarray(decode(data))
    box = (100, 0, 400, 300) if resize == "shorter_side" else None
    expected = np.asarray(full.resize((64, 64), Image.Resampling.BICUBIC, box=box)).astype(int)
    small = decode_resized(data, 64, resize)
    assert small.shape == (64, 64, 3) and small.dtype == np.uint8
    # A JPEG is scaled in the frequency domain first, which blurs its one sharp edge differently.
    assert np.abs(small - expected).max() <= (16 if image_format == "JPEG" else 0)
    assert np.abs(small - expected).mean() <= 1


def test_resizing_is_antialiased() -> None:
    """A fine checkerboard becomes grey, not black, white or a pattern that was never there."""
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    small = decode_resized(saved(Image.fromarray(board), "PNG"), 50)
    assert np.abs(small.astype(int) - 127).max() <= 8


def test_small_pictures_are_enlarged() -> None:
    assert decode_resized(of_every_format(photo(8, 8))["PNG"], 32).shape == (32, 32, 3)


def test_decoding_is_deterministic() -> None:
    for data in of_every_format(photo(200, 300)).values():
        assert np.array_equal(decode_resized(data, 96), decode_resized(data, 96))


def test_an_unknown_way_to_resize_is_refused() -> None:
    with pytest.raises(ValueError, match="squash or shorter_side"):
        decode_resized(jpeg(), 32, "stretch")


def test_examine_tells_the_upright_size() -> None:
    turned = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    facts = examine(jpeg_with_exif(jpeg(photo(40, 60)), turned))
    assert (facts.width, facts.height, facts.format, facts.animated) == (40, 60, "JPEG", False)
