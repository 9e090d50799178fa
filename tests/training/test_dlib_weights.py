import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.core.contract import parse_contract  # noqa: E402
from twinface.core.similarity import normalise  # noqa: E402
from twinface.errors import DatasetCorrupt, DatasetMissing  # noqa: E402
from twinface.training.backbones.resnet29 import ResNet29  # noqa: E402
from twinface.training.dlib_weights import HEAD, read_weights  # noqa: E402
from twinface.vision.encoder import OnnxEncoder  # noqa: E402
from twinface.vision.session import Session  # noqa: E402

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "src" / "twinface" / "models"

TORCH_BOUND = 1e-5
"""Distance of unit templates: dlib's own and the torch port's."""

HALF_BOUND = 1e-3
"""Distance of unit templates: dlib's own and the shipped ONNX file's, whose weights are rounded to float16."""


@pytest.fixture(scope="module")
def folder() -> Path:
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        pytest.skip("needs face_recognition_models (dev extra)")
    return Path(package.submodule_search_locations[0]) / "models"


@pytest.fixture(scope="module")
def weights(folder) -> Path:
    return folder / "dlib_face_recognition_resnet_model_v1.dat"


@pytest.fixture(scope="module")
def content(weights) -> bytes:
    return weights.read_bytes()


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    """Noise, smooth pictures, and the public-domain portraits of `examples/`."""
    random = np.random.default_rng(3)
    noise = [random.integers(0, 256, (150, 150, 3), dtype=np.uint8) for _ in range(2)]
    coarse = [random.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in (3, 6, 12)]
    smooth = [cv2.resize(picture, (150, 150), interpolation=cv2.INTER_CUBIC) for picture in coarse]
    files = [cv2.imread(str(path)) for path in sorted((ROOT / "examples").glob("*.jpg"))]
    portraits = [cv2.resize(picture[..., ::-1], (150, 150), interpolation=cv2.INTER_AREA) for picture in files]
    return [np.ascontiguousarray(crop) for crop in (*noise, *smooth, *portraits)]


@pytest.fixture(scope="module")
def dlibs_templates(weights, crops) -> np.ndarray:
    dlib = pytest.importorskip("dlib", reason="needs dlib-bin (dev extra)")
    network = dlib.face_recognition_model_v1(str(weights))
    return normalise([np.array(network.compute_face_descriptor(crop, 0)) for crop in crops])


def test_torch_port_agrees_with_dlib(weights, crops, dlibs_templates):
    network = ResNet29().eval()
    network.load_state_dict(read_weights(weights))
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    pixels = (pixels - torch.tensor([122.782, 117.001, 104.298])[:, None, None]) / 256
    with torch.no_grad():
        templates = normalise(network(pixels).numpy())
    assert np.linalg.norm(templates - dlibs_templates, axis=1).max() < TORCH_BOUND


def test_shipped_onnx_file_agrees_with_dlib(crops, dlibs_templates):
    contract = parse_contract((MODELS / "resnet29.json").read_text(encoding="utf-8"), "resnet29.json")
    encoder = OnnxEncoder(contract, Session(MODELS / contract.file, contract.sha256), mirror=False)
    assert np.linalg.norm(encoder.encode(crops) - dlibs_templates, axis=1).max() < HALF_BOUND


def test_reads_every_weight_and_layer(weights):
    state = read_weights(weights)
    assert sum(value.numel() for value in state.values()) == 5_614_592
    assert sum(name.endswith("scale") for name in state) == 29
    assert state.keys() == ResNet29().state_dict().keys()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_missing_file_says_what_to_install(tmp_path):
    with pytest.raises(DatasetMissing, match="install the package face_recognition_models"):
        read_weights(tmp_path / "nowhere.dat")


def test_directory_is_refused(tmp_path):
    with pytest.raises(DatasetMissing, match="cannot read"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"not a network", bytes(1000)], ids=["empty", "byte", "text", "zeros"]
)
def test_other_files_are_refused(tmp_path, content):
    with pytest.raises(DatasetCorrupt, match="not dlib's face recognition network"):
        read_weights(write(tmp_path / "other.dat", content))


@pytest.mark.parametrize("name", ["mmod_human_face_detector.dat", "shape_predictor_5_face_landmarks.dat"])
def test_dlibs_other_networks_are_refused(folder, name):
    with pytest.raises(DatasetCorrupt, match="not dlib's face recognition network"):
        read_weights(folder / name)


@pytest.mark.parametrize("length", [100, 338, 345, 10_000, 57_000, 8_000_000, 22_334_907, 22_465_000])
def test_file_cut_off_anywhere_is_refused(tmp_path, content, length):
    with pytest.raises(DatasetCorrupt, match=r"cut\.dat: .*(the file ends at byte|no integer|expected 59 layers)"):
        read_weights(write(tmp_path / "cut.dat", content[:length]))


def test_head_without_layers_is_refused(tmp_path):
    with pytest.raises(DatasetCorrupt, match="expected 59 layers with weights, found 0"):
        read_weights(write(tmp_path / "head.dat", HEAD))


def test_layer_of_wrong_kind_is_refused(tmp_path, content):
    # the second convolution and the affine behind it change places
    first, second, end = content.index(b"\x01\x05con_4", 19_000), content.index(b"\x01\x07affine_", 56_000), 57_231
    swapped = content[:first] + content[second:end] + content[first:second] + content[end:]
    with pytest.raises(DatasetCorrupt, match=r"blocks\.0\.body\.0: expected Conv2d of 9248, found ChannelAffine of 64"):
        read_weights(write(tmp_path / "swapped.dat", swapped))


def test_values_that_are_not_finite_are_refused(tmp_path, content):
    spoilt = bytearray(content)
    first = content.index(b"con_4") + len(b"con_4") + 2 + 3 + 3 * 2  # behind the tensor's five integers
    spoilt[first : first + 4] = np.float32(np.nan).tobytes()
    with pytest.raises(DatasetCorrupt, match="not finite"):
        read_weights(write(tmp_path / "spoilt.dat", bytes(spoilt)))


def test_tensor_of_unknown_version_is_refused(tmp_path, content):
    other = bytearray(content)
    other[content.index(b"con_4") + 6] = 9
    with pytest.raises(DatasetCorrupt, match="no tensor at byte"):
        read_weights(write(tmp_path / "version.dat", bytes(other)))
