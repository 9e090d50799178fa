"""The crops of a run: made once, kept, and not trusted when damaged."""

import io
import json
import os
import tarfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

pytest.importorskip("torch", reason="needs the train extra")

from twinface.errors import DatasetCorrupt, DatasetMissing, OutputError
from twinface.training import crops
from twinface.training.crops import prepare
from twinface.training.cutting import Cutter
from twinface.training.recipe import DataRecipe
from twinface.training.sources import Source, open_sources
from twinface.vision.detector import OnnxDetector

WHOLE = DataRecipe(crop="whole", size=16, margin=0)
SIDE = 40


def grey(level: int) -> bytes:
    file = io.BytesIO()
    PillowImage.new("RGB", (SIDE, SIDE), (level, level, level)).save(file, "PNG")
    return file.getvalue()


def lay(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def folder_of(root: Path) -> tuple[Source, ...]:
    return open_sources(DataRecipe(root=str(root)))


def levels(store) -> list[int]:
    """What the pictures of `grey` are known by."""
    assert store.pixels.shape[1:] == (16, 16, 3)
    assert (store.pixels == store.pixels[:, :1, :1, :1]).all()
    return store.pixels[:, 0, 0, 0].tolist()


PEOPLE = {
    f"{name}/{number}.png": grey(10 * place + number) for place, name in enumerate("abc", 1) for number in (1, 2, 3)
}
LEVELS = [11, 12, 13, 21, 22, 23, 31, 32, 33]


@pytest.fixture
def people(tmp_path) -> Path:
    return lay(tmp_path / "people", PEOPLE)


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "run" / "crops"


class Counter:
    """How many pictures were cut."""

    def __init__(self, monkeypatch) -> None:
        self.count = 0
        cut = Cutter.cut

        def counted(cutter, content, choice):
            self.count += 1
            return cut(cutter, content, choice)

        monkeypatch.setattr(Cutter, "cut", counted)

    def since(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def cuts(monkeypatch) -> Counter:
    return Counter(monkeypatch)


class TestPortraits:
    @pytest.fixture
    def portraits(self, examples, tmp_path) -> Path:
        names = {"Hopper/1.jpg": "hopper.jpg", "Hopper/2.jpg": "hopper_reshoot.jpg", "Collins/1.jpg": "collins.jpg"}
        root = lay(tmp_path / "portraits", {path: (examples / name).read_bytes() for path, name in names.items()})
        return lay(root, {"Collins/2.png": grey(90)})

    def test_faces_are_found_aligned_and_kept(self, portraits, kept, monkeypatch):
        recipe, steps = DataRecipe(size=64, margin=8, corrupt=0.25), []
        store = prepare(folder_of(portraits), recipe, kept, advance=lambda: steps.append(1), workers=2)
        assert (store.pixels.shape, store.pixels.dtype, len(steps)) == ((3, 80, 80, 3), np.uint8, 4)
        assert [shot.path for shot in store.shots] == ["Collins/1.jpg", "Hopper/1.jpg", "Hopper/2.jpg"]
        ((failure),) = store.failures
        assert (failure.source, failure.path, failure.reason) == ("folder", "Collins/2.png", "no face found")
        cutter = Cutter(recipe)
        for shot, crop in zip(store.shots, store.pixels, strict=True):
            assert np.array_equal(crop, cutter.cut((portraits / shot.path).read_bytes(), "largest"))
        monkeypatch.setattr(OnnxDetector, "detect", lambda *_: pytest.fail("detected again"))
        again = prepare(folder_of(portraits), recipe, kept, advance=lambda: steps.append(1))
        assert np.array_equal(again.pixels, store.pixels)
        assert (again.shots, again.failures, again.path, len(steps)) == (store.shots, store.failures, store.path, 4)


class TestKeeping:
    def test_crops_come_in_the_order_of_the_shots_and_cannot_be_written(self, people, kept):
        store = prepare(folder_of(people), WHOLE, kept)
        assert levels(store) == LEVELS
        assert [shot.path for shot in store.shots] == sorted(PEOPLE)
        assert (store.failures, store.pairs) == ((), None)
        assert isinstance(store.pixels, np.memmap)
        assert not store.pixels.flags.writeable
        assert np.array_equal(np.load(store.path, allow_pickle=False), store.pixels)
        assert sorted(path.suffix for path in kept.iterdir()) == [".json", ".npy"]

    def test_several_sources_lie_one_behind_the_other(self, tmp_path, people, kept):
        others = folder_of(lay(tmp_path / "others", {"z/1.png": grey(99), "y/1.png": grey(98)}))
        assert levels(prepare([*others, *folder_of(people)], WHOLE, kept)) == [98, 99, *LEVELS]

    def test_an_archive_gives_what_the_folder_gives_whatever_its_order(self, tmp_path, people, kept):
        with tarfile.open(tmp_path / "people.tgz", "w:gz") as archive:
            for name in sorted(PEOPLE, reverse=True):
                archive.add(people / name, name)
        assert levels(prepare(folder_of(tmp_path / "people.tgz"), WHOLE, kept)) == LEVELS

    def test_neither_the_number_of_workers_nor_a_second_call_changes_a_byte(self, tmp_path, people, cuts):
        contents = []
        for workers in (1, 3):
            store = prepare(folder_of(people), WHOLE, tmp_path / str(workers), workers=workers)
            contents.append(store.path.read_bytes())
        assert contents[0] == contents[1]
        assert cuts.since() == 18
        assert prepare(folder_of(people), WHOLE, tmp_path / "3").path.read_bytes() == contents[0]
        assert cuts.since() == 0

    @pytest.mark.parametrize("where", ["folder", "archive"])
    def test_a_picture_that_changed_is_cut_anew(self, tmp_path, people, kept, cuts, where):
        def root() -> Path:
            if where == "folder":
                return people
            with tarfile.open(tmp_path / "people.tar", "w") as archive:
                archive.add(people, "people")
            return tmp_path / "people.tar"

        prepare(folder_of(root()), WHOLE, kept)
        (people / "b" / "1.png").write_bytes(grey(77) + b" ")  # of another length, should the clock stand still
        (people / "new").mkdir()
        store = prepare(folder_of(root()), WHOLE, kept)
        assert levels(store)[3] == 77
        assert cuts.since() == 18

    def test_another_recipe_is_kept_beside(self, people, kept, cuts):
        recipes = [WHOLE, DataRecipe(crop="whole", size=20)]
        for _ in range(2):
            assert [prepare(folder_of(people), recipe, kept).pixels.shape[1] for recipe in recipes] == [16, 20]
        assert cuts.since() == 18

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda crops, record: os.truncate(crops, crops.stat().st_size - 1),
            lambda crops, record: crops.write_bytes(crops.read_bytes() + b" "),
            lambda crops, record: crops.write_bytes(b"\x93NUMPY\x02" + crops.read_bytes()[7:]),
            lambda crops, record: crops.write_bytes(b""),
            lambda crops, record: crops.unlink(),
            lambda crops, record: record.unlink(),
            lambda crops, record: record.write_bytes(b"\xff"),
            lambda crops, record: record.write_text("[]"),
            lambda crops, record: record.write_text("[" * 100_000),
            lambda crops, record: record.write_text('{"failures": 3}'),
            lambda crops, record: record.write_text('{"failures": [{"place": 1}]}'),
            lambda crops, record: record.write_text('{"failures": [{"place": [], "reason": ""}]}'),
            lambda crops, record: record.write_text('{"failures": [{"place": 1, "reason": "torn"}]}'),
        ],
    )
    def test_what_is_damaged_is_made_anew(self, people, kept, cuts, spoil):
        path = prepare(folder_of(people), WHOLE, kept).path
        spoil(path, path.with_suffix(".json"))
        cuts.since()
        assert levels(prepare(folder_of(people), WHOLE, kept)) == LEVELS
        assert cuts.since() == 9
        assert levels(prepare(folder_of(people), WHOLE, kept)) == LEVELS
        assert cuts.since() == 0

    @pytest.mark.parametrize("place", [9, -1, True, 1.0])
    def test_a_record_of_the_right_length_about_other_pictures_is_not_believed(self, people, kept, cuts, place):
        lay(people, {"b/2.png": b"torn"})
        recipe = DataRecipe(crop="whole", size=16, corrupt=0.5)
        record = prepare(folder_of(people), recipe, kept).path.with_suffix(".json")
        record.write_text(json.dumps({"failures": [{"place": place, "reason": "torn"}]}))
        cuts.since()
        assert [one.path for one in prepare(folder_of(people), recipe, kept).failures] == ["b/2.png"]
        assert cuts.since() == 9

    def test_no_picture_is_a_mistake_of_the_caller(self, kept):
        with pytest.raises(ValueError, match="at least one picture"):
            prepare([], WHOLE, kept)


class TestFailures:
    @pytest.fixture
    def torn(self, people) -> Path:
        return lay(people, {"a/1.png": b"torn", "b/2.png": grey(5)[:60], "c/3.png": b""})

    def test_up_to_the_share_they_are_named_and_skipped(self, torn, kept, cuts):
        recipe = DataRecipe(crop="whole", size=16, corrupt=3 / 9)
        for times in (1, 2):
            store = prepare(folder_of(torn), recipe, kept)
            assert levels(store) == [12, 13, 21, 23, 31, 32]
            assert [shot.path for shot in store.shots] == [
                "a/2.png",
                "a/3.png",
                "b/1.png",
                "b/3.png",
                "c/1.png",
                "c/2.png",
            ]
            assert [one.path for one in store.failures] == ["a/1.png", "b/2.png", "c/3.png"]
            assert store.failures[0].reason.startswith("not a picture TwinFace reads")
            assert np.load(store.path, allow_pickle=False).shape == (6, 16, 16, 3)
            assert cuts.since() == (9 if times == 1 else 0)
        rows = json.loads(store.path.with_suffix(".json").read_text())["failures"]
        assert [(row["place"], row["source"], row["path"]) for row in rows] == [
            (0, "folder", "a/1.png"), (4, "folder", "b/2.png"), (8, "folder", "c/3.png")
        ]  # fmt: skip

    def test_beyond_the_share_the_run_is_refused_and_nothing_kept(self, torn, kept):
        with pytest.raises(DatasetCorrupt) as caught:
            prepare(folder_of(torn), DataRecipe(crop="whole", size=16, corrupt=0.33), kept)
        said = str(caught.value)
        assert said.startswith(
            "3 of 9 pictures (33.3%) give no crop, and data.corrupt allows 33.0%: a/1.png (not a picture"
        )
        assert "b/2.png (damaged or incomplete PNG" in said
        assert "c/3.png (empty" in said
        assert said.endswith("mend or remove them, or raise data.corrupt")
        assert said.isprintable()
        assert list(kept.iterdir()) == []

    def test_only_the_first_three_are_named(self, torn, kept):
        lay(torn, {"c/4.png": b"torn", "c/5.png": b"torn"})
        with pytest.raises(DatasetCorrupt, match=r"5 of 11 .* c/3\.png \(.*\) and 2 more; mend"):
            prepare(folder_of(torn), WHOLE, kept)

    def test_a_smaller_share_later_refuses_what_is_kept(self, torn, kept, cuts):
        prepare(folder_of(torn), DataRecipe(crop="whole", size=16, corrupt=0.5), kept)
        cuts.since()
        with pytest.raises(DatasetCorrupt, match="3 of 9 pictures"):
            prepare(folder_of(torn), WHOLE, kept)
        assert cuts.since() == 0

    def test_no_crop_at_all_is_refused_whatever_the_share(self, tmp_path, kept):
        sources = folder_of(lay(tmp_path / "torn", {"a/1.png": b"torn"}))
        with pytest.raises(DatasetCorrupt, match="1 of 1 pictures"):
            prepare(sources, DataRecipe(crop="whole", size=16, corrupt=1.0), kept)

    def test_a_picture_gone_since_it_was_listed_is_missing(self, people, kept):
        sources = folder_of(people)
        (people / "b" / "2.png").unlink()
        with pytest.raises(DatasetMissing, match=r"lacks a file: b/2\.png"):
            prepare(sources, WHOLE, kept)
        assert list(kept.iterdir()) == []


class TestPairs:
    def test_they_point_to_the_crops_and_those_with_a_failed_picture_go(self, tmp_path, kept):
        files = {f"lfw/{name}/{name}_000{number}.jpg": grey(level) for name, number, level in
                 [("Ann", 1, 11), ("Ann", 2, 12), ("Bob", 1, 21), ("Bob", 2, 22)]}  # fmt: skip
        files["lfw/Ann/Ann_0001.jpg"] = b"torn"
        files["pairsDevTrain.txt"] = b"2\nAnn\t1\t2\nBob\t2\t1\nAnn\t1\tBob\t1\nAnn\t2\tBob\t2\n"
        root = lay(tmp_path / "data", files)
        listed = open_sources(DataRecipe(sources=("lfw-dev-train",), root=str(root)))
        others = folder_of(lay(tmp_path / "others", {"z/1.png": grey(99), "y/1.png": b"torn"}))
        recipe = DataRecipe(crop="whole", size=16, corrupt=0.5)
        store = prepare([*others, *listed], recipe, kept)
        assert levels(store) == [99, 12, 21, 22]
        assert store.pairs == ((3, 2, True), (1, 3, False))
        assert [(store.shots[one].person, store.shots[other].person) for one, other, _ in store.pairs] == [
            ("Bob", "Bob"), ("Ann", "Bob")
        ]  # fmt: skip


class TestRoom:
    def test_a_disk_too_full_is_said_before_the_work(self, people, kept, cuts, monkeypatch):
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(crops.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
        with pytest.raises(OutputError, match=r"crops: the crops need 0 MB and 0 MB are free; make room, or choose"):
            prepare(folder_of(people), WHOLE, kept)
        assert cuts.since() == 0

    def test_a_disk_that_fills_up_meanwhile_is_said_and_nothing_is_left(self, people, kept):
        resource = pytest.importorskip("resource", reason="there are no limits on files here")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        sources = folder_of(people)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
        try:
            with pytest.raises(OutputError, match=r"\.npy: cannot be written \(.+\); choose another place"):
                prepare(sources, WHOLE, kept)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(kept.iterdir()) == []

    def test_a_file_in_the_folder_s_place_is_said(self, tmp_path, people):
        (tmp_path / "taken").write_bytes(b"")
        with pytest.raises(OutputError, match=r"taken: cannot be written \(.+\); choose another place"):
            prepare(folder_of(people), WHOLE, tmp_path / "taken")

    def test_an_interruption_leaves_nothing_behind(self, people, kept):
        def interrupt() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            prepare(folder_of(people), WHOLE, kept, advance=interrupt, workers=2)
        assert list(kept.iterdir()) == []
