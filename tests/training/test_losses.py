import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from twinface.errors import RecipeError  # noqa: E402
from twinface.training.losses import KINDS, LossInput, build_loss  # noqa: E402
from twinface.training.recipe import LossRecipe  # noqa: E402

PERSONS = [0, 0, 1, 1, 1, 2, 2, 3]
SEEDS = st.integers(0, 2**32 - 1)


def unit(count, dimension=4, seed=0, dtype=torch.float32):
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return torch.tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=dtype)


def batch(embeddings, persons=PERSONS, **others):
    numbers = torch.tensor(persons, dtype=torch.int64)
    return LossInput(embeddings, numbers, torch.full_like(numbers, -1), torch.zeros_like(numbers), **others)


def built(kind="contrastive", persons=4, dimension=4, **changes):
    return build_loss(LossRecipe(kind=kind, **changes), persons=persons, dimension=dimension)


def all_pairs(count):
    return torch.tensor([(one, other) for one in range(count) for other in range(one + 1, count)])


def gradient(loss, embeddings, **others):
    leaf = embeddings.clone().requires_grad_()
    loss(batch(leaf, **others)).backward()
    return leaf.grad


# slow references: plain loops over Python's floats, which have 64 bits


def far(one, other):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))


def slow_contrastive(rows, pairs, margin, near, reduce):
    """`pairs`: (first, second, mated)."""
    pull = [max(0.0, far(rows[i], rows[j]) - near) ** 2 for i, j, mated in pairs if mated]
    push = [max(0.0, margin - far(rows[i], rows[j])) ** 2 for i, j, mated in pairs if not mated]
    if reduce == "pairs":
        return (sum(pull) + sum(push)) / len(pairs)
    return sum(pull) / len(pull) + 2 * sum(push) / len(rows)


def slow_triplets(rows, persons, margin, mining, apart=lambda one, other: True):
    """(anchor, mated, non-mated, cost) of each triplet taken."""
    places, found = range(len(rows)), []
    for a in places:
        mated = [p for p in places if p != a and persons[p] == persons[a]]
        others = [n for n in places if persons[n] != persons[a] and apart(a, n)]
        if mining == "hard" and mated and others:
            mated = [max(mated, key=lambda p: far(rows[a], rows[p]))]
            others = [min(others, key=lambda n: far(rows[a], rows[n]))]
        for p in mated:
            for n in others:
                near, distant = far(rows[a], rows[p]), far(rows[a], rows[n])
                cost = max(0.0, near - distant + margin)
                if mining == "hard" or (cost > 0 and (mining == "all" or distant > near)):
                    found.append((a, p, n, cost))
    return found


def slow_classification(rows, persons, centres, kind, margin, scale):
    costs = []
    for row, person in zip(rows, persons, strict=True):
        if person < 0:
            continue
        cosines = [sum(a * b for a, b in zip(row, c, strict=True)) / math.hypot(*row) / math.hypot(*c) for c in centres]
        if kind == "cosface":
            cosines[person] -= margin
        else:
            angle = math.acos(cosines[person])
            past = angle > math.pi - margin
            cosines[person] = math.cos(angle) - margin * math.sin(margin) if past else math.cos(angle + margin)
        costs.append(math.log(sum(math.exp(scale * cosine) for cosine in cosines)) - scale * cosines[person])
    return sum(costs) / len(costs)


# contrastive


@pytest.mark.parametrize("reduce", ["pairs", "violations"])
@pytest.mark.parametrize("near", [0.0, 0.6])
def test_contrastive_of_all_pairs_is_the_slow_one(reduce, near):
    rows = unit(8)
    pairs = [(i, j, PERSONS[i] == PERSONS[j]) for i in range(8) for j in range(i + 1, 8)]
    loss = built(margin=1.3, positive_margin=near, reduce=reduce)
    found = loss(batch(rows))
    assert (found.dtype, found.shape) == (torch.float32, ())
    assert found.item() == pytest.approx(slow_contrastive(rows.tolist(), pairs, 1.3, near, reduce), rel=1e-5)
    assert loss.last["mated"] + loss.last["non_mated"] == pytest.approx(found.item())


@pytest.mark.parametrize("reduce", ["pairs", "violations"])
def test_contrastive_counts_exactly_the_listed_pairs(reduce):
    rows, ends, mated = unit(6, seed=1), [(0, 3), (5, 2), (4, 1), (0, 1), (0, 1)], [True, False, False, True, False]
    listed = {"pairs": torch.tensor(ends), "mated": torch.tensor(mated)}
    nobody = {"apart": torch.zeros(6, 6, dtype=torch.bool)}  # says nothing of listed pairs
    found = built(margin=1.5, reduce=reduce)(batch(rows, persons=[-1] * 6, **listed, **nobody))
    pairs = [(*pair, one) for pair, one in zip(ends, mated, strict=True)]
    assert found.item() == pytest.approx(slow_contrastive(rows.tolist(), pairs, 1.5, 0.0, reduce), rel=1e-5)


def test_contrastive_leaves_out_unknown_persons_and_pairs_not_apart():
    rows, persons = unit(8, seed=2), [0, 0, 1, 1, -1, 2, -1, 3]
    apart = torch.ones(8, 8, dtype=torch.bool)
    apart[0, 1] = apart[1, 0] = False  # mated pairs stay
    apart[2, 5] = apart[7, 3] = False  # one direction is enough
    gone = {(2, 5), (3, 7)}
    known = [0, 1, 2, 3, 5, 7]
    pairs = [(i, j, persons[i] == persons[j]) for i in known for j in known if i < j and (i, j) not in gone]
    found = built(margin=1.6)(batch(rows, persons, apart=apart))
    assert found.item() == pytest.approx(slow_contrastive(rows.tolist(), pairs, 1.6, 0.0, "pairs"), rel=1e-5)


def test_contrastive_counts_violations_of_each_picture():
    rows = torch.tensor([[0.0], [0.1], [0.2], [9.0]])
    loss = built(margin=0.15)
    loss(batch(rows, [0, 1, 2, 3]))
    assert loss.last["violations"] == 1.0  # 0-1 and 1-2, each seen from both ends, over four pictures


@pytest.mark.parametrize("reduce", ["pairs", "violations"])
def test_gradient_of_contrastive_is_right(reduce):
    rows, pairs = unit(8, seed=3, dtype=torch.float64), all_pairs(8)
    numbers = torch.tensor(PERSONS)
    listed = {"pairs": pairs, "mated": numbers[pairs[:, 0]] == numbers[pairs[:, 1]]}
    loss = built(margin=1.3, positive_margin=0.4, reduce=reduce)
    assert torch.autograd.gradcheck(lambda leaf: loss(batch(leaf, **listed)), rows.requires_grad_())
    unlisted = gradient(loss, rows.detach().float())
    torch.testing.assert_close(unlisted, gradient(loss, rows.detach(), **listed).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_is_finite_where_embeddings_coincide(kind):
    loss = built(kind, mining="hard", margin=0.3)
    rows = torch.eye(4)[[0, 0, 0, 1, 1, 1, 2, 3]]
    if kind in ("arcface", "cosface"):
        with torch.no_grad():
            loss.loss.W.copy_(torch.eye(4))
    assert gradient(loss, rows, targets=rows).isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in loss.parameters())


@given(SEEDS, st.floats(0.05, 1.0))
@settings(max_examples=30, deadline=None)
def test_contrastive_is_0_when_mated_coincide_and_others_are_beyond_the_margin(seed, margin):
    centres = torch.eye(4)  # sqrt(2) apart
    rows = centres[torch.tensor(np.random.default_rng(seed).integers(0, 4, 9))]
    loss = built(margin=margin, reduce="violations")
    assert loss(batch(rows, rows.argmax(dim=1).tolist())).item() == 0.0
    assert loss.last["violations"] == 0.0


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_losses_do_not_depend_on_the_order_of_the_batch(seed):
    rows, order = unit(8, seed=seed), torch.tensor(np.random.default_rng(seed).permutation(8))
    apart = torch.triu(torch.tensor(np.random.default_rng(seed).random((8, 8)) < 0.8))
    apart = apart & apart.T | apart | apart.T
    targets, factors = unit(8, seed=seed + 1), torch.linspace(0, 1, 8)
    one = batch(rows, apart=apart, targets=targets, distil=factors)
    other = batch(
        rows[order],
        torch.tensor(PERSONS)[order].tolist(),
        apart=apart[order][:, order],
        targets=targets[order],
        distil=factors[order],
    )
    for kind in KINDS:
        for mining in ("all", "semi-hard", "hard") if kind == "triplet" else ("all",):
            loss = built(kind, mining=mining, reduce="violations", margin=0.4)
            assert loss(one).item() == pytest.approx(loss(other).item(), rel=1e-4, abs=1e-6), (kind, mining)


# triplet


@pytest.mark.parametrize("mining", ["all", "semi-hard", "hard"])
@pytest.mark.parametrize("restricted", [False, True])
def test_triplets_are_those_a_slow_search_takes(mining, restricted):
    rows = unit(8, seed=4)
    apart = torch.ones(8, 8, dtype=torch.bool)
    if restricted:
        apart = torch.tensor(np.random.default_rng(5).random((8, 8)) < 0.7)
        apart[0] = False  # an anchor with mated pictures but nobody else
        apart = apart & apart.T
    wanted = slow_triplets(rows.tolist(), PERSONS, 0.3, mining, lambda a, n: bool(apart[a, n]))
    loss = built("triplet", mining=mining, margin=0.3)
    found = loss(batch(rows, apart=apart if restricted else None))
    assert loss.last["triplets"] == len(wanted) > 3
    assert found.item() == pytest.approx(sum(cost for *_, cost in wanted) / len(wanted), rel=1e-4)


@pytest.mark.parametrize("mining", ["all", "semi-hard", "hard"])
def test_gradient_of_triplets_moves_the_pictures_a_slow_search_takes(mining):
    rows = unit(8, seed=6)
    leaf = rows.double().requires_grad_()
    taken = slow_triplets(rows.tolist(), PERSONS, 0.2, mining)
    costs = [
        (leaf[a] - leaf[p]).norm() - (leaf[a] - leaf[n]).norm() + 0.2 if cost > 0 else 0.0 for a, p, n, cost in taken
    ]
    (sum(costs) / len(taken)).backward()
    found = gradient(built("triplet", mining=mining, margin=0.2), rows)
    torch.testing.assert_close(found, leaf.grad.float(), rtol=1e-3, atol=1e-5)


def test_triplets_leave_out_unknown_persons():
    rows, persons = unit(8, seed=7), [0, 0, 1, 1, -1, 2, -1, 2]
    known = [place for place, person in enumerate(persons) if person >= 0]
    some = slow_triplets(rows[known].tolist(), [persons[place] for place in known], 0.5, "all")
    loss = built("triplet", margin=0.5)
    assert loss(batch(rows, persons)).item() == pytest.approx(sum(one[3] for one in some) / len(some), rel=1e-4)


# arcface and cosface


@pytest.mark.parametrize(("kind", "margin"), [("arcface", 0.5), ("arcface", 1.5), ("cosface", 0.35)])
def test_classification_is_the_slow_one_over_known_persons(kind, margin):
    rows, persons = 3 * unit(8, seed=8), [0, 0, 1, -1, 1, 2, -1, 3]
    loss = built(kind, margin=margin, scale=6.0)
    centres = loss.loss.W.T.tolist()
    wanted = slow_classification(rows.tolist(), persons, centres, kind, margin, 6.0)
    assert loss(batch(rows, persons)).item() == pytest.approx(wanted, rel=1e-4)


def test_arcface_reaches_angles_that_the_margin_carries_past_the_end():
    rows = torch.eye(4)[:1]
    loss = built("arcface", margin=0.5, scale=6.0)
    with torch.no_grad():
        loss.loss.W.copy_(torch.eye(4))
        loss.loss.W[:, 0] = torch.tensor([-1.0, 0.1, 0.0, 0.0])
    wanted = slow_classification(rows.tolist(), [0], loss.loss.W.T.tolist(), "arcface", 0.5, 6.0)
    assert loss(batch(rows, [0])).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_centres_are_trained_and_come_from_the_given_chance_alone(kind):
    recipe = LossRecipe(kind=kind)
    before = torch.random.get_rng_state()
    some, same, other = (
        build_loss(recipe, persons=5, dimension=4, random=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    (centres,) = some.parameters()
    assert centres.shape == (4, 5)
    assert torch.equal(centres, same.loss.W)
    assert not torch.equal(centres, other.loss.W)
    some(batch(unit(8))).backward()
    assert centres.grad.abs().sum() > 0


def test_classification_refuses_a_person_it_has_no_centre_for():
    with pytest.raises(ValueError, match="persons must lie below 3, got 3"):
        built("arcface", persons=3)(batch(unit(8)))


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_classification_needs_two_persons(kind):
    with pytest.raises(RecipeError, match=f"loss {kind}: needs two persons or more, the training data have 1"):
        built(kind, persons=1)


# distillation


def test_distillation_is_the_slow_one():
    rows, targets, factors = unit(5, seed=9), unit(5, seed=10), [0.0, 1.0, 2.0, 0.5, 1.0]
    costs = [far(one, other) ** 2 for one, other in zip(rows.tolist(), targets.tolist(), strict=True)]
    some = batch(rows, [-1] * 5, targets=targets)
    assert built("distillation")(some).item() == pytest.approx(sum(costs) / 5, rel=1e-5)
    weighted = replace(some, distil=torch.tensor(factors))
    slow = sum(cost * factor for cost, factor in zip(costs, factors, strict=True)) / 5
    assert built("distillation")(weighted).item() == pytest.approx(slow, rel=1e-5)


def test_gradient_of_distillation_is_right_and_spares_the_teacher():
    rows, targets = unit(5, seed=9, dtype=torch.float64), unit(5, seed=10).requires_grad_()
    factors, loss = torch.linspace(0, 1, 5), built("distillation")
    assert torch.autograd.gradcheck(
        lambda leaf: loss(batch(leaf, [0] * 5, targets=targets, distil=factors)), rows.requires_grad_()
    )
    loss(batch(rows, [0] * 5, targets=targets, distil=factors)).backward()
    assert rows.grad is not None
    assert targets.grad is None


def test_distillation_refuses_a_missing_or_other_teacher():
    with pytest.raises(RecipeError, match=r"there is no teacher; name one as teacher\.model"):
        built("distillation")(batch(unit(8)))
    with pytest.raises(RecipeError, match=r"templates have 6 numbers, the student's 4; make backbone\.dimension 6"):
        built("distillation")(batch(unit(8), targets=unit(8, 6)))


# all of them


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mining", ["all", "semi-hard", "hard"])
@pytest.mark.parametrize("persons", [[], [0], [-1, -1], [0, 0, 0], [0, 1, 2], [0, -1, 0]])
def test_batches_without_mated_or_non_mated_pairs_give_finite_losses(kind, mining, persons):
    rows = unit(8)[: len(persons)].clone().requires_grad_()
    for reduce in ("pairs", "violations"):
        loss = built(kind, mining=mining, reduce=reduce)
        found = loss(batch(rows, persons, targets=rows.detach()))
        found.backward()
        assert found.isfinite()
        assert rows.grad.isfinite().all()


def test_an_empty_list_of_pairs_costs_nothing():
    nothing = {"pairs": torch.empty(0, 2, dtype=torch.int64), "mated": torch.empty(0, dtype=torch.bool)}
    assert built()(batch(unit(8), **nothing)).item() == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_losses_compute_in_float32_whatever_the_network_does(kind):
    rows = unit(8).bfloat16()
    loss = built(kind, mining="hard")
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(batch(rows, targets=unit(8, seed=1)))
    assert found.dtype == torch.float32
    assert found.item() == loss(batch(rows.float(), targets=unit(8, seed=1))).item()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": -0.1}, "loss contrastive: margin is -0.1; give a number from 0 up"),
        ({"margin": math.nan}, "margin is nan"),
        ({"kind": "triplet", "margin": -1.0}, "loss triplet: margin is -1.0"),
        ({"positive_margin": -0.5}, "positive_margin is -0.5"),
        ({"kind": "arcface", "scale": 0.0}, "loss arcface: scale is 0.0; give a number above 0"),
        ({"kind": "softmax"}, "kind is 'softmax'; choose of contrastive, triplet, arcface, cosface, distillation"),
        ({"mining": "easy"}, "mining is 'easy'; choose of all, semi-hard, hard"),
        ({"reduce": "sum"}, "reduce is 'sum'; choose of pairs, violations"),
    ],
)
def test_impossible_recipes_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        built(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": torch.zeros(8)}, r"embeddings must be floating \(B, D\), got float32 \(8,\)"),
        ({"embeddings": torch.zeros(8, 4, dtype=torch.int64)}, "embeddings must be floating"),
        ({"persons": torch.zeros(7, dtype=torch.int64)}, r"persons must be int64 \(8\), got int64 \(7,\)"),
        ({"groups": torch.zeros(8)}, "groups must be int64"),
        ({"parts": torch.zeros(8, 1, dtype=torch.int64)}, "parts must be int64"),
        ({"pairs": all_pairs(3)}, "pairs and mated must be given together"),
        ({"pairs": all_pairs(3), "mated": torch.ones(2, dtype=torch.bool)}, r"mated must be bool \(3\)"),
        ({"pairs": torch.zeros(3, dtype=torch.int64), "mated": torch.ones(3, dtype=torch.bool)}, r"int64 \(3, 2\)"),
        ({"apart": torch.ones(8, 7, dtype=torch.bool)}, r"apart must be bool \(8, 8\)"),
        ({"distil": torch.ones(8, dtype=torch.int64)}, r"distil must be floating \(8\), got int64"),
        ({"targets": torch.ones(7, 4)}, r"targets must be floating \(8, any\)"),
    ],
)
def test_batches_of_wrong_shapes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(batch(unit(8)), **changes)
