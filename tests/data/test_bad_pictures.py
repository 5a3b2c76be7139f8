"""Group D of the bad inputs: pictures that are damaged, hostile or odd. One test per row, its id in the name."""

import contextlib
import io
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from luthier.data import decode as decode_module
from luthier.data.decode import decode, decode_resized, examine
from luthier.data.decode_pool import DecodeProcess
from luthier.errors import ImageDecodeError, InvalidBytes, LuthierError, UnsupportedFormat
from tests.data.pictures import (
    animated,
    endless_gif,
    exif,
    flat_png,
    jpeg,
    jpeg_with_exif,
    jpeg_with_segment,
    of_every_format,
    photo,
    png_header,
    saved,
    tiff,
    with_chunk,
)

# What Pillow thinks of them is not the news.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")


def refusal(data: bytes) -> LuthierError:
    with pytest.raises(LuthierError) as raised:
        decode(data)
    with pytest.raises(type(raised.value)):
        decode_resized(data, 32)
    return raised.value


# -- D1 to D5: nothing, half, damaged, too large -----------------------------------------------------------------------


NO_PICTURES = [(b"", 30300), (b"x", 30101), (b"\xff", 30101), (b"a cat, by its name", 30101)]


@pytest.mark.parametrize(("data", "code"), NO_PICTURES)
def test_bad_D1_no_picture_at_all(data: bytes, code: int) -> None:
    assert refusal(data).code == code


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_bad_D2_truncated_anywhere(image_format: str) -> None:
    data = of_every_format()[image_format]
    for length in [*range(30, len(data), 5), *range(len(data) - 20, len(data))]:
        error = _error(data[:length])
        assert isinstance(error, ImageDecodeError)
        assert error.details == f"file ends early at byte {length}"


@pytest.mark.parametrize("image_format", ["GIF", "TIFF"])
def test_bad_D2_truncated_anywhere_but_in_the_trailer(image_format: str) -> None:
    data = of_every_format()[image_format]
    for length in [*range(30, len(data), 7), *range(len(data) - 20, len(data) - 2)]:
        error = _error(data[:length])
        assert isinstance(error, ImageDecodeError)
        assert f"ends early at byte {length}" in error.details


def _error(data: bytes) -> LuthierError:
    with pytest.raises(LuthierError) as raised:
        decode(data)
    return raised.value


def test_bad_D2_truncated_progressive_and_cmyk_jpeg() -> None:
    image = Image.fromarray(photo())
    for data in (saved(image, "JPEG", progressive=True), saved(image.convert("CMYK"), "JPEG")):
        assert refusal(data[:-20]).details == f"file ends early at byte {len(data) - 20}"


def test_bad_D2_nothing_may_switch_half_pictures_on() -> None:
    from PIL import ImageFile

    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND", b"tEXt"])
def test_bad_D3_png_with_bad_crc(kind: bytes) -> None:
    data = bytearray(with_chunk(of_every_format()["PNG"], b"tEXt", b"Comment\0hello"))
    start = data.index(kind)
    data[start + 4 + int.from_bytes(data[start - 4 : start], "big")] ^= 1
    error = refusal(bytes(data))
    assert error.code == 47104
    assert kind.decode() in error.details and "CRC" in error.details


def test_bad_D3_damaged_jpeg_data() -> None:
    data = bytearray(jpeg(photo(256, 256)))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xa5" * 40
    error = _error(bytes(data))
    assert error.code == 47104 and "damaged" in error.details


LARGE = [(13000, 13000), (30000, 30000), (2**31 - 1, 2**31 - 1), (2**31, 2**31), (85_000_001, 1), (9220, 9220)]


@pytest.mark.parametrize(("width", "height"), LARGE)
def test_bad_D4_more_than_85_megapixels_by_the_header(width: int, height: int) -> None:
    error = refusal(png_header(width, height))  # there is nothing behind the header: it alone decides
    assert error.code == 47104
    assert f"{width}x{height}" in error.details and "85" in error.details


def test_bad_D4_more_than_85_megapixels_in_every_format() -> None:
    files = {
        "JPEG": _patched_jpeg(20000, 20000),
        "GIF": b"GIF89a" + struct.pack("<HH", 20000, 20000) + b"\0\0\0,",
        "WEBP": _webp_header(16000, 16000),
        "BMP": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 1000, 0, 0, 54, 40, 20000, -20000, 1, 24, 0, 0, 0, 0, 0, 0),
        "TIFF": tiff([(256, 4, 1, 20000), (257, 4, 1, 20000), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 100),
                      (277, 3, 1, 1), (278, 4, 1, 20000), (279, 4, 1, 400_000_000)]),
    }  # fmt: skip
    for name, data in files.items():
        error = refusal(data)
        assert error.code == 47104, name
        assert "megapixels" in error.details, (name, error.details)


def _patched_jpeg(width: int, height: int) -> bytes:
    data = bytearray(jpeg())
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _webp_header(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_bad_D4_a_webp_canvas_longer_than_any_frame_costs_no_time() -> None:
    data = bytearray(animated("WEBP"))
    data[24:27] = (7_000_000 - 1).to_bytes(3, "little")
    before = time.monotonic()
    error = refusal(bytes(data))
    assert error.code == 47104 and "16383" in error.details
    assert time.monotonic() - before < 1


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 10), (10, 0)])
def test_bad_D4_no_pixels(width: int, height: int) -> None:
    assert refusal(png_header(width, height)).code == 47104
    assert refusal(_patched_jpeg(width, height)).code == 47104
    gif = b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"
    assert refusal(gif).code == 47104


@pytest.mark.parametrize(("width", "height"), [(1, 20000), (20000, 1)])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_bad_D4_thin_pictures_are_fine(width: int, height: int, image_format: str) -> None:
    data = saved(Image.new("RGB", (width, height), (10, 20, 30)), image_format)
    assert decode(data).shape == (height, width, 3)
    for resize in ("squash", "shorter_side"):
        small = decode_resized(data, 32, resize)
        assert small.shape == (32, 32, 3)
        assert np.abs(small.astype(int) - (10, 20, 30)).max() <= 3


def test_bad_D5_81_megapixels_of_zeros_within_the_helper(tmp_path: Path) -> None:
    file = tmp_path / "zeros.png"
    file.write_bytes(flat_png(9000, 9000))
    assert file.stat().st_size < 400_000
    with DecodeProcess() as helper:
        found = helper.check(file)
    assert (found.ok, found.width, found.height) == (True, 9000, 9000)


def test_bad_D5_rgba_of_81_megapixels_fits_the_default_memory(tmp_path: Path) -> None:
    file = tmp_path / "zeros.png"
    file.write_bytes(flat_png(9000, 9000, color=6))
    with DecodeProcess(seconds=30) as helper:
        assert helper.check(file).ok


# -- D6 to D9: colours, depth, orientation, frames ---------------------------------------------------------------------


def test_bad_D6_cmyk_jpeg_is_inverted_as_adobe_writes_it() -> None:
    inks = Image.new("CMYK", (16, 16))
    for box, color in {(0, 0, 8, 8): (0, 0, 0, 0), (8, 0, 16, 8): (255, 0, 0, 0), (0, 8, 8, 16): (0, 255, 255, 0),
                       (8, 8, 16, 16): (0, 0, 0, 128)}.items():  # fmt: skip
        inks.paste(color, box)
    data = saved(inks, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data
    golden = {(4, 4): (255, 255, 255), (4, 12): (0, 255, 255), (12, 4): (255, 0, 0), (12, 12): (127, 127, 127)}
    pixels = decode(data)
    for place, color in golden.items():
        assert np.abs(pixels[place].astype(int) - color).max() <= 2, place
    assert np.abs(pixels.astype(int) - np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).max() <= 1


def test_bad_D6_ycck_jpeg_and_cmyk_without_adobe() -> None:
    inks = Image.new("CMYK", (16, 16), (200, 40, 0, 30))
    plain = saved(inks, "JPEG", quality=100)
    start = plain.index(b"\xff\xee")
    length = struct.unpack(">H", plain[start + 2 : start + 4])[0]
    bare = plain[:start] + plain[start + 2 + length :]
    # Without the marker what was stored as light reads as ink: 255 - 200 and so on.
    light, black = np.array([200, 40, 0]), 30
    assert np.abs(decode(bare)[8, 8] - light * black / 255).max() <= 2
    ycck = bytearray(plain)
    ycck[start + 2 + length - 1] = 2  # the same bytes, said to be YCCK
    assert np.abs(decode(bytes(ycck)).astype(int) - np.asarray(Image.open(io.BytesIO(ycck)).convert("RGB"))).max() <= 2


def test_bad_D7_16_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for image_format in ("PNG", "TIFF"):
        pixels = decode(saved(Image.fromarray(values), image_format))
        assert pixels[0].tolist() == [[0] * 3, [0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_bad_D7_32_bit_float_tiff() -> None:
    def grey(values: list[float]) -> list[int]:
        return decode(saved(Image.fromarray(np.array([values], np.float32)), "TIFF"))[0, :, 0].tolist()

    assert grey([0.0, 0.5, 1.0]) == [0, 128, 255]  # within 0..1: times 255
    assert grey([-10.0, 0.0, 10.0]) == [0, 128, 255]  # else stretched
    assert grey([float("nan"), 0.0, 1.0, float("inf"), float("-inf")]) == [0, 0, 255, 0, 0]
    assert grey([float("nan"), float("nan")]) == [0, 0]
    assert grey([7.0, 7.0]) == [0, 0]
    assert grey([1e38, -1e38]) == [255, 0]


def test_bad_D7_32_bit_integers_are_stretched() -> None:
    data = saved(Image.fromarray(np.array([[-100, 0, 100]], np.int32)), "TIFF")
    assert decode(data)[0, :, 0].tolist() == [0, 128, 255]


def test_bad_D7_alpha_of_every_kind_is_laid_over_white() -> None:
    rgba = Image.new("RGBA", (3, 1))
    for x, color in enumerate([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]):
        rgba.putpixel((x, 0), color)
    assert decode(saved(rgba, "PNG"))[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]
    grey = Image.new("LA", (2, 1))
    grey.putpixel((0, 0), (100, 255))
    assert decode(saved(grey, "PNG"))[0].tolist() == [[100] * 3, [255] * 3]
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 255, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    assert decode(saved(palette, "PNG", transparency=b"\xff\x00"))[0].tolist() == [[0, 0, 255], [255, 255, 255]]
    assert decode(saved(palette, "GIF", transparency=1))[0].tolist() == [[0, 0, 255], [255, 255, 255]]
    colour_key = saved(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG", transparency=(9, 8, 7))
    assert decode(colour_key)[0, 0].tolist() == [255, 255, 255]
    assert decode(saved(rgba, "WEBP", lossless=True))[0, 1].tolist() == [255, 255, 255]


def test_bad_D7_one_bit() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for image_format in ("PNG", "TIFF", "BMP"):
        assert decode(saved(image, image_format))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_bad_D8_exif_orientation(turned: int, order: str) -> None:
    upright = photo(24, 40)
    stored = _stored(upright, turned)
    png = with_chunk(of_every_format(stored)["PNG"], b"eXIf", exif(turned, order))
    assert np.array_equal(decode(png), upright)
    as_jpeg = jpeg_with_exif(jpeg(stored, 100), exif(turned, order))
    assert np.abs(decode(as_jpeg).astype(int) - upright).max() < 30
    webp = saved(Image.fromarray(stored), "WEBP", lossless=True, exif=exif(turned, order))
    assert np.array_equal(decode(webp), upright)
    as_tiff = saved(Image.fromarray(stored), "TIFF", tiffinfo={0x0112: turned})
    assert np.array_equal(decode(as_tiff), upright)
    for data in (png, as_jpeg, webp, as_tiff):
        assert (examine(data).width, examine(data).height) == (40, 24)
        small = decode_resized(data, 16, "shorter_side").astype(int)
        assert np.abs(small - decode_resized(of_every_format(upright)["PNG"], 16, "shorter_side")).max() < 30


def _stored(upright: np.ndarray, turned: int) -> np.ndarray:
    """How a camera held that way stores the picture (EXIF 2.3, figure 5)."""
    pixels = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[turned]
    return np.ascontiguousarray(pixels)


LOOP = b"MM\0*\0\0\0\x08\0\x01\x87\x69\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\x08"  # its sub-directory is itself


BAD_EXIF = [exif(0), exif(9), exif(65535), LOOP, b"", b"MM", b"II*\0\xff\xff\xff\xff", b"\0" * 500]


@pytest.mark.parametrize("body", BAD_EXIF)
def test_bad_D8_bad_exif_is_ignored(body: bytes) -> None:
    plain = jpeg()
    assert np.array_equal(decode(jpeg_with_exif(plain, body)), decode(plain))
    png = of_every_format()["PNG"]
    assert np.array_equal(decode(with_chunk(png, b"eXIf", body)), decode(png))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_bad_D9_animations_give_their_first_frame(image_format: str) -> None:
    data = animated(image_format)
    assert decode(data)[5, 5].tolist() == [255, 0, 0]
    assert examine(data).animated
    assert not examine(of_every_format()[image_format]).animated


def test_bad_D9_ten_thousand_frames_cost_no_more_than_one() -> None:
    data = endless_gif(10_000)
    assert examine(data).animated
    assert decode(data).shape == (4, 4, 3)


# -- D10 to D13: other formats, two formats at once, ballast, wrong names ----------------------------------------------

OTHERS = {
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/tmp/canary) (w) file\n%%EOF\n",
    "EPS of Windows": b"\xc5\xd0\xd3\xc6" + b"\0" * 40,
    "PDF": b"%PDF-1.7\n",
    "PSD": b"8BPS\0\1" + b"\0" * 40,
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "AVIF": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    "WMF": b"\xd7\xcd\xc6\x9a" + b"\0" * 40,
    "FPX": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    "SPIDER": struct.pack(">27f", *([1.0] * 27)) + b"\0" * 1000,
    "PCX": b"\x0a\x05\x01\x08" + b"\0" * 128,
    "PPM": b"P6 2 2 255\n" + b"\0" * 12,
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "ICO": b"\0\0\1\0\1\0" + b"\0" * 40,
}


@pytest.mark.parametrize("name", OTHERS)
def test_bad_D10_other_formats(name: str) -> None:
    error = refusal(OTHERS[name])
    assert error.code == 30101
    for readable in ("JPEG", "PNG", "GIF", "WebP", "BMP", "TIFF"):
        assert readable in error.details


def test_bad_D10_no_other_decoder_is_ever_loaded() -> None:
    """Every kind of file, good and bad, decoded by a process that then lists which of Pillow's plugins it has."""
    program = """
import sys
from luthier.data.decode import decode
from luthier.errors import LuthierError
from tests.data.pictures import of_every_format
from tests.data.test_bad_pictures import OTHERS
for data in [*of_every_format().values(), *OTHERS.values()]:
    try:
        decode(data)
    except LuthierError:
        pass
print(*(name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")))
"""
    root = Path(decode_module.__file__).parent.parent.parent
    said = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True).stdout
    plugins = {name.removeprefix("PIL.").removesuffix("ImagePlugin") for name in said.split()}
    assert plugins & {"Eps", "Psd", "Wmf", "Fpx", "Spider", "Pcx", "Pdf"} == set()


def test_bad_D11_polyglots_are_pictures() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.txt", "hello")
    html = b"<html><script>alert(1)</script></html>"
    for data in (
        jpeg() + html,
        jpeg_with_segment(jpeg(), 0xFE, html),
        of_every_format()["GIF"] + b"=1;alert(1)//",
        of_every_format()["PNG"] + archive.getvalue(),
    ):
        assert decode(data).shape == (48, 64, 3)


def test_bad_D12_damaged_colour_profile_and_ballast() -> None:
    png, plain = of_every_format()["PNG"], jpeg()
    megabytes = b"x" * (8 << 20)
    for data in (
        with_chunk(png, b"iCCP", b"broken\0\0not zlib at all"),
        with_chunk(png, b"iCCP", b"huge\0\0" + zlib.compress(megabytes * 4)),
        with_chunk(png, b"zTXt", b"Comment\0\0" + zlib.compress(megabytes * 4)),
        with_chunk(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + megabytes * 7),
        with_chunk(png, b"eXIf", megabytes),
    ):
        assert np.array_equal(decode(data), decode(png))
    profile = jpeg_with_segment(plain, 0xE2, b"ICC_PROFILE\0\x01\x05" + b"\xff" * 60000)
    comments = plain[:2] + (b"\xff\xfe\xff\xff" + b"c" * 65533) * 950 + plain[2:]  # 60 MB
    for data in (profile, comments):
        assert np.array_equal(decode(data), decode(plain))


@pytest.mark.parametrize("name", ["picture.txt", "picture.jpg", "picture"])
def test_bad_D13_the_content_decides_not_the_name(tmp_path: Path, name: str) -> None:
    with DecodeProcess() as helper:
        for image_format, data in of_every_format().items():
            (tmp_path / name).write_bytes(data)
            assert helper.check(tmp_path / name).format == image_format


# -- D15 to D18 --------------------------------------------------------------------------------------------------------


def test_bad_D15_the_same_bytes_have_the_same_hash(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(jpeg())
    with DecodeProcess() as helper:
        first, second = helper.check_many([tmp_path / "a", tmp_path / "b"])
    assert first == second and len(first.sha256) == 64


@pytest.mark.parametrize("seed", range(6))
def test_bad_D16_thousands_of_damaged_files_are_refused_or_decoded(seed: int) -> None:
    """Each decodes or says why not; nothing else is raised, nothing crashes."""
    random = np.random.default_rng(seed)
    files = list(of_every_format(photo(20, 24)).values())
    files += [saved(Image.fromarray(photo(20, 24)), "TIFF", compression=c) for c in ("tiff_lzw", "jpeg", "packbits")]
    for _ in range(60):
        for data in files:
            damaged = np.frombuffer(data, np.uint8).copy()
            places = random.integers(4, len(damaged), random.integers(1, 8))
            damaged[places] = random.integers(0, 256, len(places))
            for attempt in (lambda d: decode(d), lambda d: decode_resized(d, 8), lambda d: examine(d)):
                with contextlib.suppress(ImageDecodeError, UnsupportedFormat):
                    attempt(damaged.tobytes())


def test_bad_D17_bit_rot_is_found(tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(of_every_format()["PNG"])
    with DecodeProcess() as helper:
        before = helper.check(file)
        rotten = bytearray(file.read_bytes())
        rotten[len(rotten) // 2] ^= 4
        file.write_bytes(rotten)
        after = helper.check(file)
    assert before.ok and not after.ok
    assert after.code == 47104 and after.sha256 != before.sha256


def test_bad_D18_one_colour_one_pixel_fully_transparent() -> None:
    assert decode(saved(Image.new("RGB", (7, 5), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]] * 7] * 5
    for image_format in FORMATS:
        data = saved(Image.new("RGB", (1, 1), (255, 255, 255)), image_format)
        assert decode(data).tolist() == [[[255, 255, 255]]]
        assert decode_resized(data, 32, "shorter_side").tolist() == [[[255, 255, 255]] * 32] * 32
    assert decode(saved(Image.new("RGBA", (3, 3), (9, 9, 9, 0)), "PNG")).tolist() == [[[255, 255, 255]] * 3] * 3


def test_an_empty_file_is_invalid_bytes() -> None:
    with pytest.raises(InvalidBytes, match="empty"):
        decode(b"")
