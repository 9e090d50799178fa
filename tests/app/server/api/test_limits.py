import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from twinface.app.server.limits import BodyLimits
from twinface.app.server.problems import Problem


async def reading(scope, receive, send):
    while (await receive()).get("more_body"):
        pass


def body(*parts):
    rest = list(parts)

    async def receive():
        if not rest:
            await asyncio.sleep(3600)
        part = rest.pop(0)
        return {"type": "http.request", "body": part, "more_body": part != b""}

    return receive


def send_to(limits, receive, path="/v1/compare", headers=()):
    scope = {"type": "http", "path": path, "headers": list(headers)}
    asyncio.run(limits(scope, receive, None))


def test_a_body_that_says_it_is_too_large_is_not_read():
    async def unread():
        raise AssertionError("it was read")

    with pytest.raises(Problem) as refused:
        send_to(BodyLimits(reading, 10), unread, headers=[(b"content-length", b"11")])
    assert refused.value.status_code == 413


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"9" * 30])
def test_a_length_that_is_no_number_is_refused(length):
    with pytest.raises(Problem) as refused:
        send_to(BodyLimits(reading, 10), body(b""), headers=[(b"content-length", length)])
    assert refused.value.status_code == 400


def test_a_body_that_says_nothing_is_read_up_to_the_limit():
    send_to(BodyLimits(reading, 10), body(b"12345", b"67890", b""))
    with pytest.raises(Problem) as refused:
        send_to(BodyLimits(reading, 10), body(b"12345", b"678901", b""))
    assert refused.value.status_code == 413


def test_other_paths_may_have_other_limits():
    limits = BodyLimits(reading, 1, {"/v1/videos": 10})
    send_to(limits, body(b"12345", b""), "/v1/videos")
    with pytest.raises(Problem):
        send_to(limits, body(b"12345", b""), "/v1/videos/0/searches")


def test_a_body_that_does_not_come_is_given_up():
    with pytest.raises(Problem) as refused:
        send_to(BodyLimits(reading, 10, pause=0.01), body(b"12345"))
    assert refused.value.status_code == 408


def test_an_upload_beyond_the_limit_is_a_problem(make_app, collins):
    from fastapi.testclient import TestClient

    client = TestClient(make_app(max_bytes=1000), base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    chunked = {"content": iter([collins]), "headers": {"content-type": "multipart/form-data; boundary=x"}}
    for request in ({"files": {"a": collins, "b": collins}}, chunked):
        refused = client.post("/v1/compare", **request)
        assert (refused.status_code, refused.json()["code"]) == (413, "too-large")


def test_pixels_are_counted_before_they_are_decoded(client):
    bomb = io.BytesIO()
    Image.fromarray(np.zeros((8000, 7000), np.uint8)).save(bomb, "PNG")
    refused = client.post("/v1/detect", files={"picture": bomb.getvalue()})
    assert (refused.status_code, refused.json()["code"]) == (413, "image-too-large")
    assert "50,000,000" in refused.json()["detail"]
