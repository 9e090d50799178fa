import re

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute, APIWebSocketRoute
from fastapi.testclient import TestClient
from starlette.routing import Mount
from starlette.testclient import WebSocketDenialResponse

from twinface.app.server import routes
from twinface.app.server.create import _guarded
from twinface.app.server.rates import FAILURES
from twinface.app.server.security import Guard, requirement_of
from twinface.app.server.sessions import COOKIE
from twinface.errors import TwinFaceError

LOCAL = "http://127.0.0.1:8080"
BELOW = {"read": None, "operate": "read", "admin": "operate"}


def calling(app, address="127.0.0.1"):
    return TestClient(app, base_url=LOCAL, client=(address, 50_000))


def filled(path):
    return re.sub(r"{[^}]*}", "0" * 32, path)


def table(app):
    """Method, path and role of every route that demands one; the test fails for one that demands none."""
    rows = []
    for route in app.routes:
        if isinstance(route, Mount):
            continue
        assert isinstance(route, APIRoute | APIWebSocketRoute), route
        requirement = requirement_of(route.dependant)
        if requirement is None:
            assert route.path in routes.PUBLIC, f"{route.path} demands no role and is not in PUBLIC"
            continue
        assert isinstance(route.app, Guard), route.path
        methods = sorted(route.methods) if isinstance(route, APIRoute) else ["WEBSOCKET"]
        rows += [(method, filled(route.path), requirement.role) for method in methods]
    return rows


def status(client, method, path, headers):
    if method != "WEBSOCKET":
        return client.request(method, path, headers=headers).status_code
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("ws://127.0.0.1:8080" + path, headers=headers),
    ):
        pass
    return refused.value.status_code


def test_every_route_refuses_nobody_wrong_and_revoked_keys_and_roles_that_are_too_low(make_app):
    app = make_app(rate=1e6, burst=10**6)
    keys = app.state.twinface.keys
    secrets = {role: keys.make(role, role)[1] for role in ("read", "operate", "admin")}
    gone, revoked = keys.make("gone", "admin")
    keys.revoke(gone.id)
    wrong = secrets["admin"][:-4] + "xxxx"
    rows = table(app)
    documented = {(method.upper(), filled(path)) for path, one in app.openapi()["paths"].items() for method in one}
    public = {filled(path) for path in routes.PUBLIC}
    assert {(method, path) for method, path in documented if path not in public} <= {row[:2] for row in rows}
    assert len(rows) >= 20
    client = calling(app)
    for method, path, role in rows:
        where = f"{method} {path}"
        assert status(client, method, path, {}) == 401, where
        for header in ({"x-api-key": wrong}, {"authorization": f"Bearer {revoked}"}):
            app.state.twinface.lockout._failures.clear()
            assert status(client, method, path, header) == 401, where
        below = BELOW[role]
        if below is not None:
            assert status(client, method, path, {"x-api-key": secrets[below]}) == 403, where


def test_a_new_route_without_a_role_cannot_be_forgotten():
    router = APIRouter()

    @router.get("/v1/new")
    def new() -> None: ...

    with pytest.raises(TypeError, match="/v1/new: demands no role"):
        _guarded(router.routes[0])


def test_a_body_is_not_read_before_the_caller_is_known(app, make_key):
    make_key("admin")

    def body():
        raise AssertionError("the body was read")
        yield b""

    assert calling(app).post("/v1/compare", content=body(), headers={"content-type": "text/x"}).status_code == 401


def test_without_keys_this_machine_is_the_admin_and_nobody_else(make_app):
    app = make_app()
    assert calling(app).get("/v1/keys").json()["open"] is True
    assert calling(app, "192.0.2.7").get("/v1/keys").status_code == 401
    for header in ("x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host"):
        assert calling(app).get("/v1/keys", headers={header: "127.0.0.1"}).status_code == 401


def test_the_first_key_closes_the_door(app, make_key):
    client = calling(app)
    assert client.get("/v1/people").status_code == 200
    secret = make_key("admin")
    assert client.get("/v1/people").status_code == 401
    assert client.get("/v1/people", headers={"x-api-key": secret}).status_code == 200
    assert client.get("/v1/people", headers={"authorization": f"bearer {secret}"}).status_code == 200


@pytest.mark.parametrize("options", [{"host": "0.0.0.0"}, {"public_hosts": ("face.example.org",)}])
def test_whoever_lets_others_in_needs_a_key_first(make_app, options):
    with pytest.raises(TwinFaceError, match="twinface serve init makes the first key"):
        make_app(**options)


def test_an_address_that_guesses_is_locked_out_but_not_who_was_known_before(app, make_key):
    secret = make_key("read")
    good, bad = {"x-api-key": secret}, {"x-api-key": secret[:-4] + "xxxx"}
    client = calling(app)
    assert client.get("/v1/people", headers=good).status_code == 200
    for _ in range(FAILURES):
        assert client.get("/v1/people", headers=bad).status_code == 401
    refused = client.get("/v1/people", headers=bad)
    assert (refused.status_code, refused.json()["code"]) == (429, "locked-out")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.post("/v1/session", json={"key": bad["x-api-key"]}).status_code == 429
    assert client.get("/v1/people", headers=good).status_code == 200
    assert calling(app, "127.0.0.9").get("/v1/people", headers=bad).status_code == 401


def test_a_right_key_is_no_failure(app, make_key):
    client = calling(app)
    for _ in range(FAILURES + 1):
        assert client.get("/v1/people", headers={"x-api-key": make_key("admin")}).status_code == 200


def test_a_key_that_calls_too_often_is_slowed_down(make_app):
    app = make_app(rate=0.01, burst=2)
    keys = app.state.twinface.keys
    first, second = ({"x-api-key": keys.make(name, "admin")[1]} for name in "ab")
    client = calling(app)
    assert [client.get("/v1/people", headers=first).status_code for _ in range(3)] == [200, 200, 429]
    assert client.get("/v1/people", headers=second).status_code == 200
    assert int(client.get("/v1/people", headers=first).headers["retry-after"]) > 1


@pytest.mark.parametrize("host", ["evil.example", "evil.test:80", "", "127.0.0.1.evil.test", "[::", "192.0.2.1"])
def test_a_name_that_was_made_to_point_here_is_refused(app, host):
    refused = calling(app).get("/v1/people", headers={"host": host})
    assert (refused.status_code, refused.json()["code"]) == (421, "wrong-host")


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST:1"])
def test_this_machines_own_names_are_answered(app, host):
    assert calling(app).get("/v1/people", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8081", "http://127.0.0.1"])
def test_the_page_of_another_site_changes_nothing(client, origin):
    refused = client.post("/v1/people", headers={"origin": origin})
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign-origin")
    assert client.post("/v1/session", json={"key": "x"}, headers={"origin": origin}).status_code == 403
    assert client.delete("/v1/session", headers={"origin": origin}).status_code == 403


def test_the_page_of_another_site_reads_nothing(client):
    assert client.get("/v1/people", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/v1/people", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert client.post("/v1/people", headers={"origin": "http://127.0.0.1:8080"}).status_code == 422


def test_a_session_is_a_cookie_that_no_script_reads_and_a_token_for_every_change(app, make_key):
    client = calling(app)
    secret = make_key("admin")
    answer = client.post("/v1/session", json={"key": secret})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert secret not in answer.text + cookie
    told = answer.json()
    assert (told["role"], told["open"]) == ("admin", False)
    assert client.get("/v1/session").json() == told
    assert client.get("/v1/people").status_code == 200
    refused = client.post("/v1/keys", json={"name": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf")
    assert client.post("/v1/keys", json={"name": "x"}, headers={"x-csrf-token": "wrong"}).status_code == 403
    assert client.post("/v1/keys", json={"name": "x"}, headers={"x-csrf-token": told["csrf"]}).status_code == 201
    assert client.delete("/v1/session").status_code == 204
    assert client.get("/v1/people").status_code == 401
    assert client.get("/v1/session").json()["role"] is None


def test_a_session_ends_with_its_key(app, make_key):
    client = calling(app)
    client.post("/v1/session", json={"key": make_key("admin")})
    (key,) = app.state.twinface.keys.listed()
    assert client.get("/v1/people").status_code == 200
    app.state.twinface.keys.revoke(key.id)
    assert client.get("/v1/people").status_code == 401


def test_cookies_travel_by_https_alone_where_others_listen(make_app, tmp_path):
    from twinface.app.server.keys import KeyRing

    _, secret = KeyRing(tmp_path / "state").make("x", "admin")
    app = make_app(host="0.0.0.0")
    cookie = calling(app, "192.0.2.7").post("/v1/session", json={"key": secret}).headers["set-cookie"]
    assert "Secure" in cookie.split("; ")


def test_every_answer_says_what_browsers_may_do_with_it(client):
    for path in ("/v1/people", "/nothing", "/docs", "/healthz"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client.get("/v1/people").headers["cache-control"] == "no-store"


def test_a_secret_is_in_no_log_and_no_refusal(app, make_key, caplog):
    caplog.set_level("DEBUG")
    secret = make_key("read")
    client = calling(app)
    for headers in ({"x-api-key": secret}, {"x-api-key": secret + "x"}, {"authorization": f"Basic {secret}"}):
        for path in ("/v1/people", "/v1/keys", "/nothing"):
            assert secret not in client.get(path, headers=headers).text
    assert secret not in client.post("/v1/session", json={"key": [secret]}).text
    assert secret not in client.post("/v1/session", json={"wrong": secret}).text
    assert secret not in caplog.text
