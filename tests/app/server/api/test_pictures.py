"""Compare, detect, embed and identify."""

import io

import numpy as np
import pytest

from twinface.app.cli.compare import comparison_json
from twinface.app.cli.output import analysis_json

ONE_PICTURE = ["/v1/detect", "/v1/embed", "/v1/identify"]


def untimed(answer):
    return {**answer, "seconds": None}


def test_comparing_answers_as_the_command_line_does(client, recognizer, collins, hopper):
    answer = client.post("/v1/compare", files={"a": ("../../x", collins), "b": ("b", hopper)})
    assert answer.status_code == 200
    found = recognizer.compare_all(collins, hopper, face="largest")
    expected = comparison_json(found[0], found, ("largest", "largest"))
    expected["a"]["path"], expected["b"]["path"] = "a", "b"
    assert untimed(answer.json()) == untimed(expected)


def test_what_is_asked_of_a_comparison_is_heeded(client, examples, collins):
    two = (examples / "two_faces.jpg").read_bytes()
    files = {"a": collins, "b": two}
    answer = client.post("/v1/compare?face=all&fmr=0.01&band=0.9&any_quality=true", files=files).json()
    assert len(answer["pairs"]) == 2
    assert (answer["fmr"], answer["band"]["probability"]) == (0.01, 0.9)
    assert client.post("/v1/compare?face=largest,2", files=files).json()["b"]["face"] == 2


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("fmr=0.0123", 422, "unmeasured"),
        ("fmr=nan", 422, "invalid"),
        ("fmr=-1", 422, "invalid"),
        ("fmr=x", 422, "invalid"),
        ("band=0.5", 422, "unmeasured"),
        ("band=inf", 422, "invalid"),
        ("face=none", 422, "invalid"),
        ("face=1,2,3", 422, "invalid"),
        ("face=9", 422, "no-face"),
        ("any_quality=perhaps", 422, "invalid"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(client, collins, query, status, code):
    refused = client.post(f"/v1/compare?{query}", files={"a": collins, "b": collins})
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["content-type"] == "application/problem+json"


def test_refusals_name_the_field(client, examples, collins):
    two = (examples / "two_faces.jpg").read_bytes()
    for content, code in (
        (b"GIF89a", "unreadable-image"),
        (b"no picture", "unsupported-format"),
        (b"", "unreadable-image"),
    ):
        refused = client.post("/v1/compare", files={"a": collins, "b": ("x.jpg", content)}).json()
        assert refused["code"] == code
        assert refused["detail"].startswith("b: ")
    refused = client.post("/v1/compare?face=only", files={"a": two, "b": collins}).json()
    assert (refused["code"], refused["detail"][:3]) == ("several-faces", "a: ")


def test_a_poor_face_is_refused_with_its_reason(client, collins):
    import cv2

    pixels = cv2.imdecode(np.frombuffer(collins, np.uint8), cv2.IMREAD_COLOR)
    small = cv2.imencode(".png", cv2.resize(pixels, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA))[1].tobytes()
    refused = client.post("/v1/compare", files={"a": collins, "b": small})
    assert refused.status_code == 422
    assert refused.json()["code"] == "poor-quality"
    assert refused.json()["reason"] == "too small"
    assert "any_quality=true" in refused.json()["detail"]
    assert "--" not in refused.json()["detail"]
    assert client.post("/v1/compare?any_quality=true", files={"a": collins, "b": small}).status_code == 200


@pytest.mark.parametrize("path", ONE_PICTURE)
def test_one_picture_comes_as_a_field_or_as_the_body(client, path, collins):
    field = client.post(path, files={"picture": collins})
    body = client.post(path, content=collins, headers={"content-type": "image/jpeg"})
    assert field.status_code == body.status_code == 200
    assert untimed(field.json()) == untimed(body.json())


@pytest.mark.parametrize("path", ONE_PICTURE)
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({}, 422),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 422),
        ({"content": b"x", "headers": {"content-type": "image/png"}}, 415),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415),
        ({"json": {"picture": "http://169.254.169.254/"}}, 415),
        ({"data": {"picture": "/etc/passwd"}}, 422),
        ({"files": {"other": b"x"}}, 422),
        ({"content": b"--x\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400),
    ],
)
def test_what_is_no_picture_is_refused(client, path, request_, status):
    refused = client.post(path, **request_)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == status


def test_faces_are_found_as_the_command_line_finds_them(client, recognizer, collins):
    answer = client.post("/v1/detect", files={"picture": collins}).json()
    assert untimed(answer) == untimed({**analysis_json(recognizer.locate(collins)), "path": "picture"})


def test_templates_come_as_json_and_as_arrays(client, recognizer, collins):
    answer = client.post("/v1/embed", files={"picture": collins}).json()
    vector = recognizer.analyze(collins).faces[0].template.vector
    np.testing.assert_allclose(answer["faces"][0]["template"], vector, atol=1e-6)
    assert answer["model"] == recognizer.rule.model
    assert answer["dimension"] == len(vector)
    arrays = client.post("/v1/embed?format=npz", files={"picture": collins})
    assert arrays.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(arrays.content), allow_pickle=False) as file:
        np.testing.assert_allclose(file["templates"][0], vector, atol=1e-6)
        assert str(file["model"]) == recognizer.rule.model


def test_a_picture_without_faces_has_no_template(client):
    import cv2

    empty = cv2.imencode(".png", np.full((64, 64, 3), 200, np.uint8))[1].tobytes()
    assert client.post("/v1/detect", files={"picture": empty}).json()["faces"] == []
    assert client.post("/v1/identify", files={"picture": empty}).json()["faces"] == []
    assert client.post("/v1/embed", files={"picture": empty}).json()["code"] == "no-face"
    everyone = client.post("/v1/embed?face=all&format=npz", files={"picture": empty})
    assert everyone.status_code == 200


@pytest.mark.parametrize("query", ["top=0", "top=101", "fpir=0", "fpir=nan", "face=-1"])
def test_identifying_refuses_what_makes_no_sense(client, collins, query):
    assert client.post(f"/v1/identify?{query}", files={"picture": collins}).status_code == 422
