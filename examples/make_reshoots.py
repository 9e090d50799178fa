"""Makes the re-shoots and the montage in this folder from the two portraits beside it; needs Pillow only.

A re-shoot is the same photograph seen through another camera: another crop, tilt, perspective, light, focus and grain.
It is not a second photograph of the person; README.md says so too. Run it as `python examples/make_reshoots.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont

FOLDER = Path(__file__).resolve().parent
CAPTION = "Montage of two photographs: E. Collins (NASA), G. Hopper (US Navy)"


@dataclass(frozen=True)
class Reshoot:
    """How one portrait is photographed again.

    Attributes:
        original: file name of the portrait.
        tilt: degrees, positive = counter-clockwise, about the middle of the crop.
        crop: left, top, right, bottom in the tilted portrait, pixels.
        lean: how much shorter the right edge is than the left one, share of the height; negative = the left is shorter.
        width: of the result, pixels.
        lamp: side the light comes from, "left" or "right".
        shade: brightness of the darker side, share of the original.
        warmth: factors on red, green and blue.
        saturation: 1 = as it was.
        blur: radius of the Gaussian, pixels of the result.
        grain: strength of the noise, grey levels.
        quality: of the JPEG.
    """

    original: str
    tilt: float
    crop: tuple[int, int, int, int]
    lean: float
    width: int
    lamp: str
    shade: float
    warmth: tuple[float, float, float]
    saturation: float
    blur: float
    grain: int
    quality: int


RESHOOTS = {
    "collins_reshoot.jpg": Reshoot(
        original="collins.jpg",
        tilt=8.0,
        crop=(112, 22, 342, 272),
        lean=0.07,
        width=384,
        lamp="left",
        shade=0.55,
        warmth=(1.12, 1.02, 0.86),
        saturation=0.85,
        blur=1.5,
        grain=7,
        quality=82,
    ),
    "hopper_reshoot.jpg": Reshoot(
        original="hopper.jpg",
        tilt=-11.0,
        crop=(92, 62, 402, 392),
        lean=-0.07,
        width=352,
        lamp="right",
        shade=0.50,
        warmth=(0.90, 1.00, 1.10),
        saturation=0.65,
        blur=1.7,
        grain=8,
        quality=78,
    ),
}


def reshoot(portrait: Image.Image, how: Reshoot) -> Image.Image:
    """The portrait as another camera would have taken it, RGB."""
    left, top, right, bottom = how.crop
    middle = ((left + right) / 2, (top + bottom) / 2)
    picture = portrait.rotate(how.tilt, Image.Resampling.BICUBIC, center=middle).crop(how.crop)
    picture = _lean(picture, how.lean)
    height = round(how.width * picture.height / picture.width)
    picture = picture.resize((how.width, height), Image.Resampling.LANCZOS)
    picture = _light(picture, how.lamp, how.shade)
    picture = Image.merge(
        "RGB", [band.point(lambda v, f=factor: v * f) for band, factor in zip(picture.split(), how.warmth, strict=True)]
    )
    picture = ImageEnhance.Color(picture).enhance(how.saturation)
    picture = picture.filter(ImageFilter.GaussianBlur(how.blur))
    return _grain(picture, how.grain)


def montage(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two portraits side by side, the right one a little smaller, over a line that says what this is."""
    first = left.crop((72, 0, 352, 320)).resize((420, 480), Image.Resampling.LANCZOS)
    second = right.crop((32, 10, 487, 530)).resize((420, 480), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (840, 508), "white")
    picture.paste(first, (0, 0))
    picture.paste(second, (420, 0))
    font = ImageFont.load_default(15)
    ImageDraw.Draw(picture).text((420, 494), CAPTION, fill=(70, 70, 70), font=font, anchor="mm")
    return picture


def _lean(picture: Image.Image, lean: float) -> Image.Image:
    """A camera that stands a little to one side: a vertical edge is seen shorter, its outer parts cut away."""
    width, height = picture.size
    left, right = max(-lean, 0.0) * height / 2, max(lean, 0.0) * height / 2
    corners = (0, left, 0, height - left, width, height - right, width, right)
    return picture.transform(picture.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


def _light(picture: Image.Image, lamp: str, shade: float) -> Image.Image:
    ramp = Image.linear_gradient("L").rotate(90)
    if lamp == "left":
        ramp = ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ramp = ramp.resize(picture.size).point(lambda v: 255 * shade + (1 - shade) * v)
    return ImageChops.multiply(picture, Image.merge("RGB", [ramp] * 3))


def _grain(picture: Image.Image, strength: int) -> Image.Image:
    """Adds grey noise, the same at every run."""
    noise = Image.frombytes("L", picture.size, random.Random(0).randbytes(picture.width * picture.height))
    noise = noise.filter(ImageFilter.GaussianBlur(0.6)).point(lambda v: 128 + (v - 128) * strength / 64)
    return ImageChops.add(picture, Image.merge("RGB", [noise] * 3), offset=-128)


def main() -> None:
    for name, how in RESHOOTS.items():
        with Image.open(FOLDER / how.original) as portrait:
            picture = reshoot(portrait.convert("RGB"), how)
        picture.save(
            FOLDER / name,
            quality=how.quality,
            optimize=True,
            comment=f"Re-shoot made from {how.original} by make_reshoots.py; not a second photograph.",
        )
        print(f"{name}: {picture.width} x {picture.height}")
    with Image.open(FOLDER / "collins.jpg") as left, Image.open(FOLDER / "hopper.jpg") as right:
        picture = montage(left.convert("RGB"), right.convert("RGB"))
    picture.save(FOLDER / "two_faces.jpg", quality=85, optimize=True, comment=CAPTION)
    print(f"two_faces.jpg: {picture.width} x {picture.height}")


if __name__ == "__main__":
    main()
