"""`/api/v1`: what a client of CompreFace sends, and the fields it reads."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from twinface.app.server.create import create_app
from twinface.app.server.options import ServerOptions

FACES, SUBJECTS = "/api/v1/recognition/faces", "/api/v1/recognition/subjects"


def opened(folder: Path, **options: Any) -> TestClient:
    chosen = {"threads": 1, "rate": 1e6, "burst": 10**6, **options}
    app = create_app(ServerOptions(folder / "people.db", folder / "state", **chosen))
    return TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with opened(tmp_path_factory.mktemp("server")) as client:
        yield client


@pytest.fixture
def empty(server: TestClient) -> TestClient:
    assert server.delete(SUBJECTS).status_code == 200
    return server


@pytest.fixture
def people(empty: TestClient, examples: Path) -> TestClient:
    for name in ("hopper", "collins"):
        assert enrolled(empty, name.title(), examples / f"{name}.jpg")["subject"] == name.title()
    return empty


def enrolled(server: TestClient, name: str, picture: Path) -> dict[str, str]:
    answer = server.post(FACES, params={"subject": name}, files={"file": picture.read_bytes()})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def recognized(server: TestClient, picture: Path, **options: Any) -> list[dict[str, Any]]:
    answer = server.post(
        "/api/v1/recognition/recognize", params=options, files={"file": (picture.name, picture.read_bytes())}
    )
    assert answer.status_code == 200, answer.text
    return list(answer.json()["result"])


def refused(answer: Any, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code, answer.text
    return str(answer.json()["detail"])


class TestVerify:
    ADDRESS = "/api/v1/verification/verify"

    def verified(self, server: TestClient, a: Path, b: Path, **options: Any) -> dict[str, Any]:
        files = {"source_image": a.read_bytes(), "target_image": b.read_bytes()}
        answer = server.post(self.ADDRESS, files=files, params=options)
        assert answer.status_code == 200, answer.text
        (result,) = answer.json()["result"]
        return dict(result)

    def test_the_same_and_another(self, server: TestClient, examples: Path) -> None:
        same = self.verified(server, examples / "hopper.jpg", examples / "hopper_reshoot.jpg")
        other = self.verified(server, examples / "hopper.jpg", examples / "collins.jpg")
        assert same["face_matches"][0]["similarity"] > 0.9
        assert other["face_matches"][0]["similarity"] < 0.5
        compared = server.post(
            "/v1/compare",
            files={
                name: (examples / f"{picture}.jpg").read_bytes()
                for name, picture in (("a", "hopper"), ("b", "collins"))
            },
        ).json()
        assert other["face_matches"][0]["similarity"] == pytest.approx(compared["probability"], abs=1e-5)

    def test_the_fields(self, server: TestClient, examples: Path) -> None:
        plain = self.verified(server, examples / "hopper.jpg", examples / "hopper_reshoot.jpg")
        assert set(plain) == {"source_image_face", "face_matches"}
        box = plain["source_image_face"]["box"]
        assert set(box) == {"probability", "x_max", "y_max", "x_min", "y_min"}
        assert 0.5 < box["probability"] <= 1
        assert all(isinstance(box[side], int) for side in ("x_max", "y_max", "x_min", "y_min"))
        assert (box["x_min"] < box["x_max"], box["y_min"] < box["y_max"]) == (True, True)
        full = self.verified(
            server, examples / "hopper.jpg", examples / "hopper_reshoot.jpg", face_plugins="age,landmarks", status=True
        )
        assert len(full["face_matches"][0]["landmarks"]) == 5
        assert set(full["plugins_versions"]) == {"detector", "calculator"}

    def test_every_face_of_the_target_and_only_so_many(self, server: TestClient, examples: Path) -> None:
        both = self.verified(server, examples / "hopper.jpg", examples / "two_faces.jpg")["face_matches"]
        assert len(both) == 2
        assert both[0]["similarity"] > both[1]["similarity"]
        assert (
            len(self.verified(server, examples / "hopper.jpg", examples / "two_faces.jpg", limit=1)["face_matches"])
            == 1
        )

    def test_base64(self, server: TestClient, examples: Path) -> None:
        texts = {
            field: base64.b64encode((examples / f"{name}.jpg").read_bytes()).decode()
            for field, name in (("source_image", "hopper"), ("target_image", "hopper_reshoot"))
        }
        answer = server.post(self.ADDRESS, json=texts)
        assert answer.json()["result"][0]["face_matches"][0]["similarity"] > 0.9

    @pytest.mark.parametrize(
        ("words", "status", "code"),
        [
            ({}, 422, "invalid"),
            ({"json": []}, 422, "invalid"),
            ({"json": {"source_image": "no base64 !", "target_image": ""}}, 422, "invalid"),
            ({"json": {"source_image": 7}}, 422, "invalid"),
            ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "invalid"),
            ({"files": {"source_image": b"x", "target_image": b"y"}}, 415, "unsupported-format"),
            ({"files": {"source_image": b"x"}}, 422, "invalid"),
            ({"params": {"limit": -1}}, 422, "invalid"),
            ({"params": {"det_prob_threshold": 1.5}}, 422, "invalid"),
            ({"params": {"det_prob_threshold": "nan"}}, 422, "invalid"),
        ],
    )
    def test_what_makes_no_sense(self, server: TestClient, words: dict[str, Any], status: int, code: str) -> None:
        refused(server.post(self.ADDRESS, **words), status, code)

    def test_no_face(self, server: TestClient, examples: Path, tmp_path: Path) -> None:
        from PIL import Image

        Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
        hopper = (examples / "hopper.jpg").read_bytes()
        files = {"source_image": hopper, "target_image": (tmp_path / "wall.png").read_bytes()}
        assert refused(server.post(self.ADDRESS, files=files), 422, "no-face").startswith("target_image")
        files = {"source_image": hopper, "target_image": hopper}
        refused(server.post(self.ADDRESS, files=files, params={"det_prob_threshold": 1}), 422, "no-face")


class TestRecognize:
    def test_the_nearest_person(self, people: TestClient, examples: Path) -> None:
        (face,) = recognized(people, examples / "hopper_reshoot.jpg")
        (subject,) = face["subjects"]
        assert (subject["subject"], subject["accepted"]) == ("Hopper", True)
        assert subject["similarity"] > 0.9
        assert set(face["box"]) == {"probability", "x_max", "y_max", "x_min", "y_min"}

    def test_more_people_and_faces(self, people: TestClient, examples: Path) -> None:
        faces = recognized(people, examples / "two_faces.jpg", prediction_count=5)
        assert {face["subjects"][0]["subject"] for face in faces} == {"Hopper", "Collins"}
        assert all([one["accepted"] for one in face["subjects"]] == [True, False] for face in faces)
        assert len(recognized(people, examples / "two_faces.jpg", limit=1)) == 1

    def test_an_empty_gallery(self, empty: TestClient, examples: Path) -> None:
        (face,) = recognized(empty, examples / "hopper.jpg")
        assert face["subjects"] == []

    def test_a_poor_face_is_no_subject(self, people: TestClient, examples: Path, tmp_path: Path) -> None:
        from PIL import Image, ImageFilter

        path = tmp_path / "blurred.png"
        Image.open(examples / "hopper.jpg").filter(ImageFilter.GaussianBlur(9)).save(path)
        face, *_ = recognized(people, path)
        assert face["subjects"] == []
        assert "blurred" in face["reasons"]

    def test_what_makes_no_sense(self, server: TestClient, examples: Path) -> None:
        address = "/api/v1/recognition/recognize"
        files = {"file": (examples / "hopper.jpg").read_bytes()}
        for options in ({"prediction_count": 0}, {"prediction_count": "many"}, {"limit": -1}):
            refused(server.post(address, files=files, params=options), 422, "invalid")
        refused(server.post(address), 422, "invalid")
        refused(server.post(address, files=files, params={"det_prob_threshold": 1}), 422, "no-face")


class TestFaces:
    def test_pages(self, people: TestClient, examples: Path) -> None:
        more = enrolled(people, "hopper", examples / "hopper_reshoot.jpg")
        assert more["subject"] == "Hopper"
        whole = people.get(FACES).json()
        assert (whole["page_number"], whole["page_size"], whole["total_pages"], whole["total_elements"]) == (
            0,
            20,
            1,
            3,
        )
        assert [face["subject"] for face in whole["faces"]] == ["Collins", "Hopper", "Hopper"]
        assert more in whole["faces"]
        pages = [people.get(FACES, params={"size": 2, "page": page}).json() for page in (0, 1, 2)]
        assert [face for page in pages for face in page["faces"]] == whole["faces"]
        assert {page["total_pages"] for page in pages} == {2}
        assert people.get(FACES, params={"subject": "collins"}).json()["total_elements"] == 1
        refused(people.get(FACES, params={"subject": "Eve"}), 404, "unknown-person")
        refused(people.get(FACES, params={"size": 0}), 422, "invalid")

    def test_the_same_picture_twice(self, people: TestClient, examples: Path) -> None:
        first = people.get(FACES, params={"subject": "Hopper"}).json()["faces"]
        assert enrolled(people, "Hopper", examples / "hopper.jpg") == first[0]
        assert people.get(FACES).json()["total_elements"] == 2
        answer = people.post(FACES, params={"subject": "Eve"}, files={"file": (examples / "hopper.jpg").read_bytes()})
        assert "Hopper" not in refused(answer, 409, "duplicate-photo")

    def test_pictures_that_are_not_taken(self, empty: TestClient, examples: Path, tmp_path: Path) -> None:
        from PIL import Image, ImageFilter

        Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
        Image.open(examples / "hopper.jpg").filter(ImageFilter.GaussianBlur(9)).save(tmp_path / "blurred.png")
        (tmp_path / "text.jpg").write_text("hello")
        for path, status, code in (
            (tmp_path / "wall.png", 422, "no-face"),
            (tmp_path / "blurred.png", 422, "poor-quality"),
            (tmp_path / "text.jpg", 422, "unreadable-image"),
            (examples / "two_faces.jpg", 422, "several-faces"),
        ):
            answer = empty.post(FACES, params={"subject": "Ada"}, files={"file": path.read_bytes()})
            assert refused(answer, status, code).startswith("file: ")
        for name in ("", "\n", "x" * 900):
            answer = empty.post(FACES, params={"subject": name}, files={"file": (examples / "hopper.jpg").read_bytes()})
            assert answer.status_code == 422
        refused(empty.post(FACES, files={"file": b"x"}), 422, "invalid")
        assert empty.get(SUBJECTS).json() == {"subjects": []}

    def test_removing_one(self, people: TestClient, examples: Path) -> None:
        more = enrolled(people, "Hopper", examples / "hopper_reshoot.jpg")
        refused(people.delete(f"{FACES}/{uuid.uuid4()}"), 404, "unknown-photo")
        refused(people.delete(f"{FACES}/7"), 422, "invalid")
        assert people.delete(f"{FACES}/{more['image_id']}").json() == more
        refused(people.delete(f"{FACES}/{more['image_id']}"), 404, "unknown-photo")
        refused(people.get(f"{FACES}/{people.get(FACES).json()['faces'][0]['image_id']}/img"), 404, "no-photo")

    def test_the_picture_itself(self, empty: TestClient, examples: Path) -> None:
        content = (examples / "hopper.jpg").read_bytes()
        kept = {"name": "Ada", "keep_photos": "true"}
        assert empty.post("/v1/people", data=kept, files={"photo": content}).status_code == 201
        (face,) = empty.get(FACES).json()["faces"]
        assert empty.get(f"{FACES}/{face['image_id']}/img").content == content

    def test_removing_all_of_somebody(self, people: TestClient) -> None:
        refused(people.delete(FACES), 422, "invalid")
        assert people.delete(FACES, params={"subject": "hopper"}).json() == {"deleted": 1}
        assert people.get(SUBJECTS).json() == {"subjects": ["Collins"]}
        refused(people.delete(FACES, params={"subject": "hopper"}), 404, "unknown-person")


class TestSubjects:
    def test_names(self, people: TestClient) -> None:
        for address in (SUBJECTS, f"{SUBJECTS}/"):
            assert people.get(address).json() == {"subjects": ["Collins", "Hopper"]}
        answer = people.post(SUBJECTS, json={"subject": "Ada"})
        assert (answer.status_code, answer.json()) == (201, {"subject": "Ada"})
        refused(people.post(SUBJECTS, json={"subject": "hopper"}), 409, "duplicate-person")
        refused(people.post(SUBJECTS, json={"subject": ""}), 422, "gallery-refused")
        refused(people.post(SUBJECTS, json={}), 422, "invalid")

    def test_renaming_and_merging(self, people: TestClient) -> None:
        assert people.put(f"{SUBJECTS}/Hopper", json={"subject": "Grace"}).json() == {"updated": True}
        assert people.get(SUBJECTS).json() == {"subjects": ["Collins", "Grace"]}
        assert people.put(f"{SUBJECTS}/Grace", json={"subject": "grace"}).json() == {"updated": True}
        assert people.put(f"{SUBJECTS}/grace", json={"subject": "Collins"}).json() == {"updated": True}
        assert people.get(SUBJECTS).json() == {"subjects": ["Collins"]}
        assert people.get(FACES).json()["total_elements"] == 2
        refused(people.put(f"{SUBJECTS}/Eve", json={"subject": "Adam"}), 404, "unknown-person")

    def test_forgetting(self, people: TestClient) -> None:
        assert people.delete(f"{SUBJECTS}/hopper").json() == {"subject": "Hopper"}
        refused(people.delete(f"{SUBJECTS}/hopper"), 404, "unknown-person")
        assert people.delete(SUBJECTS).json() == {"deleted": 1}
        assert people.delete(SUBJECTS).json() == {"deleted": 0}


def test_keys(tmp_path: Path, examples: Path) -> None:
    with opened(tmp_path) as server:
        keys = server.app.state.twinface.keys  # type: ignore[attr-defined]
        reader, operator = ({"x-api-key": keys.make(role, role)[1]} for role in ("read", "operate"))
        refused(server.get(SUBJECTS), 401, "unauthenticated")
        refused(server.get(SUBJECTS, headers={"x-api-key": "wrong"}), 401, "wrong-key")
        assert server.get(SUBJECTS, headers=reader).status_code == 200
        files = {"file": (examples / "hopper.jpg").read_bytes()}
        refused(server.post(FACES, params={"subject": "A"}, files=files, headers=reader), 403, "forbidden")
        answer = server.post(FACES, params={"subject": "A"}, files=files, headers=operator)
        assert answer.status_code == 201
        refused(server.delete(SUBJECTS, headers=operator), 403, "forbidden")
