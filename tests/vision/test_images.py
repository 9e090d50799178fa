"""Every kind of picture becomes upright RGB pixels or a one-line refusal; `test_sources.py` reads the bytes."""

import contextlib
import io
import os
import random
import sys
import threading
import types
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, features

from twinface.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedFormat
from twinface.vision import images
from twinface.vision.images import DecodeLimits, Picture, decode

ORIENTATION = 0x0112
STORED_AS = {  # how a camera stores the upright picture that carries each orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
needs_avif = pytest.mark.skipif("avif" not in features.get_supported_modules(), reason="this Pillow lacks AVIF")


def gradient(width: int = 48, height: int = 32) -> np.ndarray:
    """Red grows to the right, green downwards, blue falls along the diagonal: no turn leaves it unchanged."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.round(np.stack([x, y, 1 - (x + y) / 2], axis=-1) * 255).astype(np.uint8)


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(kind: str = "JPEG", **options: object) -> bytes:
    return stored(Image.fromarray(gradient()), kind, **options)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


def one_line(error: pytest.ExceptionInfo[ImageError]) -> str:
    message = str(error.value)
    assert message
    assert message.isprintable()
    assert len(message) < 500
    assert "0x" not in message
    return message


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds next to none."""
    blank = bytearray(stored(Image.new("L", (16, 16))))
    chunk = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + bytes(blank[24:29])
    blank[12:33] = chunk + zlib.crc32(chunk).to_bytes(4)
    return bytes(blank)


# what every picture has


def test_pixels_are_contiguous_read_only_rgb():
    picture = decode(smooth("PNG"))
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert not picture.pixels.flags.writeable
    assert np.array_equal(picture.pixels, gradient())
    assert picture.notes == ()


def test_a_picture_checks_its_pixels():
    with pytest.raises(ValueError, match=r"\(H, W, 3\), got float64 \(2, 2\)"):
        Picture(np.zeros((2, 2)), "x")


# sources


def test_a_picture_may_come_as_path_bytes_file_or_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(smooth("PNG"))
    content = path.read_bytes()
    with path.open("rb") as file:
        sources = {
            str(path): (str(path), path, os.fsencode(path) and path, file),
            "<bytes>": (content, bytearray(content), memoryview(content), memoryview(content + b"xx")[:-2]),
            "<file>": (io.BytesIO(content),),
            "<image>": (Image.open(io.BytesIO(content)), Image.fromarray(gradient())),
            "<array>": (gradient(),),
        }
        for name, several in sources.items():
            for source in several:
                picture = decode(source)
                assert picture.name == name
                assert np.array_equal(picture.pixels, gradient())


def test_the_ending_of_the_name_does_not_matter(tmp_path):
    path = tmp_path / "really-a-webp.jpg"
    path.write_bytes(smooth("WEBP", lossless=True))
    assert np.array_equal(decode(path).pixels, gradient())


def test_what_cannot_be_read_is_not_decoded(tmp_path):
    with pytest.raises(UnreadableImage, match=r"none\.jpg: no such file") as error:
        decode(tmp_path / "none.jpg")
    one_line(error)
    with pytest.raises(ImageTooLarge, match="more than 100 bytes, the limit"):
        decode(smooth(), limits=DecodeLimits(max_bytes=100))


# files that are no pictures, or damaged ones


@pytest.mark.parametrize(
    "content",
    [
        b"Dear diary,",
        b"BM is how this text begins, no bitmap",
        b"%PDF-1.7",
        b"<svg/>",
        b"\0",
        b"P7 x",
        b"\0\0\0\x18ftypmp42",
    ],
)
def test_what_is_no_picture_is_refused_by_its_content(tmp_path, content):
    path = tmp_path / "renamed.jpg"
    path.write_bytes(content)
    with pytest.raises(
        UnsupportedFormat, match=r"renamed\.jpg: not a picture TwinFace reads; it reads AVIF, BMP"
    ) as error:
        decode(path)
    one_line(error)


def test_formats_that_are_not_listed_are_refused():
    image = Image.fromarray(gradient())
    for kind in ("TGA", "ICO", "PCX", "SGI", "PDF", "EPS"):
        with pytest.raises(UnsupportedFormat, match="not a picture TwinFace reads"):
            decode(stored(image, kind))


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", pytest.param("AVIF", marks=needs_avif)]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_pictures_are_refused_whole(kind, share):
    content = stored(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)), kind)
    with pytest.raises(UnreadableImage, match=r"damaged or incomplete .*; get an intact copy") as error:
        decode(content[: int(len(content) * share)])
    one_line(error)


def test_truncated_progressive_jpeg():
    content = smooth(progressive=True)
    with pytest.raises(UnreadableImage, match="damaged or incomplete JPEG"):
        decode(content[: len(content) * 3 // 4])


@pytest.mark.parametrize("header", [b"P2 16 16 255\n", b"P3 16 16 255\n", b"P5 16 16 100\n", b"P6 16 16 65535\n"])
def test_slow_kinds_of_ppm_are_refused(header):
    with pytest.raises(UnsupportedFormat, match="PPM as plain text or of unusual depth; save it as PNG"):
        decode(header + b"1 " * 2000)


def test_a_closed_image_is_refused():
    image = Image.open(io.BytesIO(smooth()))
    image.close()
    with pytest.raises(UnreadableImage):
        decode(image)


def samples() -> dict[str, bytes]:
    colour = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010E] = "a description that makes the tag longer than four bytes"
    made = {
        "jpeg": smooth(exif=exif),
        "progressive": smooth(progressive=True, quality=60),
        "cmyk": stored(colour.convert("CMYK"), "JPEG"),
        "png": smooth("PNG", exif=exif),
        "palette": stored(colour.quantize(16), transparency=3),
        "apng": smooth("PNG", save_all=True, append_images=[colour.rotate(180)]),
        "webp": smooth("WEBP", exif=exif),
        "animation": smooth("WEBP", save_all=True, append_images=[colour.rotate(180)]),
        "gif": smooth("GIF", save_all=True, append_images=[colour.rotate(180)]),
        "bmp": smooth("BMP"),
        "tiff": smooth("TIFF", exif=exif),
        "lzw": smooth("TIFF", compression="tiff_lzw"),
        "ppm": smooth("PPM"),
        "mpo": smooth("MPO", save_all=True, append_images=[colour.rotate(180)]),
    }
    if "avif" in features.get_supported_modules():
        made["avif"] = smooth("AVIF", exif=exif)
    return made


@pytest.mark.parametrize("name", samples())
def test_random_damage_gives_a_picture_or_an_image_error(name):
    whole = samples()[name]
    chance = random.Random(name)
    limits = DecodeLimits(max_pixels=1_000_000)
    for _ in range(80):
        content = bytearray(whole)
        reach = len(content) if chance.random() < 0.5 else min(300, len(content))  # headers get more than their share
        for _ in range(chance.choice([1, 1, 2, 8])):
            content[chance.randrange(reach)] = chance.randrange(256)
        if chance.random() < 0.3:
            del content[chance.randrange(1, len(content)) :]
        elif chance.random() < 0.2:
            start = chance.randrange(len(content))
            del content[start : start + chance.randrange(1, 20)]
        with contextlib.suppress(ImageError):
            picture = decode(bytes(content), limits=limits)
            assert picture.pixels.shape[0] * picture.pixels.shape[1] <= limits.max_pixels


@pytest.mark.parametrize("name", samples())
def test_a_cut_off_file_never_gives_a_partial_picture(name):
    whole = samples()[name]
    pixels = decode(whole).pixels
    for length in range(0, len(whole), max(1, len(whole) // 150)):
        with contextlib.suppress(ImageError):  # what is cut off may be a later frame or the closing mark
            assert np.array_equal(decode(whole[:length]).pixels, pixels)


# sizes


def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for side in (10_000, 12_000, 20_000, 100_000):
        limits = DecodeLimits(max_pixels=10_000 * 10_000 - 1)
        with pytest.raises(ImageTooLarge, match=r"pixels.* limit") as error:
            decode(png_header(side, side), limits=limits)
        one_line(error)
    with pytest.raises(ImageTooLarge):
        decode(png_header(20_000, 20_000))


def test_the_size_limit_is_told():
    with pytest.raises(ImageTooLarge, match="48 x 32 pixels, the limit is 1,535 in all"):
        decode(smooth(), limits=DecodeLimits(max_pixels=48 * 32 - 1))
    assert decode(smooth(), limits=DecodeLimits(max_pixels=48 * 32)).pixels.shape == (32, 48, 3)
    with pytest.raises(ImageTooLarge):
        decode(gradient(), limits=DecodeLimits(max_pixels=48 * 32 - 1))
    with pytest.raises(ImageTooLarge):
        decode(Image.fromarray(gradient()), limits=DecodeLimits(max_pixels=48 * 32 - 1))


@pytest.mark.parametrize("size", [(1, 1), (15, 200), (200, 15)])
def test_pictures_too_small_for_a_face_are_refused(size):
    message = f"{size[0]} x {size[1]} pixels cannot hold a face; give a picture of at least 16 x 16"
    for source in (stored(Image.new("RGB", size)), np.zeros((size[1], size[0], 3), np.uint8), Image.new("RGB", size)):
        with pytest.raises(UnsupportedFormat, match=message) as error:
            decode(source)
        one_line(error)
    assert decode(stored(Image.new("RGB", (16, 16)))).pixels.shape == (16, 16, 3)


def test_pillows_own_limits_and_filters_are_left_alone():
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    decode(smooth())
    with pytest.raises(ImageTooLarge):
        decode(png_header(20_000, 20_000))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters


# colours


def test_a_jpeg_is_decoded_closely():
    assert difference(decode(smooth(quality=95)).pixels, gradient()) < 12


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_grey_and_colour_of_lossless_formats(kind, mode):
    image = Image.fromarray(gradient()).convert(mode)
    picture = decode(stored(image, kind))
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.notes == ()


def test_palette():
    image = Image.fromarray(gradient()).quantize(64)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        picture = decode(stored(image, kind))
        assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
        assert picture.notes == ()


def half_transparent() -> Image.Image:
    alpha = np.full((32, 48), 255, np.uint8)
    alpha[:, :16], alpha[:, 16:32] = 0, 128
    return Image.fromarray(np.dstack([gradient(), alpha]))


def on_white(image: Image.Image) -> np.ndarray:
    values = np.asarray(image.convert("RGBA")).astype(float)
    alpha = values[..., 3:] / 255
    return values[..., :3] * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_shown_on_white(mode):
    image = half_transparent().convert(mode)
    for source in (stored(image), stored(image, "TIFF"), image):
        picture = decode(source)
        assert np.abs(picture.pixels - on_white(image)).max() <= 1
        assert (picture.pixels[:, :16] == 255).all()
        assert picture.notes == ("transparent parts shown on white",)


def test_webp_and_array_alpha_are_shown_on_white():
    image = half_transparent()
    for source in (stored(image, "WEBP", lossless=True, exact=True), np.array(image)):
        picture = decode(source)
        assert np.abs(picture.pixels - on_white(image)).max() <= 1
        assert picture.notes == ("transparent parts shown on white",)


def test_opaque_alpha_deserves_no_note():
    picture = decode(stored(Image.fromarray(gradient()).convert("RGBA")))
    assert np.array_equal(picture.pixels, gradient())
    assert picture.notes == ()


@pytest.mark.parametrize("transparency", [5, bytes([255] * 5 + [0])], ids=["one entry", "a table"])
def test_transparent_palette_entries_are_shown_on_white(transparency):
    image = Image.fromarray(gradient()).quantize(16)
    chosen = np.asarray(image) == 5
    picture = decode(stored(image, transparency=transparency))
    assert (picture.pixels[chosen] == 255).all()
    assert np.array_equal(picture.pixels[~chosen], np.asarray(image.convert("RGB"))[~chosen])
    assert picture.notes == ("transparent parts shown on white",)


def test_a_transparent_colour_is_shown_on_white():
    grey = np.tile(np.arange(48, dtype=np.uint8), (32, 1))
    picture = decode(stored(Image.fromarray(grey), transparency=7))
    assert (picture.pixels[:, 7] == 255).all()
    assert (picture.pixels[:, 8] == 8).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    values = np.linspace(0, 65535, 48 * 32).astype(np.uint16).reshape(32, 48)
    for source in (stored(Image.fromarray(values), kind), Image.fromarray(values)):
        picture = decode(source)
        assert np.array_equal(picture.pixels[..., 0], np.round(values / 257).astype(np.uint8))
        assert np.array_equal(picture.pixels[..., 0], picture.pixels[..., 2])
        assert picture.notes == ("16-bit reduced to 8",)


def test_16_bit_colour_png():
    import cv2

    wide = gradient().astype(np.uint16) * 257
    content = cv2.imencode(".png", wide[..., ::-1])[1].tobytes()
    picture = decode(content)
    assert difference(picture.pixels, gradient()) <= 1
    assert picture.notes == ("16-bit reduced to 8",)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_refused(dtype):
    values = np.linspace(-1, 100_000, 48 * 32).astype(dtype).reshape(32, 48)
    for source in (stored(Image.fromarray(values), "TIFF"), Image.fromarray(values)):
        with pytest.raises(UnsupportedFormat, match="save it as 8-bit") as error:
            decode(source)
        one_line(error)


def test_cmyk_jpeg():
    picture = decode(stored(Image.fromarray(gradient()).convert("CMYK"), "JPEG", quality=95, subsampling=0))
    assert difference(picture.pixels, gradient()) < 12
    assert picture.notes == ("CMYK converted to RGB without its colour profile",)


def test_ycck_jpeg():
    # A CMYK file whose four planes hold YCbCr of the inks and no black, then marked as such (Adobe transform 2).
    planes = 255 - np.asarray(Image.fromarray(255 - gradient()).convert("YCbCr"))
    inks = Image.frombytes("CMYK", (48, 32), np.dstack([planes, np.zeros((32, 48), np.uint8)]).tobytes())
    content = bytearray(stored(inks, "JPEG", quality=98, subsampling=0))
    content[content.index(b"Adobe") + 11] = 2
    assert difference(decode(bytes(content)).pixels, gradient()) < 12


# orientation


def turned(orientation: int, kind: str, **options: object) -> bytes:
    image = Image.fromarray(gradient())
    method = STORED_AS[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return stored(image.transpose(method) if method is not None else image, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        pytest.param("AVIF", {"quality": 95, "subsampling": "4:4:4"}, marks=needs_avif),
    ],
    ids=str,
)
def test_all_orientations_give_the_upright_picture(orientation, kind, options):
    content = turned(orientation, kind, **options)
    for source in (content, Image.open(io.BytesIO(content))):
        picture = decode(source)
        allowed = 12 if kind in ("JPEG", "AVIF") else 0
        assert difference(picture.pixels, gradient()) <= allowed
        assert picture.pixels.flags.c_contiguous


def test_a_turn_is_noted():
    assert decode(turned(6, "JPEG")).notes == ("turned upright (EXIF orientation 6)",)
    assert decode(turned(1, "JPEG")).notes == ()


@pytest.mark.parametrize("value", [0, 9, 255])
def test_orientations_that_do_not_exist_are_ignored(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    assert np.array_equal(decode(smooth("PNG", exif=exif)).pixels, gradient())


DAMAGED_EXIF = {
    "no header": b"Exif\0\0garbage!",
    "cut off": b"Exif\0\0II",
    "offset out of reach": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "too few entries": b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
    "value out of reach": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x07\0\xff\0\0\0\x10\0\0\0\0\0\0\0",
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("damage", DAMAGED_EXIF)
def test_damaged_exif_costs_the_turn_not_the_picture(kind, damage):
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True}
    picture = decode(smooth(kind, exif=DAMAGED_EXIF[damage], **options))
    assert difference(picture.pixels, gradient()) < 12
    assert picture.notes == ("damaged EXIF ignored, shown as stored",)


# several frames


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", pytest.param("AVIF", marks=needs_avif)])
def test_the_first_of_several_frames_is_taken(kind):
    first = Image.new("RGB", (40, 40), (200, 30, 30))
    others = [Image.new("RGB", (40, 40), (30, 30, shade)) for shade in (100, 150, 200)]
    picture = decode(stored(first, kind, save_all=True, append_images=others))
    assert difference(picture.pixels, np.asarray(first)) < 6
    assert picture.notes == ("first frame of 4",)


def test_the_first_page_of_a_tiff_and_the_first_picture_of_an_mpo_are_taken():
    other = [Image.new("RGB", (40, 40), "blue")]
    for kind, note in (("TIFF", "first page of several"), ("MPO", "first picture of 2")):
        picture = decode(smooth(kind, save_all=True, append_images=other))
        assert difference(picture.pixels, gradient()) < 40
        assert picture.notes == (note,)


def test_frames_of_a_large_gif_are_not_counted(monkeypatch):
    monkeypatch.setattr(images, "_COUNTED_BYTES", 100)
    content = stored(
        Image.new("RGB", (40, 40)), "GIF", save_all=True, append_images=[Image.new("RGB", (40, 40), "red")]
    )
    assert decode(content).notes == ("first frame of several",)


# HEIC and AVIF

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_heic_without_the_plug_in_names_the_extra(monkeypatch, brand):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    content = HEIC[:8] + brand + HEIC[12:]
    with pytest.raises(UnsupportedFormat, match=r'HEIC needs a plug-in; pip install "twinface\[heif\]"') as error:
        decode(content)
    one_line(error)


def test_heic_is_handed_to_the_plug_in(monkeypatch):
    opener = (lambda file, name: Image.fromarray(gradient()), lambda prefix: True)
    stand_in = types.SimpleNamespace(register_heif_opener=lambda: monkeypatch.setitem(Image.OPEN, "HEIF", opener))
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    assert np.array_equal(decode(HEIC).pixels, gradient())


def test_a_damaged_heic_with_the_plug_in():
    pytest.importorskip("pillow_heif", reason="needs the heif extra")
    with pytest.raises(UnreadableImage):
        decode(HEIC)


def test_heic_with_the_plug_in():
    plugin = pytest.importorskip("pillow_heif", reason="needs the heif extra")
    plugin.register_heif_opener()
    picture = decode(smooth("HEIF", quality=95))
    assert difference(picture.pixels, gradient()) < 20


def test_avif_without_support_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.AvifImagePlugin", None)
    with pytest.raises(UnsupportedFormat, match="cannot read AVIF; pip install --upgrade pillow"):
        decode(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64))


# arrays


def test_arrays_are_copied_and_never_changed():
    array = gradient()
    picture = decode(array)
    assert not np.shares_memory(picture.pixels, array)
    array[:] = 0
    assert np.array_equal(picture.pixels, gradient())
    assert array.flags.writeable


@pytest.mark.parametrize("view", [lambda a: a[::-1], lambda a: a[:, ::2], np.asfortranarray, lambda a: a[..., ::-1]])
def test_views_of_arrays_become_contiguous(view):
    array = view(gradient())
    picture = decode(array)
    assert np.array_equal(picture.pixels, array)
    assert picture.pixels.flags.c_contiguous


def test_grey_and_rgba_arrays():
    grey = gradient()[..., 0]
    assert np.array_equal(decode(grey).pixels, np.dstack([grey] * 3))
    opaque = np.dstack([gradient(), np.full((32, 48), 255, np.uint8)])
    assert np.array_equal(decode(opaque[:, ::-1]).pixels, gradient()[:, ::-1])


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((32, 32, 3)), r"got float64 of shape \(32, 32, 3\); .*\* 255"),
        (np.full((32, 32, 3), np.nan, np.float32), "float32 .*holding NaN"),
        (np.zeros((32, 32, 3), np.int64), "got int64 .*astype"),
        (np.zeros((32, 32, 3), bool), "got bool"),
        (np.full((32, 32, 3), None), "got object"),
        (np.zeros((3, 32, 32), np.uint8), r"shape \(3, 32, 32\); use array.transpose"),
        (np.zeros((32, 32, 2), np.uint8), r"shape \(32, 32, 2\); reshape it"),
        (np.zeros((1, 32, 32, 3), np.uint8), r"shape \(1, 32, 32, 3\)"),
        (np.zeros(32, np.uint8), r"shape \(32,\)"),
        (np.zeros((), np.uint8), r"shape \(\)"),
        (np.zeros((0, 0, 3), np.uint8), "0 x 0 pixels cannot hold a face"),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else "",
)
def test_other_arrays_are_refused_with_what_was_given(array, said):
    with pytest.raises(UnsupportedFormat, match=said) as error:
        decode(array)
    one_line(error)


# threads


def test_many_threads_may_decode_at_once():
    content, results = turned(6, "PNG"), []
    filters = list(warnings.filters)

    def work() -> None:
        results.extend(np.array_equal(decode(content).pixels, gradient()) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 160
    assert warnings.filters == filters
