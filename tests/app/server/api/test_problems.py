import inspect
from pathlib import Path

import pytest

from twinface import errors
from twinface.app.server.edge import problem
from twinface.app.server.problems import KINDS, MEDIA_TYPE, STATUSES, TITLES, Problem, problem_of, told

TREE = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.TwinFaceError)]


def made(kind):
    return kind("a: blurred", "blurred") if kind is errors.PoorQuality else kind("/srv/people.db: some words")


@pytest.mark.parametrize("kind", TREE)
def test_every_class_of_the_error_tree_has_a_row(kind):
    row = KINDS[kind]
    assert 400 <= row.status < 600
    assert row.code == row.code.lower()
    assert row.title


@pytest.mark.parametrize("kind", [one for one in TREE if KINDS[one].status >= 500])
def test_what_is_the_servers_own_affair_is_not_told(kind):
    refusal = problem_of(made(kind))
    assert "some words" not in refusal.detail
    assert "/srv" not in refusal.detail


def test_a_new_class_is_told_as_the_one_above_it():
    class Newborn(errors.NoFace):
        pass

    assert problem_of(Newborn("a: nobody")).code == "no-face"


def test_a_problem_is_of_the_form_of_rfc_9457():
    response = problem_of(errors.PoorQuality("a: face 1 is blurred", "blurred")).response()
    assert response.media_type == MEDIA_TYPE
    assert response.status_code == 422
    assert response.body == (
        b'{"type":"urn:twinface:problem:poor-quality","title":"The face is not fit for comparison","status":422,'
        b'"detail":"a: face 1 is blurred","code":"poor-quality","reason":"blurred"}'
    )


def test_a_message_is_told_without_the_servers_paths_and_without_the_command_lines_options():
    path = Path("/srv/secret/people.db")
    assert told("/srv/secret/people.db: nobody is named 'x'; twinface people list names everybody", (path,)) == (
        "nobody is named 'x'"
    )
    assert told("see /srv/secret/people.db, please", (path,)) == "see people.db, please"
    assert told("use a better picture, or --any-quality") == "use a better picture, or any_quality=true"


def test_what_nobody_foresaw_is_logged_and_not_told(caplog):
    refusal = problem(ZeroDivisionError("secret words"))
    assert (refusal.status_code, refusal.code) == (500, "internal")
    assert "secret" not in str(refusal.response().body)
    assert "secret words" in caplog.text


def test_codes_of_routes_have_titles_of_their_own():
    assert Problem(404, "x", "no-photo").title == TITLES["no-photo"]
    assert Problem(404, "x").title == STATUSES[404][1]
