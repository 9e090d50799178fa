"""Models are found by name or contract, and nothing about them is taken on trust."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from twinface.core.calibration import LogisticCurve
from twinface.core.contract import DetectorContract, EncoderContract
from twinface.core.decision import DecisionRule, OperatingPoint, write_rules
from twinface.errors import ContractMismatch, ModelNotFound, ModelTampered
from twinface.models import registry
from twinface.models.registry import find, find_detector, find_encoder, shipped

ENCODER, DETECTOR = registry.DEFAULT_ENCODER, registry.DEFAULT_DETECTOR


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the shipped models."""
    folder = tmp_path / "models"
    shutil.copytree(registry.HOME, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return folder


def edit(path: Path, **facts: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


# what ships


def test_the_defaults_ship() -> None:
    assert {ENCODER, DETECTOR} <= {entry.name for entry in shipped()}
    assert isinstance(find(ENCODER).contract, EncoderContract)
    assert isinstance(find(DETECTOR).contract, DetectorContract)


@pytest.mark.parametrize("entry", shipped(), ids=lambda entry: entry.name)
def test_every_shipped_file_has_its_digest_a_licence_and_a_source(entry: registry.ModelEntry) -> None:
    entry.verify()
    assert entry.contract.licence
    assert entry.contract.source
    assert entry.path.parent == registry.HOME


@pytest.mark.parametrize("entry", shipped(), ids=lambda entry: entry.name)
def test_every_shipped_model_has_a_card(entry: registry.ModelEntry) -> None:
    assert entry.card().startswith("# ")


def test_the_weights_are_as_small_as_promised() -> None:
    assert find(ENCODER).path.stat().st_size < 12_000_000
    assert sum(path.stat().st_size for path, _ in find(DETECTOR).files) < 1_000_000


def test_the_shipped_encoder_has_rules_with_and_without_mirror() -> None:
    entry, contract = find_encoder(ENCODER)
    for mirror in (True, False):
        rule = entry.rule(mirror)
        assert rule.model == contract.identity(mirror)
        assert [point.fmr for point in rule.points] == [1e-2, 1e-3, 1e-4, 1e-5]
        thresholds = [point.threshold for point in rule.points]
        assert thresholds == sorted(thresholds, reverse=True)
        misses = [point.fnmr for point in rule.points]
        assert misses == sorted(misses)
        for point in rule.points:
            assert point.dataset
            assert point.non_mated * point.fmr > 50  # a threshold rests on enough false matches
            assert point.low < point.threshold < point.high


# finding


def test_a_name_or_the_path_of_a_contract_leads_to_the_same_model(home: Path) -> None:
    assert find(ENCODER, home) == find(str(home / f"{ENCODER}.json"))
    assert find(ENCODER, home).path == home / f"{ENCODER}.onnx"


def test_the_name_is_the_contracts_not_the_files(home: Path) -> None:
    (home / f"{DETECTOR}.json").rename(home / "renamed.json")
    assert find(DETECTOR, home).name == DETECTOR
    with pytest.raises(ModelNotFound):
        find("renamed", home)


def test_decision_files_are_no_models(home: Path) -> None:
    assert [entry.name for entry in shipped(home)] == ["resnet29", DETECTOR, "twin-nano", ENCODER]


@pytest.mark.parametrize("name", ["oracle", "", "twin-r29.onnx", "TWIN-R29"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    known = f"resnet29, {DETECTOR}, twin-nano, {ENCODER}"
    with pytest.raises(ModelNotFound, match=f"no model named '{name}'; shipped: {known}"):
        find(name)


@pytest.mark.parametrize("name", ["gone.json", ".json", "a\0b.json"])
def test_a_missing_contract_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match="no such model contract"):
        find(str(tmp_path / name))


def test_a_folder_is_no_contract(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ModelNotFound, match="no such model contract"):
        find(str(tmp_path / "folder.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"7", b"[]", b'{"kind": "encoder"}'])
def test_a_malformed_contract_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(ContractMismatch, match=r"mine\.json: not a model contract"):
        find(str(path))


def test_a_contract_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(ModelNotFound, match=r"mine\.json: cannot read the contract"):
        find(str(path))


def test_kinds_are_not_confused() -> None:
    assert find_encoder(ENCODER)[1].dimension == 128
    assert find_detector(DETECTOR)[1].layout == "twinface"
    with pytest.raises(ModelNotFound, match="is a detector, not an encoder"):
        find_encoder(DETECTOR)
    with pytest.raises(ModelNotFound, match="is an encoder, not a detector"):
        find_detector(ENCODER)


# digests


def test_an_untouched_copy_verifies(home: Path) -> None:
    for entry in shipped(home):
        entry.verify()


@pytest.mark.parametrize("name", [ENCODER, DETECTOR])
def test_every_weight_file_is_verified(home: Path, name: str) -> None:
    entry = find(name, home)
    for path, digest in entry.files:
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
        with pytest.raises(ModelTampered, match=rf"{path.name}: SHA-256 is .*the contract says {digest[:16]}"):
            entry.verify()
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    entry.verify()


def test_a_refiners_file_counts_too(home: Path) -> None:
    points = [[30.0, 40.0], [70.0, 40.0], [50.0, 60.0], [35.0, 80.0], [65.0, 80.0]]
    refiner = {"file": "refiner.onnx", "sha256": "0" * 64, "size": 64, "points": points}
    edit(home / f"{DETECTOR}.json", refiner=refiner)
    entry = find(DETECTOR, home)
    assert [path.name for path, _ in entry.files] == [f"{DETECTOR}.onnx", "refiner.onnx"]
    with pytest.raises(ModelNotFound, match=r"refiner\.onnx: cannot read the model \(No such file"):
        entry.verify()
    (home / "refiner.onnx").write_bytes(b"other")
    with pytest.raises(ModelTampered, match=r"refiner\.onnx"):
        entry.verify()


def test_a_missing_weight_file_is_refused(home: Path) -> None:
    (home / f"{ENCODER}.onnx").unlink()
    with pytest.raises(ModelNotFound, match=r"\.onnx: cannot read the model \(No such file or directory\)"):
        find(ENCODER, home).verify()


# decision rules and cards


def test_rules_do_not_outlive_the_weights_they_were_measured_for(home: Path) -> None:
    edit(home / f"{ENCODER}.json", sha256="0" * 64)
    with pytest.raises(ContractMismatch, match="no decision rule for mirror=off with these weights"):
        find(ENCODER, home).rule(mirror=False)


@pytest.mark.parametrize("change", [{"name": "twin"}, {"source": "a copy"}, {"licence": "MIT"}])
def test_rules_survive_another_name_source_or_licence(home: Path, change: dict[str, str]) -> None:
    edit(home / f"{ENCODER}.json", **change)
    name = change.get("name", ENCODER)
    (home / f"{ENCODER}.decision.json").rename(home / f"{name}.decision.json")
    find(name, home).rule(mirror=True)


def test_an_encoder_without_rules_is_refused_with_the_remedy(home: Path) -> None:
    (home / f"{ENCODER}.decision.json").unlink()
    with pytest.raises(ModelNotFound, match=r"no decision rules for twin-r29; measure them with twinface calibrate"):
        find(ENCODER, home).rules()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"rules": 7}', b'{"rules": [{"model": "m"}]}'])
def test_malformed_rules_are_refused_by_their_path(home: Path, content: bytes) -> None:
    (home / f"{ENCODER}.decision.json").write_bytes(content)
    with pytest.raises(ContractMismatch, match=r"twin-r29\.decision\.json: not a decision file"):
        find(ENCODER, home).rules()


def test_rules_that_are_no_text_are_refused(home: Path) -> None:
    (home / f"{ENCODER}.decision.json").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ModelNotFound, match=r"twin-r29\.decision\.json: cannot read the decision rules"):
        find(ENCODER, home).rules()


def rule_of(identity: str, threshold: float = 0.3) -> DecisionRule:
    point = OperatingPoint(identity, "own", 1e-3, threshold, threshold, threshold, 10_000, 100, 0.0, 0.0, 0.03)
    return DecisionRule(identity, LogisticCurve(-60.0, 25.0, 1e-3), (point,), 1e-3, band=0.9)


def test_fresh_rules_replace_those_of_their_identity_and_no_others(home: Path) -> None:
    entry = find(ENCODER, home)
    with_mirror, without = entry.rule(True), entry.rule(False)
    fresh = rule_of(with_mirror.model)
    entry.keep([fresh, rule_of("another")])
    assert (entry.rule(True), entry.rule(False)) == (fresh, without)
    assert rule_of("another") in entry.rules()
    assert len(entry.rules()) == 3


def test_the_first_rules_of_an_encoder_make_the_file(home: Path) -> None:
    (home / f"{ENCODER}.decision.json").unlink()
    entry = find(ENCODER, home)
    entry.keep([rule_of("m")])
    assert entry.rules() == (rule_of("m"),)


def test_rules_that_cannot_be_read_are_not_overwritten(home: Path) -> None:
    path = home / f"{ENCODER}.decision.json"
    path.write_bytes(b"mine")
    with pytest.raises(ContractMismatch, match="not a decision file"):
        find(ENCODER, home).keep([rule_of("m")])
    assert path.read_bytes() == b"mine"


def test_a_users_file_of_rules_goes_before_the_one_beside_the_model(home: Path, tmp_path: Path) -> None:
    entry = find(ENCODER, home)
    own = tmp_path / "own.json"
    mine = rule_of(entry.rule(True).model)
    own.write_text(write_rules([mine]))
    assert entry.rule(True, own) == mine
    (home / f"{ENCODER}.decision.json").unlink()
    assert entry.rule(True, own) == mine


def test_a_users_file_of_another_model_or_mirror_setting_is_refused_with_the_remedy(home: Path, tmp_path: Path) -> None:
    entry = find(ENCODER, home)
    own = tmp_path / "own.json"
    own.write_text(write_rules([rule_of("another")]))
    with pytest.raises(ContractMismatch, match=r"own\.json: no decision rule of twin-r29 .*twinface calibrate$"):
        entry.rule(True, own)
    own.write_text(write_rules([rule_of(entry.rule(False).model)]))
    with pytest.raises(ContractMismatch, match=r"mirror=on; there is one for --no-flip, or calibrate with --flip$"):
        entry.rule(True, own)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\0"])
def test_a_users_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    own = tmp_path / "own.json"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(ModelNotFound, match=r"own\.json: cannot read the decision rules"):
        find(ENCODER).rule(True, own)


def test_files_with_a_byte_order_mark_are_read_all_the_same(home: Path) -> None:
    (home / f"{ENCODER}.training.json").touch()
    (home / f"{ENCODER}.training.json").write_text('{"sets": []}')
    rules = find(ENCODER, home).rules()
    for path in home.glob("*.json"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    entry = find(ENCODER, home)
    assert entry.rules() == rules
    assert entry.training() == ()


POINT = {
    "model": "m", "dataset": "LFW", "fmr": 1e-3, "threshold": 0.42, "low": 0.4, "high": 0.44, "non_mated": 10_000,
    "mated": 100, "fnmr": 0.0, "fnmr_low": 0.0, "fnmr_high": 0.03,
}  # fmt: skip
LOGISTIC = {"kind": "logistic", "slope": -60.0, "intercept": 25.0, "floor": 1e-3}
RULE = {"model": "m", "curve": LOGISTIC, "points": [POINT], "default_fmr": 1e-3}
HUGE = 10**400


def knots(count: int) -> dict[str, object]:
    return {"kind": "isotonic", "distances": [0.1] * count, "probabilities": [0.5] * count, "floor": 1e-3}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([], "it must be an object, got []"),
        ({}, "it lacks 'rules'"),
        ({"rules": {}}, "rules of it must be a list"),
        ({"rules": [3]}, "a rule must be an object, got 3"),
        ({"rules": [RULE] * 10_001}, "it has 10,001 rules, more than 10,000"),
        ({"rules": [{"model": "m"}]}, "a rule lacks 'points'"),
        ({"rules": [{**RULE, "model": []}]}, "model of a rule must be text, got []"),
        ({"rules": [{**RULE, "model": None}]}, "model of a rule must be text"),
        ({"rules": [{**RULE, "points": {}}]}, "points of a rule must be a list"),
        ({"rules": [{**RULE, "points": [POINT] * 10_001}]}, "a rule has 10,001 points"),
        ({"rules": [{**RULE, "default_fmr": True}]}, "default_fmr of a rule must be a finite number, got True"),
        ({"rules": [{**RULE, "default_fmr": HUGE}]}, "default_fmr of a rule must be a finite number"),
        ({"rules": [{**RULE, "band": HUGE}]}, "band of a rule must be a finite number"),
        ({"rules": [{**RULE, "band": "0.9"}]}, "band of a rule must be a finite number"),
        ({"rules": [{**RULE, "curve": {"floor": 0.1, "kind": ["x" * 9999]}}]}, "of unknown kind ["),
        ({"rules": [{**RULE, "curve": {**LOGISTIC, "slope": -HUGE}}]}, "slope of the curve must be a finite number"),
        ({"rules": [{**RULE, "curve": {**LOGISTIC, "floor": False}}]}, "floor of the curve must be a finite number"),
        ({"rules": [{**RULE, "curve": {**LOGISTIC, "bend\n" * 999: 1}}]}, "the curve has an unknown 'bend"),
        ({"rules": [{**RULE, "curve": {**knots(2), "distances": [0.1, HUGE]}}]}, "distances must be numbers"),
        ({"rules": [{**RULE, "curve": {**knots(2), "floor": HUGE}}]}, "floor of the curve must be a finite number"),
        ({"rules": [{**RULE, "curve": knots(1_000_000)}]}, "at most 10,000 knots, got 1,000,000"),
        ({"rules": [{**RULE, "detector": {"name": "x"}}]}, "the detector lacks 'identity'"),
        *(
            ({"rules": [{**RULE, "points": [{**POINT, name: value}]}]}, f"{name} of an operating point must be {kind}")
            for name, value, kind in [
                ("threshold", True, "a finite number, got True"),
                ("threshold", HUGE, "a finite number"),
                ("low", float("-inf"), "a finite number, got -inf"),
                ("fmr", [1e-3], "a finite number"),
                ("non_mated", float("inf"), "a whole number, got inf"),
                ("non_mated", 1e5, "a whole number, got 100000.0"),
                ("mated", True, "a whole number, got True"),
                ("mated", HUGE, "a whole number"),
                ("dataset", 3, "text, got 3"),
                ("model", [], "text, got []"),
            ]
        ),
        ({"rules": [{**RULE, "points": [{**POINT, "threshold": 0.5}]}]}, "got 0.001 and 0.5 in 0.4 to 0.44"),
        ({"rules": [{**RULE, "points": [{**POINT, "fnmr": 0.5}]}]}, "got 0.5 in 0.0 to 0.03, 100 and 10000"),
        ({"rules": [{**RULE, "points": [{**POINT, "dataset": "\n" * 9999}]}]}, "name must be printable"),
    ],
)  # fmt: skip
def test_rules_that_make_no_sense_are_refused_at_once_saying_where_and_why(
    tmp_path: Path, rules: object, said: str
) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(rules))
    began = time.process_time()
    with pytest.raises(ContractMismatch) as caught:
        registry.read_rules(path)
    assert time.process_time() - began < 3  # about 0.3 for a million knots
    message = str(caught.value)
    assert message.startswith(f"{path}: not a decision file (")
    assert said in message
    assert message.endswith("; write one with twinface calibrate --out")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 300


def test_a_detector_decides_nothing() -> None:
    with pytest.raises(ContractMismatch, match="is a detector, it has no decision rules"):
        find(DETECTOR).rule(mirror=True)


def test_a_card_is_the_file_beside_the_contract(home: Path) -> None:
    card = home / f"{ENCODER}.md"
    card.write_text("# A card: Ünïcode", encoding="utf-8")
    assert find(ENCODER, home).card() == "# A card: Ünïcode"
    card.unlink()
    assert find(ENCODER, home).card() == ""
