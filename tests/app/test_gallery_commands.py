"""`twinface enroll`, `identify`, `people` and `gallery`, as their users type them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinface.app.cli.opening import open_gallery

Cli = Callable[..., Any]


@pytest.fixture
def faces(tmp_path: Path, examples: Path) -> Path:
    """A folder of two friends, with what such folders hold beside."""
    folder = tmp_path / "faces"
    for name, pictures in {"Eileen": ["collins.jpg", "collins_reshoot.jpg"], "Grace": ["hopper.jpg"]}.items():
        (folder / name).mkdir(parents=True)
        for picture in pictures:
            shutil.copy(examples / picture, folder / name)
    (folder / "Grace" / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def friends(cli: Cli, faces: Path, path: Path) -> Path:
    assert cli("enroll", faces, "--gallery", path, "--keep-photos").status == 0
    return path


def lines(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


def names(cli: Cli, path: Path) -> list[str]:
    return [one["name"] for one in json.loads(cli("people", "list", "-g", path, "--json").out)]


class TestEnroll:
    def test_a_folder_of_friends_and_one_group_photo_take_two_commands(
        self, cli: Cli, faces: Path, path: Path, examples: Path
    ) -> None:
        shutil.rmtree(faces / "Grace")
        done = cli("enroll", faces, "--gallery", path)
        assert done.status == 0
        assert "2 pictures of 1 person enrolled" in done.out
        assert f"made the gallery {path}" in done.err
        asked = cli("identify", examples / "two_faces.jpg", "--gallery", path)
        assert asked.status == 1  # somebody is a stranger
        assert "Eileen" in asked.out
        assert "unknown" in asked.out

    def test_it_may_run_again(self, cli: Cli, faces: Path, friends: Path) -> None:
        again = cli("enroll", faces, "-g", friends)
        assert again.status == 0
        assert "0 pictures of 0 people enrolled; 3 duplicate" in again.out

    def test_every_picture_is_reported_with_why(self, cli: Cli, faces: Path, path: Path, examples: Path) -> None:
        (faces / "Grace" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
        shutil.copy(examples / "two_faces.jpg", faces / "Grace" / "both.jpg")
        done = cli("enroll", faces, "-g", path, "--json")
        assert done.status == 1
        told = {Path(one["path"]).name: (one["person"], one["result"], bool(one["why"])) for one in lines(done)}
        assert told == {
            "collins.jpg": ("Eileen", "enrolled", False),
            "collins_reshoot.jpg": ("Eileen", "enrolled", False),
            "hopper.jpg": ("Grace", "enrolled", False),
            "broken.jpg": ("Grace", "unreadable", True),
            "both.jpg": ("Grace", "several faces", True),
        }
        words = cli("enroll", faces, "-g", path)
        assert "several faces: 2 of like size" in words.out
        assert "1 unreadable" in words.out

    def test_one_person_by_name(self, cli: Cli, path: Path, examples: Path) -> None:
        done = cli("enroll", "--name", "Eileen", examples / "collins.jpg", examples / "none.jpg", "-g", path)
        assert done.status == 1
        assert "no such file" in done.out
        assert names(cli, path) == ["Eileen"]

    def test_the_picture_of_somebody_else_is_refused(self, cli: Cli, friends: Path, examples: Path) -> None:
        done = cli("enroll", "--name", "Eve", examples / "hopper.jpg", "-g", friends)
        assert done.status == 1
        assert "enrolled for Grace" in done.out
        assert names(cli, friends) == ["Eileen", "Grace"]

    def test_from_a_camera_the_best_frames(self, cli: Cli, path: Path, tmp_path: Path, examples: Path) -> None:
        import cv2

        film = tmp_path / "film.avi"
        picture = cv2.imread(str(examples / "collins.jpg"))
        writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10, picture.shape[1::-1])
        for frame in range(12):
            writer.write(cv2.GaussianBlur(picture, (0, 0), 6) if frame % 2 else picture)
        writer.release()
        done = cli("enroll", "--name", "Eileen", "--camera", film, "-g", path)
        assert done.status == 0
        assert "1 person enrolled" in done.out
        assert cli("identify", examples / "collins_reshoot.jpg", "-g", path).status == 0

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "nothing to enrol"),
            (("--camera", "0"), "give her --name"),
            (("--camera", "0", "--name", "Ada", "a.jpg"), "no pictures"),
            (("--name", "Ada", "--camera", "97"), "camera 97"),
            (("--name", "a/b", "a.jpg"), "slash"),
            (("--name", "", "a.jpg"), "empty"),
            (("none",), "no such folder"),
            (("--expires", "yesterday", "none"), "30d"),
            (("--face", "all", "none"), "all faces"),
            (("--face", "0", "none"), "--face must be"),
            (("--key-file", "none.key", "none"), "there is no gallery|no such folder"),
        ],
    )
    def test_what_cannot_be_done_is_said_in_one_line(
        self, cli: Cli, path: Path, words: tuple[str, ...], said: str
    ) -> None:
        import re

        done = cli("enroll", *words, "-g", path)
        done.refuses()
        assert re.search(said, done.err), done

    def test_a_lone_picture_needs_a_name(self, cli: Cli, path: Path, examples: Path) -> None:
        cli("enroll", examples / "collins.jpg", "-g", path).refuses("whose picture is this?")
        assert not path.exists()

    def test_another_model_than_the_gallerys_is_refused(self, cli: Cli, friends: Path, examples: Path) -> None:
        done = cli("enroll", "--name", "Eileen", examples / "hopper_reshoot.jpg", "-g", friends, "--model", "twin-nano")
        done.refuses("are of twin-r29", "migrate --model twin-nano")


class TestIdentify:
    def test_json_has_every_face_with_candidates(self, cli: Cli, friends: Path, examples: Path) -> None:
        done = cli("identify", examples / "two_faces.jpg", "-g", friends, "--json")
        assert done.status == 0
        (told,) = lines(done)
        assert sorted(face["subject"] for face in told["faces"]) == ["Eileen", "Grace"]
        for face in told["faces"]:
            best, other = face["candidates"]
            assert best["subject"] == face["subject"] != other["subject"]
            assert best["distance"] < told["threshold"] < other["distance"]
            assert best["probability"] > 0.99 > other["probability"]
        assert (told["fpir"], told["templates"], told["model"]) == (0.01, 3, "twin-r29")

    def test_candidates_are_listed_on_request(self, cli: Cli, friends: Path, examples: Path) -> None:
        plain = cli("identify", examples / "hopper.jpg", "-g", friends).out
        top = cli("identify", examples / "hopper.jpg", "-g", friends, "--top", "2").out
        assert "Eileen" not in plain
        assert "2. Eileen" in top

    def test_the_picture_with_names_is_saved(self, cli: Cli, friends: Path, examples: Path, tmp_path: Path) -> None:
        from PIL import Image

        out = tmp_path / "named.png"
        assert cli("identify", examples / "two_faces.jpg", "-g", friends, "--save", out).status == 0
        with Image.open(out) as picture, Image.open(examples / "two_faces.jpg") as plain:
            assert picture.size == plain.size
            assert np.asarray(picture).std() > 0
            assert (np.asarray(picture) != np.asarray(plain.convert("RGB"))).any()

    def test_nothing_it_reads_is_overwritten(self, cli: Cli, friends: Path, examples: Path) -> None:
        before = friends.read_bytes()
        cli("identify", examples / "hopper.jpg", "-g", friends, "--save", friends).refuses("save the answer elsewhere")
        assert friends.read_bytes() == before

    def test_one_picture_of_several_that_cannot_be_read(self, cli: Cli, friends: Path, examples: Path) -> None:
        done = cli("identify", examples / "hopper.jpg", "none.jpg", "-g", friends)
        assert done.status == 2
        assert "Grace" in done.out
        assert "none.jpg" in done.err

    def test_a_picture_of_nobody(self, cli: Cli, friends: Path, tmp_path: Path) -> None:
        from PIL import Image

        Image.new("RGB", (200, 200), "grey").save(tmp_path / "grey.png")
        done = cli("identify", tmp_path / "grey.png", "-g", friends)
        assert done.status == 1
        assert "0 faces" in done.out

    def test_without_a_gallery_it_says_how_to_make_one(self, cli: Cli, path: Path, examples: Path) -> None:
        cli("identify", examples / "hopper.jpg", "-g", path).refuses("there is no gallery", "twinface enroll")
        assert not path.exists()

    def test_a_rate_that_is_none(self, cli: Cli, friends: Path, examples: Path) -> None:
        cli("identify", examples / "hopper.jpg", "-g", friends, "--fpir", "2").refuses("FPIR 2")

    def test_the_gallery_of_the_environment(
        self, cli: Cli, friends: Path, examples: Path, scrubbed: pytest.MonkeyPatch
    ) -> None:
        scrubbed.setenv("TWINFACE_GALLERY", str(friends))
        assert cli("identify", examples / "hopper.jpg").status == 0


class TestPeople:
    def test_list_and_show(self, cli: Cli, friends: Path) -> None:
        assert "Eileen" in cli("people", "list", "-g", friends).out
        told = json.loads(cli("people", "show", "eileen", "-g", friends, "--json").out)
        assert (told["name"], told["pictures"], told["photos"], told["expires"]) == ("Eileen", 2, 2, None)
        assert [Path(one["source"]).name for one in told["samples"]] == ["collins.jpg", "collins_reshoot.jpg"]
        assert "collins.jpg" in cli("people", "show", "Eileen", "-g", friends).out
        cli("people", "show", "Eve", "-g", friends).refuses("nobody is named 'Eve'")

    def test_rename_and_merge(self, cli: Cli, friends: Path) -> None:
        assert "Eileen is Eileen Collins now" in cli("people", "rename", "Eileen", "Eileen Collins", "-g", friends).out
        cli("people", "rename", "Grace", "eileen collins", "-g", friends).refuses("Eileen Collins already")
        assert "Grace has 3 pictures now" in cli("people", "merge", "Grace", "Eileen Collins", "-g", friends).out
        assert names(cli, friends) == ["Grace"]

    def test_removal_prints_a_receipt(self, cli: Cli, friends: Path, examples: Path) -> None:
        told = json.loads(cli("people", "remove", "Grace", "-g", friends, "--json").out)
        assert (told["names"], told["pictures"], told["photos"], len(told["subjects"])) == (["Grace"], 1, 1, 1)
        words = cli("people", "remove", "Eileen", "-g", friends).out
        assert "ERASURE RECEIPT" in words
        assert "2 kept photos" in words
        assert "nobody is enrolled" in cli("people", "list", "-g", friends).out
        cli("people", "remove", "Grace", "-g", friends).refuses("nobody is named")
        assert cli("identify", examples / "hopper.jpg", "-g", friends).status == 1

    def test_a_single_picture_is_removed_by_its_number(self, cli: Cli, friends: Path) -> None:
        assert cli("people", "remove", "--sample", "1", "-g", friends).status == 0
        told = json.loads(cli("people", "show", "Eileen", "-g", friends, "--json").out)
        assert [one["number"] for one in told["samples"]] == [2]
        cli("people", "remove", "--sample", "99", "-g", friends).refuses("no picture number 99")
        cli("people", "remove", "-g", friends).refuses("nobody to remove")
        cli("people", "remove", "Eileen", "--sample", "2", "-g", friends).refuses("not both")

    def test_people_expire(self, cli: Cli, friends: Path, examples: Path, scrubbed: pytest.MonkeyPatch) -> None:
        assert "is forgotten on" in cli("people", "expire", "Grace", "1h", "-g", friends).out
        assert "until somebody removes her" in cli("people", "expire", "Eileen", "never", "-g", friends).out
        import time

        later = time.time() + 3700
        scrubbed.setattr(time, "time", lambda: later)
        done = cli("identify", examples / "hopper.jpg", "-g", friends)
        assert done.status == 1
        assert "removed 1 person whose time was over" in done.err
        assert names(cli, friends) == ["Eileen"]

    def test_people_move_to_another_gallery(self, cli: Cli, friends: Path, tmp_path: Path, examples: Path) -> None:
        file, other = tmp_path / "some.npz", tmp_path / "other.db"
        assert "1 person, 1 template" in cli("people", "export", "grace", "--out", file, "-g", friends).out
        assert file.stat().st_mode & 0o077 == 0
        assert "1 template taken" in cli("people", "import", file, "-g", other).out
        assert "1 were there already" in cli("people", "import", file, "-g", other).out
        assert cli("identify", examples / "hopper_reshoot.jpg", "-g", other).status == 0
        told = json.loads(cli("people", "show", "Grace", "-g", other, "--json").out)
        assert told["photos"] == 1
        assert cli("people", "import", file, "-g", friends).status == 0
        cli("people", "export", "Eve", "--out", tmp_path / "e.npz", "-g", friends).refuses("nobody is named")

    def test_encodings_of_face_recognition_become_templates_of_the_base_network(
        self, cli: Cli, tmp_path: Path, friends: Path
    ) -> None:
        from twinface.app.wiring import load

        base_db = tmp_path / "base.db"
        base = load("resnet29", mirror=False)
        (face,) = base.analyze(friends.parent / "faces" / "Grace" / "hopper.jpg").faces[:1]
        assert face.template is not None
        file = tmp_path / "encodings.json"
        file.write_text(json.dumps({"names": ["Grace"], "encodings": [(1.4 * face.template.vector).tolist()]}))
        assert "1 template taken" in cli("people", "import", "--face-recognition", file, "-g", base_db).out
        assert "resnet29 without mirror" in cli("gallery", "info", "-g", base_db).out
        done = cli("identify", friends.parent / "faces" / "Grace" / "hopper.jpg", "-g", base_db)
        assert (done.status, "Grace" in done.out) == (0, True)
        cli("people", "import", "--face-recognition", file, "-g", friends).refuses("are of twin-r29")

    def test_pickles_are_not_opened(self, cli: Cli, tmp_path: Path, path: Path) -> None:
        (tmp_path / "encodings.pickle").write_bytes(b"\x80\x04N.")
        cli("people", "import", "--face-recognition", tmp_path / "encodings.pickle", "-g", path).refuses("is a pickle")
        assert not path.exists()


class TestGallery:
    def test_info(self, cli: Cli, friends: Path) -> None:
        told = json.loads(cli("gallery", "info", "-g", friends, "--json").out)
        assert (told["subjects"], told["samples"], told["photos"], told["encrypted"]) == (2, 3, 3, "")
        assert told["space"]["model"] == "twin-r29"
        assert "2 people" in cli("gallery", "info", "-g", friends).out

    def test_doctor_says_what_to_do(self, cli: Cli, friends: Path, examples: Path) -> None:
        done = cli("gallery", "doctor", "-g", friends)
        assert done.status == 1
        assert "few pictures  (1)" in done.out
        assert "enroll --name Grace" in done.out
        cli("enroll", "--name", "Grace", examples / "hopper_reshoot.jpg", "-g", friends)
        done = cli("gallery", "doctor", "-g", friends)
        assert (done.status, "nothing to mend" in done.out) == (0, True)

    def test_doctor_finds_one_person_under_two_names(self, cli: Cli, path: Path, examples: Path) -> None:
        cli("enroll", "--name", "Grace", examples / "hopper.jpg", "-g", path)
        cli("enroll", "--name", "Amazing Grace", examples / "hopper_reshoot.jpg", "-g", path)
        found = json.loads(cli("gallery", "doctor", "-g", path, "--json", "--few", "1").out)
        (double,) = [one for one in found if one["kind"] == "probable duplicate"]
        assert set(double["subjects"]) == {"Grace", "Amazing Grace"}
        assert "people merge" in double["advice"]

    def test_verify(self, cli: Cli, friends: Path) -> None:
        import sqlite3

        assert "sound; 2 people, 3 templates, 3 photos" in cli("gallery", "verify", "-g", friends).out
        with sqlite3.connect(friends) as connection:
            connection.execute("UPDATE photos SET content = x'00' WHERE sample = 2")
        connection.close()
        done = cli("gallery", "verify", "-g", friends)
        assert done.status == 1
        assert "picture 2: a photo was damaged" in done.out
        assert "restore a backup" in done.err

    def test_backup_and_restore(self, cli: Cli, friends: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy.db"
        assert "2 people" in cli("gallery", "backup", copy, "-g", friends).out
        cli("gallery", "backup", copy, "-g", friends).refuses("is there already")
        cli("people", "remove", "Grace", "-g", friends)
        cli("gallery", "restore", copy, "-g", friends).refuses("--replace")
        done = cli("gallery", "restore", copy, "-g", friends, "--replace")
        assert "1 person; 1 person removed since, removed again" in done.out
        assert names(cli, friends) == ["Eileen"]

    def test_migration(self, cli: Cli, friends: Path, examples: Path) -> None:
        plan = json.loads(cli("gallery", "migrate", "--model", "twin-nano", "--dry-run", "--json", "-g", friends).out)
        assert (plan["templates"], plan["left_behind"], plan["compared"], plan["switched"]) == (3, [], 3, False)
        assert json.loads(cli("gallery", "info", "-g", friends, "--json").out)["space"]["model"] == "twin-r29"
        done = cli("gallery", "migrate", "--model", "twin-nano", "-g", friends)
        assert (done.status, "3 templates of twin-nano now" in done.out) == (0, True)
        assert cli("identify", examples / "two_faces.jpg", "-g", friends).status == 0
        cli("gallery", "migrate", "--model", "twin-nano", "-g", friends).refuses("nothing to migrate")

    def test_migration_leaves_nobody_behind_unasked(self, cli: Cli, path: Path, examples: Path) -> None:
        cli("enroll", "--name", "Grace", examples / "hopper.jpg", "-g", path)
        done = cli("gallery", "migrate", "--model", "twin-nano", "-g", path)
        assert done.status == 2
        assert "without any photo kept: Grace" in done.out
        assert "--leave-behind" in done.err
        assert cli("identify", examples / "hopper.jpg", "-g", path).status == 0
        assert cli("gallery", "migrate", "--model", "twin-nano", "--leave-behind", "-g", path).status == 0
        assert cli("identify", examples / "hopper.jpg", "-g", path).status == 1
        assert "no template" in cli("gallery", "doctor", "-g", path).out

    def test_renew(self, cli: Cli, friends: Path, examples: Path) -> None:
        assert "3 templates renewed" in cli("gallery", "renew", "-g", friends).out
        assert cli("identify", examples / "two_faces.jpg", "-g", friends).status == 0


class TestEncryption:
    def test_with_a_key_file(self, cli: Cli, faces: Path, path: Path, tmp_path: Path, examples: Path) -> None:
        key = tmp_path / "gallery.key"
        assert cli("gallery", "keygen", key).status == 0
        cli("gallery", "keygen", key).refuses("is there already")
        assert "encrypted with a key file" in cli("enroll", faces, "-g", path, "--encrypt", "--key-file", key).err
        assert cli("identify", examples / "two_faces.jpg", "-g", path, "--key-file", key).status == 0
        cli("people", "list", "-g", path).refuses("encrypted with a key file", "--key-file")
        other = tmp_path / "other.key"
        cli("gallery", "keygen", other)
        cli("people", "list", "-g", path, "--key-file", other).refuses("does not open")
        cli("people", "list", "-g", path, "--key-file", faces / "Grace" / "notes.txt").refuses("is no key file")

    def test_with_a_passphrase(self, cli: Cli, faces: Path, path: Path, scrubbed: pytest.MonkeyPatch) -> None:
        cli("enroll", faces, "-g", path, "--encrypt").refuses("TWINFACE_PASSPHRASE")
        scrubbed.setenv("TWINFACE_PASSPHRASE", "short")
        cli("enroll", faces, "-g", path, "--encrypt").refuses("shorter than 8")
        assert not path.exists()
        scrubbed.setenv("TWINFACE_PASSPHRASE", "correct horse")
        assert cli("enroll", faces, "-g", path, "--encrypt").status == 0
        assert names(cli, path) == ["Eileen", "Grace"]
        scrubbed.setenv("TWINFACE_PASSPHRASE", "correct house")
        cli("people", "list", "-g", path).refuses("does not open")
        scrubbed.delenv("TWINFACE_PASSPHRASE")
        cli("people", "list", "-g", path).refuses("encrypted with a passphrase")

    def test_a_plain_gallery_is_not_encrypted_by_the_way(self, cli: Cli, faces: Path, friends: Path) -> None:
        cli("enroll", faces, "-g", friends, "--encrypt").refuses("is there already")

    def test_a_passphrase_is_asked_for_at_a_terminal(
        self, path: Path, scrubbed: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import getpass
        import sys

        answers = ["correct horse", "correct horse", "correct horse"]
        scrubbed.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        scrubbed.setattr(getpass, "getpass", lambda prompt: answers.pop())
        open_gallery(path, None, create=True, encrypt=True).close()
        with open_gallery(path, None) as opened:
            assert opened.info().encrypted == "passphrase"
        assert answers == []
        assert "correct" not in "".join(capsys.readouterr())
