"""A narrow network's first weights are a wide one's most important channels."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.training.backbones.resnet29 import ResNet29  # noqa: E402
from twinface.training.narrowing import narrowed  # noqa: E402

WIDE = ((8, 1), (12, 2), (12, 0))
SLIM = ((4, 1), (6, 2), (6, 0))
DIMENSION = 5


def network_of(stages, seed=0):
    torch.manual_seed(seed)
    network = ResNet29(DIMENSION, stages).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name.endswith((".scale", ".shift", ".bias")):
                value.copy_(torch.rand_like(value) + 0.5)
    return network


def embed(network):
    crops = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(crops)


def filled(stages, weights):
    network = network_of(stages, seed=9)
    network.load_state_dict(weights)
    return network


@pytest.mark.parametrize("affine", [True, False])
def test_the_convolutions_swallow_the_affine_layers(affine):
    wide = network_of(WIDE)
    plain = ResNet29(DIMENSION, WIDE, affine=affine).eval()
    plain.load_state_dict(narrowed(wide.state_dict(), plain))
    torch.testing.assert_close(embed(plain), embed(wide))


def without_others(network, kept):
    """A copy of which all channels but some of each stage write and read nothing; `kept` of the wider stages hold those
    of the stages before."""
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    stage_of = [number for number, (_, plain) in enumerate(WIDE) for _ in range(plain + (number > 0))]
    stage_of = {f"blocks.{place}.body": number for place, number in enumerate(stage_of)} | {"stem": 0}
    for name in weights:
        layer, place, kind = name.rsplit(".", 2) if not name.startswith("head") else ("head", "", "weight")
        if layer == "head":
            continue
        gone = torch.tensor([one for one in range(len(weights[name])) if one not in kept[stage_of[layer]]])
        weights[name][gone] = 0.0
        assert kind in ("weight", "bias", "scale", "shift"), place
    return filled(WIDE, weights)


@pytest.mark.parametrize(
    "kept",
    [
        [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]],
        [[1, 4, 6, 7], [1, 4, 6, 7, 9, 11], [1, 4, 6, 7, 9, 11]],  # scattered
    ],
)
def test_channels_that_do_nothing_go_first(kept):
    wide = without_others(network_of(WIDE), kept)
    slim = filled(SLIM, narrowed(wide.state_dict(), network_of(SLIM)))
    torch.testing.assert_close(embed(slim), embed(wide))
    assert embed(wide).std() > 1e-3


def test_an_affine_layer_counts_towards_importance():
    wide = network_of(WIDE)
    weights = wide.state_dict()
    with torch.no_grad():
        weights["blocks.0.body.1.scale"][2:6] = 100.0
    slim = narrowed(weights, network_of(SLIM))
    kernels = 100.0 * weights["blocks.0.body.0.weight"][2:6]
    assert all(any(torch.isin(one, whole).all() for whole in kernels) for one in slim["blocks.0.body.0.weight"])


def test_the_wide_weights_are_not_shared():
    wide = network_of(WIDE)
    slim = narrowed(wide.state_dict(), network_of(SLIM))
    before = embed(wide)
    for value in slim.values():
        value.zero_()
    assert torch.equal(embed(wide), before)


@pytest.mark.parametrize("stages", [((8, 1), (14, 2), (14, 0)), ((4, 1), (6, 2), (6, 1)), ((4, 2), (6, 2), (6, 0))])
def test_a_wider_or_longer_network_is_refused(stages):
    with pytest.raises(ValueError, match="do not cover the narrow one's"):
        narrowed(network_of(WIDE).state_dict(), network_of(stages))
