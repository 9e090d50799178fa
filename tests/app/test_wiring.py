"""The parts, built from names, files and the environment, and joined."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import twinface
from twinface.app.wiring import load, load_analyzer, load_detector, weight_files
from twinface.core.contract import parse_contract
from twinface.core.decision import MeasuredWith
from twinface.errors import (
    ContractMismatch,
    ModelError,
    ModelNotFound,
    ModelTampered,
    ProviderUnavailable,
    TwinFaceError,
)
from twinface.models.registry import HOME

pytestmark = pytest.mark.usefixtures("scrubbed")


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped encoder; the path of its contract."""
    for path in HOME.glob("twin-r29.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "twin-r29.json"


def test_the_public_load_is_this_one(recognizer):
    assert twinface.load is load
    assert isinstance(recognizer, twinface.Recognizer)
    assert (recognizer.encoder_name, recognizer.detector_name) == ("twin-r29", "scout")


def test_the_promise_of_the_readme(recognizer, examples):
    comparison = recognizer.compare(examples / "collins.jpg", examples / "collins_reshoot.jpg")
    assert comparison.same is True
    assert comparison.probability > 0.9
    (face,) = recognizer.analyze(examples / "collins.jpg").faces
    assert face.box.area > 0
    assert face.landmarks.points.shape == (5, 2)
    assert face.quality.usable
    assert face.template.vector.shape == (128,)


def test_the_rule_belongs_to_the_encoder_with_and_without_mirror(recognizer):
    contract = parse_contract((HOME / "twin-r29.json").read_text(), "twin-r29.json")
    assert recognizer.rule.model == contract.identity(contract.mirror)
    assert load(threads=1, mirror=False).rule.model == contract.identity(False)


def test_the_shipped_rules_were_measured_with_the_shipped_detector(recognizer):
    shipped = MeasuredWith("scout", load_detector("scout").identity)
    for rule in (recognizer.rule, load(threads=1, mirror=False).rule):
        assert rule.detector == shipped
    assert recognizer.caution == ""


def test_a_detector_of_another_kind_is_cautioned_about_and_a_copy_is_not(tmp_path):
    for path in HOME.glob("scout*"):
        shutil.copy(path, tmp_path)
    copy = tmp_path / "scout.json"
    assert load(detector=str(copy), threads=1).caution == ""
    copy.write_text(json.dumps({**json.loads(copy.read_text()), "name": "lookout", "confidence": 0.5}))
    assert "measured with the detector scout, not with lookout" in load(detector=str(copy), threads=1).caution


def test_a_model_may_be_named_by_its_contract(model, examples, recognizer):
    one, other = examples / "collins.jpg", examples / "hopper.jpg"
    found = load(str(model), detector=str(HOME / "scout.json"), threads=1).compare(one, other)
    assert found.distance == pytest.approx(recognizer.compare(one, other).distance, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("TWINFACE_MODEL", "oracle", ModelNotFound),
        ("TWINFACE_DETECTOR", "oracle", ModelNotFound),
        ("TWINFACE_PROVIDERS", "WishExecutionProvider", ProviderUnavailable),
        ("TWINFACE_THREADS", "many", TwinFaceError),
    ],
)
def test_the_environment_is_heeded(scrubbed, name, value, kind):
    scrubbed.setenv(name, value)
    with pytest.raises(kind, match=value):
        load()


def test_arguments_win_over_the_environment(scrubbed):
    scrubbed.setenv("TWINFACE_MODEL", "oracle")
    scrubbed.setenv("TWINFACE_DETECTOR", "oracle")
    scrubbed.setenv("TWINFACE_PROVIDERS", "WishExecutionProvider")
    found = load("twin-r29", detector="scout", providers=["CPUExecutionProvider"], threads=1)
    assert found.encoder_name == "twin-r29"


def test_a_provider_that_is_not_there_is_refused_for_the_detector_too():
    with pytest.raises(ProviderUnavailable, match="WishExecutionProvider"):
        load(providers=["CPUExecutionProvider", "WishExecutionProvider"])
    with pytest.raises(ProviderUnavailable, match="none"):
        load(providers=[])


def test_one_provider_may_be_given_as_a_word():
    with pytest.raises(ProviderUnavailable, match=r"^execution provider WishExecutionProvider is"):
        load(providers="WishExecutionProvider")


@pytest.mark.parametrize("threads", [-1, 10**9])
def test_threads_beyond_reason_are_refused(threads):
    with pytest.raises(TwinFaceError, match="threads must be a number from 0 to 1024"):
        load(threads=threads)


def test_encoder_and_detector_are_not_confused():
    with pytest.raises(ModelNotFound, match="scout is a detector, not an encoder"):
        load("scout")
    with pytest.raises(ModelNotFound, match="twin-r29 is an encoder, not a detector"):
        load_detector("twin-r29")


def test_changed_weights_and_changed_preprocessing_are_refused(model):
    onnx = model.with_suffix(".onnx")
    content = onnx.read_bytes()
    onnx.write_bytes(content + b"\0")
    with pytest.raises(ModelTampered):
        load(str(model))
    onnx.write_bytes(content)
    facts = json.loads(model.read_text())
    model.write_text(json.dumps({**facts, "mean": [0, 0, 0]}))
    with pytest.raises(ContractMismatch, match="no decision rule for mirror=on"):
        load(str(model))


def test_a_users_detector_is_its_kind_and_file(tmp_path):
    with pytest.raises(ModelNotFound, match="no such file"):
        load_detector(f"yunet:{tmp_path / 'gone.onnx'}")
    with pytest.raises(ModelNotFound, match=r"written yunet:FILE, scrfd:FILE, yolo:FILE"):
        load_detector("retina:face.onnx")
    for kind in ("yunet", "scrfd", "yolo"):  # the shipped one has another layout
        with pytest.raises(ContractMismatch, match=rf"^{kind}:scout\.onnx: "):
            load_detector(f"{kind}:{HOME / 'scout.onnx'}")


def test_a_detector_without_its_weights_is_refused(tmp_path):
    shutil.copy(HOME / "scout.json", tmp_path)
    with pytest.raises(ModelError, match=r"scout.*\.onnx: cannot read the model"):
        load_detector(str(tmp_path / "scout.json"))


def test_the_detector_stands_alone(examples):
    detector = load_detector("scout")
    assert detector.name == "scout"
    assert detector.detect(np.zeros((64, 64, 3), np.uint8)) == []


def test_an_analyzer_needs_no_decision_rules(model, examples, recognizer):
    model.with_suffix(".decision.json").unlink()
    with pytest.raises(ModelNotFound, match="no decision rules for twin-r29"):
        load(str(model))
    analyzer = load_analyzer(str(model), threads=1)
    (face,) = analyzer.encode(analyzer.locate(examples / "collins.jpg").faces)
    (same,) = recognizer.analyze(examples / "collins.jpg").faces
    assert face.template.vector == pytest.approx(same.template.vector, abs=1e-5)


def test_an_encoder_of_the_users_makes_templates(own_encoder, tmp_path, examples):
    path = own_encoder(tmp_path / "mine.onnx")
    analyzer = load_analyzer(f"arcface:{path}", threads=1)
    assert (analyzer.encoder.name, analyzer.encoder.dimension) == ("arcface:mine.onnx", 16)
    (face,) = analyzer.encode(analyzer.locate(examples / "collins.jpg").faces)
    assert face.crop.shape == (112, 112, 3)
    assert face.template.model == analyzer.encoder.identity
    eyes = analyzer.detector.detect(face.crop)[0].landmarks.points[:2]
    assert eyes == pytest.approx(np.array([[38.3, 51.7], [73.5, 51.5]]), abs=4)  # where ArcFace has them


def test_without_calibration_it_gives_no_verdicts_and_the_message_says_how_to_get_there(own_encoder, tmp_path):
    path = own_encoder(tmp_path / "mine.onnx")
    with pytest.raises(ModelNotFound, match=r"twinface calibrate .* --out FILE .* --calibration FILE") as caught:
        load(f"arcface:{path}")
    assert "\n" not in str(caught.value)


def test_a_users_encoder_that_is_none_is_refused(own_encoder, tmp_path):
    with pytest.raises(ModelNotFound, match=r"gone\.onnx: no such file"):
        load_analyzer(f"arcface:{tmp_path / 'gone.onnx'}")
    with pytest.raises(ModelNotFound, match=r"an encoder of your own is written arcface:FILE"):
        load_analyzer("facenet:face.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(ContractMismatch, match=r"broken\.onnx: not a network"):
        load_analyzer(f"arcface:{broken}")
    larger = own_encoder(tmp_path / "larger.onnx", 160)
    with pytest.raises(ContractMismatch, match=r"^arcface:larger\.onnx: the network takes .* 160, 160\)"):
        load_analyzer(f"arcface:{larger}")


def test_the_files_a_model_needs_are_known(own_encoder, tmp_path):
    path = own_encoder(tmp_path / "mine.onnx")
    assert weight_files("twin-r29") == [HOME / name for name in ("twin-r29.onnx", "scout.onnx", "scout-points.onnx")]
    assert weight_files(f"arcface:{path}", f"yunet:{path}") == [path, path]
