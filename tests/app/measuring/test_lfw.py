"""LFW's protocols on a small collection of made-up people, laid out as LFW is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinface.app.measuring.as_json import lfw_json
from twinface.app.measuring.lfw import Options, evaluate_lfw
from twinface.app.measuring.rows import lfw_tables
from twinface.app.measuring.system import Part
from twinface.core.provenance import TrainingSet
from twinface.datasets.lfw import open_lfw
from twinface.errors import SubjectLeak

FOLDS, SIZE = 5, 8
KEYS = {
    "accuracy", "accuracy_std", "precision", "recall", "f1", "eer", "auc", "tar", "threshold", "pairs", "failures",
    "seconds", "model",
}  # fmt: skip


def name(person: int) -> str:
    return f"P_{chr(65 + person // 26)}{chr(97 + person % 26)}"


def pairs(folds: int, size: int, shift: int = 0) -> str:
    lines = [f"{folds}\t{size}" if folds > 1 else f"{size}"]
    for fold in range(folds):
        people = [shift + fold * size + place for place in range(size)]
        lines += [f"{name(person)}\t1\t2" for person in people]
        lines += [f"{name(a)}\t1\t{name(b)}\t2" for a, b in zip(people, people[1:] + people[:1], strict=True)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for person in range(FOLDS * SIZE + 20):
        folder = tmp_path / "lfw_funneled" / name(person)
        folder.mkdir(parents=True)
        for shot in (1, 2):
            content = json.dumps({"person": person, "shot": shot, "spread": 0.3})
            (folder / f"{name(person)}_{shot:04d}.jpg").write_text(content)
    (tmp_path / "pairs.txt").write_text(pairs(FOLDS, SIZE))
    (tmp_path / "pairsDevTrain.txt").write_text(pairs(1, 12, FOLDS * SIZE))
    (tmp_path / "pairsDevTest.txt").write_text(pairs(1, 8, FOLDS * SIZE + 12))
    return tmp_path


def spoil(root: Path, person: int, shot: int, **facts: object) -> None:
    path = root / "lfw_funneled" / name(person) / f"{name(person)}_{shot:04d}.jpg"
    path.write_text(json.dumps({"person": person, "shot": shot, "spread": 0.3, **facts}))


def test_view_2_reports_every_promised_figure(make_system, root):
    system = make_system()
    result = evaluate_lfw(system, open_lfw(root), Options())
    report = lfw_json(result, system)
    assert report.keys() >= KEYS
    assert set(report["tar"]) == {"0.01", "0.001"}
    json.dumps(report, allow_nan=False)
    assert (report["pairs"], report["mated"], report["failures"]) == (2 * FOLDS * SIZE, FOLDS * SIZE, 0)
    assert report["accuracy"] > 0.95
    assert len(report["folds"]) == FOLDS
    assert result.dataset == "LFW (funneled)"
    assert sum("not the official" in note for note in result.notes) == 3
    words = [row[0] for row in lfw_tables(result)[0].rows]
    assert words[:4] == ["accuracy", "precision", "recall", "F1"]


def test_a_picture_without_a_face_makes_its_pairs_errors(make_system, root):
    before = lfw_json(evaluate_lfw(make_system(), open_lfw(root), Options()), make_system())
    spoil(root, 3, 1, no="no face")  # in one mated and one non-mated pair
    after = lfw_json(evaluate_lfw(make_system(), open_lfw(root), Options()), make_system())
    assert before["accuracy"] == 1.0
    assert after["accuracy"] == pytest.approx(1 - 2 / (2 * FOLDS * SIZE))
    assert after["recall"] == pytest.approx(1 - 1 / (FOLDS * SIZE))
    assert (after["failures"], after["failed_pairs"]) == (1, 2)


def test_poor_faces_are_compared_and_what_refusing_them_costs_is_told(make_system, root):
    spoil(root, 3, 1, no="blurred")
    lenient = evaluate_lfw(make_system(), open_lfw(root), Options())
    assert lenient.folded.mean == 1.0
    assert (lenient.poor.pictures, lenient.poor.pairs) == (1, 2)
    strict = evaluate_lfw(make_system(), open_lfw(root), Options(refuse_poor=True))
    assert strict.failed_pictures == 1
    assert strict.folded.mean == lenient.poor.accuracy == pytest.approx(1 - 2 / (2 * FOLDS * SIZE))


def test_view_1_judges_at_the_deployed_and_at_the_best_threshold(make_system, root):
    system = make_system()
    result = evaluate_lfw(system, open_lfw(root), Options("view1", "test"))
    report = lfw_json(result, system)
    assert report["threshold"] == report["at_deployed"]["threshold"] == 0.5
    assert report["accuracy_std"] is None
    assert report["at_best"]["accuracy"] >= report["accuracy"]
    assert report["pairs"] == 16
    assert [row[0] for row in lfw_tables(result)[0].rows] == ["deployed", "best on DevTrain"]
    tuned = evaluate_lfw(system, open_lfw(root), Options("view1", "train"))
    assert any("chosen on the very pairs" in note for note in tuned.notes)
    uncalibrated = lfw_json(
        evaluate_lfw(make_system(rule=None), open_lfw(root), Options("view1", "test")), make_system(rule=None)
    )
    assert uncalibrated["at_deployed"] is None
    assert uncalibrated["threshold"] == uncalibrated["at_best"]["threshold"]


def test_only_persons_of_the_test_count_as_leaked(make_system, root):
    trained = TrainingSet("made", frozenset({name(FOLDS * SIZE + 1)}))  # in DevTrain, in no pair of View 2
    system = make_system(encoder=Part("numbers", (trained,)))
    assert not any("LEAK" in note for note in evaluate_lfw(system, open_lfw(root), Options()).notes)
    with pytest.raises(SubjectLeak):
        evaluate_lfw(system, open_lfw(root), Options("view1", "train"))
    loud = evaluate_lfw(system, open_lfw(root), Options("view1", "train", allow_leak=True))
    assert any(note.startswith("LEAK") for note in loud.notes)
