"""`twinface evaluate` from pictures to pages, with the shipped models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from twinface.models.registry import HOME, find_encoder

PEOPLE = {"Eileen_Collins": "collins", "Grace_Hopper": "hopper"}
KEYS = {
    "accuracy", "accuracy_std", "precision", "recall", "f1", "eer", "auc", "tar", "threshold", "pairs", "failures",
    "seconds", "model",
}  # fmt: skip


@pytest.fixture
def lfw(tmp_path: Path, examples: Path) -> Path:
    """Two persons, two pictures each, laid out as LFW."""
    root = tmp_path / "lfw"
    for person, stem in PEOPLE.items():
        (root / person).mkdir(parents=True)
        shutil.copy(examples / f"{stem}.jpg", root / person / f"{person}_0001.jpg")
        shutil.copy(examples / f"{stem}_reshoot.jpg", root / person / f"{person}_0002.jpg")
    first = "Eileen_Collins\t1\t2\nEileen_Collins\t1\tGrace_Hopper\t1\n"
    second = "Grace_Hopper\t1\t2\nEileen_Collins\t2\tGrace_Hopper\t2\n"
    (root / "pairs.txt").write_text(f"2\t1\n{first}{second}")
    (root / "pairsDevTrain.txt").write_text(f"1\n{first}")
    (root / "pairsDevTest.txt").write_text(f"1\n{second}")
    return root


@pytest.fixture
def people(lfw: Path) -> Path:
    """The same pictures as somebody's own."""
    for path in lfw.glob("*.txt"):
        path.unlink()
    return lfw


class Page(HTMLParser):
    """What a page loads and shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs) -> None:
        assert tag != "script"
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_view_2_in_json_and_for_people(cli, lfw):
    done = cli("evaluate", "lfw", "--root", lfw, "--protocol", "view2", "--json")
    assert (done.status, done.err) == (0, "")
    report = json.loads(done.out)
    assert report.keys() >= KEYS
    assert (report["accuracy"], report["pairs"], report["failures"], report["model"]) == (1.0, 4, 0, "twin-r29")
    printed = cli("evaluate", "lfw", "--root", lfw)
    assert printed.status == 0
    for words in ("accuracy", "1.0000", "failure to acquire", "0 of 4 pictures", "not the official pairs.txt"):
        assert words in printed.out


def test_data_are_looked_for_where_fetching_leaves_them(cli, lfw, scrubbed):
    scrubbed.setenv("TWINFACE_DATA", str(lfw.parent))
    assert cli("evaluate", "lfw", "--json").status == 0


@pytest.mark.parametrize("split", ["train", "test"])
def test_view_1_at_both_thresholds(cli, lfw, split):
    done = cli("evaluate", "lfw", "--root", lfw, "--protocol", "view1", "--split", split, "--json")
    report = json.loads(done.out)
    assert report["threshold"] == report["at_deployed"]["threshold"]
    assert (report["accuracy"], report["at_best"]["f1"], report["pairs"]) == (1.0, 1.0, 2)


def test_the_report_is_whole_in_itself(cli, lfw, tmp_path):
    out = tmp_path / "new" / "report"
    done = cli("evaluate", "lfw", "--root", lfw, "--out", out)
    assert done.status == 0
    assert done.err == f"report: {out / 'report.html'}\n"
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    for words in ("LFW View 2: twin-r29 with scout", "Worst false matches", "ROC", "DET", "twinface evaluate lfw"):
        assert words in page.words
    assert {path.suffix for path in out.iterdir()} == {".html", ".json", ".png", ".svg"}
    assert json.loads((out / "figures.json").read_text())["accuracy"] == 1.0


def test_a_folder_of_own_people_with_its_warnings(cli, people, tmp_path):
    (people / "Nobody").mkdir()
    (people / "Nobody" / "torn.jpg").write_bytes(b"no picture")
    done = cli("evaluate", "folder", people, "--json", "--fmr", "0.1")
    report = json.loads(done.out)
    assert done.status == 0
    assert (report["pairs"], report["mated"], report["subjects"], report["failures"]) == (10, 2, 3, 1)
    assert report["failed"] == [{"path": "Nobody/torn.jpg", "reasons": "unreadable"}]
    assert any("only 3 persons" in words for words in report["warnings"])
    assert report["suggestion"] is None
    printed = cli("evaluate", "folder", people, "--out", tmp_path / "out")
    assert "no usable face: Nobody/torn.jpg (unreadable)" in printed.err
    assert "Nobody/torn.jpg" in Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).words


def test_templates_are_computed_once_and_only_if_wanted_kept(cli, lfw, scrubbed, tmp_path):
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "cache"))
    first = json.loads(cli("evaluate", "lfw", "--root", lfw, "--json", "--no-cache").out)
    assert not (tmp_path / "cache").exists()
    cold = json.loads(cli("evaluate", "lfw", "--root", lfw, "--json").out)
    warm = json.loads(cli("evaluate", "lfw", "--root", lfw, "--json").out)
    assert json.loads(cli("data", "cache", "--json").out)["templates"] == 4
    for report in (first, cold, warm):
        report.pop("seconds")
    assert first == cold == warm
    assert "cleared" in cli("data", "cache", "--clear").out
    assert json.loads(cli("data", "cache", "--json").out)["templates"] == 0


def test_a_model_is_not_tested_on_those_it_was_trained_on(cli, lfw, tmp_path):
    for path in HOME.glob("twin-r29.*"):
        shutil.copy(path, tmp_path)
    record = {"sets": [{"dataset": "astronauts", "subjects": ["eileen collins"]}]}
    (tmp_path / "twin-r29.training.json").write_text(json.dumps(record))
    asked = ("evaluate", "lfw", "--root", lfw, "--model", tmp_path / "twin-r29.json")
    cli(*asked).refuses("twin-r29 was trained on 1 of the 2 persons tested (Eileen_Collins)", "--allow-leak")
    shouted = cli(*asked, "--allow-leak")
    assert shouted.status == 0
    assert "LEAK: twin-r29 was trained on 1 of the 2 persons" in shouted.out


def test_persons_the_model_was_trained_on_can_be_left_out(cli, people, tmp_path):
    for path in HOME.glob("twin-r29.*"):
        shutil.copy(path, tmp_path)
    record = {"sets": [{"dataset": "sailors", "subjects": ["grace hopper"]}]}
    (tmp_path / "twin-r29.training.json").write_text(json.dumps(record))
    asked = ("evaluate", "folder", people, "--model", tmp_path / "twin-r29.json", "--json", "--fmr", "0.1")
    cli(*asked).refuses("twin-r29 was trained on 1 of the", "(Grace_Hopper)", "--unseen")
    without = json.loads(cli(*asked, "--unseen").out)
    everybody = json.loads(cli(*asked, "--allow-leak").out)
    assert without["subjects"] == everybody["subjects"] - 1
    assert any("2 pictures of 1 person that twin-r29 was trained on are left out" in note for note in without["notes"])
    record["sets"][0]["subjects"] = [folder.name for folder in people.iterdir()]
    (tmp_path / "twin-r29.training.json").write_text(json.dumps(record))
    cli(*asked, "--unseen").refuses("twin-r29 was trained on everybody in it")


def test_groups_from_a_table(cli, people, tmp_path):
    (people / "people.csv").write_text(
        "path,subject,crew\nEileen_Collins/Eileen_Collins_0001.jpg,Collins,space\n"
        "Eileen_Collins/Eileen_Collins_0002.jpg,Collins,space\n"
        "Grace_Hopper/Grace_Hopper_0001.jpg,Hopper,sea\nGrace_Hopper/Grace_Hopper_0002.jpg,Hopper,sea\n"
    )
    done = cli("evaluate", "fairness", "--root", people / "people.csv", "--json")
    report = json.loads(done.out)
    assert done.status == 0
    assert set(report) == {"crew", "about"}
    assert report["crew"]["fnmr"]["groups"]["space"]["fnmr"] == 0
    assert report["crew"]["p"] is None
    cli("evaluate", "fairness", "--root", people / "people.csv", "--by", "shoe").refuses(
        "no grouping by 'shoe'", "crew"
    )


def test_identify_says_what_it_would_take(cli, people):
    cli("evaluate", "identify", "--on", people).refuses("2 persons are too few to tell FPIR 0.01", "--fpir")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lfw", "--root", "nowhere"), ("nowhere: no such folder", "twinface data fetch lfw")),
        (("lfw", "--root", ".", "--protocol", "view3"), ("--protocol must be view1 or view2",)),
        (("lfw", "--root", ".", "--split", "dev"), ("--split must be train or test",)),
        (("folder", "nowhere"), ("nowhere",)),
        (("folder", ""), ("the path is empty",)),
        (("lfw", "--root", ".", "--out", ""), ("'--out'", "the path is empty")),
        (("folder", ".", "--fmr", "2"), ("--fmr must lie between 0 and 1",)),
        (("identify",), ("data: no such folder or archive", "twinface data fetch lfw")),
        (("lfw",), ("data: no such folder or archive", "twinface data fetch lfw")),
        (("identify", "--root", "a", "--on", "b"), ("either --root LFW or --on FOLDER",)),
        (("identify", "--on", ".", "--fpir", "0"), ("--fpir must lie between 0 and 1",)),
        (("fairness", "--root", "nowhere"), ("nowhere",)),
        (("lfw", "--root", ".", "--model", "nobody"), ("no LFW",)),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(cli, tmp_path, scrubbed, words, said):
    scrubbed.chdir(tmp_path)
    scrubbed.setenv("TWINFACE_DATA", str(tmp_path / "data"))
    cli("evaluate", *words).refuses(*said)


def test_a_report_that_cannot_be_written_is_refused_before_the_work(cli, lfw, tmp_path):
    (tmp_path / "file").write_text("in the way")
    cli("evaluate", "lfw", "--root", lfw, "--out", tmp_path / "file" / "out").refuses("no report can be written there")


def test_a_report_inside_the_measured_folder_would_become_a_person(cli, people):
    cli("evaluate", "folder", people, "--out", people / "report").refuses("lies in the folder that is measured")
    assert not (people / "report").exists()


def test_a_split_belongs_to_view_1(cli, lfw):
    cli("evaluate", "lfw", "--root", lfw, "--split", "train").refuses("--split belongs to --protocol view1")


def test_names_from_folders_do_not_move_the_cursor(cli, people, examples):
    evil = people / "b\x1b[31m\x1b]0;title\x07"
    evil.mkdir()
    shutil.copy(examples / "hopper.jpg", evil / "1.jpg")
    done = cli("evaluate", "folder", people)
    assert done.status == 0
    assert "one picture of two persons?" in done.out
    assert "\x1b" not in done.out
    assert "\\x1b[31m" in done.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_no_bug_of_ours(people):
    words = [sys.executable, "-m", "twinface", "evaluate", "folder", str(people)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "the answer cannot be written (No space left on device)" in done.stderr
    assert "report it" not in done.stderr


def test_an_answer_does_not_fail_for_one_letter(people):
    (people / "Jos\u00e9").mkdir()
    shutil.copy(people / "Grace_Hopper" / "Grace_Hopper_0001.jpg", people / "Jos\u00e9" / "1.jpg")
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    words = [sys.executable, "-m", "twinface", "evaluate", "folder", str(people)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Jos" in done.stdout


def test_own_people_get_the_figures_that_lfw_gets(cli, people):
    report = json.loads(cli("evaluate", "folder", people, "--json").out)
    assert report.keys() >= KEYS
    assert (report["accuracy"], report["recall"]) == (1.0, 1.0)
    assert report["threshold"] == find_encoder("twin-r29")[0].rule(mirror=True).point().threshold


def test_damaged_rules_are_no_missing_rules(cli, people, tmp_path):
    for path in HOME.glob("twin-r29.*"):
        shutil.copy(path, tmp_path)
    asked = ("evaluate", "folder", people, "--model", tmp_path / "twin-r29.json")
    rules = tmp_path / "twin-r29.decision.json"
    rules.write_text(rules.read_text().replace('"threshold"', '"treshold"', 1))
    cli(*asked).refuses("twin-r29.decision.json", "not a decision file")
    rules.unlink()
    assert "twin-r29 has no operating points with these settings" in cli(*asked).out
