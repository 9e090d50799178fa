import os
from pathlib import Path

import pytest

from twinface.datasets.files import FolderFiles, TarFiles
from twinface.datasets.lfw import Lfw, open_lfw, pictures
from twinface.errors import DatasetCorrupt, DatasetMissing

MATED = "Ada_Lovelace\t1\t2\nBob\t3\t4\n"
NON_MATED = "Ada_Lovelace\t1\tBob\t2\nCleo\t1\tBob\t7\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return path


def picture(root: Path, name: str, number: int) -> Path:
    return root / name / f"{name}_{number:04d}.jpg"


class TestPictures:
    def test_people_and_their_pictures_are_sorted(self, tmp_path: Path) -> None:
        wanted = [("Bob", 1), ("Ada_Lovelace", 10), ("Ada_Lovelace", 2)]
        for name, number in wanted:
            path = picture(tmp_path, name, number)
            path.parent.mkdir(exist_ok=True)
            path.touch()
        found = pictures(tmp_path)
        assert list(found) == ["Ada_Lovelace", "Bob"]
        assert [path.name for path in found["Ada_Lovelace"]] == ["Ada_Lovelace_0002.jpg", "Ada_Lovelace_0010.jpg"]
        assert found["Bob"] == [picture(tmp_path, "Bob", 1)]

    def test_what_is_no_picture_of_a_person_is_passed_over(self, tmp_path: Path) -> None:
        picture(tmp_path, "Bob", 1).parent.mkdir()
        for name in ("Bob_0001.jpg", "Bob_1.jpg", "Bob_0001.jpg.part", "Ada_0001.jpg", "Thumbs.db"):
            (tmp_path / "Bob" / name).touch()
        (tmp_path / "empty").mkdir()
        (tmp_path / "README").touch()
        assert pictures(tmp_path) == {"Bob": [picture(tmp_path, "Bob", 1)]}

    def test_a_missing_folder_is_named_with_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetMissing, match="nowhere: no such folder; unpack LFW there or give its folder with"):
            pictures(tmp_path / "nowhere")

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "holiday").mkdir()
        with pytest.raises(DatasetMissing, match=r"holds no <Name>/<Name>_0001\.jpg"):
            pictures(tmp_path)


PEOPLE = {"Ada_Lovelace": 2, "Bob": 7, "Cleo": 1}
LIST = "2\n" + MATED + NON_MATED


def people(above: str = "") -> dict[str, bytes]:
    return {
        f"{above}{name}/{name}_{number:04d}.jpg": f"{name} {number}".encode()
        for name, count in PEOPLE.items()
        for number in range(1, count + 1)
    }


LISTS_HERE = {"pairs.txt": LIST.encode(), "pairsDevTest.txt": LIST.encode()}

VARIANTS = [
    ("lfw-deepfunneled.tgz", "lfw-deepfunneled", "deep-funneled"),
    ("lfw-funneled.tgz", "lfw_funneled", "funneled"),
    ("lfw.tgz", "lfw", "original"),
    ("mine.tar", "holiday", "unknown variant"),
]


def checked(lfw: Lfw) -> None:
    """All that is asked of LFW, however it lies."""
    assert lfw.name == f"LFW ({lfw.variant})"
    assert {person: len(paths) for person, paths in lfw.people().items()} == PEOPLE
    assert list(lfw.people()) == sorted(PEOPLE)
    assert lfw.people()["Ada_Lovelace"] == [lfw.path("Ada_Lovelace", 1), lfw.path("Ada_Lovelace", 2)]
    assert dict(lfw.files.read([lfw.path("Bob", 7)])) == {lfw.path("Bob", 7): b"Bob 7"}
    photos = lfw.photos()
    assert (photos.name, len(photos.photos)) == (lfw.name, sum(PEOPLE.values()))
    assert {photo.subject for photo in photos.photos if photo.path == lfw.path("Bob", 7)} == {"Bob"}
    assert [pair.mated for pair in lfw.pairs("view2")] == [True, True, False, False]
    assert len(lfw.pairs("test")) == 4


class TestOpenLfw:
    @pytest.mark.parametrize(("archive", "folder", "variant"), VARIANTS)
    def test_an_archive_with_the_lists_beside_it(self, tmp_path: Path, pack, lay, archive, folder, variant) -> None:
        lay(tmp_path, LISTS_HERE)
        found = open_lfw(pack(tmp_path / archive, people(f"{folder}/")))
        assert (found.variant, found.files.name) == (variant, str(tmp_path / archive))
        checked(found)

    @pytest.mark.parametrize("beside", [True, False])
    @pytest.mark.parametrize(("archive", "folder", "variant"), VARIANTS)
    def test_a_folder_of_people_with_the_lists_in_it_or_beside_it(
        self, tmp_path: Path, lay, archive, folder, variant, beside
    ) -> None:
        lay(tmp_path / folder, people())
        lay(tmp_path if beside else tmp_path / folder, LISTS_HERE)
        found = open_lfw(tmp_path / folder)
        assert (found.variant, found.path("Bob", 7)) == (variant, "Bob/Bob_0007.jpg")
        checked(found)

    @pytest.mark.parametrize("above", ["", "data/", "lfw/", "lfw_home/"])
    @pytest.mark.parametrize(("archive", "folder", "variant"), VARIANTS[:3])
    @pytest.mark.parametrize("unpacked", [True, False])
    def test_a_folder_that_holds_either(
        self, tmp_path: Path, pack, lay, above, archive, folder, variant, unpacked
    ) -> None:
        lay(tmp_path, {f"{above}{name}": content for name, content in LISTS_HERE.items()})
        if unpacked:
            lay(tmp_path, people(f"{above}{folder}/"))
        else:
            pack(tmp_path / f"{above}{archive}", people(f"{folder}/"))
        found = open_lfw(tmp_path)
        assert found.variant == variant
        checked(found)

    def test_the_better_alignment_first_and_of_it_the_unpacked_folder(self, tmp_path: Path, pack, lay) -> None:
        for archive, folder, variant in reversed(VARIANTS[:3]):
            pack(tmp_path / archive, people(f"{folder}/"))
            assert (open_lfw(tmp_path).variant, type(open_lfw(tmp_path).files)) == (variant, TarFiles)
            lay(tmp_path, people(f"{folder}/"))
            assert (open_lfw(tmp_path).variant, type(open_lfw(tmp_path).files)) == (variant, FolderFiles)

    def test_the_name_tells_the_variant_also_through_a_dot(self, tmp_path: Path, lay, monkeypatch) -> None:
        lay(tmp_path / "lfw_funneled", people() | LISTS_HERE)
        monkeypatch.chdir(tmp_path / "lfw_funneled")
        assert open_lfw(Path()).variant == "funneled"

    def test_other_files_among_the_pictures_do_not_matter(self, tmp_path: Path, pack, lay) -> None:
        more = {
            "lfw/pairs_01.txt": b"",
            "lfw/Bob/Ada_0001.jpg": b"",
            "lfw/Bob/Thumbs.db": b"",
            "lfw/extra/x/x_0001.jpg": b"",
        }
        lay(tmp_path, LISTS_HERE)
        checked(open_lfw(pack(tmp_path / "lfw.tgz", people("lfw/") | more)))

    def test_a_list_of_ones_own_is_noted(self, tmp_path: Path, lay) -> None:
        found = open_lfw(lay(tmp_path, people("lfw/") | LISTS_HERE))
        assert len(found.notes) == 2
        assert found.notes[0].endswith(
            "pairs.txt is not the official pairs.txt: figures do not compare with published ones"
        )

    def test_pictures_that_a_list_names_and_nobody_has(self, tmp_path: Path, lay) -> None:
        files = people("lfw/") | LISTS_HERE
        del files["lfw/Bob/Bob_0007.jpg"], files["lfw/Cleo/Cleo_0001.jpg"]
        found = open_lfw(lay(tmp_path, files))
        with pytest.raises(
            DatasetMissing, match=r"lacks 2 files that pairs\.txt names: Bob/Bob_0007\.jpg, Cleo/Cleo_00"
        ):
            found.pairs("view2")

    def test_a_list_cannot_name_what_lies_elsewhere(self, tmp_path: Path, lay) -> None:
        (tmp_path / "x_0001.jpg").write_bytes(b"secret")
        rows = MATED + "../..\t1\tBob\t2\nCleo\t1\tBob\t7\n"
        found = open_lfw(lay(tmp_path, people("lfw/") | {"pairs.txt": f"2\n{rows}".encode()}))
        with pytest.raises(DatasetMissing, match=r"lacks a file"):
            found.pairs("view2")

    def test_a_missing_list_says_where_it_was_looked_for(self, tmp_path: Path, lay) -> None:
        found = open_lfw(lay(tmp_path, people("lfw/")))
        assert found.notes == ()
        with pytest.raises(DatasetMissing, match=r"pairsDevTrain\.txt: no such pair list in .*lfw or .*; put it there"):
            found.pairs("train")

    @pytest.mark.parametrize("made", [[], ["holiday/1.jpg"], ["lfw/readme.txt"]])
    def test_a_folder_of_something_else(self, tmp_path: Path, lay, made) -> None:
        lay(tmp_path, dict.fromkeys(made, b""))
        with pytest.raises(DatasetMissing, match=r"holds no LFW, neither .*; give its folder or archive"):
            open_lfw(tmp_path)

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(
            DatasetMissing, match="nowhere: no such folder or archive; get LFW with: twinface data fetch lfw"
        ):
            open_lfw(tmp_path / "nowhere")
        with pytest.raises(DatasetMissing):
            open_lfw(Path("a\0b"))

    def test_an_archive_of_something_else(self, tmp_path: Path, pack) -> None:
        with pytest.raises(DatasetMissing, match=r"lfw\.tgz: holds no <Name>/<Name>_0001\.jpg; give LFW's archive"):
            open_lfw(pack(tmp_path / "lfw.tgz", {"holiday/1.jpg": b""}))

    def test_a_damaged_archive_is_not_passed_over_for_another(self, tmp_path: Path, pack) -> None:
        pack(tmp_path / "lfw.tgz", people("lfw/"))
        (tmp_path / "lfw-deepfunneled.tgz").write_bytes(b"half of it")
        with pytest.raises(DatasetCorrupt, match=r"lfw-deepfunneled\.tgz"):
            open_lfw(tmp_path)


@pytest.mark.data
def test_the_official_data_are_taken_as_such() -> None:
    where = os.environ.get("TWINFACE_TEST_DATA")
    if not where or not (Path(where) / "lfw" / "lfw-deepfunneled.tgz").is_file():
        pytest.skip("set TWINFACE_TEST_DATA to a folder with lfw/lfw-deepfunneled.tgz and lfw/pairs*.txt")
    found = open_lfw(Path(where) / "lfw")
    assert (found.variant, found.notes, len(found.people())) == ("deep-funneled", (), 5749)
    assert [len(found.pairs(view)) for view in ("view2", "train", "test")] == [6000, 2200, 1000]
    assert {pair.fold for pair in found.pairs("view2")} == set(range(10))
