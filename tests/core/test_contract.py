import json
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from twinface.core.contract import (
    Contract,
    DetectorContract,
    EncoderContract,
    RefinerContract,
    parse_contract,
    write_contract,
)
from twinface.errors import ContractMismatch

DIGEST = "0123456789abcdef" * 4
POINTS = ((47.0, 44.0), (101.0, 45.0), (74.0, 77.0), (48.0, 101.0), (96.0, 102.0))
ENCODER = EncoderContract(
    name="net",
    file="net.onnx",
    sha256=DIGEST,
    size=150,
    channels="RGB",
    mean=(122.782, 117.001, 104.298),
    scale=0.00390625,
    points=POINTS,
    dimension=128,
    mirror=True,
    licence="CC0-1.0",
    source="somewhere",
)
DETECTOR = DetectorContract(
    name="finder",
    layout="twinface",
    file="finder.onnx",
    sha256=DIGEST,
    channels="BGR",
    mean=0.0,
    scale=1.0,
    longest=640,
    confidence=0.6,
    overlap=0.3,
    licence="Apache-2.0",
    source="trained",
    blend=0.5,
    refiner=RefinerContract("points.onnx", DIGEST, 48, POINTS),
)
BOTH = pytest.mark.parametrize("contract", [ENCODER, DETECTOR], ids=["encoder", "detector"])
OPTIONAL = {"blend": None, "refiner": None, "smallest": 0.0}
WRONG: dict[str, tuple[object, ...]] = {
    "str": (None, 7, True, []),
    "int": (None, "7", 7.5, True, []),
    "float": (None, "0.5", float("nan"), float("inf"), True, []),
    "bool": (None, 1, "true", []),
}
"""By annotation: what JSON could hold in its place."""


def facts(contract: Contract) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_contract(contract))
    return found


def read(found: object) -> Contract:
    return parse_contract(json.dumps(found), "net.json")


def encoder(found: object) -> EncoderContract:
    contract = read(found)
    assert isinstance(contract, EncoderContract)
    return contract


class TestAsText:
    @pytest.mark.parametrize("contract", [ENCODER, DETECTOR, replace(DETECTOR, refiner=None)])
    def test_a_contract_comes_back_as_it_went(self, contract: Contract) -> None:
        assert parse_contract(write_contract(contract), "net.json") == contract

    @BOTH
    def test_it_is_json_with_its_kind_and_every_field(self, contract: Contract) -> None:
        found = facts(contract)
        assert found.keys() == {"kind", *(field.name for field in fields(contract))}
        assert found["kind"] == ("encoder" if contract is ENCODER else "detector")

    @pytest.mark.parametrize("name", sorted(OPTIONAL))
    def test_a_detector_need_not_say_what_it_does_not_do(self, name: str) -> None:
        found = facts(DETECTOR)
        del found[name]
        assert read(found) == replace(DETECTOR, **{name: OPTIONAL[name]})

    @pytest.mark.parametrize("value", ["", ".", "..", "../net", "/dev/zero", "a\\b", "evil\x1b[31m", "two\nlines"])
    @pytest.mark.parametrize("name", ["name", "file"])
    def test_a_name_leads_to_no_other_folder_and_disturbs_no_terminal(self, name: str, value: str) -> None:
        for contract in (ENCODER, DETECTOR):
            with pytest.raises(ContractMismatch, match="a name must be printable"):
                read({**facts(contract), name: value})

    @pytest.mark.parametrize(
        "text", ["[" * 200_000, "", "{", "null", "3", '"encoder"', "[]", "{}", '{"kind": "encoder"}']
    )
    def test_what_is_no_contract_is_refused_naming_the_file(self, text: str) -> None:
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a model contract") as caught:
            parse_contract(text, "net.json")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", ["tracker", "", None, 3, ["encoder"]])
    def test_an_unknown_kind_is_refused(self, kind: object) -> None:
        with pytest.raises(ContractMismatch, match=r"^net\.json: kind must be encoder or detector, got"):
            read({**facts(ENCODER), "kind": kind})


class TestTampering:
    @pytest.mark.parametrize(
        ("contract", "name"),
        [(one, field.name) for one in (ENCODER, DETECTOR) for field in fields(one) if field.name not in OPTIONAL],
    )
    def test_a_missing_field_is_noticed_by_name(self, contract: Contract, name: str) -> None:
        found = facts(contract)
        del found[name]
        with pytest.raises(ContractMismatch, match=name):
            read(found)

    @BOTH
    def test_an_unknown_field_is_noticed_by_name(self, contract: Contract) -> None:
        with pytest.raises(ContractMismatch, match="colour"):
            read({**facts(contract), "colour": "red"})

    @pytest.mark.parametrize(
        ("contract", "name", "value"),
        [
            (one, field.name, value)
            for one in (ENCODER, DETECTOR)
            for field in fields(one)
            for value in WRONG.get(str(field.type), (None, 7, "abc", {}))
            if not (field.name in OPTIONAL and value is None)
        ],
    )
    def test_a_value_of_another_kind_is_noticed(self, contract: Contract, name: str, value: object) -> None:
        with pytest.raises(ContractMismatch):
            read({**facts(contract), name: value})

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("sha256", DIGEST[:-1], "64 hexadecimal digits"),
            ("sha256", DIGEST.upper(), "64 hexadecimal digits"),
            ("channels", "GBR", "RGB or BGR"),
            ("size", 0, "must be positive"),
            ("dimension", 0, "must be positive"),
            ("scale", 0, "must be positive"),
            ("mean", [1, 2], "three numbers"),
            ("mean", [1, 2, "3"], "three numbers"),
            ("mean", [1, 2, float("inf")], "three numbers"),
            ("points", [[1, 2]] * 4, "five pairs"),
            ("points", [[1, 2, 3]] * 5, "five pairs"),
            ("points", ["ab"] * 5, "five pairs"),
        ],
    )
    def test_an_encoders_contract_says_what_is_wrong(self, name: str, value: object, said: str) -> None:
        with pytest.raises(ContractMismatch, match=said):
            read({**facts(ENCODER), name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sha256", "?"),
            ("channels", "GREY"),
            ("scale", -1),
            ("confidence", 0),
            ("confidence", 1),
            ("overlap", 0),
            ("overlap", 1),
            ("longest", 31),
            ("smallest", -1.0),
            ("smallest", float("nan")),
            ("blend", 0),
            ("blend", 1.01),
            ("blend", float("nan")),
            ("refiner", {}),
            ("refiner", [1]),
        ],
    )
    def test_a_detectors_values_stay_in_range(self, name: str, value: object) -> None:
        with pytest.raises(ContractMismatch):
            read({**facts(DETECTOR), name: value})

    @pytest.mark.parametrize(("name", "value"), [("file", 3), ("sha256", "?"), ("size", 0), ("points", []), ("new", 1)])
    def test_a_refiners_values_are_checked_too(self, name: str, value: object) -> None:
        refiner = {**asdict(DETECTOR)["refiner"], name: value}
        with pytest.raises(ContractMismatch):
            read({**facts(DETECTOR), "refiner": refiner})

    @pytest.mark.parametrize("number", ["1" + "0" * 400, "1" * 5000])
    def test_numbers_no_machine_holds_are_refused(self, number: str) -> None:
        text = write_contract(ENCODER).replace("0.00390625", number)
        with pytest.raises(ContractMismatch, match=r"^net\.json: not a model contract"):
            parse_contract(text, "net.json")


class TestIdentity:
    def test_it_is_a_digest_that_stays_the_same_from_run_to_run(self) -> None:
        stored = "58826bbc93a037aa1e17d22d2d7aa047f182352bab4b4cf3dc6cce7910ea4e3d"
        assert ENCODER.identity(mirror=True) == stored
        assert encoder(facts(ENCODER)).identity(mirror=True) == stored

    @pytest.mark.parametrize(
        "change",
        [
            {"sha256": DIGEST[::-1]},
            {"size": 112},
            {"channels": "BGR"},
            {"mean": (122.782, 117.001, 104.299)},
            {"mean": (104.298, 117.001, 122.782)},
            {"scale": 1 / 255},
            {"points": (*POINTS[:4], (96.0, 102.001))},
            {"dimension": 127},
        ],
        ids=str,
    )
    def test_other_weights_or_preprocessing_make_another_identity(self, change: dict[str, Any]) -> None:
        assert replace(ENCODER, **change).identity(mirror=True) != ENCODER.identity(mirror=True)

    @pytest.mark.parametrize("name", ["name", "file", "licence", "source"])
    def test_what_the_model_is_called_does_not_change_it(self, name: str) -> None:
        assert replace(ENCODER, **{name: "another"}).identity(mirror=True) == ENCODER.identity(mirror=True)

    def test_it_depends_on_whether_the_mirror_image_is_added_not_on_the_default(self) -> None:
        plain = replace(ENCODER, mirror=False)
        assert ENCODER.identity(mirror=True) != ENCODER.identity(mirror=False)
        assert plain.identity(mirror=True) == ENCODER.identity(mirror=True)

    def test_every_field_of_the_contract_is_either_hashed_or_only_a_name(self) -> None:
        hashed = {"sha256", "size", "channels", "mean", "scale", "points", "dimension", "mirror"}
        assert {field.name for field in fields(ENCODER)} == hashed | {"name", "file", "licence", "source"}
