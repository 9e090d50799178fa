"""UTKFace and CelebA: groups from names, identities from folders."""

import os
from pathlib import Path

import pytest

from twinface.datasets.photos import Photo
from twinface.datasets.pool import age_band, open_pool
from twinface.errors import DatasetCorrupt, DatasetMissing

UTKFACE = {"26_0_2_20170116.webp": b"u1", "101_1_4_20170117.jpg.chip.jpg": b"u2", "39_1_20170118.webp": b"bad"}
CELEBA = {"07201/001085.webp": b"c1", "07201/007710.webp": b"c2", "9/1.jpg": b"c3"}


def pool(above: str = "") -> dict[str, bytes]:
    return {f"{above}utkface/{name}": content for name, content in UTKFACE.items()} | {
        f"{above}celeba/{name}": content for name, content in CELEBA.items()
    }


def checked(root: Path, above: str = "") -> None:
    found = open_pool(root)
    assert found.name == "CelebA and UTKFace"
    young, old = f"{above}utkface/26_0_2_20170116.webp", f"{above}utkface/101_1_4_20170117.jpg.chip.jpg"
    assert {photo.path: photo for photo in found.photos} == {
        young: Photo(young, "utkface/26_0_2_20170116", {"race": "Asian", "gender": "male", "age": "20-29"}, 26),
        old: Photo(old, "utkface/101_1_4_20170117", {"race": "Other", "gender": "female", "age": "90+"}, 101),
        **{(path := f"{above}celeba/{name}"): Photo(path, f"celeba/{name.split('/')[0]}") for name in CELEBA},
    }
    (note,) = found.notes
    assert note.startswith(
        "1 pictures of UTKFace lack an age, a gender or a race in their name and were left out, such as"
    )
    assert "39_1_20170118.webp" in note
    assert dict(found.files.read([young])) == {young: b"u1"}


class TestPlaces:
    def test_a_folder_of_both(self, tmp_path, lay):
        checked(lay(tmp_path, pool()))

    def test_a_folder_that_holds_the_pool_or_its_archive(self, tmp_path, lay, pack):
        pack(tmp_path / "faces-pool.tar.gz", pool("faces-pool/"))
        checked(tmp_path, "faces-pool/")
        lay(tmp_path / "faces-pool", pool())
        checked(tmp_path)
        assert open_pool(tmp_path).files.name == str(tmp_path / "faces-pool")

    @pytest.mark.parametrize("above", ["", "faces-pool/", "any/thing/"])
    def test_the_archive(self, tmp_path, pack, above):
        checked(pack(tmp_path / "x.tar", pool(above)), above)

    @pytest.mark.parametrize("kind", ["celeba", "utkface"])
    def test_one_of_the_two(self, tmp_path, lay, kind):
        found = open_pool(lay(tmp_path, {name: content for name, content in pool().items() if kind in name}))
        assert found.name == {"celeba": "CelebA", "utkface": "UTKFace"}[kind]
        assert {photo.subject.split("/")[0] for photo in found.photos} == {kind}

    def test_utkface_as_its_authors_give_it(self, tmp_path, lay, pack):
        for root in (lay(tmp_path / "UTKFace", UTKFACE), lay(tmp_path / "crops", UTKFACE)):
            found = open_pool(root)
            assert (found.name, len(found.photos), len(found.notes)) == ("UTKFace", 2, 1)
        for above in ("", "UTKFace/", "crops/"):
            found = open_pool(pack(tmp_path / "x.tar.gz", {above + name: content for name, content in UTKFACE.items()}))
            assert (found.name, len(found.photos), len(found.notes)) == ("UTKFace", 2, 1)

    def test_a_table_of_ones_own(self, tmp_path):
        (tmp_path / "own.csv").write_text("path,subject,race\n1.jpg,Ada,Black\n")
        assert open_pool(tmp_path / "own.csv").photos == (Photo("1.jpg", "Ada", {"race": "Black"}),)
        (tmp_path / "own.csv").write_text("nonsense")
        with pytest.raises(DatasetCorrupt, match="line 1"):
            open_pool(tmp_path / "own.csv")

    @pytest.mark.parametrize("made", [{}, {"holiday.jpg": b""}, {"Ada/1.jpg": b""}, {"utkface/readme.txt": b""}])
    def test_a_folder_of_something_else(self, tmp_path, lay, made):
        with pytest.raises(DatasetMissing, match="holds no utkface/<age>_<gender>_<race>_<stamp> and no celeba/<id>/"):
            open_pool(lay(tmp_path, made))

    def test_nothing_there(self, tmp_path):
        for root in (tmp_path / "nowhere", tmp_path / "nowhere.csv", Path("a\0b")):
            with pytest.raises(DatasetMissing):
                open_pool(root)


@pytest.mark.parametrize(
    "name",
    [
        "39_1_20170118.jpg", "39__1_20170118.jpg", "39_2_1_20170118.jpg", "39_1_5_20170118.jpg", "_1_1_20170118.jpg",
        "old_1_1_20170118.jpg", "1000_1_1_20170118.jpg", "-5_1_1_20170118.jpg", "39_1_1_.jpg", "39_1_1.jpg",
        "39_1_1_2017_0118.jpg", "٣٩_1_1_20170118.jpg",
    ],
)  # fmt: skip
def test_malformed_names_are_left_out_and_counted(tmp_path, lay, name):
    found = open_pool(lay(tmp_path, {f"utkface/{name}": b"", "utkface/1_0_0_2017.jpg": b""}))
    assert [photo.path for photo in found.photos] == ["utkface/1_0_0_2017.jpg"]
    assert found.notes[0].startswith("1 pictures")


def test_every_race_and_gender_has_its_name(tmp_path, lay):
    found = open_pool(lay(tmp_path, {f"utkface/30_{n % 2}_{n}_2017.jpg": b"" for n in range(5)}))
    assert [photo.groups["race"] for photo in found.photos] == ["White", "Asian", "Other", "Black", "Indian"]
    assert [photo.groups["gender"] for photo in found.photos] == ["male", "male", "male", "female", "female"]


def test_ages_fall_into_decades():
    assert [age_band(years) for years in (0, 9, 10, 19, 20, 79, 80, 89, 90, 116)] == [
        "0-9", "0-9", "10-19", "10-19", "20-29", "70-79", "80-89", "80-89", "90+", "90+",
    ]  # fmt: skip


@pytest.mark.data
def test_the_pool_of_the_project():
    where = os.environ.get("TWINFACE_TEST_DATA")
    if not where or not (Path(where) / "faces-pool.tar.gz").is_file():
        pytest.skip("set TWINFACE_TEST_DATA to a folder with faces-pool.tar.gz")
    found = open_pool(Path(where))
    assert sum(photo.years is not None for photo in found.photos) == 14_000 - 3
    celeba = [photo.subject for photo in found.photos if photo.years is None]
    assert (len(celeba), len(set(celeba))) == (6_300, 299)
