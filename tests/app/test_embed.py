"""`twinface embed`: the templates of many pictures in one file; what gave none is told, nothing is lost silently."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

NAMES = {"templates", "paths", "faces", "boxes", "scores", "usable", "model"}


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_templates_come_in_the_order_given_and_are_those_of_the_python_api(cli, examples, tmp_path, recognizer):
    paths = [examples / name for name in ("hopper.jpg", "collins.jpg", "hopper_reshoot.jpg")]
    out = tmp_path / "out.npz"
    outcome = cli("embed", *paths, "--out", out, "--batch", "2")
    assert (outcome.status, outcome.err) == (0, "")
    assert "3 templates of 3 pictures, model twin-r29" in outcome.out
    found = read(out)
    assert found.keys() == NAMES
    assert found["paths"].tolist() == list(map(str, paths))
    assert found["faces"].tolist() == [1, 1, 1]
    assert found["templates"].dtype == np.float32
    assert found["templates"].shape == (3, 128)
    assert np.linalg.norm(found["templates"], axis=1) == pytest.approx(1, abs=1e-5)
    assert found["usable"].tolist() == [True, True, True]
    assert str(found["model"]) == recognizer.rule.model
    for path, row, box, score in zip(paths, found["templates"], found["boxes"], found["scores"], strict=True):
        face = recognizer.analyze(path, "largest").faces[0]
        assert row == pytest.approx(face.template.vector, abs=1e-5)
        assert box == pytest.approx([face.box.x, face.box.y, face.box.width, face.box.height])
        assert score == pytest.approx(face.score)
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_failures_are_told_at_the_end_and_in_the_status_and_the_others_are_written(cli, examples, tmp_path):
    Image.linear_gradient("L").save(tmp_path / "sky.png")
    paths = [tmp_path / "sky.png", examples / "hopper.jpg", tmp_path / "gone.jpg", examples / "collins.jpg"]
    outcome = cli("embed", *paths, "--out", tmp_path / "out.npz")
    assert outcome.status == 2
    first, second, summary = outcome.err.splitlines()
    assert "sky.png: no face found" in first
    assert "gone.jpg: no such file" in second
    assert summary == "twinface: 2 of 4 pictures gave no template"
    assert read(tmp_path / "out.npz")["paths"].tolist() == [str(paths[1]), str(paths[3])]


def test_poor_faces_are_kept_and_marked(cli, examples, tmp_path):
    with Image.open(examples / "hopper.jpg") as portrait:
        portrait.resize((portrait.width // 9, portrait.height // 9)).save(tmp_path / "far.png")
    assert cli("embed", tmp_path / "far.png", "--out", tmp_path / "out.npz").status == 0
    assert read(tmp_path / "out.npz")["usable"].tolist() == [False]


def test_a_folder_stands_for_its_pictures_at_any_depth(cli, examples, tmp_path):
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(examples / "hopper.jpg", folder / "z.JPG")
    shutil.copy(examples / "collins.jpg", folder / "deeper" / "a.jpg")
    (folder / "notes.txt").write_text("no picture")
    assert cli("embed", folder, "--out", tmp_path / "out.npz").status == 0
    assert read(tmp_path / "out.npz")["paths"].tolist() == [str(folder / "deeper" / "a.jpg"), str(folder / "z.JPG")]


def test_all_faces_of_a_picture_or_one_by_number(cli, examples, tmp_path):
    out = tmp_path / "out.npz"
    cli("embed", examples / "two_faces.jpg", "--out", out, "--face", "all")
    every = read(out)
    assert every["faces"].tolist() == [1, 2]
    cli("embed", examples / "two_faces.jpg", "--out", out, "--face", "2")
    second = read(out)
    assert second["faces"].tolist() == [2]
    assert second["templates"][0] == pytest.approx(every["templates"][1], abs=1e-5)


def test_without_any_template_the_older_file_stays(cli, tmp_path):
    out = tmp_path / "out.npz"
    out.write_bytes(b"older")
    outcome = cli("embed", "gone.jpg", "lost.jpg", "--out", out)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1] == f"twinface: none of 2 pictures gave a template; {out} was not written"
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_older_file_whole(cli, examples, tmp_path, monkeypatch, error):
    out = tmp_path / "out.npz"
    out.write_bytes(b"older")

    def fail(file, **arrays):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(np, "savez_compressed", fail)
    outcome = cli("embed", examples / "hopper.jpg", "--out", out)
    assert outcome.status not in (0, 1)
    assert outcome.out == ""
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_templates_without_mirror_carry_another_identity(cli, examples, tmp_path):
    models = []
    for flag in ("--flip", "--no-flip"):
        assert cli("embed", examples / "hopper.jpg", "--out", tmp_path / "out.npz", flag).status == 0
        models.append(str(read(tmp_path / "out.npz")["model"]))
    assert models[0] != models[1]


@pytest.mark.parametrize("batch", ["0", "-3", "many"])
def test_a_batch_must_be_positive(cli, examples, tmp_path, batch):
    cli("embed", examples / "hopper.jpg", "--out", tmp_path / "out.npz", "--batch", batch).refuses("--batch")


def test_templates_are_not_written_over_a_picture_that_is_read(cli, examples, tmp_path):
    picture = tmp_path / "picture.npz"
    picture.write_bytes((examples / "hopper.jpg").read_bytes())
    cli("embed", picture, "--out", picture).refuses("is one of the pictures read")
    assert picture.read_bytes() == (examples / "hopper.jpg").read_bytes()
