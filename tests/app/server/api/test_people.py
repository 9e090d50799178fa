import io
import stat

import pytest
from PIL import Image

NOBODY = "0" * 32


@pytest.fixture
def ada(client, collins):
    answer = client.post(
        "/v1/people", data={"name": "Ada", "keep_photos": "true"}, files={"photo": ("ada.jpg", collins)}
    )
    assert answer.status_code == 201
    return answer


@pytest.fixture
def uid(ada):
    return ada.json()["person"]["uid"]


def test_who_is_enrolled_is_named_in_pictures(client, ada, examples):
    told = ada.json()
    assert told["photos"] == [{"photo": "ada.jpg", "result": "enrolled", "why": ""}]
    assert ada.headers["location"] == f"/v1/people/{told['person']['uid']}"
    picture = (examples / "collins_reshoot.jpg").read_bytes()
    (face,) = client.post("/v1/identify", files={"picture": picture}).json()["faces"]
    assert (face["subject"], face["uid"]) == ("Ada", told["person"]["uid"])
    assert face["candidates"][0]["uid"] == told["person"]["uid"]


def test_a_person_is_shown_with_her_pictures_and_without_her_template(client, ada, uid):
    shown = client.get(f"/v1/people/{uid}")
    assert shown.json() == ada.json()["person"]
    assert shown.headers["etag"] == ada.headers["etag"]
    assert [one["source"] for one in shown.json()["samples"]] == ["ada.jpg"]
    assert "template" not in shown.text


def test_a_name_is_taken_once(client, uid, hopper):
    refused = client.post("/v1/people", data={"name": "ADA"}, files={"photo": hopper})
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate-person")


def test_a_picture_that_cannot_be_enrolled_is_told_with_its_reason(client, collins):
    refused = client.post("/v1/people", data={"name": "Bob"}, files=[("photo", b"nothing"), ("photo", b"GIF89a")])
    assert (refused.status_code, refused.json()["code"]) == (422, "nothing-enrolled")
    assert [one["result"] for one in refused.json()["photos"]] == ["unreadable", "unreadable"]
    assert client.get("/v1/people").json()["people"] == []
    some = client.post("/v1/people", data={"name": "Bob"}, files=[("photo", b"nothing"), ("photo", collins)])
    assert some.status_code == 201
    assert [one["result"] for one in some.json()["photos"]] == ["unreadable", "enrolled"]


@pytest.mark.parametrize("filename", ["../../etc/passwd", "..\\x.jpg", "/x.jpg", "a\nb.jpg", "x" * 300, ".hidden"])
def test_names_of_files_that_are_paths_are_not_kept(client, collins, filename):
    answer = client.post("/v1/people", data={"name": "Ada"}, files={"photo": (filename, collins)})
    assert answer.json()["person"]["samples"][0]["source"] == "photo 1"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "invalid"),
        ({"name": ""}, "invalid"),
        ({"name": " "}, "gallery-refused"),
        ({"name": "a/b"}, "gallery-refused"),
        ({"name": "x" * 900}, "invalid"),
        ({"name": "Ada", "expires": "yesterday"}, "invalid"),
        ({"name": "Ada", "face": "all"}, "invalid"),
        ({"name": "Ada", "face": "x"}, "invalid"),
    ],
)
def test_an_enrolment_that_makes_no_sense_is_refused(client, collins, data, code):
    refused = client.post("/v1/people", data=data, files={"photo": collins})
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert client.get("/v1/people").json()["total"] == 0


def test_a_request_sent_again_enrols_once_even_after_a_restart(client, make_app, collins, hopper, tmp_path):
    from fastapi.testclient import TestClient

    def again(client, photo, key="once"):
        return client.post("/v1/people", data={"name": "Ada"}, files={"photo": photo}, headers={"Idempotency-Key": key})

    first = again(client, collins)
    second = again(client, collins)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json()["person"] == first.json()["person"]
    assert again(client, hopper).json()["code"] == "idempotency-key-reused"
    assert again(client, collins, "another").json()["code"] == "duplicate-person"
    restarted = TestClient(make_app(), base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    assert again(restarted, collins).json()["person"] == first.json()["person"]
    (record,) = (tmp_path / "state" / "idempotency").iterdir()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert "Ada" not in record.read_text()


def test_people_come_a_page_at_a_time_and_removing_meanwhile_skips_nobody(client, collins, hopper, examples):
    photos = [collins, hopper, (examples / "collins_reshoot.jpg").read_bytes()]
    for name, photo in zip("CAB", photos, strict=True):
        assert client.post("/v1/people", data={"name": name}, files={"photo": photo}).status_code == 201
    first = client.get("/v1/people?limit=2").json()
    assert [one["name"] for one in first["people"]] == ["A", "B"]
    assert first["total"] == 3
    for one in first["people"]:
        assert client.delete(f"/v1/people/{one['uid']}").status_code == 200
    second = client.get(f"/v1/people?limit=2&cursor={first['next']}").json()
    assert [one["name"] for one in second["people"]] == ["C"]
    assert second["next"] is None
    assert client.get("/v1/people?name=c").json()["total"] == 1
    assert client.get("/v1/people?name=x").json()["people"] == []


@pytest.mark.parametrize(
    ("query", "status"), [("limit=0", 422), ("limit=1001", 422), ("cursor=x", 400), ("cursor=", 400)]
)
def test_a_list_that_makes_no_sense_is_refused(client, query, status):
    assert client.get(f"/v1/people?{query}").status_code == status


def test_renaming_needs_the_etag_that_was_seen(client, ada, uid):
    path = f"/v1/people/{uid}"
    assert client.patch(path, json={"name": "Eve"}).json()["code"] == "precondition-required"
    tag = {"If-Match": ada.headers["etag"]}
    renamed = client.patch(path, json={"name": "Eve", "expires": "30d"}, headers=tag)
    assert renamed.status_code == 200
    assert renamed.json()["name"] == "Eve"
    assert renamed.json()["expires"] is not None
    late = client.patch(path, json={"name": "Zoe"}, headers=tag)
    assert (late.status_code, late.json()["code"]) == (412, "changed-meanwhile")
    assert client.delete(path, headers=tag).status_code == 412
    fresh = {"If-Match": renamed.headers["etag"]}
    assert client.patch(path, json={"expires": "never"}, headers=fresh).json()["expires"] is None


@pytest.mark.parametrize(
    "changes", [{"name": None}, {"name": ""}, {"name": "a/b"}, {"expires": "x"}, {"uid": "0" * 32}, {"name": 7}, []]
)
def test_a_change_that_makes_no_sense_is_refused(client, uid, changes):
    assert client.patch(f"/v1/people/{uid}", json=changes, headers={"If-Match": "*"}).status_code == 422
    assert client.get(f"/v1/people/{uid}").json()["name"] == "Ada"


def test_nobody_takes_anothers_name(client, uid, hopper):
    client.post("/v1/people", data={"name": "Grace"}, files={"photo": hopper})
    refused = client.patch(f"/v1/people/{uid}", json={"name": "grace"}, headers={"If-Match": "*"})
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate-person")
    assert "people.db" not in refused.text


def test_who_is_removed_is_gone_and_there_is_a_receipt(client, uid):
    receipt = client.delete(f"/v1/people/{uid}").json()
    assert receipt["subjects"] == [uid]
    assert (receipt["pictures"], receipt["photos"]) == (1, 1)
    assert client.get(f"/v1/people/{uid}").json()["code"] == "unknown-person"
    assert client.delete(f"/v1/people/{uid}").status_code == 404


def test_photos_are_added_once_and_removed_one_by_one(client, uid, examples):
    photo = {"photo": ("again.jpg", (examples / "collins_reshoot.jpg").read_bytes())}
    added = client.post(f"/v1/people/{uid}/photos", files=photo).json()
    assert [one["result"] for one in added["photos"]] == ["enrolled"]
    assert client.post(f"/v1/people/{uid}/photos", files=photo).json()["photos"][0]["result"] == "duplicate"
    numbers = [one["number"] for one in added["person"]["samples"]]
    assert len(numbers) == 2
    assert client.delete(f"/v1/people/{uid}/photos/{numbers[1]}").json()["pictures"] == 1
    assert client.delete(f"/v1/people/{uid}/photos/{numbers[1]}").json()["code"] == "unknown-photo"


def test_several_people_become_one(client, uid, hopper):
    other = client.post("/v1/people", data={"name": "Grace"}, files={"photo": hopper}).json()["person"]["uid"]
    merged = client.post(f"/v1/people/{uid}/merge", json={"others": [other]})
    assert merged.json()["pictures"] == 2
    assert client.get(f"/v1/people/{other}").status_code == 404
    assert client.post(f"/v1/people/{uid}/merge", json={"others": []}).status_code == 422
    assert client.post(f"/v1/people/{uid}/merge", json={"others": [NOBODY]}).status_code == 404


def test_there_is_a_thumbnail_where_the_photo_was_kept(client, uid, hopper):
    answer = client.get(f"/v1/people/{uid}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size[0] <= 192
    seen = {"If-None-Match": answer.headers["etag"]}
    assert client.get(f"/v1/people/{uid}/thumbnail", headers=seen).status_code == 304
    number = client.get(f"/v1/people/{uid}").json()["samples"][0]["number"]
    assert client.get(f"/v1/people/{uid}/photos/{number}/thumbnail").content == answer.content
    other = client.post("/v1/people", data={"name": "Grace"}, files={"photo": hopper}).json()["person"]
    assert client.get(f"/v1/people/{other['uid']}/thumbnail").json()["code"] == "no-photo"
    path = f"/v1/people/{other['uid']}/photos/{other['samples'][0]['number']}/thumbnail"
    assert client.get(path).json()["code"] == "no-photo"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(("who", "status"), [(NOBODY, 404), ("x", 422), ("..%2f..%2fpeople.db", 404), ("%00", 422)])
def test_nobody_is_found_by_what_is_no_uid(client, method, who, status):
    given = {"json": {}, "headers": {"If-Match": "*"}} if method == "PATCH" else {}
    refused = client.request(method, f"/v1/people/{who}", **given)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"


def test_the_gallery_tells_what_it_is_and_what_to_mend(client, uid, tmp_path):
    told = client.get("/v1/gallery")
    assert told.json()["subjects"] == 1
    assert str(tmp_path) not in told.text
    (finding,) = client.get("/v1/gallery/findings").json()["findings"]
    assert finding["kind"] == "few pictures"
    assert client.get("/v1/gallery/findings?few=1").json()["findings"] == []
    assert client.get("/v1/gallery/findings?few=0").status_code == 422
