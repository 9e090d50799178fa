"""Health, models, keys, documents: the rest of the API."""

import json
import re

import pytest
from fastapi.testclient import TestClient

from twinface.models.registry import shipped


def test_a_server_is_ready_once_its_models_are_loaded(app):
    client = TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    assert client.get("/healthz").json() == {"status": "ok"}
    refused = client.get("/readyz")
    assert (refused.status_code, refused.json()["code"]) == (503, "not-ready")
    app.state.twinface.ready = True
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_server_that_starts_loads_its_models_and_closes_what_it_opened(app):
    state = app.state.twinface
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1)):
        pass
    assert state.ready
    assert state.work.under_way == 0


def test_metrics_count_answers_by_pattern_and_time_models(client, collins):
    client.post("/v1/detect", files={"picture": collins})
    client.get("/v1/people/" + "0" * 32)
    client.get("/nothing")
    text = client.get("/metrics").text
    assert 'twinface_requests_total{method="POST",route="/v1/detect",status="200"} 1.0' in text
    assert 'twinface_requests_total{method="GET",route="/v1/people/{uid}",status="404"} 1.0' in text
    assert 'twinface_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'twinface_model_seconds_count{stage="detect"} 1.0' in text
    assert "twinface_queue_length 0.0" in text
    assert "0" * 32 not in text


def test_models_are_told_without_paths(client):
    listed = client.get("/v1/models").json()["models"]
    assert [one["name"] for one in listed] == [one.name for one in shipped()]
    assert {one["name"] for one in listed if one["in_use"]} == {"scout", "twin-r29"}
    for one in listed:
        shown = client.get(f"/v1/models/{one['name']}")
        assert shown.json()["card"].startswith("#")
        assert bool(shown.json()["rules"]) == (one["kind"] == "encoder")
        assert "site-packages" not in shown.text
        assert str(shipped()[0].folder) not in shown.text
        for plot in one["plots"]:
            assert client.get(f"/v1/models/{one['name']}/plots/{plot}").content.startswith(b"\x89PNG")
    assert any(one["plots"] for one in listed)


@pytest.mark.parametrize(
    "path", ["nobody", "nobody.json", "..%2ftwin-r29", "twin-r29/plots/x", "twin-r29/plots/..%2f..%2fx"]
)
def test_a_model_that_is_not_there_is_not_found(client, path):
    refused = client.get(f"/v1/models/{path}")
    assert refused.status_code == 404
    assert refused.headers["content-type"] == "application/problem+json"


def test_keys_are_made_listed_and_revoked(client):
    assert client.post("/v1/keys", json={"name": "x", "role": "read"}).json()["code"] == "first-key"
    admin = client.post("/v1/keys", json={"name": "me", "role": "admin"})
    assert admin.status_code == 201
    assert admin.headers["location"] == f"/v1/keys/{admin.json()['id']}"
    assert client.get("/v1/keys").status_code == 401
    client.headers["x-api-key"] = admin.json()["secret"]
    desk = client.post("/v1/keys", json={"name": "front desk", "role": "operate", "expires": "30d"}).json()
    listed = client.get("/v1/keys")
    assert [one["name"] for one in listed.json()["keys"]] == ["me", "front desk"]
    assert listed.json()["open"] is False
    assert not {admin.json()["secret"], desk["secret"], "argon2"} & set(re.findall(r"[\w-]+", listed.text))
    theirs = {"x-api-key": desk["secret"]}
    assert client.get("/v1/people", headers=theirs).status_code == 200
    assert client.get("/v1/keys", headers=theirs).status_code == 403
    assert client.delete(f"/v1/keys/{desk['id']}").json()["revoked"] is not None
    assert client.get("/v1/people", headers=theirs).status_code == 401
    assert client.delete("/v1/keys/" + "0" * 12).json()["code"] == "unknown-key"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b'{"name": ""}', b'{"name": "x", "role": "king"}', b'{"name": "x", "more": 1}',
        b'{"name": "x", "role": "admin", "expires": "2001-01-01"}', b'{"name": "\\u0000", "role": "admin"}',
        b'{"name": "\\ud800", "role": "admin"}',
    ],
)  # fmt: skip
def test_a_key_that_makes_no_sense_is_refused(client, body):
    refused = client.post("/v1/keys", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid"
    assert client.get("/v1/keys").json()["keys"] == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b'{"key": 1}', b'{"key": "\\ud800"}', b'{"key": "' + b"x" * 300 + b'"}']
)
def test_a_login_that_makes_no_sense_is_refused(client, body):
    refused = client.post("/v1/session", content=body, headers={"content-type": "application/json"})
    assert refused.status_code in (401, 422)


def test_unknown_addresses_and_methods_are_problems(client):
    missing, wrong = client.get("/v1/nothing"), client.put("/v1/compare")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method-not-allowed")
    assert wrong.headers["allow"] == "POST"
    assert client.get("/v1/people/").status_code == 404


def test_an_error_that_nobody_foresaw_is_a_problem_without_a_trace(client, app, monkeypatch, caplog):
    def broken():
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(app.state.twinface.gallery, "people", broken)
    refused = client.get("/v1/people")
    assert (refused.status_code, refused.json()["code"]) == (500, "internal")
    assert "secret" not in refused.text
    assert "Traceback" not in refused.text
    assert "secret words" in caplog.text


def test_a_full_queue_is_told_with_when_to_come_again(client, app, monkeypatch, collins):
    monkeypatch.setattr(app.state.twinface.work._main, "_limit", 0)
    refused = client.post("/v1/detect", files={"picture": collins})
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "1"


def test_the_reference_loads_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"/docs/reference.css", "/docs/reference.js", "/openapi.json"} <= set(parts)
    for path in parts:
        assert path.startswith("/")
    for path in ("/docs/reference.css", "/docs/reference.js"):
        assert "//" not in re.sub(r"^// .*", "", client.get(path).text, flags=re.MULTILINE).replace("http://", "")
    assert client.get("/docs/..%2fcreate.py").status_code == 404
    assert client.get("/docs/create.py").status_code == 404


def test_the_document_has_an_example_a_role_and_problems_for_every_call(client):
    document = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["responses"]["default"]["content"]["application/problem+json"], path
            assert operation["description"], path
    compare = document["paths"]["/v1/compare"]["post"]
    assert compare["responses"]["200"]["content"]["application/json"]["example"]["verdict"] == "same"
    assert {"bearer": []} in compare["security"]
    assert "image/jpeg" in document["paths"]["/v1/detect"]["post"]["requestBody"]["content"]
