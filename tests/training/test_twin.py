import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch import nn  # noqa: E402

from twinface.training.twin import Twin, distances, pairwise_distances  # noqa: E402


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def backbone():
    """A small network whose output depends on the whole batch while it trains."""
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)]
    return nn.Sequential(*layers)


def crops(count=3):
    return torch.randn(count, 3, 8, 8)


def test_has_the_backbones_weights_and_no_others():
    network = backbone()
    twin = Twin(network, unit=True)
    assert [id(weight) for weight in twin.parameters()] == [id(weight) for weight in network.parameters()]
    assert [id(value) for value in twin.buffers()] == [id(value) for value in network.buffers()]


def test_embeddings_are_the_backbones_unless_unit_length_is_asked_for():
    network, pictures = backbone().eval(), crops()
    with torch.no_grad():
        wanted = network(pictures)
        plain, unit = (Twin(network, unit=unit)(pictures) for unit in (False, True))
    assert torch.equal(plain, wanted)
    assert torch.allclose(unit, wanted / wanted.norm(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(unit.norm(dim=1), torch.ones(3), atol=1e-6)


@pytest.mark.parametrize("unit", [False, True])
def test_embeddings_are_float32_whatever_the_backbone_computes_in(unit):
    twin = Twin(backbone(), unit=unit)
    with torch.autocast("cpu", torch.bfloat16):
        assert twin.backbone(crops()).dtype == torch.bfloat16
        embeddings = twin(crops())
        gaps = twin.compare(crops(), crops())
    assert embeddings.dtype == gaps.dtype == torch.float32
    assert not unit or torch.allclose(embeddings.norm(dim=1), torch.ones(3), atol=1e-6)


@pytest.mark.parametrize("unit", [False, True])
def test_both_towers_give_the_same_for_the_same_picture_even_while_training(unit):
    twin, pictures = Twin(backbone(), unit=unit).train(), crops()
    assert twin.compare(pictures, pictures).tolist() == [0.0] * 3


def test_compare_is_the_distance_of_the_two_embeddings_and_symmetric():
    twin = Twin(backbone(), unit=True).eval()
    first, second = crops(), crops()
    with torch.no_grad():
        found, wanted = twin.compare(first, second), (twin(first) - twin(second)).square().sum(dim=1).sqrt()
        assert found.shape == (3,)
        assert torch.allclose(found, wanted, atol=1e-6)
        assert torch.allclose(twin.compare(second, first), found, atol=1e-6)


def test_compare_runs_the_network_once_so_that_batch_normalisation_sees_both_sides():
    twin = Twin(backbone(), unit=False).train()
    first, second = crops(), crops() + 3
    with torch.no_grad():
        twin.compare(first, second)
        both = twin.backbone[0](torch.cat([first, second])).mean(dim=(0, 2, 3))
    norm = twin.backbone[1]
    assert norm.num_batches_tracked.item() == 1
    assert torch.allclose(norm.running_mean, 0.1 * both, atol=1e-6)


def test_compare_refuses_sides_of_different_shape():
    with pytest.raises(ValueError, match=r"one shape, got \(3, 3, 8, 8\) and \(2, 3, 8, 8\)"):
        Twin(backbone(), unit=True).compare(crops(3), crops(2))


def test_gradient_reaches_the_one_set_of_weights_from_both_sides():
    twin = Twin(nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False)), unit=False)
    first, second = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    gap = twin.compare(first, second)
    gap.backward()
    weight = twin.backbone[1].weight
    difference = (first - second).flatten()
    wanted = torch.outer(weight @ difference, difference) / gap
    assert torch.allclose(weight.grad, wanted, atol=1e-5)


@pytest.mark.parametrize("side", [0, 1])
def test_each_side_alone_moves_the_weights(side):
    twin = Twin(backbone(), unit=True).eval()
    pictures = crops(2)
    with torch.no_grad():
        fixed = twin(pictures[1 - side : 2 - side])
    distances(twin(pictures[side : side + 1]), fixed).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in twin.backbone[5].parameters())


def test_gradient_is_finite_where_both_pictures_are_the_same():
    twin = Twin(backbone(), unit=True)
    pictures = crops()
    twin.compare(pictures, pictures.clone()).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in twin.parameters())


def test_distance_of_rows_has_unit_slope_and_none_where_rows_are_equal():
    first = torch.tensor([[3.0, 4.0], [1.0, 2.0]], requires_grad=True)
    gaps = distances(first, torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    gaps.sum().backward()
    assert gaps.tolist() == [5.0, 0.0]
    assert torch.allclose(first.grad, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def slow(embeddings):
    """Distances one by one, in float64."""
    rows = embeddings.detach().numpy().astype(np.float64)
    return np.array([[np.sqrt(((one - other) ** 2).sum()) for other in rows] for one in rows])


@pytest.mark.parametrize(("rows", "scale"), [(1, 1.0), (7, 1.0), (40, 1e-3), (40, 1e3)])
def test_pairwise_distances_agree_with_the_slow_ones(rows, scale):
    embeddings = torch.randn(rows, 16) * scale
    found, wanted = pairwise_distances(embeddings), slow(embeddings)
    assert found.shape == (rows, rows)
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - wanted).max() < 1e-6 * max(wanted.max(), scale)
    assert torch.equal(found, found.T)
    cdist = torch.cdist(embeddings.double(), embeddings.double()).float()
    assert torch.allclose(found, cdist, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("gap", [1e-6, 1e-5, 1e-3])
def test_near_unit_rows_keep_their_distance(gap):
    row = nn.functional.normalize(torch.randn(128), dim=0)
    other = row.clone()
    other[0] += gap
    embeddings = torch.stack([row, other])
    assert pairwise_distances(embeddings)[0, 1].item() == pytest.approx(slow(embeddings)[0, 1], rel=1e-3)


def test_equal_rows_are_at_no_distance_however_many_there_are():
    embeddings = nn.functional.normalize(torch.randn(1, 128), dim=1).expand(70, 128)
    assert not pairwise_distances(embeddings).any()
    assert not pairwise_distances(torch.zeros(3, 8)).any()


def test_pairwise_gradient_agrees_with_the_slow_one():
    embeddings = torch.randn(12, 16, requires_grad=True)
    factors = torch.rand(12, 12)
    (found,) = torch.autograd.grad((pairwise_distances(embeddings) * factors).sum(), embeddings)
    with torch.no_grad():
        differences = embeddings[:, None].double() - embeddings[None]
        lengths = differences.norm(dim=2, keepdim=True)
        directions = torch.where(lengths > 0, differences / lengths.clamp(min=1e-30), 0.0)
        wanted = ((factors + factors.T)[..., None] * directions).sum(dim=1)
    assert torch.allclose(found, wanted.float(), atol=1e-5)


def test_pairwise_gradient_is_nothing_on_the_diagonal_and_between_equal_rows():
    row = torch.randn(1, 16)
    embeddings = torch.cat([row, row, row + 1]).requires_grad_()
    gaps = pairwise_distances(embeddings)
    (same,) = torch.autograd.grad(gaps.diagonal().sum() + gaps[0, 1], embeddings, retain_graph=True)
    assert not same.any()
    (whole,) = torch.autograd.grad(gaps.sum(), embeddings)
    assert torch.isfinite(whole).all()
    assert whole.any(dim=1).all()
