from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pictures

from twinface.core.geometry import transform
from twinface.core.types import Box, Image, Landmarks, Quality
from twinface.vision.alignment import align
from twinface.vision.quality import NOSE_DEPTH, QualityLimits, assess, roll_of, sharpness, yaw_of

LAW = settings(max_examples=40, deadline=None)
EXAMPLES = Path(__file__).parents[2] / "examples"
CANONICAL = np.array([(46.98, 43.84), (100.83, 44.58), (74.07, 77.02), (48.02, 100.67), (96.46, 101.92)])
COLLINS = np.array([(203.9, 104.4), (247.6, 104.7), (224.8, 128.0), (205.2, 143.6), (243.7, 143.7)])
HOPPER = np.array([(224.3, 197.3), (306.8, 195.6), (265.4, 238.9), (229.8, 274.0), (304.4, 272.3)])
SHAPE = (400, 500)
BOX = Box(150, 100, 120, 160)
POINTS = CANONICAL + np.array([140, 110])


def head(yaw: float, roll: float = 0.0, size: float = 60.0, pitch: float = 0.0) -> Landmarks:
    """Landmarks of a solid head seen from afar, turned by degrees: yaw to the picture's right, roll clockwise."""
    width = (1.0 + 0.88) / 2
    solid = np.array([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0, 0.05, -NOSE_DEPTH * width), (-0.44, 0.5, 0), (0.44, 0.5, 0)])
    turn, nod, tilt = np.radians([yaw, pitch, roll])
    sideways = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    nodding = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    seen = (solid @ sideways.T @ nodding.T)[:, :2] * size
    plane = np.array([[np.cos(tilt), -np.sin(tilt), 250], [np.sin(tilt), np.cos(tilt), 200]])
    return Landmarks(transform(seen, plane))


def cloud(seed: int = 0, size: int = 150) -> NDArray[np.float32]:
    """A grey crop whose contrast is the same at all scales, as in natural scenes."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(np.random.default_rng(seed).normal(size=(size, size))) / frequency
    spectrum[0, 0] = 0
    field = np.fft.ifft2(spectrum).real
    return (128 + 40 * field / field.std()).clip(0, 255).astype(np.float32)


def coloured(grey: NDArray[np.float32]) -> Image:
    return np.repeat(np.rint(grey).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def softened(crop: NDArray[np.float32] | Image, sigma: float) -> NDArray[np.float32]:
    return cv2.GaussianBlur(np.asarray(crop, np.float32), (0, 0), sigma)


def judged(
    crop: Image | None = None, landmarks: Landmarks | None = None, box: Box = BOX, shape: tuple[int, int] = SHAPE
) -> Quality:
    return assess(landmarks or Landmarks(POINTS), coloured(cloud()) if crop is None else crop, shape, box)


@pytest.fixture(scope="module", params=[("collins.jpg", COLLINS), ("hopper.jpg", HOPPER)], ids=["collins", "hopper"])
def portrait(request: pytest.FixtureRequest) -> Image:
    name, points = request.param
    with Pictures.open(EXAMPLES / name) as opened:
        return align(np.asarray(opened.convert("RGB")), Landmarks(points), CANONICAL, 150)


class TestAssess:
    def test_an_ordinary_face_has_no_shortcoming(self) -> None:
        quality = judged()
        assert quality.reasons == ()
        assert quality.usable

    def test_it_measures_what_it_says(self) -> None:
        crop = coloured(np.tile(np.float32([100, 140]), (150, 75)))
        quality = judged(crop)
        assert quality.eye_distance == pytest.approx(np.hypot(53.85, 0.74), abs=1e-3)
        assert (quality.brightness, quality.contrast) == (120, 20)

    def test_brightness_weighs_colours_as_eyes_do(self) -> None:
        green, blue = (judged(np.full((150, 150, 3), colour, np.uint8)) for colour in ((0, 200, 0), (0, 0, 200)))
        assert green.brightness > 4 * blue.brightness

    @pytest.mark.parametrize(("eyes", "reasons"), [(11.9, ("too small",)), (12.1, ()), (300.0, ())])
    def test_eyes_close_together_are_too_small_a_face(self, eyes: float, reasons: tuple[str, ...]) -> None:
        small = Landmarks((POINTS - POINTS[0]) * eyes / 53.855 + (5, 5))
        assert judged(landmarks=small, box=Box(0, 0, 20, 20), shape=(1000, 1000)).reasons == reasons

    @pytest.mark.parametrize(
        ("yaw", "reasons"), [(0, ()), (50, ()), (-50, ()), (60, ("profile",)), (-75, ("profile",))]
    )
    def test_a_face_turned_far_sideways_is_a_profile(self, yaw: float, reasons: tuple[str, ...]) -> None:
        assert judged(landmarks=head(yaw)).reasons == reasons

    @pytest.mark.parametrize(("roll", "reasons"), [(45, ()), (-45, ()), (70, ("tilted",)), (-70, ("tilted",))])
    def test_only_an_extreme_tilt_is_a_shortcoming(self, roll: float, reasons: tuple[str, ...]) -> None:
        assert judged(landmarks=head(0, roll)).reasons == reasons

    def test_a_face_upside_down_is_tilted(self) -> None:
        assert judged(landmarks=head(0, 180)).reasons == ("tilted",)

    @pytest.mark.parametrize(
        ("grey", "reason"),
        [(cloud() * 0.15, "too dark"), (cloud() * 0.05 + 240, "too bright"), (cloud() * 0.2 + 100, "low contrast")],
    )
    def test_light_that_hides_the_face_is_named(self, grey: NDArray[np.float32], reason: str) -> None:
        assert reason in judged(coloured(grey)).reasons

    def test_a_blurred_crop_is_named(self) -> None:
        crop = coloured(softened(cloud(), 5))
        assert judged(crop).reasons == ("blurred",)

    @pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
    def test_a_landmark_outside_the_picture_means_cut_off(self, edge: str) -> None:
        shift = {"left": (-190, 0), "top": (0, -157), "right": (262, 0), "bottom": (0, 190)}[edge]
        moved = POINTS + shift
        box = Box(200, 100, 90, 90)
        assert judged(landmarks=Landmarks(moved), box=box).reasons == ("cut off",)

    @pytest.mark.parametrize(
        ("box", "reasons"),
        [
            (Box(0, 0, 500, 400), ()),
            (Box(-29, 0, 100, 100), ()),
            (Box(-31, 0, 100, 100), ("cut off",)),
            (Box(430, 330, 100, 100), ("cut off",)),
            (Box(-20, -20, 100, 100), ("cut off",)),
            (Box(900, 900, 10, 10), ("cut off",)),
        ],
    )
    def test_too_much_of_the_box_outside_the_picture_means_cut_off(self, box: Box, reasons: tuple[str, ...]) -> None:
        assert judged(box=box).reasons == reasons

    def test_every_shortcoming_is_named_in_a_fixed_order(self) -> None:
        black = np.zeros((150, 150, 3), np.uint8)
        quality = judged(black, head(80, 70, size=5), Box(-50, 0, 60, 60))
        assert quality.reasons == (
            "too small",
            "cut off",
            "profile",
            "tilted",
            "too dark",
            "low contrast",
            "blurred",
        )

    def test_the_limits_can_be_chosen(self) -> None:
        strict = QualityLimits(eye_distance=100, yaw=5, dark=200)
        quality = assess(head(20), coloured(cloud()), SHAPE, BOX, strict)
        assert quality.reasons == ("too small", "profile", "too dark")

    def test_landmarks_that_coincide_still_give_numbers(self) -> None:
        quality = judged(landmarks=Landmarks(np.full((5, 2), 50.0)))
        assert np.isfinite([quality.yaw, quality.roll, quality.eye_distance]).all()
        assert quality.reasons == ("too small",)


class TestYaw:
    @given(st.floats(-85, 85), st.floats(-180, 180), st.floats(5, 500))
    @LAW
    def test_the_turn_of_a_solid_head_is_recovered_at_any_tilt_and_size(
        self, yaw: float, roll: float, size: float
    ) -> None:
        assert yaw_of(head(yaw, roll, size)) == pytest.approx(yaw, abs=0.1)

    @given(st.floats(-70, 70), st.floats(-20, 20))
    @LAW
    def test_nodding_hardly_changes_it(self, yaw: float, pitch: float) -> None:
        assert yaw_of(head(yaw, pitch=pitch)) == pytest.approx(yaw, abs=9)

    @given(st.floats(-80, 80), st.floats(-30, 30))
    @LAW
    def test_the_mirror_image_looks_the_other_way(self, yaw: float, roll: float) -> None:
        face = head(yaw, roll)
        mirrored = Landmarks((face.points * (-1, 1))[[1, 0, 2, 4, 3]])
        assert yaw_of(mirrored) == pytest.approx(-yaw_of(face), abs=1e-3)

    def test_a_nose_to_the_right_is_positive(self) -> None:
        right = CANONICAL.copy()
        right[2, 0] += 15
        assert yaw_of(Landmarks(right)) > 20

    def test_the_mean_face_looks_straight_ahead(self) -> None:
        assert abs(yaw_of(Landmarks(CANONICAL))) < 3

    def test_a_nose_beyond_eyes_that_fall_together_is_a_full_profile(self) -> None:
        assert yaw_of(Landmarks([(50, 40), (50, 40), (80, 60), (50, 90), (50, 90)])) == pytest.approx(90)


class TestRoll:
    @given(st.floats(-175, 175), st.floats(5, 500))
    @LAW
    def test_the_tilt_of_a_frontal_head_is_recovered(self, roll: float, size: float) -> None:
        assert roll_of(head(0, roll, size)) == pytest.approx(roll, abs=0.1)

    @given(st.floats(-80, 80), st.floats(-60, 60))
    @LAW
    def test_a_sideways_turn_does_not_change_it(self, yaw: float, roll: float) -> None:
        assert roll_of(head(yaw, roll)) == pytest.approx(roll, abs=0.1)

    def test_clockwise_is_positive(self) -> None:
        assert roll_of(Landmarks([(0, 0), (10, 5), (4, 8), (-2, 12), (8, 17)])) > 0


class TestSharpness:
    def test_a_scene_of_equal_contrast_at_all_scales_is_about_one(self) -> None:
        assert np.mean([sharpness(cloud(seed)) for seed in range(20)]) > 0.85

    @given(st.integers(0, 1000))
    @LAW
    def test_it_falls_with_every_further_blur(self, seed: int) -> None:
        scene = cloud(seed)
        values = [sharpness(softened(scene, sigma)) for sigma in (0.6, 1, 2, 3, 4, 6)]
        assert values == sorted(values, reverse=True)
        assert values[-1] < 0.2

    @given(st.floats(0.1, 1), st.floats(-50, 50))
    @LAW
    def test_gain_and_offset_do_not_matter(self, gain: float, offset: float) -> None:
        scene = softened(cloud(), 1)
        assert sharpness(scene * np.float32(gain) + np.float32(offset)) == pytest.approx(sharpness(scene), rel=1e-3)

    @given(st.integers(0, 1000), st.floats(2, 10))
    @LAW
    def test_noise_makes_a_blurred_crop_no_sharper(self, seed: int, level: float) -> None:
        blurred = softened(cloud(seed), 4)
        noise = np.random.default_rng(seed).normal(0, level, blurred.shape).astype(np.float32)
        assert sharpness(blurred + noise) == pytest.approx(sharpness(blurred), abs=0.06)

    @pytest.mark.parametrize("size", [112, 160, 224, 256])
    def test_the_size_of_the_crop_hardly_matters(self, size: int) -> None:
        large = softened(cloud(3, 600), 6)
        one, other = (sharpness(cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)) for side in (150, size))
        assert other == pytest.approx(one, rel=0.1)

    @pytest.mark.parametrize("level", [0.0, 128.0, 255.0])
    def test_a_plain_area_is_not_sharp(self, level: float) -> None:
        assert sharpness(np.full((150, 150), level, np.float32)) == 0

    def test_the_middle_counts_more_than_the_corners(self) -> None:
        sharp, soft = cloud(), softened(cloud(), 5)
        middle = np.zeros((150, 150), bool)
        middle[20:130, 20:130] = True
        assert sharpness(np.where(middle, soft, sharp)) < 0.7 * sharpness(np.where(middle, sharp, soft))


class TestOnPortraits:
    def test_they_are_fit(self, portrait: Image) -> None:
        assert judged(portrait).reasons == ()

    @pytest.mark.parametrize("sigma", [4, 6])
    def test_strong_blur_is_noticed(self, portrait: Image, sigma: float) -> None:
        assert judged(np.asarray(np.rint(softened(portrait, sigma)), np.uint8)).reasons == ("blurred",)

    def test_strong_blur_is_noticed_under_noise_or_compression(self, portrait: Image) -> None:
        noise = np.random.default_rng(0).normal(0, 8, portrait.shape)
        soft = softened(portrait, 4)
        noisy = np.rint(soft + noise).clip(0, 255).astype(np.uint8)
        compressed = cv2.imdecode(cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)
        assert judged(noisy).reasons == ("blurred",)
        assert judged(np.asarray(compressed, np.uint8)).reasons == ("blurred",)

    def test_slight_blur_noise_and_dim_light_are_borne(self, portrait: Image) -> None:
        noise = np.random.default_rng(0).normal(0, 10, portrait.shape)
        for worse in (softened(portrait, 1.5), portrait + noise, portrait * 0.4, portrait * 0.5 + 110):
            assert judged(np.rint(worse).clip(0, 255).astype(np.uint8)).usable

    def test_a_twelfth_of_the_light_is_too_dark(self, portrait: Image) -> None:
        assert "too dark" in judged((portrait * 0.08).astype(np.uint8)).reasons
