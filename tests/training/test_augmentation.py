"""Crops are spoiled as the options say, and alike in one process and many."""

import io
import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.training.augmentation import (  # noqa: E402
    LUMINANCE,
    PLAIN,
    AugmentationOptions,
    augment,
    centre,
    draw,
)
from twinface.training.cutting import Cutter  # noqa: E402
from twinface.training.recipe import DataRecipe  # noqa: E402

SIZE, MARGIN = 64, 8
SIDE = SIZE + 2 * MARGIN

EVERYTHING = AugmentationOptions(
    **dict.fromkeys(("mirror", "low_resolution", "blur", "jpeg", "grey", "noise", "occlusion"), 0.7)
)
"""Most pictures of a batch meet most steps."""


pytestmark = pytest.mark.usefixtures("one_thread")


def chances(count=1, seed=0, **options):
    """Of a batch to which nothing happens but what the options say."""
    return draw(replace(PLAIN, **options), count, np.random.default_rng(seed))


def spoilt(pictures, size=SIZE, seed=0, **options):
    return augment(pictures, chances(len(pictures), seed, **options), size)


def uniform(level, count=1, side=SIDE):
    return torch.full((count, side, side, 3), level, dtype=torch.uint8)


def random_pictures(count, side=SIDE, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def smooth_pictures(count, side=SIDE, seed=0):
    """Patches of random colours, as far from 0 and 255 as no step but the light's clips them."""
    coarse = np.random.default_rng(seed).uniform(60, 190, (count, 3, 5, 5)).astype(np.float32)
    patches = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(side, side), mode="bilinear")
    return patches.permute(0, 2, 3, 1).round().to(torch.uint8).contiguous()


def blob(x, y, side=SIDE):
    """A dark picture with one bright dot; pixel centres lie at whole numbers plus a half."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    dot = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.5**2))
    return torch.from_numpy(np.rint(dot)[..., None].repeat(3, 2).astype(np.uint8))


def centroid(crop):
    """Where the dot of (3, S, S) lies, x and y in pixels."""
    weights = crop[0].double().numpy()
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.fixture(scope="module")
def portrait(examples):
    """The aligned crop of a real face, uint8 (150, 150, 3)."""
    cut = Cutter(DataRecipe(size=150, margin=0)).cut((examples / "hopper.jpg").read_bytes(), "largest")
    return torch.from_numpy(np.array(cut))


class TestOptions:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"mirror": -0.01}, {"mirror": 1.01}, {"rotation": 181.0}, {"zoom": 1.0}, {"shift": math.nan},
            {"low_resolution": 2.0}, {"smallest": 0.0}, {"smallest": 1.5}, {"blur_sigma": 51.0}, {"jpeg_quality": 0},
            {"jpeg_quality": 96}, {"gamma": 3.1}, {"noise_sigma": 256.0}, {"occluded": 1.1}, {"grey": math.inf},
        ],
    )  # fmt: skip
    def test_numbers_outside_their_range_are_refused_by_name(self, wrong):
        (name,) = wrong
        with pytest.raises(ValueError, match=name):
            AugmentationOptions(**wrong)

    @given(
        seed=st.integers(0, 2**32 - 1), rotation=st.floats(0, 180), zoom=st.floats(0, 0.9), shift=st.floats(0, 1),
        smallest=st.floats(0.01, 1), blur_sigma=st.floats(0, 50), quality=st.integers(1, 95), level=st.floats(0, 1),
        occluded=st.floats(0, 1), noise_sigma=st.floats(0, 255),
    )  # fmt: skip
    @settings(max_examples=60, deadline=None)
    def test_what_is_drawn_stays_within_what_the_options_promise(
        self, seed, rotation, zoom, shift, smallest, blur_sigma, quality, level, occluded, noise_sigma
    ):
        options = AugmentationOptions(
            rotation=rotation, zoom=zoom, shift=shift, smallest=smallest, blur_sigma=blur_sigma, jpeg_quality=quality,
            brightness=level, contrast=level, gamma=level, tint=level, occluded=occluded, noise_sigma=noise_sigma,
        )  # fmt: skip
        drawn = draw(options, 24, np.random.default_rng(seed))
        turn = drawn.warp[:, :, :2].astype(float)
        scale = 1 / np.sqrt(np.abs(np.linalg.det(turn)))
        assert (np.abs(scale - 1) <= zoom + 1e-3).all()
        assert (np.abs(drawn.warp[:, :, 2]) <= 2 * shift + 1e-6).all()
        cosine = (turn[:, 1, 1] * scale).clip(-1, 1)
        assert (np.degrees(np.arccos(cosine)) <= rotation + 0.1).all()
        assert ((drawn.side >= smallest * (1 - 1e-6)) & (drawn.side <= 1)).all()
        assert ((drawn.sigma >= 0) & (drawn.sigma <= blur_sigma + 1e-5)).all()
        compressed = drawn.quality[drawn.quality > 0]
        assert ((compressed >= quality - 1e-4) & (compressed <= 95)).all()
        brightness, contrast, gamma, *tint = drawn.light.T.astype(float)
        assert (np.abs(brightness) <= 255 * level + 1e-3).all()
        assert (np.abs(np.log(gamma)) <= level + 1e-5).all()
        for factor in (contrast, *tint):
            assert (np.abs(factor - 1) <= level + 1e-5).all()
        assert ((drawn.noise >= 0) & (drawn.noise <= noise_sigma)).all()
        assert ((drawn.cover >= 0) & (drawn.cover <= 1 + 1e-6)).all()
        assert (drawn.cover[:, 2:] - drawn.cover[:, :2] <= occluded + 1e-6).all()

    @pytest.mark.parametrize(
        ("share", "extent", "befell"),
        [
            ("mirror", {}, lambda drawn: drawn.warp[:, 0, 0] < 0),
            ("low_resolution", {"smallest": 0.5}, lambda drawn: drawn.side < 1),
            ("blur", {"blur_sigma": 2.0}, lambda drawn: drawn.sigma > 0),
            ("jpeg", {}, lambda drawn: drawn.quality > 0),
            ("grey", {}, lambda drawn: drawn.grey),
            ("noise", {"noise_sigma": 9.0}, lambda drawn: drawn.noise > 0),
            ("occlusion", {"occluded": 0.5}, lambda drawn: drawn.cover[:, 2] > drawn.cover[:, 0]),
        ],
    )
    def test_a_share_is_how_often_a_step_befalls_a_picture(self, share, extent, befell):
        count = 4000
        for wanted in (0.0, 0.3, 1.0):
            found = befell(chances(count, **{share: wanted}, **extent)).mean()
            assert found == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / count) + 1e-12), wanted


class TestPlain:
    @pytest.mark.parametrize(("side", "size"), [(SIDE, SIZE), (SIZE, SIZE), (31, 17), (178, 150)])
    def test_nothing_changes(self, side, size):
        pictures = random_pictures(3, side)
        found = augment(pictures, chances(3), size)
        assert (found.shape, found.dtype) == ((3, 3, size, size), torch.float32)
        assert (found - centre(pictures, size)).abs().max() <= 0.01

    def test_the_centre_is_the_picture_without_its_margin(self):
        pictures = random_pictures(2)
        crops = centre(pictures, SIZE)
        assert torch.equal(crops, pictures[:, MARGIN:-MARGIN, MARGIN:-MARGIN].permute(0, 3, 1, 2).float())

    def test_pictures_are_left_alone(self):
        pictures = random_pictures(8)
        before = pictures.clone()
        augment(pictures, draw(EVERYTHING, 8, np.random.default_rng(0)), SIZE)
        assert torch.equal(pictures, before)


class TestGeometry:
    def test_the_mirror_image_is_the_picture_flipped(self):
        pictures = random_pictures(2)
        found = spoilt(pictures, mirror=1.0)
        assert (found - centre(pictures, SIZE).flip(3)).abs().max() <= 0.01

    @pytest.mark.parametrize("seed", range(6))
    def test_a_dot_of_the_picture_comes_to_lie_where_its_map_says(self, seed):
        drawn = chances(1, seed, mirror=0.5, rotation=40.0, zoom=0.2, shift=0.1)
        there = np.array([SIDE / 2 + 9, SIDE / 2 - 6])
        crop = augment(blob(*there)[None], drawn, SIZE)[0]
        x, y = (centroid(crop) - SIZE / 2) / (SIZE / 2)  # in the crop's unit square
        back = drawn.warp[0].astype(float) @ np.array([x, y, 1.0]) * SIZE / 2 + SIDE / 2
        assert np.linalg.norm(back - there) < 0.1

    def test_turning_keeps_the_distance_from_the_middle_and_goes_either_way(self):
        angles = []
        for seed in range(12):
            crop = spoilt(blob(SIDE / 2 + 20, SIDE / 2)[None], seed=seed, rotation=30.0)[0]
            x, y = centroid(crop) - SIZE / 2
            assert math.hypot(x, y) == pytest.approx(20, abs=0.1)
            angles.append(math.degrees(math.atan2(y, x)))
        assert -30 <= min(angles) < -10
        assert 10 < max(angles) <= 30

    def test_zoom_moves_dots_away_from_the_middle_or_towards_it(self):
        factors = []
        for seed in range(12):
            x, y = centroid(spoilt(blob(SIDE / 2 + 20, SIDE / 2)[None], seed=seed, zoom=0.2)[0]) - SIZE / 2
            assert y == pytest.approx(0, abs=0.05)
            factors.append(x / 20)
        assert 0.79 <= min(factors) < 0.93
        assert 1.07 < max(factors) <= 1.21

    def test_a_shift_moves_all_alike_and_no_farther_than_its_share_of_the_crop(self):
        places = [(SIDE / 2, SIDE / 2), (SIDE / 2 + 14, SIDE / 2 - 9)]
        moved = []
        for seed in range(12):
            found = [centroid(spoilt(blob(*place)[None], seed=seed, shift=0.1)[0]) + MARGIN - place for place in places]
            np.testing.assert_allclose(*found, atol=0.05)
            moved.append(found[0])
        assert 0.06 * SIZE < np.abs(moved).max() <= 0.1 * SIZE + 0.1

    def test_what_lies_in_the_margin_comes_into_view(self):
        picture = uniform(0)
        picture[:, :MARGIN] = 200
        assert spoilt(picture).max() <= 0.01
        assert max(spoilt(picture, seed=seed, shift=0.1).max() for seed in range(4)) > 150


def detail(crops):
    """Mean difference of neighbouring pixels."""
    return float((crops[..., 1:] - crops[..., :-1]).abs().mean())


class TestLoss:
    def test_low_resolution_keeps_size_and_brightness_and_loses_detail(self, portrait):
        drawn = chances(1)
        left = [
            augment(portrait[None], replace(drawn, side=np.array([side], np.float32)), 150)
            for side in (1.0, 0.5, 0.25, 0.16)
        ]
        for crop in left:
            assert crop.shape == (1, 3, 150, 150)
            assert float(crop.mean()) == pytest.approx(float(left[0].mean()), abs=1)
        details = [detail(crop) for crop in left]
        assert all(less < 0.9 * more for more, less in pairwise(details))

    def test_only_those_drawn_lose_detail(self, portrait):
        drawn = chances(16, low_resolution=0.5, smallest=0.2)
        found = augment(portrait.expand(16, -1, -1, -1), drawn, 150)
        plain = detail(centre(portrait[None], 150))
        for side, crop in zip(drawn.side, found, strict=True):
            assert (detail(crop) < 0.95 * plain) == (side < 1)

    @pytest.mark.parametrize("sigma", [0.8, 2.0, 4.0])
    def test_blur_spreads_a_dot_by_its_deviation_and_keeps_its_light(self, sigma):
        drawn = replace(chances(1), sigma=np.array([sigma], np.float32))
        dot = blob(SIDE / 2, SIDE / 2)[None]
        sharp, blurred = centre(dot, SIZE)[0], augment(dot, drawn, SIZE)[0]
        assert float(blurred.sum()) == pytest.approx(float(sharp.sum()), rel=1e-3)
        places = np.arange(SIZE) + 0.5 - SIZE / 2
        spread = [float((crop[0].sum(0).numpy() * places**2).sum() / crop[0].sum()) for crop in (sharp, blurred)]
        assert spread[1] - spread[0] == pytest.approx(sigma**2, rel=0.15)  # a Gaussian cut off has a bit less

    def test_a_uniform_picture_stays_so_to_its_edges(self):
        found = spoilt(uniform(90, side=SIZE), blur=1.0, blur_sigma=3.0, low_resolution=1.0, smallest=0.2)
        assert (found - 90).abs().max() <= 0.01

    @pytest.mark.parametrize("quality", [10, 20, 35, 50, 75])
    def test_jpeg_does_what_pillow_does(self, portrait, quality):
        drawn = replace(chances(1), quality=np.array([quality], np.float32))
        found = augment(portrait[None], drawn, 150)[0].permute(1, 2, 0).numpy()
        file, plain = io.BytesIO(), portrait.numpy().astype(float)
        PillowImage.fromarray(portrait.numpy()).save(file, "JPEG", quality=quality)
        pillow = np.asarray(PillowImage.open(file), float)
        lost = np.abs(pillow - plain).mean()
        assert np.abs(found - pillow).mean() < min(2.5, 0.5 * lost)
        assert np.abs(found - plain).mean() == pytest.approx(lost, rel=0.1)
        assert 0 <= found.min() <= found.max() <= 255

    def test_jpeg_fits_sides_that_are_no_multiple_of_its_blocks(self):
        for side in (16, 17, 31):
            found = spoilt(uniform(128, side=side), size=side, jpeg=1.0, jpeg_quality=30)
            assert (found - 128).abs().max() < 1

    def test_grey_pictures_have_equal_channels_of_the_eye_s_brightness(self):
        pictures = random_pictures(2)
        found = spoilt(pictures, grey=1.0)
        wanted = (centre(pictures, SIZE) * torch.tensor(LUMINANCE)[:, None, None]).sum(1)
        for channel in range(3):
            torch.testing.assert_close(found[:, channel], wanted, atol=0.01, rtol=0)


class TestLight:
    def lit(self, pictures, *light):
        drawn = replace(chances(1), light=np.array([light], np.float32))
        return augment(pictures, drawn, SIZE)

    def test_brightness_is_added(self):
        pictures = smooth_pictures(1)
        found = self.lit(pictures, 30, 1, 1, 1, 1, 1)
        torch.testing.assert_close(found, centre(pictures, SIZE) + 30, atol=0.01, rtol=0)

    def test_contrast_spreads_around_the_mean(self):
        pictures = smooth_pictures(1)
        crop, found = centre(pictures, SIZE), self.lit(pictures, 0, 1.3, 1, 1, 1, 1)
        assert float(found.mean()) == pytest.approx(float(crop.mean()), abs=0.01)
        assert float(found.std() / crop.std()) == pytest.approx(1.3, abs=1e-3)

    def test_gamma_moves_the_middle_and_leaves_black_and_white(self):
        pictures = uniform(0)
        pictures[:, :30], pictures[:, 30:50] = 255, 51
        found = self.lit(pictures, 0, 1, 0.5, 1, 1, 1)
        assert np.unique(found.round().numpy()).tolist() == [0, round(255 * 0.2**0.5), 255]

    def test_tint_is_a_factor_of_each_channel(self):
        found = self.lit(uniform(100), 0, 1, 1, 1.2, 1.0, 0.7)
        torch.testing.assert_close(found.mean((0, 2, 3)), torch.tensor([120.0, 100.0, 70.0]))

    def test_grey_levels_end_at_black_and_white(self):
        bright, dark = self.lit(uniform(200), 100, 1, 1, 1, 1, 1), self.lit(uniform(40), -100, 1, 1, 1, 1, 1)
        assert (float(bright.min()), float(dark.max())) == (255, 0)


class TestNoise:
    @pytest.mark.parametrize("sigma", [2.0, 12.0])
    def test_it_has_its_deviation_and_no_bias(self, sigma):
        drawn = replace(chances(4), noise=np.full(4, sigma, np.float32))
        grains = augment(uniform(128, 4), drawn, SIZE) - 128
        assert float(grains.std()) == pytest.approx(sigma, rel=0.02)
        assert abs(float(grains.mean())) < 4 * sigma / math.sqrt(grains.numel())

    def test_every_picture_and_channel_has_its_own(self):
        drawn = replace(chances(2), noise=np.full(2, 10, np.float32))
        grains = (augment(uniform(128, 2), drawn, SIZE) - 128).reshape(6, -1).numpy()
        correlations = np.corrcoef(grains) - np.eye(6)
        assert np.abs(correlations).max() < 0.1

    @pytest.mark.parametrize("level", [0, 255])
    def test_it_does_not_leave_the_grey_levels(self, level):
        drawn = replace(chances(1), noise=np.array([30], np.float32))
        found = augment(uniform(level), drawn, SIZE)
        assert (float(found.min()), float(found.max())) != (level, level)
        assert 0 <= float(found.min()) <= float(found.max()) <= 255


class TestOcclusion:
    def test_a_rectangle_of_one_colour_covers_its_share_and_nothing_else(self):
        pictures = random_pictures(1, SIZE)
        drawn = replace(
            chances(1),
            cover=np.array([[0.25, 0.5, 0.75, 0.625]], np.float32),
            paint=np.array([[10, 20, 30]], np.float32),
        )
        found = augment(pictures, drawn, SIZE)[0]
        left, top, right, bottom = 16, 32, 48, 40
        assert (found[:, top:bottom, left:right] == torch.tensor([10.0, 20.0, 30.0])[:, None, None]).all()
        found[:, top:bottom, left:right] = centre(pictures, SIZE)[0, :, top:bottom, left:right]
        assert (found - centre(pictures, SIZE)[0]).abs().max() <= 0.01

    def test_rectangles_drawn_cover_about_the_area_they_should(self):
        count, most = 200, 0.45
        found = spoilt(uniform(0, count, SIZE) + 7, occlusion=1.0, occluded=most)
        areas = ((found - 7).abs() > 0.01).any(1).float().mean((1, 2))
        assert float(areas.mean()) == pytest.approx((most * (0.15 + 1.0) / 2) ** 2, rel=0.15)
        assert float(areas.max()) <= (most + 1 / SIZE) ** 2
        assert float(areas.min()) > 0


STEPS = {
    "geometry": {"mirror": 0.5, "rotation": 10.0, "zoom": 0.1, "shift": 0.05},
    "low resolution": {"low_resolution": 0.7, "smallest": 0.2},
    "blur": {"blur": 0.7, "blur_sigma": 4.0},
    "light": {"brightness": 0.2, "contrast": 0.3, "gamma": 0.3, "tint": 0.1},
    "noise": {"noise": 0.7, "noise_sigma": 20.0},
    "grey": {"grey": 0.5},
    "occlusion": {"occlusion": 0.7, "occluded": 0.6},
    "jpeg": {"jpeg": 0.7, "jpeg_quality": 20},
}


class TestAlike:
    """What befalls a picture does not depend on which others are in its batch, nor on who works on it."""

    COUNT = 10

    @pytest.mark.parametrize("step", STEPS)
    def test_parts_taken_apart_equal_the_whole_and_order_does_not_matter(self, step):
        pictures, drawn = random_pictures(self.COUNT), chances(self.COUNT, 3, **STEPS[step])
        whole = augment(pictures, drawn, SIZE)
        assert not torch.equal(whole, centre(pictures, SIZE))
        order = np.random.default_rng(1).permutation(self.COUNT)
        for places in (order[:3], order[3:4], order[4:]):
            part = augment(pictures[torch.from_numpy(places)], drawn.take(places), SIZE)
            # jpeg may round a coefficient the other way where it lies in the middle
            apart = (part - whole[torch.from_numpy(places)]).abs()
            assert float(apart.mean() if step == "jpeg" else apart.max()) <= 2e-3

    def test_all_steps_together_do_so_too(self):
        pictures = smooth_pictures(self.COUNT)
        drawn = draw(EVERYTHING, self.COUNT, np.random.default_rng(2))
        whole = augment(pictures, drawn, SIZE)
        for part in (slice(0, 1), slice(1, 7), slice(7, None)):
            found = augment(pictures[part], drawn.take(part), SIZE)
            assert float((found - whole[part]).abs().mean()) <= 0.01

    @given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
    @settings(max_examples=10, deadline=None)
    def test_the_same_generator_gives_the_same_pictures(self, seed, count):
        pictures = smooth_pictures(count, 32)
        drawn = [draw(EVERYTHING, count, np.random.default_rng(seed)) for _ in range(2)]
        for field in fields(drawn[0]):
            np.testing.assert_array_equal(*(getattr(one, field.name) for one in drawn))
        assert torch.equal(*(augment(pictures, one, 24) for one in drawn))

    def test_another_generator_gives_others(self):
        pictures = smooth_pictures(4)
        first, second = (augment(pictures, draw(EVERYTHING, 4, np.random.default_rng(seed)), SIZE) for seed in (1, 2))
        assert (first - second).abs().mean() > 1


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 8, 9, 3), (8, 8, 3), (2, 8, 8, 1)])
def test_pictures_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected pictures of shape \(N, T, T, 3\)"):
        augment(torch.zeros(shape, dtype=torch.uint8), chances(shape[0]), 4)


@pytest.mark.parametrize(("count", "size"), [(3, 4), (2, 9), (2, 0)])
def test_chances_of_other_pictures_and_crops_beyond_them_are_refused(count, size):
    with pytest.raises(ValueError, match="2 pictures of side 8 do not go with"):
        augment(random_pictures(2, 8), chances(count), size)
