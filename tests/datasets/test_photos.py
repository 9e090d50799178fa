"""Photos of known people, from folders and from tables."""

import os

import pytest

from twinface.datasets.photos import Photo, PhotoSet, is_picture, open_folder, open_named, open_photos, open_table
from twinface.errors import DatasetCorrupt, DatasetMissing

PEOPLE = {"Ada/1.jpg": b"a1", "Ada/2020/summer/2.PNG": b"a2", "Bob/1.webp": b"b1"}


class TestPhoto:
    @pytest.mark.parametrize(
        ("path", "subject", "years"), [("", "Ada", None), ("1.jpg", "", None), ("1.jpg", "Ada", -1)]
    )
    def test_a_photo_checks_itself(self, path, subject, years):
        with pytest.raises(ValueError):
            Photo(path, subject, years=years)

    def test_groups_and_age_are_optional(self):
        assert (Photo("1.jpg", "Ada").groups, Photo("1.jpg", "Ada").years) == ({}, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/1.jpg", True), ("a/1.JPEG", True), ("1.heic", True), ("a/1.txt", False), ("a/jpg", False),
        (".a/1.jpg", False), ("a/._1.jpg", False), ("a/1.jpg.part", False),
    ],
)  # fmt: skip
def test_pictures_are_known_by_their_ending_and_are_not_hidden(name, expected):
    assert is_picture(name) is expected


def told(found: PhotoSet) -> dict[str, str]:
    return {photo.path: photo.subject for photo in found.photos}


class TestOpenFolder:
    def test_a_folder_is_a_person_at_any_depth(self, tmp_path, lay):
        found = open_folder(
            lay(tmp_path / "people", {**PEOPLE, "Ada/notes.txt": b"", ".cache/1.jpg": b"", "Cleo/x.txt": b""})
        )
        assert told(found) == {"Ada/1.jpg": "Ada", "Ada/2020/summer/2.PNG": "Ada", "Bob/1.webp": "Bob"}
        assert found.name == "people"
        assert found.notes == ("2 files are no pictures by their names and were left out, such as Ada/notes.txt",)
        assert dict(found.files.read(told(found))) == PEOPLE

    def test_pictures_of_nobody_are_left_out_and_said(self, tmp_path, lay):
        found = open_folder(lay(tmp_path, {**PEOPLE, "z.jpg": b"", "group.jpg": b""}))
        assert set(told(found)) == set(PEOPLE)
        assert found.notes == ("2 pictures in no person's folder were left out, such as group.jpg",)

    @pytest.mark.parametrize("above", ["", "people/", "./people/"])
    def test_an_archive_also_with_one_folder_around_all(self, tmp_path, pack, above):
        found = open_folder(pack(tmp_path / "people.tgz", {above + name: content for name, content in PEOPLE.items()}))
        assert sorted(told(found).values()) == ["Ada", "Ada", "Bob"]
        assert sorted(content for _, content in found.files.read(told(found))) == sorted(PEOPLE.values())

    def test_an_archive_of_one_person_is_of_that_person(self, tmp_path, pack):
        assert set(told(open_folder(pack(tmp_path / "x.tgz", {"Ada/1.jpg": b"", "Ada/2.jpg": b""}))).values()) == {
            "Ada"
        }

    @pytest.mark.parametrize("made", [{}, {"1.jpg": b""}, {"Ada/notes.txt": b""}])
    def test_nobody_in_it(self, tmp_path, lay, made):
        with pytest.raises(DatasetMissing, match="holds no person; make a folder for each, with the pictures in it"):
            open_folder(lay(tmp_path, made))

    def test_nothing_there(self, tmp_path):
        with pytest.raises(DatasetMissing, match="no such folder or archive"):
            open_folder(tmp_path / "nowhere")


class TestOpenNamed:
    def test_the_name_begins_with_the_person_s(self, tmp_path, lay):
        made = {"Ada_1.jpg": "Ada", "Ada_Lovelace_02.PNG": "Ada_Lovelace", "Bob_b.webp": "Bob", "Cleo3.jpg": "Cleo"}
        made |= {"Dan - 4.jpg": "Dan", "Eve.05.jpg": "Eve", "Jürgen7.jpg": "Jürgen", "Ann2b 11.jpg": "Ann2b"}
        others = ("notes.txt", "._Ada_2.jpg", "Fay/1.jpg")
        found = open_named(lay(tmp_path / "faces", dict.fromkeys([*made, *others], b"")))
        assert told(found) == made
        assert (found.name, found.notes) == ("faces", ())
        assert [photo.path for photo in found.photos] == sorted(made)

    def test_an_archive_as_well(self, tmp_path, pack):
        found = open_named(pack(tmp_path / "faces.tgz", {"./Ada_1.jpg": b"a", "Bob_1.jpg": b"b"}))
        assert told(found) == {"Ada_1.jpg": "Ada", "Bob_1.jpg": "Bob"}

    @pytest.mark.parametrize("name", ["holiday.jpg", "_1.jpg", "0001.jpg", "12 34.jpg", "(1).jpg"])
    def test_a_name_that_tells_no_person_is_named(self, tmp_path, lay, name):
        with pytest.raises(DatasetCorrupt) as caught:
            open_named(lay(tmp_path, {"Ada_1.jpg": b"", name: b""}))
        assert f"{name}: the name tells no person; name it like Ada_1.jpg" in str(caught.value)

    @pytest.mark.parametrize("made", [{}, {"notes.txt": b""}])
    def test_nobody_in_it(self, tmp_path, lay, made):
        with pytest.raises(DatasetMissing, match="holds no pictures of people; make a folder for each person, or name"):
            open_named(lay(tmp_path, made))


@pytest.fixture
def table(tmp_path):
    def written(text: str | bytes):
        path = tmp_path / "people.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


class TestOpenTable:
    def test_columns_beside_path_and_subject_are_groups(self, tmp_path, table, lay):
        lay(tmp_path, PEOPLE)
        found = open_table(table("subject,path,race,age\nBob,Bob/1.webp,Asian,\nAda,./Ada//1.jpg, Black ,30-39\n"))
        assert found.photos == (
            Photo("Ada/1.jpg", "Ada", {"race": "Black", "age": "30-39"}),
            Photo("Bob/1.webp", "Bob", {"race": "Asian"}),
        )
        assert (found.name, found.notes) == ("people.csv", ())
        assert dict(found.files.read(["Bob/1.webp"])) == {"Bob/1.webp": b"b1"}

    @pytest.mark.parametrize(
        "text",
        [
            "\ufeffpath,subject\n1.jpg,Ada\n",
            "path,subject\r\n1.jpg,Ada\r\n",
            "path,subject\n\n1.jpg,Ada",
            ' path , subject\n"1.jpg",Ada\n\n',
        ],
    )
    def test_what_programs_write_differently_does_not_matter(self, table, text):
        assert open_table(table(text)).photos == (Photo("1.jpg", "Ada"),)

    def test_names_may_hold_commas_quotes_and_any_letters(self, table):
        found = open_table(table('path,subject\n"a,""b"".jpg",Jürgen Groß\n'))
        assert found.photos == (Photo('a,"b".jpg', "Jürgen Groß"),)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "line 1 must name the columns path and subject, with commas between"),
            ("path;subject\n1.jpg;Ada\n", "line 1 must name the columns"),
            ("path,person\n1.jpg,Ada\n", "line 1 must name the columns"),
            ("path,subject,path\n", "line 1 has a column without a name, or two with one name"),
            ("path,subject,\n", "line 1 has a column without a name"),
            ("path,subject\n1.jpg,Ada\n2.jpg\n", "line 3 has 1 fields where the header has 2"),
            ("path,subject\n1.jpg,Ada,x\n", "line 2 has 3 fields where the header has 2"),
            ("path,subject\n1.jpg,Ada\n2.jpg, \n", "line 3 has no subject"),
            ("path,subject\n,Ada\n", "line 2 has no path"),
            ("path,subject\n1.jpg,Ada\n2.jpg,Ada\n./1.jpg,Bob\n", "line 4 names 1.jpg again, after line 2"),
            ("path,subject\n../1.jpg,Ada\n", "line 2 names the path ../1.jpg, which leaves the table's folder"),
            ("path,subject\n/etc/1.jpg,Ada\n", "line 2 names the path /etc/1.jpg, which leaves"),
            (b"path,subject\n1.jpg,Ada\n2.jpg,J\xfcrgen\n", "line 3 is not UTF-8; save the table with that encoding"),
            ("path,subject\n1.jpg,Ada\n".encode("utf-16"), "line 1 is not UTF-8"),
            ('path,subject\n1.jpg,"Ada\n', "is not CSV (unexpected end of data)"),
            ('path,subject\n1.jpg,"Ada"x\n', "line 2 is not CSV"),
            ("path,subject\n1.jpg," + "A" * 200_000, "line 2 is not CSV (field larger than"),
        ],
    )  # fmt: skip
    def test_a_malformed_table_is_refused_with_the_line(self, table, text, said):
        with pytest.raises(DatasetCorrupt) as caught:
            open_table(table(text))
        assert f"people.csv: {said}" in str(caught.value) or ("is not CSV" in said and said in str(caught.value))
        assert "\n" not in str(caught.value)

    def test_a_table_without_photos(self, table):
        with pytest.raises(DatasetMissing, match=r"people\.csv: names no photos"):
            open_table(table("path,subject\n"))

    def test_no_table(self, tmp_path):
        with pytest.raises(DatasetMissing, match=r"people\.csv: cannot be read \(No such file"):
            open_table(tmp_path / "people.csv")
        with pytest.raises(DatasetMissing, match="no regular file"):
            open_table(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "people.csv")
        with pytest.raises(DatasetMissing):
            open_table(tmp_path / "people.csv")

    def test_photos_that_are_not_there_are_told_when_they_are_read(self, table):
        found = open_table(table("path,subject\n1.jpg,Ada\n"))
        with pytest.raises(DatasetMissing, match=r"lacks a file: 1\.jpg"):
            found.files.read([photo.path for photo in found.photos])


def test_a_table_is_told_from_a_folder_by_its_ending(tmp_path, table, lay):
    lay(tmp_path, PEOPLE)
    assert told(open_photos(tmp_path)) == told(open_folder(tmp_path))
    assert told(open_photos(table("path,subject\nAda/1.jpg,Bob\n"))) == {"Ada/1.jpg": "Bob"}
