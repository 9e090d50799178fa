"""The crop of one picture."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

pytest.importorskip("torch", reason="needs the train extra")

from twinface.models.registry import DEFAULT_ENCODER, find_encoder
from twinface.training.cutting import Cutter, template_points
from twinface.training.recipe import DataRecipe
from twinface.vision.detector import OnnxDetector


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference, grey levels."""
    return float(np.abs(one.astype(float) - other).mean())


@pytest.fixture(scope="module")
def plain():
    return Cutter(DataRecipe(size=150, margin=0))


@pytest.fixture(scope="module")
def portrait(examples):
    return (examples / "hopper.jpg").read_bytes()


class TestAligned:
    def test_a_crop_is_what_the_encoder_is_given_when_faces_are_compared(self, plain, portrait, recognizer):
        crop = plain.cut(portrait, "largest")
        assert (crop.shape, crop.dtype) == ((150, 150, 3), np.uint8)
        assert np.array_equal(crop, recognizer.locate(portrait).faces[0].crop)

    def test_a_margin_shows_more_around_the_same(self, plain, portrait):
        wide = Cutter(DataRecipe(size=150, margin=14))
        assert wide.side == 178
        assert apart(wide.cut(portrait, "largest")[14:-14, 14:-14], plain.cut(portrait, "largest")) < 1

    def test_another_size_shows_the_same_field_of_view(self, plain, portrait):
        small = Cutter(DataRecipe(size=75, margin=0)).cut(portrait, "largest")
        halved = cv2.resize(plain.cut(portrait, "largest"), (75, 75), interpolation=cv2.INTER_AREA)
        assert apart(small, halved) < 0.5 * min(apart(small[3:], halved[:-3]), apart(small[:, 3:], halved[:, :-3]))

    def test_the_face_in_the_middle_or_the_largest(self, plain, portrait, examples):
        other = np.asarray(PillowImage.open(examples / "collins.jpg").resize((160, 160)))
        canvas = np.full((480, 1300, 3), 128, np.uint8)
        canvas[160:320, 570:730] = other
        canvas[:480, :410] = np.asarray(PillowImage.open(io.BytesIO(portrait)).resize((410, 480)))
        crops = {choice: plain.cut(encoded(canvas), choice) for choice in ("central", "largest")}
        references = {"central": plain.cut(encoded(other), "largest"), "largest": plain.cut(portrait, "largest")}
        for choice, counterpart in (("central", "largest"), ("largest", "central")):
            assert apart(crops[choice], references[choice]) < 0.6 * apart(crops[choice], references[counterpart])

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (encoded(np.full((64, 64, 3), 90, np.uint8)), "no face found"),
            (b"GIF89a", "damaged or incomplete GIF picture"),
            (b"text", "not a picture TwinFace reads"),
            (b"", "empty, there are no bytes to read"),
            (encoded(np.zeros((4, 4, 3), np.uint8)), "4 x 4 pixels cannot hold a face"),
        ],
    )
    def test_a_picture_without_a_crop_has_a_reason(self, plain, content, said):
        why = plain.cut(content, "largest")
        assert isinstance(why, str)
        assert why.startswith(said)
        assert ";" not in why


class TestWhole:
    @pytest.mark.parametrize("shape", [(40, 60), (300, 16), (16, 300), (32, 32), (20, 16)])
    def test_a_picture_is_resized_whatever_its_proportions(self, shape):
        pixels = np.zeros((*shape, 3), np.uint8)
        pixels[: shape[0] // 2, :, 0] = 200
        pixels[:, shape[1] // 2 :, 2] = 200
        crop = Cutter(DataRecipe(crop="whole", size=32, margin=14)).cut(encoded(pixels), "largest")
        assert (crop.shape, crop.dtype) == ((32, 32, 3), np.uint8)
        for row, column, colour in [
            (0, 0, (200, 0, 0)),
            (0, 31, (200, 0, 200)),
            (31, 0, (0, 0, 0)),
            (31, 31, (0, 0, 200)),
        ]:
            assert crop[row, column].tolist() == list(colour)

    def test_shrinking_takes_the_mean(self):
        board = np.zeros((256, 256, 3), np.uint8)
        board[::2, ::2] = board[1::2, 1::2] = 200
        crop = Cutter(DataRecipe(crop="whole", size=32)).cut(encoded(board), "largest")
        assert np.unique(crop).tolist() == [100]

    def test_no_detector_is_asked_and_damage_has_a_reason(self, portrait, monkeypatch):
        monkeypatch.setattr(OnnxDetector, "__init__", lambda *_: pytest.fail("a detector was opened"))
        cutter = Cutter(DataRecipe(crop="whole", size=64))
        assert cutter.cut(portrait, "central").shape == (64, 64, 3)
        assert cutter.cut(b"text", "largest").startswith("not a picture")


def test_identity_tells_apart_what_cuts_otherwise():
    recipes = [
        DataRecipe(), DataRecipe(size=112), DataRecipe(margin=8), DataRecipe(size=146, margin=16),
        DataRecipe(crop="whole"), DataRecipe(crop="whole", size=64),
    ]  # fmt: skip
    assert len({Cutter(recipe).identity for recipe in recipes}) == len(recipes)
    same = DataRecipe(sources=("celeba",), root="elsewhere", validation=0.1, held_out=0.5, corrupt=0.9)
    assert Cutter(same).identity == Cutter(DataRecipe()).identity
    whole = [Cutter(DataRecipe(crop="whole", margin=margin)).identity for margin in (0, 9)]
    assert whole[0] == whole[1]


def test_template_points_scale_with_the_crop_and_make_way_for_the_margin():
    contract = find_encoder(DEFAULT_ENCODER)[1]
    assert template_points(contract, contract.size) == contract.points
    points = np.array(contract.points)
    np.testing.assert_allclose(template_points(contract, 2 * contract.size, 7), 2 * points + 7)
