import inspect
import pickle

import pytest

from twinface import errors
from twinface.errors import PoorQuality, TwinFaceError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def drawn_tree() -> dict[str, str]:
    """Each error's parent, as the module's first lines draw it."""
    parents: dict[str, str] = {}
    root = ""
    for line in (errors.__doc__ or "").splitlines()[2:]:
        if not line.strip():
            break
        if not line.startswith(" "):
            root = line.strip()
            continue
        branch, *leaves = line.replace(",", " ").split()
        parents[branch] = root
        parents.update(dict.fromkeys(leaves, branch))
    return parents


def test_the_tree_drawn_at_the_top_is_the_tree_that_is_there() -> None:
    there = {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS if kind is not TwinFaceError}
    assert drawn_tree() == there


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_twinface_error_with_one_parent_and_a_meaning(kind: type[Exception]) -> None:
    assert issubclass(kind, TwinFaceError)
    assert len(kind.__bases__) == 1
    assert kind.__doc__


def test_no_error_is_one_of_pythons_own_kinds_so_that_bugs_are_not_taken_for_refusals() -> None:
    assert TwinFaceError.__bases__ == (Exception,)


def test_poor_quality_carries_its_reason_beside_its_message() -> None:
    error = PoorQuality("a.jpg: the face is blurred; take another picture", "blurred")
    assert str(error) == "a.jpg: the face is blurred; take another picture"
    assert error.reason == "blurred"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not PoorQuality])
def test_errors_keep_their_message_across_processes(kind: type[Exception]) -> None:
    assert str(pickle.loads(pickle.dumps(kind("why")))) == "why"


def test_poor_quality_too_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(PoorQuality("why", "profile")))
    assert (str(error), error.reason) == ("why", "profile")
