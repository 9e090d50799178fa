"""`twinface detect`: one line of JSON a picture, and pictures with boxes."""

from __future__ import annotations

import json
import os

import pytest
from PIL import Image


def lines(outcome):
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_every_picture_gives_one_line_in_the_order_given(cli, examples):
    paths = [examples / name for name in ("collins_reshoot.jpg", "two_faces.jpg", "collins.jpg")]
    outcome = cli("detect", *paths)
    assert (outcome.status, outcome.err) == (0, "")
    found = lines(outcome)
    assert [one["path"] for one in found] == list(map(str, paths))
    assert [len(one["faces"]) for one in found] == [1, 2, 1]
    assert (found[0]["width"], found[0]["height"]) == (384, 417)
    for one in found:
        assert one.keys() == {"path", "width", "height", "faces", "notes", "seconds"}
        for face in one["faces"]:
            assert face.keys() == {"box", "landmarks", "score", "quality"}


def test_the_largest_face_comes_first(cli, examples):
    (found,) = lines(cli("detect", examples / "two_faces.jpg"))
    areas = [face["box"][2] * face["box"][3] for face in found["faces"]]
    assert areas == sorted(areas, reverse=True)


def test_a_picture_without_faces_is_an_answer_not_a_failure(cli, tmp_path):
    Image.linear_gradient("L").save(tmp_path / "sky.png")
    outcome = cli("detect", tmp_path / "sky.png")
    assert (outcome.status, outcome.err) == (0, "")
    assert lines(outcome)[0]["faces"] == []


def test_one_bad_picture_does_not_keep_the_others_from_being_printed(cli, examples):
    outcome = cli("detect", examples / "hopper.jpg", "gone.jpg", examples / "collins.jpg")
    assert outcome.status == 2
    assert [one["path"] for one in lines(outcome)] == [str(examples / name) for name in ("hopper.jpg", "collins.jpg")]
    assert outcome.err.splitlines() == [
        "twinface: gone.jpg: no such file; check the path",
        "twinface: 1 of 3 pictures could not be read",
    ]


def test_boxes_are_drawn_into_the_file_named(cli, examples, tmp_path):
    target = tmp_path / "boxes.jpg"
    assert cli("detect", examples / "two_faces.jpg", "--save", target).status == 0
    with Image.open(target) as picture:
        picture.load()
        assert picture.size == (840, 508)


def test_boxes_of_several_pictures_are_drawn_into_a_folder_whatever_its_name(cli, examples, tmp_path):
    folder = tmp_path / "faces.d"
    folder.mkdir()
    outcome = cli("detect", examples / "hopper.jpg", "gone.jpg", examples / "collins.jpg", "--save", folder)
    assert outcome.status == 2
    assert sorted(path.name for path in folder.iterdir()) == ["collins.faces.png", "hopper.faces.png"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_is_printed_escaped(cli, examples, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")
    with open(path, "wb") as file:  # noqa: PTH123 - the name is no text
        file.write((examples / "collins.jpg").read_bytes())
    outcome = cli("detect", path)
    assert (outcome.status, outcome.err) == (0, "")
    assert lines(outcome)[0]["path"] == path
    outcome = cli("compare", path, examples / "collins.jpg")
    assert (outcome.status, outcome.err) == (0, "")
    assert r"\udcff.jpg" in outcome.out


def test_a_picture_with_boxes_is_not_written_over_a_picture_that_is_read(cli, examples, tmp_path):
    first, second = tmp_path / "x.jpg", tmp_path / "x.faces.png"
    first.write_bytes((examples / "hopper.jpg").read_bytes())
    second.write_bytes((examples / "collins.jpg").read_bytes())
    for words in ([first, "--save", first], [first, second, "--save", tmp_path]):
        cli("detect", *words).refuses("is one of the pictures read")
    assert first.read_bytes() == (examples / "hopper.jpg").read_bytes()
    assert second.read_bytes() == (examples / "collins.jpg").read_bytes()
