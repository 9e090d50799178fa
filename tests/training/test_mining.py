import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from twinface.errors import RecipeError  # noqa: E402
from twinface.training import mining  # noqa: E402
from twinface.training.mining import MemoryBank, subjects_apart  # noqa: E402
from twinface.training.recipe import MiningRecipe  # noqa: E402

RECIPE = MiningRecipe(nearest=3, same=0.4, slack=0.1, momentum=0.25)
SEEDS = st.integers(0, 2**32 - 1)


def unit(count, seed=0, dimension=4):
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return torch.tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=torch.float32)


def bank_of(count=40, seed=0, groups=None, recipe=RECIPE, persons=None, margin=0.8):
    groups = np.random.default_rng(seed).integers(-1, 3, count) if groups is None else np.array(groups)
    return MemoryBank(unit(count, seed), groups, recipe, margin, persons)


def far(one, other):
    return float(np.linalg.norm(one - other))


def slow_search(bank, groups, persons, recipe=RECIPE, margin=0.8):
    """Neighbours and hardness of every row, by looking at every other."""
    now, base = bank.templates.double().numpy(), bank.base.double().numpy()
    found, hardness = [], []
    for row in range(len(now)):
        others = [
            other
            for other in range(len(now))
            if other != row
            and groups[other] == groups[row] >= 0
            and far(base[row], base[other]) >= recipe.same
            and (persons is None or persons[other] != persons[row] or persons[row] < 0)
        ]
        near = sorted(others, key=lambda other: far(now[row], now[other]))[: recipe.nearest]
        found.append(near + [-1] * (recipe.nearest - len(near)))
        hardness.append(sum(max(0.0, margin + recipe.slack - far(now[row], now[other])) for other in near))
    return found, hardness


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
@pytest.mark.parametrize("with_persons", [False, True])
def test_neighbours_equal_a_search_by_hand_in_blocks_of_any_size(monkeypatch, block, with_persons):
    monkeypatch.setattr(mining, "BLOCK", block)
    groups = np.random.default_rng(1).integers(-1, 3, 40)
    persons = np.random.default_rng(2).integers(-1, 2, 40) if with_persons else None
    bank = bank_of(groups=groups, persons=persons)
    bank.update(torch.arange(40), unit(40, seed=9))
    bank.search()
    neighbours, hardness = slow_search(bank, groups, persons)
    assert bank.neighbours.tolist() == neighbours
    assert bank.hardness == pytest.approx(hardness, abs=1e-6)
    assert (bank.neighbours.dtype, bank.hardness.dtype) == (np.int64, np.float64)
    assert max(hardness) > 0


def test_small_groups_have_fewer_neighbours():
    bank = bank_of(6, groups=[0, 1, 1, 2, 2, -1], recipe=MiningRecipe(nearest=3, same=0.0))
    bank.search()
    assert bank.neighbours.tolist() == [[-1] * 3, [2, -1, -1], [1, -1, -1], [4, -1, -1], [3, -1, -1], [-1] * 3]
    assert bank.hardness[[0, 5]].tolist() == [0.0, 0.0]


def test_a_second_search_forgets_the_first():
    bank = bank_of(groups=[0] * 40)
    bank.search()
    first = bank.neighbours.copy()
    bank.update(torch.arange(40), unit(40, seed=5))
    bank.search()
    neighbours, _ = slow_search(bank, [0] * 40, None)
    assert bank.neighbours.tolist() == neighbours
    assert not np.array_equal(bank.neighbours, first)


def test_pictures_that_the_base_finds_nearly_identical_never_become_neighbours():
    templates = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    bank = MemoryBank(templates, np.zeros(3, np.int64), MiningRecipe(nearest=2, same=0.2), 0.5)
    bank.update(torch.tensor([0, 1, 2]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    bank.search()
    assert bank.neighbours.tolist() == [[2, -1], [2, -1], [1, 0]] or bank.neighbours.tolist() == [[2, -1]] * 2 + [
        [0, 1]
    ]


def test_identical_pictures_are_neighbours_where_no_distance_is_too_small():
    bank = MemoryBank(unit(1).repeat(2, 1), np.zeros(2, np.int64), MiningRecipe(nearest=1, same=0.0), 0.5)
    bank.search()
    assert bank.neighbours.tolist() == [[1], [0]]


def test_update_mixes_the_mean_of_what_came_into_the_old():
    bank, new = bank_of(5), unit(3, seed=3)
    before = bank.templates.clone()
    bank.update(torch.tensor([4, 1, 4]), new)
    for row, came in ((4, (new[0] + new[2]) / 2), (1, new[1])):
        mixed = 0.25 * before[row] + 0.75 * came
        torch.testing.assert_close(bank.templates[row], mixed / mixed.norm())
    assert torch.equal(bank.templates[[0, 2, 3]], before[[0, 2, 3]])
    assert torch.equal(bank.base, before)


def test_update_takes_any_precision_and_no_gradient():
    bank = bank_of(5)
    bank.update(torch.tensor([1]), unit(1).bfloat16().requires_grad_())
    bank.update(torch.empty(0, dtype=torch.int64), torch.empty(0, 4))
    assert bank.templates.dtype == torch.float32
    assert not bank.templates.requires_grad


@given(SEEDS, st.integers(1, 50), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_draws_are_reproducible_and_hold_neighbours_behind_their_anchors(seed, anchors, neighbours):
    bank = bank_of()
    bank.search()
    drawn = bank.draw(anchors, neighbours, np.random.default_rng(seed))
    assert drawn.tolist() == bank.draw(anchors, neighbours, np.random.default_rng(seed)).tolist()
    assert drawn.dtype == np.int64
    assert len(set(drawn.tolist())) == len(drawn)
    assert min(anchors, 40) <= len(drawn) <= min(40, anchors * (1 + neighbours))
    if anchors == 1:
        around = set(bank.neighbours[drawn[0]].tolist()) - {-1}
        assert set(drawn[1:].tolist()) <= around
        assert len(drawn) == 1 + min(neighbours, len(around))


def test_hard_anchors_are_drawn_in_proportion_and_easy_ones_hardly():
    bank = bank_of(4, groups=[-1] * 4)
    bank.hardness[:] = [0.0, 1.0, 3.0, 0.0]
    random = np.random.default_rng(0)
    counts = np.bincount([bank.draw(1, 0, random)[0] for _ in range(2000)], minlength=4) / 2000
    assert counts[1] == pytest.approx(0.25, abs=0.03)
    assert counts[2] == pytest.approx(0.75, abs=0.03)
    assert sorted(bank.draw(4, 0, random)) == [0, 1, 2, 3]  # whoever is easy is still there


def test_anchors_can_be_drawn_from_some_rows_alone_whose_neighbours_come_along():
    bank = bank_of(40, groups=[0] * 40)
    bank.search()
    among = np.array([3, 17, 20])
    random = np.random.default_rng(0)
    assert {int(bank.draw(1, 0, random, among)[0]) for _ in range(200)} == {3, 17, 20}
    assert sorted(bank.draw(9, 0, random, among)) == [3, 17, 20]
    one = bank.draw(1, 3, random, among[:1])
    assert one[0] == 3
    assert set(one[1:].tolist()) == set(bank.neighbours[3].tolist())


def test_anchors_are_drawn_alike_where_nothing_is_hard():
    bank = bank_of(4, groups=[0] * 4, margin=0.0, recipe=MiningRecipe(nearest=2, slack=0.0))
    bank.search()
    assert not bank.hardness.any()
    random = np.random.default_rng(0)
    counts = np.bincount([bank.draw(1, 0, random)[0] for _ in range(2000)], minlength=4) / 2000
    assert counts == pytest.approx([0.25] * 4, abs=0.03)


def test_a_bank_resumed_from_its_state_goes_on_to_the_bit():
    bank = bank_of()
    bank.update(torch.arange(20), unit(20, seed=7))
    bank.search()
    state = bank.state()
    other = bank_of(seed=8, groups=np.random.default_rng(0).integers(-1, 3, 40))
    other.load(state)
    for one in (bank, other):
        one.update(torch.arange(10, 30), unit(20, seed=11))  # leaves the state alone
    draws = [one.draw(6, 2, np.random.default_rng(3)).tolist() for one in (bank, other)]
    assert draws[0] == draws[1]
    for one in (bank, other):
        one.search()
    for name, value in bank.state().items():
        assert torch.equal(value, other.state()[name]), name
    assert not torch.equal(state["templates"], bank.templates)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"templates": torch.zeros(39, 4)}, r"its templates should be float32 \(40, 4\), .* has float32 \(39, 4\)"),
        ({"neighbours": torch.zeros(40, 3)}, r"neighbours should be int64 \(40, 3\), the checkpoint has float32"),
        ({"hardness": None}, "hardness should be float64"),
    ],
)
def test_the_state_of_another_bank_is_refused(change, found):
    bank = bank_of()
    state = {name: value for name, value in (bank.state() | change).items() if value is not None}
    before = bank.state()
    with pytest.raises(RecipeError, match=found):
        bank.load(state)
    assert all(torch.equal(value, before[name]) for name, value in bank.state().items())


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"templates must be \(N, D\), groups and persons \(N,\)"):
        MemoryBank(unit(4), np.zeros(3, np.int64), RECIPE, 0.5)
    with pytest.raises(ValueError, match="memory bank"):
        MemoryBank(unit(4), np.zeros(4, np.int64), RECIPE, 0.5, np.zeros(5, np.int64))


@given(SEEDS, st.floats(0.0, 2.0))
@settings(max_examples=30, deadline=None)
def test_subjects_are_apart_where_the_base_says_so(seed, same):
    base = unit(9, seed)
    apart = subjects_apart(base, same)
    rows = base.double().numpy()
    for one in range(9):
        for other in range(9):
            distance = far(rows[one], rows[other])
            if one == other:
                assert not apart[one, other]
            elif abs(distance - same) > 1e-6:
                assert bool(apart[one, other]) == (distance >= same)


def test_views_of_one_picture_are_not_apart():
    base = unit(40, seed=4, dimension=128)[torch.arange(40).repeat(2)]
    apart = subjects_apart(base, 1e-6)
    assert not apart.diagonal(40).any()
    assert torch.equal(apart, apart.T)
