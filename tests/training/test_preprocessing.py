"""What a network is given in training is what its contract has it given in use."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from torch import nn  # noqa: E402

from twinface.errors import ContractMismatch  # noqa: E402
from twinface.models.registry import DEFAULT_ENCODER, find_encoder  # noqa: E402
from twinface.training.augmentation import centre  # noqa: E402
from twinface.training.cutting import Cutter  # noqa: E402
from twinface.training.export import to_onnx, write_onnx  # noqa: E402
from twinface.training.preprocessing import (  # noqa: E402
    Preprocessing,
    contract_of,
    input_size,
    preprocessing,
)
from twinface.training.recipe import BackboneRecipe, DataRecipe, ExportRecipe, Recipe  # noqa: E402
from twinface.training.twin import Twin  # noqa: E402
from twinface.training.validation import embedder  # noqa: E402
from twinface.vision.alignment import align  # noqa: E402
from twinface.vision.encoder import OnnxEncoder  # noqa: E402
from twinface.vision.session import Session  # noqa: E402

SIZE, MARGIN, DIMENSION = 96, 8, 16
DIGEST = "0" * 64


def recipe_of(backbone="convolutions", size=0, export=None, **data):
    return Recipe(
        "tiny",
        data=DataRecipe(**{"size": SIZE, "margin": MARGIN} | data),
        backbone=BackboneRecipe(backbone, DIMENSION, size),
        export=export or ExportRecipe(),
    )


@pytest.fixture(scope="module")
def tiny():
    """A network that looks at colours and edges, and the ONNX model it is exported as."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, DIMENSION),
    ).eval()  # fmt: skip
    return network, to_onnx(network, torch.zeros(2, 3, SIZE, SIZE))


@pytest.fixture(scope="module")
def photos(examples):
    return [(examples / name).read_bytes() for name in ("hopper.jpg", "collins.jpg")]


@pytest.fixture(scope="module")
def stored(photos):
    """As the crop store keeps them, with a margin."""
    cutter = Cutter(DataRecipe(size=SIZE, margin=MARGIN))
    return torch.from_numpy(np.stack([cutter.cut(photo, "largest") for photo in photos]))


class TestGolden:
    """Templates by torch, as training has them, and by ONNX Runtime, as users have them."""

    @pytest.mark.parametrize("mirror", [False, True])
    @pytest.mark.parametrize("backbone", ["resnet29", "convolutions"])
    def test_a_portrait_has_the_same_template_by_both(self, tiny, stored, tmp_path, backbone, mirror):
        network, model = tiny
        recipe = recipe_of(backbone)
        contract = contract_of(recipe, file="tiny.onnx", sha256=write_onnx(model, tmp_path / "tiny.onnx"))
        encoder = OnnxEncoder(contract, Session(tmp_path / contract.file, contract.sha256), mirror=mirror)
        crops = centre(stored, SIZE)
        embed = embedder(Twin(network, unit=True), preprocessing(recipe), torch.device("cpu"), mirror)
        with torch.no_grad():
            wanted = embed(crops).numpy()
        found = encoder.encode([crop.astype(np.uint8) for crop in crops.permute(0, 2, 3, 1).numpy()])
        assert np.abs(found - wanted).max() <= 1e-4
        assert np.linalg.norm(wanted[0] - wanted[1]) > 1e-2  # two faces are told apart

    def test_a_network_of_smaller_input_sees_nearly_what_it_is_served(self, photos, stored):
        small = 64
        recipe = recipe_of(size=small)
        assert contract_of(recipe, file="tiny.onnx", sha256=DIGEST).size == small
        cutter = Cutter(DataRecipe(size=small, margin=0))
        served = torch.from_numpy(np.stack([cutter.cut(photo, "largest") for photo in photos]))
        mean, scale = torch.tensor([127.5, 127.5, 127.5])[:, None, None], 1 / 127.5
        shrunk = preprocessing(recipe)(centre(stored, SIZE)) / scale + mean
        served = centre(served, small)
        apart = (shrunk - served).abs().mean()
        for direction in (2, 3):
            assert apart < 0.4 * (shrunk - served.roll(1, direction)).abs().mean()
        assert apart < 5


class TestPreprocessing:
    def test_the_mean_is_subtracted_and_the_rest_scaled_by_channel(self):
        crops = torch.rand(2, 3, 5, 5) * 255
        found = Preprocessing(5, (10.0, 20.0, 30.0), 0.5)(crops)
        for channel, mean in enumerate((10.0, 20.0, 30.0)):
            torch.testing.assert_close(found[:, channel], (crops[:, channel] - mean) * 0.5)
        assert found.is_contiguous(memory_format=torch.channels_last)

    def test_larger_crops_are_shrunk_by_the_mean_of_what_they_replace(self):
        crops = torch.zeros(1, 3, 8, 8)
        crops[..., ::2] = 200
        found = Preprocessing(2, (0.0, 0.0, 0.0), 1.0)(crops)
        assert found.shape == (1, 3, 2, 2)
        torch.testing.assert_close(found, torch.full((1, 3, 2, 2), 100.0), atol=15, rtol=0)

    def test_it_adds_nothing_to_a_checkpoint(self):
        assert Preprocessing(5, (10.0, 20.0, 30.0), 0.5).state_dict() == {}

    @pytest.mark.parametrize(("size", "wanted"), [(0, SIZE), (64, 64)])
    def test_the_input_is_as_large_as_the_crops_or_as_the_backbone_wants(self, size, wanted):
        recipe = recipe_of(size=size)
        assert input_size(recipe) == wanted
        assert preprocessing(recipe)(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 3, wanted, wanted)

    def test_each_family_has_the_normalisation_its_contract_tells(self):
        for backbone, black, white in (("resnet29", -0.5, 0.6), ("resnet29-narrow", -0.5, 0.6), ("resnet18", -1, 1)):
            recipe = recipe_of(backbone)
            contract = contract_of(recipe, file="tiny.onnx", sha256=DIGEST)
            levels = torch.stack([torch.zeros(3, SIZE, SIZE), torch.full((3, SIZE, SIZE), 255.0)])
            found = preprocessing(recipe)(levels)
            mean = torch.tensor(contract.mean)[:, None, None]
            torch.testing.assert_close(found, (levels - mean) * contract.scale)
            assert found[0].mean() == pytest.approx(black, abs=0.1)
            assert found[1].mean() == pytest.approx(white, abs=0.1)


class TestContract:
    def test_it_says_what_the_recipe_says(self):
        export = ExportRecipe("other", mirror=False, licence="CC0-1.0", source="here")
        contract = contract_of(recipe_of(export=export), file="other.onnx", sha256=DIGEST)
        assert (contract.name, contract.file, contract.sha256) == ("other", "other.onnx", DIGEST)
        assert (contract.licence, contract.source, contract.mirror) == ("CC0-1.0", "here", False)
        assert (contract.size, contract.dimension, contract.channels) == (SIZE, DIMENSION, "RGB")

    def test_what_the_recipe_leaves_open_is_named(self):
        contract = contract_of(recipe_of(), file="tiny.onnx", sha256=DIGEST)
        assert (contract.name, contract.licence) == ("tiny", "unknown")
        assert contract.source == "trained with the recipe tiny"
        assert contract.mirror

    @pytest.mark.parametrize("size", [150, 75, 112])
    def test_aligned_crops_have_the_shipped_encoder_s_field_of_view(self, size):
        shipped = find_encoder(DEFAULT_ENCODER)[1]
        points = contract_of(recipe_of(crop="aligned", size=size), file="tiny.onnx", sha256=DIGEST).points
        np.testing.assert_allclose(points, np.array(shipped.points) * size / shipped.size)

    def test_a_resnet29_is_served_as_the_shipped_one(self):
        recipe = recipe_of("resnet29", size=150, export=ExportRecipe("resnet29", mirror=True))
        recipe = replace(recipe, backbone=replace(recipe.backbone, dimension=128))
        contract = contract_of(recipe, file="resnet29.onnx", sha256=find_encoder("resnet29")[1].sha256)
        assert contract.identity(True) == find_encoder("resnet29")[1].identity(True)

    @pytest.mark.parametrize("size", [64, 224])
    def test_whole_pictures_show_a_face_in_their_middle(self, size):
        points = np.array(contract_of(recipe_of(crop="whole", margin=0, size=size), file="t", sha256=DIGEST).points)
        left, right, nose, *mouth = points / size
        assert 0.35 < left[0] < nose[0] < right[0] < 0.65
        assert left[1] == pytest.approx(right[1], abs=0.01)
        assert left[1] < nose[1] < mouth[0][1] < 0.7
        assert mouth[0][0] < nose[0] < mouth[1][0]

    def test_a_face_laid_out_as_a_whole_picture_is_found_where_the_points_say(self, recognizer, photos):
        points = np.array(contract_of(recipe_of(crop="whole", margin=0, size=250), file="t", sha256=DIGEST).points)
        analysis = recognizer.locate(photos[1])
        picture = align(analysis.image, analysis.faces[0].landmarks, points, 250)
        file = io.BytesIO()
        PillowImage.fromarray(picture).save(file, "PNG")
        (face,) = recognizer.locate(file.getvalue()).faces
        assert np.abs(face.landmarks.points - points).max() < 5  # of 250 pixels

    @pytest.mark.parametrize("wrong", [{"sha256": "short"}, {"file": "../tiny.onnx"}])
    def test_what_no_contract_may_hold_is_refused(self, wrong):
        with pytest.raises(ContractMismatch):
            contract_of(recipe_of(), **{"file": "tiny.onnx", "sha256": DIGEST} | wrong)
