"""Whom a distillation loss follows, and the templates kept of it."""

import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from twinface.core.contract import write_contract  # noqa: E402
from twinface.errors import ModelNotFound, OutputError, RecipeError  # noqa: E402
from twinface.models.registry import find_encoder  # noqa: E402
from twinface.training import checkpoint  # noqa: E402
from twinface.training.augmentation import centre  # noqa: E402
from twinface.training.backbones import build  # noqa: E402
from twinface.training.checkpoint import Checkpoint  # noqa: E402
from twinface.training.crops import CropStore  # noqa: E402
from twinface.training.cutting import Cutter  # noqa: E402
from twinface.training.preprocessing import Preprocessing  # noqa: E402
from twinface.training.recipe import BackboneRecipe, DataRecipe, Recipe, ScheduleRecipe  # noqa: E402
from twinface.training.recipe_file import write_recipe  # noqa: E402
from twinface.training.sources import Shot  # noqa: E402
from twinface.training.start import EXPORT, installed_weights  # noqa: E402
from twinface.training.teacher import BATCH, Teacher, clean_templates, open_teacher  # noqa: E402
from twinface.vision.encoder import OnnxEncoder  # noqa: E402
from twinface.vision.session import Session  # noqa: E402

SIZE, MARGIN, DIMENSION = 64, 2, 8
COUNT = BATCH + 5
"""More crops than go through a teacher at once."""


pytestmark = pytest.mark.usefixtures("one_thread")


def teacher_of(seed=0):
    torch.manual_seed(seed)
    network = build("convolutions", DIMENSION, SIZE).to(memory_format=torch.channels_last)
    return Teacher(network, Preprocessing(SIZE, (127.5, 127.5, 127.5), 1 / 127.5))


@pytest.fixture
def teacher():
    return teacher_of()


def store_of(seed=0, name="crops.npy", count=COUNT):
    """Of patches of colour."""
    side = SIZE + 2 * MARGIN
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    pixels = coarse.repeat(side // 4, 1).repeat(side // 4, 2)
    shots = tuple(Shot(f"{number}.jpg", str(number), "", "folder") for number in range(count))
    return CropStore(pixels, shots, (), None, Path(name))


@pytest.fixture(scope="module")
def store():
    return store_of()


def fails(monkeypatch):
    monkeypatch.setattr(Teacher, "forward", lambda *_: pytest.fail("templates were computed anew"))


class TestTeacher:
    def test_templates_are_of_unit_length_and_take_no_gradient(self, teacher):
        found = teacher(torch.rand(3, 3, SIZE, SIZE) * 255)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
        assert not found.requires_grad
        assert not any(value.requires_grad for value in teacher.parameters())
        assert not teacher.network.training

    def test_a_mirrored_template_is_that_of_the_mirror_image_too(self, teacher):
        crops = torch.rand(3, 3, SIZE, SIZE) * 255
        found = teacher.mirrored(crops)
        torch.testing.assert_close(found, teacher.mirrored(crops.flip(3)))
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
        assert (teacher(crops) - teacher(crops.flip(3))).abs().max() > 1e-3
        wanted = teacher(crops) + teacher(crops.flip(3))
        torch.testing.assert_close(found, wanted / wanted.norm(dim=1, keepdim=True))

    def test_a_digest_tells_weights_apart_and_not_their_place_in_memory(self):
        assert teacher_of(0).digest() == teacher_of(0).digest() != teacher_of(1).digest()
        moved = teacher_of(0)
        moved.network.to(memory_format=torch.contiguous_format)
        assert moved.digest() == teacher_of(0).digest()


class TestCleanTemplates:
    def test_every_crop_has_the_template_of_itself_and_its_mirror_image(self, teacher, store, tmp_path):
        found = clean_templates(teacher, store, SIZE, tmp_path)
        assert (found.shape, found.dtype) == ((COUNT, DIMENSION), np.float32)
        crops = centre(torch.from_numpy(store.pixels), SIZE)
        np.testing.assert_allclose(found, teacher.mirrored(crops).numpy(), atol=1e-6)
        assert np.linalg.norm(found[0] - found[1]) > 1e-3

    def test_they_are_computed_once(self, teacher, store, tmp_path, monkeypatch):
        found = clean_templates(teacher, store, SIZE, tmp_path)
        fails(monkeypatch)
        again = clean_templates(teacher_of(), store_of(), SIZE, tmp_path)
        np.testing.assert_array_equal(again, found)
        assert again.dtype == np.float32

    @pytest.mark.parametrize(
        ("seed", "name"), [(1, "crops.npy"), (0, "others.npy")], ids=["another teacher", "other crops"]
    )
    def test_those_of_others_are_kept_apart(self, teacher, store, tmp_path, seed, name):
        clean_templates(teacher, store, SIZE, tmp_path)
        other_store = store if name == "crops.npy" else store_of(5, name)
        found = clean_templates(teacher_of(seed), other_store, SIZE, tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
        np.testing.assert_array_equal(
            found, clean_templates(teacher_of(seed), replace(other_store, path=Path("third.npy")), SIZE, tmp_path)
        )

    @pytest.mark.parametrize(
        "damage",
        [
            lambda _: b"",
            lambda content: content[:-1],
            lambda content: content[:100],
            lambda content: content.replace(b"(", b"[", 1),
            lambda content: b"PK\x03\x04" + content[4:],
            lambda content: content[:-4] + b"\x00\x00\xc0\x7f",
            lambda content: content[: -4 * DIMENSION] + bytes(4 * DIMENSION),
            lambda _: saved(np.full((2, DIMENSION), DIMENSION**-0.5, np.float32)),
            lambda _: saved(np.full((3, DIMENSION), DIMENSION**-0.5)),
            lambda _: saved(np.zeros((), np.float32)),
            lambda _: saved(np.ones(3, np.float32)),
            lambda _: pickle.dumps([1.0]),
        ],
        ids=[
            "empty", "cut off", "head cut off", "head garbled", "archive", "NaN", "zeros", "too few", "float64",
            "a number", "flat", "pickle",
        ],
    )  # fmt: skip
    def test_damaged_ones_are_made_anew(self, teacher, tmp_path, monkeypatch, damage):
        few = store_of(count=3)
        found = clean_templates(teacher, few, SIZE, tmp_path)
        (path,) = tmp_path.iterdir()
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        np.testing.assert_array_equal(clean_templates(teacher, few, SIZE, tmp_path), found)
        assert path.read_bytes() == whole
        fails(monkeypatch)
        np.testing.assert_array_equal(clean_templates(teacher, few, SIZE, tmp_path), found)

    def test_where_they_cannot_be_kept_that_is_said(self, teacher, tmp_path):
        with pytest.raises(OutputError, match="there is no folder"):
            clean_templates(teacher, store_of(count=2), SIZE, tmp_path / "missing")


def saved(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.fixture(scope="module")
def faces(examples):
    """Aligned crops of real portraits."""
    cutter = Cutter(DataRecipe(size=150, margin=0))
    photos = ("hopper.jpg", "hopper_reshoot.jpg", "collins.jpg")
    return np.stack([cutter.cut((examples / name).read_bytes(), "largest") for name in photos])


@pytest.fixture(scope="module")
def shipped():
    return open_teacher("resnet29")


class TestOpening:
    @pytest.mark.parametrize("mirror", [False, True])
    def test_a_shipped_encoder_s_templates_are_those_users_get(self, shipped, faces, mirror):
        entry, contract = find_encoder("resnet29")
        encoder = OnnxEncoder(contract, Session(entry.path, contract.sha256), mirror=mirror)
        crops = centre(torch.from_numpy(faces), 150)
        found = shipped.mirrored(crops) if mirror else shipped(crops)
        assert np.linalg.norm(found.numpy() - encoder.encode(list(faces)), axis=1).max() < 5e-3
        assert (found[0] - found[1]).norm() < (found[0] - found[2]).norm()  # one person, two persons

    def test_so_are_dlib_s(self, shipped, faces):
        try:
            installed_weights()
        except ModelNotFound:
            pytest.skip("needs face_recognition_models (dev extra)")
        crops = centre(torch.from_numpy(faces[:2]), 150)
        assert (open_teacher("dlib")(crops) - shipped(crops)).norm(dim=1).max() < 5e-3

    def test_a_folder_named_dlib_is_not_taken_for_a_run(self, tmp_path, monkeypatch):
        (tmp_path / "dlib").mkdir()
        monkeypatch.chdir(tmp_path)

        def found():
            raise LookupError("where dlib's weights are installed")

        monkeypatch.setattr("twinface.training.start.installed_weights", found)
        with pytest.raises(LookupError, match="installed"):
            open_teacher("dlib")

    def test_a_run_teaches_with_its_best_weights_and_its_own_preprocessing(self, tmp_path):
        recipe = Recipe(
            "run",
            data=DataRecipe(crop="whole", size=80, margin=0),
            backbone=BackboneRecipe("convolutions", DIMENSION, SIZE),
            schedule=ScheduleRecipe(epochs=1),
        )
        (tmp_path / "recipe.toml").write_text(write_recipe(recipe))
        (tmp_path / "checkpoints").mkdir()
        tensors = {f"{EXPORT}{name}": value for name, value in teacher_of(3).network.state_dict().items()}
        checkpoint.save(Checkpoint(1, 1.0, tensors, {}), tmp_path / "checkpoints", "best")
        found = open_teacher(str(tmp_path))
        assert found.digest() == teacher_of(3).digest()
        crops = torch.rand(2, 3, 80, 80) * 255
        torch.testing.assert_close(found(crops), teacher_of(3)(crops))
        assert found(crops).shape == (2, DIMENSION)

    def test_a_contract_s_preprocessing_is_obeyed(self, tmp_path):
        entry, contract = find_encoder("resnet29")
        own = replace(contract, name="own", size=120, mean=(1.0, 2.0, 3.0), scale=0.5)
        (tmp_path / own.file).symlink_to(entry.path)
        (tmp_path / "own.json").write_text(write_contract(own))
        prepare = open_teacher(str(tmp_path / "own.json")).preprocessing
        found = prepare(torch.full((1, 3, 150, 150), 11.0))
        assert found.shape == (1, 3, 120, 120)
        torch.testing.assert_close(found.mean((0, 2, 3)), torch.tensor([5.0, 4.5, 4.0]))

    def test_an_unknown_name_and_a_folder_that_is_no_run_are_refused(self, tmp_path):
        with pytest.raises(ModelNotFound, match="no model named 'nobody'"):
            open_teacher("nobody")
        with pytest.raises(RecipeError, match=r"recipe\.toml"):
            open_teacher(str(tmp_path))
