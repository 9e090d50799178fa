import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch.nn import functional as F  # noqa: E402

from twinface.training.backbones.convolutions import SharedConvolutions  # noqa: E402


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SharedConvolutions(128)


def test_is_small(network):
    assert sum(weight.numel() for weight in network.parameters()) == 359_712


@pytest.mark.parametrize("size", [64, 80, 96, 105, 112, 150])
def test_yields_one_embedding_per_crop_and_does_not_normalise_it(network, size):
    torch.manual_seed(1)
    with torch.no_grad():
        embeddings = network(torch.rand(3, 3, size, size))
    assert embeddings.shape == (3, 128)
    assert embeddings.dtype == torch.float32
    assert (embeddings.norm(dim=1) - 1).abs().min() > 1e-3


@pytest.mark.parametrize("size", [64, 128, 192])
def test_pools_as_adaptive_pooling_does_where_sizes_divide(network, size):
    crops = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network.head(F.adaptive_avg_pool2d(network.features(crops), 4).flatten(1))
        assert torch.allclose(network(crops), wanted, rtol=1e-5, atol=1e-5)


def test_every_place_of_the_last_map_counts(network):
    # 112 pixels leave 7 rows and columns, which 4 fields of equal size cover only by overlapping
    features = torch.rand(1, 128, 7, 7, requires_grad=True)
    probe = SharedConvolutions(1)
    probe.features = torch.nn.Identity()
    torch.nn.init.ones_(probe.head.weight)
    probe(features).sum().backward()
    assert features.grad.min() > 0


def test_crops_too_small_are_refused(network):
    with pytest.raises(ValueError, match=r"\(N, 3, 64, 64\) or larger, got \(2, 3, 63, 64\)"):
        network(torch.zeros(2, 3, 63, 64))


def test_pictures_of_a_batch_do_not_influence_one_another(network):
    crops = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(network(crops)[:1], network(crops[:1]), atol=1e-5)


def test_signal_comes_through_at_a_fit_scale_before_training(network):
    crops = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        distances = torch.pdist(network(crops))
    assert 0.5 < distances.median() < 50


def test_every_weight_learns(network):
    network.zero_grad()
    network(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))).square().sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []
