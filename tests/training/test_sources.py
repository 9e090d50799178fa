"""What a recipe's data names, opened: who is in it and who is kept out."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")

from twinface.core.provenance import TrainingSet
from twinface.datasets.splits import fraction
from twinface.errors import DatasetCorrupt, DatasetMissing, RecipeError
from twinface.training.recipe import SOURCES, DataRecipe
from twinface.training.sources import CELEBA_PART, open_sources, training_sets

LFW = {"Ann": 2, "Bob_B": 2, "Cyd": 3, "Dan": 2, "Eve": 2, "Fay": 1}
LISTS = {
    "pairs.txt": b"1\nAnn\t1\t2\nAnn\t1\tBob_B\t1\n",
    "pairsDevTrain.txt": b"2\nBob_B\t2\t1\nCyd\t1\t2\nCyd\t1\tBob_B\t1\nBob_B\t2\tCyd\t2\n",
    "pairsDevTest.txt": b"1\nDan\t1\t2\nDan\t1\tAnn\t1\n",
}
UTKFACE = [f"{20 + number}_0_{number % 5}_{number:017d}" for number in range(40)]
CELEBA = [f"{number:05d}" for number in range(60)]


def lay(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def lfw(above: str = "") -> dict[str, bytes]:
    return {f"{above}{name}/{name}_{n:04d}.jpg": b"" for name, count in LFW.items() for n in range(1, count + 1)}


def pool(above: str = "") -> dict[str, bytes]:
    return {f"{above}utkface/{stem}.webp": b"" for stem in UTKFACE} | {
        f"{above}celeba/{person}/{n}.webp": b"" for person in CELEBA for n in (1, 2)
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """All sources below one root, as archives."""
    root = tmp_path_factory.mktemp("data")
    pack(root / "lfw" / "lfw-deepfunneled.tgz", lfw("lfw-deepfunneled/"))
    pack(root / "faces-pool.tar.gz", pool("faces-pool/"))
    lay(root / "lfw", LISTS)
    return root


def opened(root: Path, *names: str, **options):
    return open_sources(DataRecipe(sources=names, root=str(root), **options))


def persons(source) -> list[str]:
    return sorted({shot.person for shot in source.shots})


class TestLfw:
    def test_dev_train_is_all_pictures_of_its_people_and_its_pairs_as_listed(self, data):
        (source,) = opened(data, "lfw-dev-train")
        assert [(shot.path.rpartition("/")[2], shot.person) for shot in source.shots] == [
            ("Bob_B_0001.jpg", "Bob_B"), ("Bob_B_0002.jpg", "Bob_B"), ("Cyd_0001.jpg", "Cyd"), ("Cyd_0002.jpg", "Cyd"),
            ("Cyd_0003.jpg", "Cyd"),
        ]  # fmt: skip
        assert source.pairs == ((1, 0, True), (2, 3, True), (2, 0, False), (1, 3, False))
        assert (source.name, source.face, source.shots[0].group, source.shots[0].source) == (
            "lfw-dev-train", "central", "", "lfw-dev-train"
        )  # fmt: skip
        assert "not the official pairs.txt" in source.notes[0]

    def test_outside_is_who_is_in_no_list_at_all(self, data):
        (source,) = opened(data, "lfw-outside")
        assert (persons(source), source.pairs, source.face) == (["Eve", "Fay"], None, "central")
        assert len(source.shots) == 3

    def test_nobody_outside_is_said(self, tmp_path):
        only = {name: content for name, content in lfw("lfw/").items() if "Eve" not in name and "Fay" not in name}
        with pytest.raises(DatasetMissing, match="everybody in this LFW is in its pair lists"):
            opened(lay(tmp_path, {**only, **LISTS}), "lfw-outside")

    def test_a_missing_list_is_named(self, tmp_path):
        lay(tmp_path, {**lfw("lfw/"), **{name: text for name, text in LISTS.items() if name != "pairsDevTest.txt"}})
        with pytest.raises(DatasetMissing, match=r"pairsDevTest\.txt: no such pair list"):
            opened(tmp_path, "lfw-outside")

    @pytest.mark.parametrize("above", ["lfw-deepfunneled/", "lfw/lfw-deepfunneled/", "lfw/1/lfw-deepfunneled/"])
    def test_it_is_found_below_the_root(self, tmp_path, above):
        lay(tmp_path, lfw(above))
        lay((tmp_path / above).parent, LISTS)
        assert len(opened(tmp_path, "lfw-dev-train")[0].shots) == 5


class TestPool:
    def test_pictures_have_person_and_group(self, data):
        utkface, celeba = opened(data, "utkface", "celeba")
        assert persons(utkface) == sorted(f"utkface/{stem}" for stem in UTKFACE)
        assert {shot.group for shot in utkface.shots} == {"White", "Black", "Asian", "Indian", "Other"}
        assert persons(celeba) == [f"celeba/{person}" for person in CELEBA]
        assert {shot.group for shot in celeba.shots} == {""}
        assert {source.face for source in (utkface, celeba)} == {"largest"}
        assert (utkface.notes, celeba.notes) == ((), ())

    @pytest.mark.parametrize("share", [0.25, 0.5])
    def test_who_is_held_out_is_in_no_source(self, data, share):
        utkface, celeba = opened(data, "utkface", "celeba", held_out=share)
        kept = [f"utkface/{stem}" for stem in UTKFACE if fraction(stem) >= share]
        assert persons(utkface) == sorted(kept)
        assert persons(celeba) == [one for p in CELEBA if fraction(one := f"celeba/{p}") >= CELEBA_PART * share]
        assert utkface.notes == (f"{40 - len(kept)} of 40 pictures of UTKFace are held out",)
        assert len(celeba.shots) % 2 == 0
        assert 0 < len(celeba.shots) < 120

    def test_all_held_out_is_said(self, data):
        with pytest.raises(
            DatasetMissing, match=r"no picture of UTKFace to train on: all are held out; lower data\.he"
        ):
            opened(data, "utkface", held_out=1.0)

    def test_one_without_the_other_is_said(self, tmp_path):
        lay(tmp_path, {name: content for name, content in pool().items() if "celeba" in name})
        assert len(opened(tmp_path, "celeba")[0].shots) == 120
        with pytest.raises(DatasetMissing, match="no picture of UTKFace to train on: look at its spelling"):
            opened(tmp_path, "utkface")

    def test_its_archive_may_be_the_root(self, data):
        (source,) = opened(data / "faces-pool.tar.gz", "utkface")
        assert len(source.shots) == 40


class TestFolder:
    def test_a_folder_for_each_person(self, tmp_path):
        (source,) = opened(lay(tmp_path / "us", {"Ada/1.jpg": b"", "Ada/2.jpg": b"", "Bob/1.jpg": b""}), "folder")
        assert [(shot.path, shot.person, shot.source) for shot in source.shots] == [
            ("Ada/1.jpg", "Ada", "folder"), ("Ada/2.jpg", "Ada", "folder"), ("Bob/1.jpg", "Bob", "folder")
        ]  # fmt: skip
        assert (source.name, source.dataset, source.face, source.pairs) == ("folder", "us", "largest", None)
        assert source.notes == ("1 of 2 persons has one picture and cannot form mated pairs: Bob",)

    def test_names_that_begin_with_the_person_s(self, tmp_path):
        (source,) = opened(
            lay(tmp_path, {"Ada_1.jpg": b"", "Ada_2.jpg": b"", "Bob7.jpg": b"", "Bob8.jpg": b""}), "folder"
        )
        assert [shot.person for shot in source.shots] == ["Ada", "Ada", "Bob", "Bob"]
        assert source.notes == ()

    def test_a_table_may_tell_groups(self, tmp_path):
        lay(tmp_path, {"people.csv": b"path,subject,race\n1.jpg,Ada,Asian\n2.jpg,Bob,\n"})
        (source,) = opened(tmp_path / "people.csv", "folder")
        assert [(shot.person, shot.group) for shot in source.shots] == [("Ada", "Asian"), ("Bob", "")]

    @pytest.mark.parametrize("made", [{}, {"notes.txt": b""}])
    def test_an_empty_folder_is_said(self, tmp_path, made):
        with pytest.raises(DatasetMissing, match="holds no pictures of people; make a folder for each person, or name"):
            opened(lay(tmp_path, made), "folder")

    def test_a_missing_folder_and_an_empty_table_are_said(self, tmp_path):
        with pytest.raises(DatasetMissing, match="no such folder or archive"):
            opened(tmp_path / "nowhere", "folder")
        lay(tmp_path, {"people.csv": b"path,subject\n"})
        with pytest.raises(DatasetMissing, match="names no photos"):
            opened(tmp_path / "people.csv", "folder")

    def test_a_name_without_a_person_is_said(self, tmp_path):
        with pytest.raises(DatasetCorrupt, match=r"holiday\.jpg: the name tells no person"):
            opened(lay(tmp_path, {"holiday.jpg": b""}), "folder")


class TestRecipe:
    def test_every_source_the_recipe_may_name_opens(self, data, tmp_path):
        places = {"folder": lay(tmp_path, {"Ada/1.jpg": b""})}
        assert [opened(places.get(name, data), name)[0].name for name in SOURCES] == list(SOURCES)

    def test_sources_come_in_the_recipe_s_order(self, data):
        names = ("celeba", "lfw-outside", "utkface", "lfw-dev-train")
        assert tuple(source.name for source in opened(data, *names)) == names

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            ((), "data.sources: choose among folder, lfw-dev-train, .*; found none"),
            (("celeba", "lfw\n"), r"data.sources: choose among .*; found 'lfw\\n'"),
            (("celeba", "celeba"), "data.sources: names a source twice"),
            (("celeba", "folder"), "data.sources: folder goes with no other source"),
        ],
    )
    def test_names_that_make_no_sense_are_refused(self, data, names, said):
        with pytest.raises(RecipeError, match=said):
            opened(data, *names)

    def test_no_root_is_refused_with_what_to_do(self):
        with pytest.raises(RecipeError, match=r"data\.root: .*; give --root FOLDER, or set it in the recipe"):
            open_sources(DataRecipe(sources=("celeba",)))


def test_training_record_names_the_persons_used_by_data_set(data):
    sources = opened(data, "lfw-dev-train", "lfw-outside", "utkface")
    young = f"utkface/{UTKFACE[0]}"
    assert training_sets(sources, {"Cyd", "Eve", young, "Somebody else"}) == (
        TrainingSet("LFW", frozenset({"Cyd", "Eve"})),
        TrainingSet("UTKFace", frozenset({young})),
    )
