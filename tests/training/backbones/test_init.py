import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from twinface.errors import RecipeError  # noqa: E402
from twinface.training.backbones import NAMES, SMALLEST, build  # noqa: E402
from twinface.training.backbones.mobilefacenet import MobileFaceNet  # noqa: E402
from twinface.training.export import to_onnx, write_onnx  # noqa: E402
from twinface.vision.session import Session  # noqa: E402


@pytest.mark.parametrize("name", NAMES)
def test_every_name_builds_a_network_of_the_asked_dimension(name):
    with torch.device("meta"):
        embeddings = build(name, 24, 112)(torch.zeros(2, 3, 112, 112))
    assert embeddings.shape == (2, 24)
    assert embeddings.dtype == torch.float32


def test_names_tell_networks_apart():
    with torch.device("meta"):
        counts = {name: sum(weight.numel() for weight in build(name, 24).parameters()) for name in NAMES}
    assert len(set(counts.values())) == len(NAMES)
    assert counts["resnet18"] < counts["resnet34"] < counts["resnet50"] < counts["resnet101"] < counts["resnet152"]


def test_narrow_resnet29_is_small():
    with torch.device("meta"):
        assert sum(weight.numel() for weight in build("resnet29-narrow", 128).parameters()) == 1_158_816


def test_mobilefacenet_is_built_for_the_size_asked_for_and_112_else():
    with torch.device("meta"):
        assert build("mobilefacenet", 8, 64).size == 64
        assert build("mobilefacenet", 8).size == 112


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match=r'^backbone\.name: there is no "resnet19"; choose resnet\d+.* or resnet\d+$'):
        build("resnet19", 8)
    with pytest.raises(RecipeError, match=r'"MobileFacenet"; choose mobilefacenet$'):
        build("MobileFacenet", 8)


def test_unlike_any_name_is_refused_with_all():
    with pytest.raises(RecipeError, match=f'"vgg"; choose {", ".join(NAMES[:-1])} or {NAMES[-1]}$'):
        build("vgg", 8)


@pytest.mark.parametrize("dimension", [0, -1])
def test_impossible_dimension_is_refused(dimension):
    with pytest.raises(RecipeError, match=rf"^backbone\.dimension: must be above 0, got {dimension}$"):
        build("convolutions", dimension)


@pytest.mark.parametrize(
    ("name", "error"), [("resnet29", RuntimeError), ("resnet29-narrow", RuntimeError), ("convolutions", ValueError)]
)
def test_smallest_size_is_the_smallest_that_the_network_can_take(name, error):
    smallest = SMALLEST[name]
    with torch.device("meta"):
        network = build(name, 8, smallest)
        assert network(torch.zeros(1, 3, smallest, smallest)).shape == (1, 8)
        with pytest.raises(error):
            network(torch.zeros(1, 3, smallest - 1, smallest - 1))
    with pytest.raises(RecipeError, match=rf"^data\.size: {name} takes crops of {smallest} pixels or more, got"):
        build(name, 8, smallest - 1)


def test_size_that_does_not_divide_is_refused_for_mobilefacenet():
    with pytest.raises(
        RecipeError, match=r"^data\.size: MobileFaceNet takes crops of a multiple of 16 pixels, got 150"
    ):
        build("mobilefacenet", 8, 150)


def test_names_can_be_read_without_torch():
    code = "import sys, twinface.training.backbones as b; sys.exit('torch' in sys.modules or 'resnet29' not in b.NAMES)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def exported(network, size, tmp_path):
    """Embeddings by torch and by ONNX Runtime of the exported network, and kinds of its nodes."""
    example = torch.randn(2, 3, size, size)
    with torch.no_grad():
        network.train()(example)  # statistics of batch normalisation that are not 0 and 1
        wanted = network.eval()(example)
    model = to_onnx(network, torch.zeros(2, 3, size, size))
    write_onnx(model, tmp_path / "network.onnx")
    found = Session(tmp_path / "network.onnx").run(example.numpy())["output"]
    return found, wanted.numpy(), {node.op_type for node in model.graph.node}


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 64), ("mobilefacenet", 112), ("convolutions", 64), ("convolutions", 112)]
)
def test_exported_network_computes_what_torch_computes_without_normalisations(name, size, tmp_path):
    torch.manual_seed(0)
    found, wanted, kinds = exported(build(name, 32, size), size, tmp_path)
    assert np.abs(wanted).max() > 0.01
    assert np.abs(found - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
    assert not kinds & {"BatchNormalization", "Mul", "Sub"}


def test_prelu_goes_through_the_export_as_well(tmp_path):
    torch.manual_seed(0)
    found, wanted, kinds = exported(MobileFaceNet(8, 32, "prelu"), 32, tmp_path)
    assert np.abs(found - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
    assert "PRelu" in kinds
    assert "BatchNormalization" not in kinds
