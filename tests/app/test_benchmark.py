"""`twinface benchmark`: all systems on the same pictures, each in processes of its own; who is missing is listed."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import struct
import sys
import zlib
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from twinface.app.benchmarking import benchmark as running
from twinface.app.benchmarking import peers
from twinface.app.benchmarking import trial as trials
from twinface.app.benchmarking.benchmark import (
    QUICK,
    Accuracy,
    Benchmark,
    Line,
    Plan,
    acquire,
    benchmark,
    evenly,
    judge,
    leaks,
    spread_out,
)
from twinface.app.benchmarking.contenders import Entrant, Peer, entrants
from twinface.app.benchmarking.report import HEADER, cells, rows, to_json, to_markdown
from twinface.app.benchmarking.spread import Spread, spread
from twinface.app.benchmarking.timing import Cost, race
from twinface.app.benchmarking.trial import Trial, serve
from twinface.app.cache import SqliteTemplateCache
from twinface.core.types import Acquired
from twinface.datasets.lfw import open_lfw
from twinface.datasets.pairs import LfwPair
from twinface.errors import DatasetCorrupt, ModelNotFound, OutputError, TwinFaceError, UnreadableImage
from twinface.models.registry import HOME

DEFAULT = Entrant("twinface", "twin-r29", None, True)
PEER = Entrant("face_recognition")
SMALL = Plan(pictures=2, rounds=1, cached=False)
SYSTEM_KEYS = {
    "name", "detail", "missing", "accuracy", "accuracy_std", "accuracy_where_acquired", "folds", "difference", "eer",
    "auc", "tar", "failures", "failed_pairs", "detect_ms", "encode_ms", "peak_memory_bytes", "size_on_disk_bytes",
    "machine_busy",
}  # fmt: skip

needs_peer = pytest.mark.skipif(peers.FaceRecognition.missing() is not None, reason="dlib-bin is not installed")


@pytest.fixture(autouse=True)
def _own_cache(scrubbed, tmp_path):
    scrubbed.setenv("TWINFACE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def root(tmp_path_factory, examples):
    """A tiny LFW: two persons, two pictures each; in the third fold a picture that shows nobody."""
    root = tmp_path_factory.mktemp("lfw")
    people = root / "lfw"
    for name in ("collins", "hopper"):
        folder = people / name.title()
        folder.mkdir(parents=True)
        for number, source in ((1, f"{name}.jpg"), (2, f"{name}_reshoot.jpg")):
            with Image.open(examples / source) as portrait:
                portrait.thumbnail((250, 250))
                portrait.save(folder / f"{name.title()}_{number:04d}.jpg", quality=95)
    (people / "Nobody").mkdir()
    Image.new("RGB", (250, 250), "grey").save(people / "Nobody" / "Nobody_0001.jpg")
    folds = [
        ("Collins\t1\t2", "Collins\t1\tHopper\t1"),
        ("Hopper\t1\t2", "Collins\t2\tHopper\t2"),
        ("Hopper\t1\t2", "Collins\t1\tNobody\t1"),
    ]
    (root / "pairs.txt").write_text("\n".join(["3\t1", *(line for fold in folds for line in fold)]) + "\n")
    return root


@pytest.fixture(scope="module")
def contents(root):
    lfw = open_lfw(root)
    return {path.rpartition("/")[2]: content for path, content in lfw.files.read(lfw.files.names())}


@contextmanager
def unseen(words, total):
    yield lambda: None


def pairs_of(lfw):
    return lfw.pairs("view2")


# the command


def test_every_system_stands_in_one_table_for_machines_and_on_paper(cli, root, own_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    own = own_encoder(tmp_path / "mine.onnx")
    page = tmp_path / "table.md"
    outcome = cli("benchmark", "--root", root, "--quick", "--model", f"arcface:{own}", "--json", "--out", page)
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert [(one["name"], one["detail"]) for one in report["systems"]] == [
        ("TwinFace twin-r29", "scout, mirror on"),
        ("TwinFace twin-r29", "scout, mirror off"),
        ("TwinFace resnet29", "scout, mirror on"),
        ("TwinFace resnet29", "scout, mirror off"),
        ("TwinFace twin-nano", "scout, mirror on"),
        ("TwinFace twin-nano", "scout, mirror off"),
        ("arcface:mine.onnx", "scout, mirror off"),
        ("face_recognition", ""),
    ]
    default, plain, *_, mine, absent = report["systems"]
    assert all(set(one) == SYSTEM_KEYS for one in report["systems"])
    assert (report["pairs"], report["pictures"], report["timed_pictures"]) == (6, 5, 4)  # nobody is timed on Nobody
    assert default["accuracy"] == pytest.approx(5 / 6)  # the pair with Nobody is an error
    assert (default["accuracy_where_acquired"], default["failures"], default["failed_pairs"]) == (1.0, 1, 1)
    assert default["difference"] is plain["difference"] is mine["difference"] is None  # of a quick run
    assert default["tar"] == {"0.01": None, "0.001": None}  # of three non-mated pairs nobody can tell
    assert default["size_on_disk_bytes"] == sum(
        (HOME / name).stat().st_size for name in ("twin-r29.onnx", "scout.onnx", "scout-points.onnx")
    )
    assert mine["size_on_disk_bytes"] < default["size_on_disk_bytes"]
    for one in (default, plain, mine):
        for taken in (one["detect_ms"], one["encode_ms"]):
            assert 0 < taken["low"] <= taken["median"] <= taken["high"]
        assert one["peak_memory_bytes"] is None or 2e7 < one["peak_memory_bytes"] < 2e9
    assert absent["missing"] == "not installed (pip install dlib-bin face_recognition_models)"
    assert {value for key, value in absent.items() if key not in ("name", "detail", "missing")} == {None}
    assert "InsightFace" in report["not_measured"]
    assert {"date", "cpu", "cores", "python", "packages"} <= set(report["machine"])
    text = page.read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 8
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "83.33%" in table[2]
    assert "not installed (pip install dlib-bin" in text


@pytest.mark.parametrize("pairs", [None, 6])
def test_differences_are_told_of_whole_runs_only(root, pairs):
    plain = Entrant("twinface", "twin-r29", None, False)
    first, second = benchmark(open_lfw(root), [DEFAULT, plain], replace(SMALL, pairs=pairs), unseen).lines
    assert first.accuracy.difference is None
    if pairs is None:
        assert (second.accuracy.difference.value, second.accuracy.difference.p) == (0, 1)
    else:
        assert second.accuracy.difference is None
        assert second.accuracy.right.size == 6


def test_a_cache_that_cannot_be_used_is_told_before_the_work(root, tmp_path, monkeypatch):
    (tmp_path / "cache" / "templates.sqlite").mkdir(parents=True)
    monkeypatch.setattr(running, "acquire", lambda *_: pytest.fail("the work has begun"))
    with pytest.raises(OutputError, match=r"templates\.sqlite: the template cache cannot be used .*--no-cache"):
        benchmark(open_lfw(root), [DEFAULT], Plan(), unseen)


def test_a_folder_where_nobody_may_write_is_told_before_the_work(cli, root, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "benchmark", lambda *_: pytest.fail("the work has begun"))
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    cli("benchmark", "--root", root, "--out", tmp_path / "table.md").refuses("table.md: cannot be written; choose")


@pytest.mark.parametrize(("width", "tables"), [("140", 1), ("80", 2)])
def test_the_table_fits_the_screen(cli, root, monkeypatch, width, tables):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr("twinface.app.benchmarking.benchmark.benchmark", lambda *_: finished())
    outcome = cli("benchmark", "--root", root)
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= int(width)
    assert sum(line.startswith("system") for line in lines) == tables
    for words in (
        "TwinFace twin-r29",
        "98.00%",
        "reference",
        "-1.00",
        "95.0 to 99.0",
        "3.0 ms",
        "185 MB",
        "not installed",
    ):
        assert words in outcome.out
    assert "\u2026" not in outcome.out  # nothing is cut off


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--root", "gone"], "gone: no such folder"),
        (["--model", "oracle"], "no model named 'oracle'"),
        (["--model", "arcface:gone.onnx"], "gone.onnx: no such file"),
        (["--detector", "oracle"], "no model named 'oracle'"),
        (["--out", "table.txt"], "table.txt: the table is written as .md or .json"),
        (["--out", "gone/table.md"], "cannot be written"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(cli, root, words, said):
    given = [] if "--root" in words else ["--root", root]
    cli("benchmark", *given, *words).refuses(said)


def test_a_broken_encoder_is_refused_before_any_work_is_done(cli, root, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    cli("benchmark", "--root", root, "--model", f"arcface:{broken}").refuses("broken.onnx: not a network")
    assert not (tmp_path / "cache" / "templates.sqlite").exists()


# who takes part


def test_the_default_comes_first_then_the_users_then_the_peers():
    found = entrants(["twin-r29", "arcface:a.onnx", "arcface:a.onnx"], "yunet:y.onnx")
    assert [(one.kind, one.model, one.mirror) for one in found] == [
        ("twinface", "twin-r29", True),
        ("twinface", "twin-r29", False),
        ("twinface", "resnet29", True),
        ("twinface", "resnet29", False),
        ("twinface", "twin-nano", True),
        ("twinface", "twin-nano", False),
        ("twinface", "arcface:a.onnx", False),
        ("face_recognition", "", False),
    ]
    assert {one.detector for one in found if one.kind == "twinface"} == {"yunet:y.onnx"}


def test_a_contract_of_the_users_decides_on_the_mirror_itself(tmp_path):
    facts = json.loads((HOME / "twin-r29.json").read_text())
    path = tmp_path / "net.json"
    path.write_text(json.dumps({**facts, "mirror": False}))
    assert Entrant("twinface", str(path), None, False) in entrants([str(path)], None)


def test_an_encoder_that_is_known_to_have_seen_the_persons_is_denounced(tmp_path):
    for name in ("twin-r29.json", "twin-r29.onnx"):
        shutil.copy(HOME / name, tmp_path)
    record = {"sets": [{"dataset": "LFW", "subjects": ["Aaron Eckhart", "Zach Safrin"]}]}
    (tmp_path / "twin-r29.training.json").write_text(json.dumps(record))
    own = Entrant("twinface", str(tmp_path / "twin-r29.json"))
    (note,) = leaks([own, own, PEER], {"Aaron_Eckhart", "Aaron_Guiel"})
    assert note.startswith("LEAK: ")
    assert "1 of the 2 persons" in note
    assert leaks([own], {"Aaron_Guiel"}) == []


# the pairs


def test_a_quick_run_takes_pairs_evenly_from_every_fold_and_kind():
    pairs = [
        LfwPair(("A", number), ("A" if mated else "B", number + 1), mated, fold)
        for fold in range(10) for mated in (True, False) for number in range(1, 301)
    ]  # fmt: skip
    chosen = spread_out(pairs, QUICK.pairs)
    assert len(chosen) == len(set(chosen)) == QUICK.pairs
    for fold in range(10):
        for mated in (True, False):
            numbers = [pair.first[1] for pair in chosen if (pair.fold, pair.mated) == (fold, mated)]
            assert np.diff(numbers).tolist() == [10] * 29
    assert spread_out(pairs, 100_000) == pairs


def test_few_items_are_all_taken():
    assert evenly("abc", 5) == list("abc")
    assert evenly("abcdef", 3) == list("ace")
    assert spread_out([], 600) == []


# accuracy


def templates(lfw, far=()):
    """Each person a direction of their own; pictures named in `far` look like somebody else."""
    directions = {"Collins": 0, "Hopper": 1, "Nobody": 2}
    found = {}
    for path in lfw.files.names():
        name = path.rpartition("/")[2].removesuffix(".jpg")
        person = name.partition("_")[0]
        vector = np.eye(4, dtype=np.float32)[3 if name in far else directions[person]]
        found[path] = Acquired(vector, 1, ())
    return found


def test_accuracy_is_judged_pair_by_pair(root):
    lfw = open_lfw(root)
    right = judge(lfw, pairs_of(lfw), templates(lfw), None)
    assert right.folded.mean == 1
    assert right.right.all()
    assert (right.failures, right.failed_pairs, right.difference) == (0, 0, None)
    worse = judge(lfw, pairs_of(lfw), templates(lfw, {"Collins_0002"}), right.right)
    assert worse.right.tolist() == [False, True, True, True, True, True]
    assert worse.folded.mean == pytest.approx(worse.right.mean())
    assert worse.difference.value == pytest.approx(-1 / 6)


def test_a_system_that_finds_no_face_at_all_has_no_accuracy(root):
    lfw = open_lfw(root)
    nothing = {path: Acquired(None, 0, ("no face",)) for path in lfw.files.names()}
    found = judge(lfw, pairs_of(lfw), nothing, None)
    assert (found.folded, found.right, found.where_acquired) == (None, None, None)
    assert (found.failures, found.failed_pairs) == (5, 6)
    few = {**nothing, **{path: one for path, one in templates(lfw).items() if path.endswith("Collins_0001.jpg")}}
    assert judge(lfw, pairs_of(lfw), few, None).folded is None


def test_one_fold_is_too_few(root):
    lfw = open_lfw(root)
    with pytest.raises(DatasetCorrupt, match="at least two"):
        judge(lfw, pairs_of(lfw)[:2], templates(lfw), None)


# a process of its own


def test_a_system_in_its_own_process_gives_what_it_gives_here(contents, recognizer):
    with Trial(DEFAULT, threads=1, cached=False) as trial:
        assert (trial.name, trial.detail) == ("TwinFace twin-r29", "scout, mirror on")
        there, nobody, rubbish = trial.acquire(
            [contents["Collins_0001.jpg"], contents["Nobody_0001.jpg"], b"no picture"]
        )
        trial.take([contents["Collins_0001.jpg"], contents["Nobody_0001.jpg"]])
        taken = trial.time()
    (here,) = recognizer.analyze(contents["Collins_0001.jpg"]).faces
    assert there.vector == pytest.approx(here.template.vector, abs=1e-5)
    assert (nobody.vector, nobody.reasons) == (None, ("no face",))
    assert (rubbish.vector, rubbish.reasons) == (None, ("unreadable",))
    assert (len(taken.detect), len(taken.encode)) == (2, 1)
    assert taken.wall > 0


def test_its_memory_is_not_that_of_the_process_that_started_it():
    ballast = np.ones(300_000_000, np.uint8)
    with Trial(DEFAULT, threads=1, cached=False) as trial:
        held = trial.peak_memory()
    assert ballast.all()
    if held is None:
        pytest.skip("this system does not tell")
    assert held < 300_000_000 or sys.platform != "linux"


def test_templates_are_kept_where_evaluate_finds_them(contents, tmp_path):
    from twinface.app.cache import open_cache
    from twinface.app.wiring import load_analyzer
    from twinface.services.embedding import embed

    acquire(DEFAULT, {"a": contents["Collins_0001.jpg"]}, True, lambda: None)
    cache = open_cache()
    assert cache.count() == 1
    embed(load_analyzer(), [("x", contents["Collins_0001.jpg"])], choice="central", cache=cache)
    assert cache.count() == 1
    cache.close()


def test_pictures_come_back_by_name_whoever_worked_on_them(contents):
    steps = []
    found = acquire(DEFAULT, contents, False, lambda: steps.append(1))
    assert list(found) == list(contents)
    assert len(steps) == len(contents)
    assert found["Nobody_0001.jpg"].vector is None
    assert np.linalg.norm(found["Collins_0001.jpg"].vector - found["Collins_0002.jpg"].vector) < 0.4


def test_what_cannot_be_loaded_says_why():
    with pytest.raises(TwinFaceError, match="no model named 'oracle'"):
        Trial(Entrant("twinface", "oracle"), threads=1, cached=False)


def test_a_process_that_dies_is_trouble_in_one_line(contents):
    with Trial(DEFAULT, threads=1, cached=False) as trial:
        trial._process.kill()
        with pytest.raises(TwinFaceError, match=r"^twin-r29: its process ended") as caught:
            trial.acquire([contents["Collins_0001.jpg"]])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ['{"rows": [\n', "[1]\n", "null\n", "loading weights ...\n", "[" * 100_000 + "\n"])
def test_an_answer_that_is_none_is_trouble_in_one_line(monkeypatch, line):
    with Trial(DEFAULT, threads=1, cached=False) as trial, monkeypatch.context() as patch:
        patch.setattr(trial._process, "stdout", io.StringIO(line))
        with pytest.raises(TwinFaceError, match=r"^twin-r29: its process answered '.*; measure without it$") as caught:
            trial.peak_memory()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 150


def test_half_an_answer_is_the_end_of_the_process(monkeypatch):
    monkeypatch.setattr(trials, "LAST_MOMENTS", 0.01)
    with Trial(DEFAULT, threads=1, cached=False) as trial:
        with monkeypatch.context() as patch:
            patch.setattr(trial._process, "stdout", io.StringIO('{"memory": 1'))
            with pytest.raises(TwinFaceError, match=r"^twin-r29: its process ended \(.*\); measure without it$"):
                trial.peak_memory()
        assert trial._process.poll() is not None  # and it does end


@pytest.mark.skipif(os.name != "posix", reason="a process can be stopped on POSIX")
def test_a_process_that_says_nothing_for_long_is_ended(monkeypatch):
    with Trial(DEFAULT, threads=1, cached=False) as trial:
        monkeypatch.setattr(trials, "PATIENCE", 0.1)
        trial._process.send_signal(signal.SIGSTOP)
        with pytest.raises(TwinFaceError, match=r"^twin-r29: its process gave no answer for .* and was ended; measure"):
            trial.peak_memory()
        assert trial._process.wait(60) == -signal.SIGKILL


def test_a_modules_name_in_the_users_folder_is_not_taken_for_the_library(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    with Trial(DEFAULT, threads=1, cached=False) as trial:
        assert trial.size_on_disk > 0


def test_a_conversation_ends_with_the_first_trouble():
    answers = io.StringIO()
    question = {"entrant": {"kind": "twinface", "model": "oracle"}, "threads": 1, "cached": False}
    serve(io.StringIO(json.dumps(question) + "\n" + '{"memory": null}\n'), answers)
    (line,) = answers.getvalue().splitlines()
    assert "oracle" in json.loads(line)["error"]


def test_the_race_goes_over_the_same_pictures_with_all(contents):
    pictures = [contents["Collins_0001.jpg"], contents["Hopper_0001.jpg"]]
    steps = []

    @contextmanager
    def counted(words, total):
        yield lambda: steps.append(total)

    plain = Entrant("twinface", "twin-r29", None, False)
    costs = race([DEFAULT, plain], pictures, counted, rounds=1, threads=1)
    assert [cost.disk for cost in costs] == [costs[0].disk] * 2
    assert all(cost.detect.median > 0 and cost.encode.median > 0 for cost in costs)
    assert steps == [4] * 4  # each once to warm up and once in earnest


def test_of_pictures_without_a_face_there_is_no_time_to_encode(contents):
    (cost,) = race([DEFAULT], [contents["Nobody_0001.jpg"]], unseen, rounds=1, threads=1)
    assert cost.encode is None


def test_the_spread_is_that_of_the_sorted_samples():
    assert spread([float(one) for one in range(10, -1, -1)]) == Spread(5.0, 1.0, 9.0)


# the peer


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\nshowpage\n%%EOF\n"


def bomb(side=20_000):
    """A PNG that says to be very large."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


UNREADABLE = {"no picture": b"no picture", "nothing": b"", "torn": bomb(200), "bomb": bomb(), "EPS": POSTSCRIPT}


class Library(peers.FaceRecognition):
    """The peer without dlib: its way of reading, and a template that is the mean colour."""

    detail, size_on_disk, space, dimension = "", 0, "of these tests", 3

    def __init__(self):
        self.encoded = 0

    def detect(self, image):
        return "all of it"

    def encode(self, image, face):
        self.encoded += 1
        return image.mean(axis=(0, 1)).astype(np.float32)


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_what_the_peer_cannot_read_is_a_failure_to_acquire_and_is_not_remembered(tmp_path, monkeypatch, content):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("another program was started"))
    with pytest.raises(UnreadableImage, match="face_recognition: cannot read this picture"):
        Library().read(content)
    cache = SqliteTemplateCache(tmp_path / "templates.sqlite")
    (found,) = Peer(Library()).acquire([content], cache)
    assert (found.vector, found.reasons) == (None, ("unreadable",))
    assert cache.count() == 0
    cache.close()


def test_the_peer_reads_what_twinface_reads(examples):
    with Image.open(examples / "hopper.jpg") as picture:
        pixels = np.array(picture)
        for kind in ("PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "MPO"):
            file = io.BytesIO()
            picture.save(file, kind)
            assert Library().read(file.getvalue()).shape == pixels.shape


def test_a_row_of_another_length_is_no_template_of_the_peers(tmp_path, contents):
    cache, picture = SqliteTemplateCache(tmp_path / "templates.sqlite"), contents["Collins_0001.jpg"]
    (first,) = Peer(Library()).acquire([picture], cache)
    known = Library()
    (again,) = Peer(known).acquire([picture], cache)
    assert known.encoded == 0
    assert np.array_equal(first.vector, again.vector)
    wider = Library()
    wider.dimension = 4
    Peer(wider).acquire([picture], cache)
    assert wider.encoded == 1
    cache.close()


@needs_peer
def test_one_bomb_does_not_end_the_run(contents):
    found = acquire(PEER, {"bomb": bomb(), "good": contents["Hopper_0001.jpg"]}, False, lambda: None)
    assert found["bomb"].reasons == ("unreadable",)
    assert found["good"].vector is not None


@needs_peer
def test_face_recognition_tells_the_same_persons_apart(root):
    lfw = open_lfw(root)
    found = benchmark(lfw, [DEFAULT, PEER], SMALL, unseen)
    _, peer = found.lines
    assert peer.name == "face_recognition"
    assert peer.detail.startswith("dlib ")
    assert peer.accuracy.where_acquired == 1
    assert peer.accuracy.failures >= 1  # it finds nobody in Nobody either
    assert 20e6 < peer.cost.disk < 50e6
    assert peer.cost.encode.median > 0


@needs_peer
def test_its_templates_are_those_of_the_library_and_are_kept(contents):
    import dlib

    path = "Hopper_0001.jpg"
    first = acquire(PEER, {path: contents[path]}, True, lambda: None)[path]
    library = peers.FaceRecognition()
    image = library.read(contents[path])
    place = library.detect(image)
    landmarks = dlib.shape_predictor(str(library._files[0]))(image, place)
    network = dlib.face_recognition_model_v1(str(library._files[1]))
    assert first.vector == pytest.approx(np.array(network.compute_face_descriptor(image, landmarks)), abs=1e-5)
    again = acquire(PEER, {path: contents[path]}, True, lambda: None)[path]
    assert np.array_equal(again.vector, first.vector)
    unreadable = acquire(PEER, {"x": b"no picture"}, False, lambda: None)["x"]
    assert (unreadable.vector, unreadable.reasons) == (None, ("unreadable",))


@needs_peer
def test_of_several_faces_its_central_one_counts(examples):
    library = peers.FaceRecognition()
    with Image.open(examples / "two_faces.jpg") as picture:
        picture.thumbnail((300, 300))
        pixels = np.array(picture.convert("RGB"))
    middle = pixels.shape[1]
    left = library.detect(np.concatenate([np.zeros_like(pixels), pixels], axis=1))  # now its left face is nearer
    right = library.detect(np.concatenate([pixels, np.zeros_like(pixels)], axis=1))
    assert middle < left.center().x < 1.5 * middle
    assert 0.5 * middle < right.center().x < middle


def test_who_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert "pip install dlib-bin" in peers.FaceRecognition.missing()
    with pytest.raises(ModelNotFound, match="face_recognition: not installed"):
        peers.FaceRecognition()


def test_nothing_of_the_peer_is_imported_with_the_package(run_python):
    done = run_python("import sys, twinface.app.cli, twinface.app.benchmarking.peers; print('dlib' in sys.modules)")
    assert (done.status, done.out) == (0, "False\n")


# how it reads


def finished(**changes):
    """A benchmark of two systems and one that is missing."""
    folded = pytest.importorskip("twinface.evaluation.verification").folded_accuracy(
        [0.1, 0.9, 0.2, 0.8], [True, False, True, False], [0, 0, 1, 1]
    )
    from dataclasses import replace

    from twinface.app.measuring.figures import Figures
    from twinface.evaluation.bootstrap import Difference
    from twinface.evaluation.intervals import Interval

    figures = Figures(4000, 2000, 50, 0, None, None, None, {1e-3: Interval(0.97, 0.95, 0.99)}, (), 2000)
    right = np.array([True] * 49 + [False])
    folded = replace(folded, mean=0.98, deviation=0.005)
    cost = Cost(Spread(3.0, 2.5, 4.0), Spread(8.0, 7.0, 9.0), 185_000_000, 11_800_000, False)
    lines = (
        Line("TwinFace twin-r29", "scout, mirror on", None, Accuracy(folded, figures, right, None, 0, 0), cost),
        Line("TwinFace twin-r29", "scout, mirror off", None,
             Accuracy(folded, figures, right, Difference(-0.01, -0.02, 0.0, 0.0005), 3, 3), cost),
        Line("face_recognition", "", "not installed (pip install dlib-bin face_recognition_models)"),
    )  # fmt: skip
    return Benchmark("LFW (original)", Plan(**changes), 4000, 500, 60, lines, ("a note",), 12.0)


FACTS = {
    "date": "2026-01-01", "machine": "Linux", "cpu": "a|b", "cores": 2, "python": "3.11", "packages": {"numpy": "2"},
}  # fmt: skip


def test_a_line_has_a_cell_for_every_column():
    for line in finished().lines:
        for first in (True, False):
            assert len(cells(line, first)) == len(HEADER)
    (default, plain, absent) = finished().lines
    assert cells(default, True)[2:4] == (("reference", ""), ("-", ""))
    assert cells(default, False)[2:4] == (("-", ""), ("-", ""))
    assert cells(plain, False)[2:4] == (("-1.00", "-2.00 to +0.00"), ("< 0.001", ""))
    assert cells(absent, False)[0] == ("face_recognition", "not installed")


def test_the_first_line_is_the_reference_unless_no_differences_are_told():
    assert [row[2][0] for row in rows(finished())] == ["reference", "-1.00", "-"]
    quick = finished(pairs=600)
    untold = [replace(line, accuracy=replace(line.accuracy, difference=None)) for line in quick.lines[:2]]
    quick = replace(quick, lines=(*untold, quick.lines[2]))
    assert [row[2][0] for row in rows(quick)] == ["-", "-", "-"]
    assert "reference" not in to_markdown(quick, FACTS)
    assert "no difference is told" in to_markdown(quick, FACTS)


def test_markdown_is_one_table_with_notes_and_who_is_missing():
    text = to_markdown(finished(), FACTS)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[1].count("---") == len(HEADER)
    assert "| 98.00% \u00b1 0.50 | reference |" in rows[2]
    assert "-1.00 (-2.00 to +0.00) | &lt; 0.001 | 97.0% (95.0 to 99.0) | 3 (else " in rows[3]
    assert "- a note" in text
    assert "- **face\\_recognition** not installed (pip install dlib-bin face\\_recognition\\_models)" in text
    assert "a\\|b" in text


def test_json_holds_no_value_that_json_has_not():
    text = json.dumps(to_json(finished(), FACTS), allow_nan=False)
    first, *_ = json.loads(text)["systems"]
    assert first["tar"]["0.001"] == {"value": 0.97, "low": 0.95, "high": 0.99}
    assert math.isclose(first["accuracy"], 0.98)


def test_a_quick_run_and_a_busy_machine_are_told_first():
    from dataclasses import replace

    quiet, quick = finished(), finished(pairs=600)
    assert not any("QUICK" in line or "BUSY" in line for line in to_json(quiet, FACTS)["notes"])
    assert to_json(quick, FACTS)["notes"][0].startswith("QUICK")
    busy = replace(quick.lines[0], cost=replace(quick.lines[0].cost, busy=True))
    assert "BUSY" in to_json(replace(quick, lines=(busy, *quick.lines[1:])), FACTS)["notes"][0]
