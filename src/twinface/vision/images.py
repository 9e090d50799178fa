"""The one decode function: a picture of any accepted kind in, upright RGB pixels or a clear refusal out.

Pillow decodes, held to the formats below. Sizes are checked before any pixel is decoded, partial pictures are
refused, colour profiles are ignored.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from twinface.core.files import reason, shown
from twinface.core.types import Image
from twinface.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat
from twinface.vision.sources import DEFAULT_LIMITS, DecodeLimits, read_bytes

__all__ = ["DECODE_ERRORS", "DEFAULT_LIMITS", "READS", "DecodeLimits", "ImageSource", "Picture", "decode"]

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[np.uint8] | PillowImage.Image
"""A path, a picture file's bytes, a binary file object (read from its position on, never closed), an RGB (H, W, 3),
RGBA (H, W, 4) or grey (H, W) uint8 array, or a Pillow image."""

DECODE_ERRORS: tuple[type[Exception], ...] = (
    OSError,  # truncated or unidentified, decoder failures
    SyntaxError,  # broken headers
    ValueError,  # as well as UnicodeDecodeError
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow and its plug-ins raise on damaged files, beside `DecompressionBombError`."""

READS = "AVIF, BMP, GIF, HEIC, JPEG, MPO, PNG, PPM, TIFF, WebP"

_SIGNATURES = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),  # MPO too
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
    (re.compile(rb"BM.{12}[\x0c-\x7c]\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"P[1-6]\s"), "PPM"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_PLUGINS = {"WEBP": "WebPImagePlugin", "TIFF": "TiffImagePlugin", "AVIF": "AvifImagePlugin"}
"""Imported one by one: Pillow's own way would import all of its forty plug-ins."""

_PLAIN_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
_EXIF_ORIENTATION, _TIFF_BITS, _TIFF_PHOTOMETRIC = 0x0112, 258, 262
_UPRIGHT = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
_SIXTEEN_BIT = "16-bit reduced to 8"
_COUNTED_BYTES = 4 * 2**20
"""Frames of larger GIF files are not counted: that takes a walk through the whole file."""

_WARNING_FILTERS = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: RGB uint8, shape (H, W, 3), upright, C-contiguous, read-only.
        name: the path as given, a file object's name, or a word such as "<bytes>".
        notes: what the reader should know, for instance "first frame of 12".
    """

    pixels: Image
    name: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.flags.c_contiguous:
            raise ValueError(
                f"picture: expected contiguous uint8 of shape (H, W, 3), got {pixels.dtype} {pixels.shape}"
            )
        pixels.setflags(write=False)


def decode(source: ImageSource, *, limits: DecodeLimits = DEFAULT_LIMITS) -> Picture:
    """Decodes a picture, the first frame where it holds several.

    EXIF orientation is applied; transparent parts are shown on white; 16-bit grey is scaled to 8 bits.

    Args:
        source: see `ImageSource`. Arrays are copied, never changed; their channels are taken to be RGB.
        limits: what to refuse before decoding.

    Raises:
        UnreadableImage: missing, a directory, empty, damaged or incomplete.
        ImageTooLarge: more bytes or pixels than the limits allow; nothing was decoded.
        UnsupportedFormat: not a picture, a format, array or colour mode TwinFace does not read, or too small.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    notes: list[str] = []
    if isinstance(source, PillowImage.Image):
        name = str(getattr(source, "filename", "") or "<image>")
        return Picture(_pixels(source, name, limits, notes), name, tuple(notes))
    name, content = read_bytes(source, limits)
    kind = _kind(content)
    if kind is None:
        raise UnsupportedFormat(f"{shown(name)}: not a picture TwinFace reads; it reads {READS}")
    _load_plugin(kind, name)
    with _translated(name, kind, limits):
        with _quiet():
            image = PillowImage.open(io.BytesIO(content), formats=(kind,))
        if kind == "PPM" and getattr(image, "tile", [("",)])[0][0] != "raw":  # Pillow takes seconds a megapixel
            raise UnsupportedFormat(f"{shown(name)}: PPM as plain text or of unusual depth; save it as PNG")
        pixels = _pixels(image, name, limits, notes)
        if kind == "PNG" and content[24] == 16 and not image.mode.startswith("I"):
            notes.append(_SIXTEEN_BIT)
        notes += _frames(image, len(content))
    return Picture(pixels, name, tuple(notes))


def _pixels(image: PillowImage.Image, name: str, limits: DecodeLimits, notes: list[str]) -> Image:
    """Checks the size, then decodes, converts and turns; appends to `notes`."""
    _check_size(image.width, image.height, name, limits)
    with _translated(name, image.format or "Pillow", limits):
        with _quiet() if image.format == "TIFF" else nullcontext():  # loading reads its tags again
            image.load()
        rgb = _rgb(image, name, notes)
        orientation = _orientation(image, notes)
        if orientation in _UPRIGHT:
            rgb = rgb.transpose(_UPRIGHT[orientation])
            notes.append(f"turned upright (EXIF orientation {orientation})")
        pixels: Image = np.ascontiguousarray(rgb)
        return pixels


def _from_array(array: NDArray[np.uint8], limits: DecodeLimits) -> Picture:
    refusal = (
        "<array>: expected uint8 of shape (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey, "
        f"got {array.dtype} of shape {array.shape}"
    )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        channels_first = array.ndim == 3 and array.shape[0] in (3, 4)
        raise UnsupportedFormat(refusal + ("; use array.transpose(1, 2, 0)" if channels_first else "; reshape it"))
    _check_size(array.shape[1], array.shape[0], "<array>", limits)
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating):
            raise UnsupportedFormat(f"{refusal}; scale its values to 0..255, then array.astype('uint8')")
        if not np.isfinite(array).all():
            raise UnsupportedFormat(f"{refusal}, holding NaN or infinite values; mend what made them")
        raise UnsupportedFormat(f"{refusal}; for values in [0, 1] use (array * 255).round().astype('uint8')")
    notes: list[str] = []
    pixels: Image
    if array.ndim == 2:
        pixels = np.repeat(array[:, :, None], 3, axis=2)
    elif array.shape[2] == 4:
        pixels = np.ascontiguousarray(_rgb(PillowImage.fromarray(array), "<array>", notes))
    else:
        pixels = np.array(array, order="C")
    return Picture(np.ascontiguousarray(pixels), "<array>", tuple(notes))


def _kind(content: bytes) -> str | None:
    """Pillow's name of the format, told by the first bytes; None for anything else."""
    if content[4:8] == b"ftyp":
        length = min(int.from_bytes(content[:4]), 256)
        brands = {content[8:12]} | {content[at : at + 4] for at in range(16, length, 4)}
        return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None
    return next((kind for signature, kind in _SIGNATURES if signature.match(content)), None)


def _load_plugin(kind: str, name: str) -> None:
    if kind == "HEIF":
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except ImportError as error:
            raise UnsupportedFormat(
                f'{shown(name)}: HEIC needs a plug-in; pip install "twinface[heif]", or save it as JPEG'
            ) from error
    elif kind in _PLUGINS:
        try:
            supported = getattr(importlib.import_module(f"PIL.{_PLUGINS[kind]}"), "SUPPORTED", True)
        except ImportError:
            supported = False
        if not supported:
            raise UnsupportedFormat(
                f"{shown(name)}: Pillow {PIL.__version__} as installed here cannot read {kind}; "
                "pip install --upgrade pillow, or save it as JPEG"
            )


def _rgb(image: PillowImage.Image, name: str, notes: list[str]) -> PillowImage.Image:
    """Any mode to RGB."""
    if image.mode.startswith("I"):
        notes.append(_SIXTEEN_BIT)
        return _from_16_bit(image, name)
    if image.mode not in _PLAIN_MODES:
        raise UnsupportedFormat(
            f"{shown(name)}: colour mode {image.mode} is not one TwinFace reads; save it as 8-bit RGB"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] != 255:
            notes.append("transparent parts shown on white")
            rgba = PillowImage.alpha_composite(PillowImage.new("RGBA", rgba.size, "white"), rgba)
        return rgba.convert("RGB")
    if image.mode == "CMYK":
        notes.append("CMYK converted to RGB without its colour profile")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: PillowImage.Image, name: str) -> PillowImage.Image:
    tags = getattr(image, "tag_v2", None)
    plain = tags is None or (tags.get(_TIFF_BITS) in (16, (16,)) and tags.get(_TIFF_PHOTOMETRIC) == 1)
    values = np.asarray(image)
    if not plain or values.min() < 0 or values.max() > 0xFFFF:
        raise UnsupportedFormat(f"{shown(name)}: grey values of an unusual range; save it as 8-bit grey or RGB")
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 / 255 = 257, rounded to nearest
    return PillowImage.fromarray(grey).convert("RGB")


def _orientation(image: PillowImage.Image, notes: list[str]) -> int:
    """EXIF orientation, 1 where there is none; damaged EXIF costs the turn, not the picture."""
    try:
        with _quiet():
            exif = image.getexif()
            value = exif.get(_EXIF_ORIENTATION, 1)
            damaged = not exif and bool(image.info.get("exif"))
    except DECODE_ERRORS:
        value, damaged = 1, True
    if damaged:
        notes.append("damaged EXIF ignored, shown as stored")
    return value if isinstance(value, int) else 1


def _frames(image: PillowImage.Image, size: int) -> list[str]:
    """The note that tells of further frames."""
    if not getattr(image, "is_animated", False):
        return []
    if image.format == "TIFF" or (image.format == "GIF" and size > _COUNTED_BYTES):
        return ["first page of several" if image.format == "TIFF" else "first frame of several"]
    word = "picture" if image.format in ("MPO", "HEIF") else "frame"
    return [f"first {word} of {getattr(image, 'n_frames', 'several')}"]


def _check_size(width: int, height: int, name: str, limits: DecodeLimits) -> None:
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"{shown(name)}: {width} x {height} pixels, the limit is {limits.max_pixels:,} in all; "
            "make it smaller or raise max_pixels"
        )
    if min(width, height) < limits.min_side:
        raise UnsupportedFormat(
            f"{shown(name)}: {width} x {height} pixels cannot hold a face; "
            f"give a picture of at least {limits.min_side} x {limits.min_side}"
        )


@contextmanager
def _translated(name: str, kind: str, limits: DecodeLimits) -> Iterator[None]:
    """The edge: what Pillow raises becomes an ImageError."""
    try:
        yield
    except PillowImage.DecompressionBombError as error:
        raise ImageTooLarge(
            f"{shown(name)}: far more pixels than the limit of {limits.max_pixels:,}; make it smaller"
        ) from error
    except DECODE_ERRORS as error:
        cause = "its header is broken" if isinstance(error, UnidentifiedImageError) else reason(error)
        raise UnreadableImage(
            f"{shown(name)}: damaged or incomplete {kind} picture ({cause}); get an intact copy"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Pillow's warnings, whose matter is in the error or note; one thread at a time, filters are global."""
    with _WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
