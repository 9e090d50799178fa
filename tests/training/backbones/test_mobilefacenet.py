import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.training.backbones.mobilefacenet import Bottleneck, MobileFaceNet  # noqa: E402


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("activation", ["prelu", "relu"])
def test_has_about_a_million_weights_as_in_the_paper(activation):
    count = sum(weight.numel() for weight in MobileFaceNet(128, 112, activation).parameters())
    assert 0.98e6 < count < 1.01e6


def test_map_before_the_global_convolution_is_the_papers():
    with torch.device("meta"):
        network = MobileFaceNet(8)
        features = network.blocks(network.stem(torch.randn(2, 3, 112, 112)))
        assert features.shape == (2, 128, 7, 7)
        assert network.head[:3](features).shape == (2, 512, 7, 7)
        assert network.head[:4](features).shape == (2, 512, 1, 1)


@pytest.mark.parametrize("size", [16, 48, 80])
def test_yields_one_embedding_per_crop_of_its_size_and_does_not_normalise_it(size):
    with torch.no_grad():
        embeddings = MobileFaceNet(24, size)(torch.randn(3, 3, size, size))
    assert embeddings.shape == (3, 24)
    assert embeddings.dtype == torch.float32
    assert (embeddings.norm(dim=1) - 1).abs().min() > 1e-3


@pytest.mark.parametrize("size", [0, -16, 100, 150])
def test_sizes_that_are_no_multiple_of_16_are_refused(size):
    with pytest.raises(ValueError, match=rf"multiple of 16 pixels, got {size}; choose 112"):
        MobileFaceNet(8, size)


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 3, 48, 64), (1, 1, 48, 48)])
def test_crops_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected crops of shape \(N, 3, 48, 48\), got \(1, "):
        MobileFaceNet(8, 48)(torch.zeros(shape))


@pytest.mark.parametrize("activation", ["prelu", "relu"])
def test_every_weight_learns(activation):
    network = MobileFaceNet(8, 32, activation)
    network(torch.randn(4, 3, 32, 32)).pow(3).sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


@pytest.mark.parametrize(("activation", "kept", "absent"), [("prelu", "PReLU", "ReLU"), ("relu", "ReLU", "PReLU")])
def test_activation_is_the_one_asked_for(activation, kept, absent):
    kinds = [type(part).__name__ for part in MobileFaceNet(8, 48, activation).modules()]
    assert kinds.count(kept) == 2 + 2 * 15 + 1  # stem, blocks, the widening before the global convolution
    assert absent not in kinds


def test_every_convolution_is_followed_by_its_normalisation():
    parts = [
        part for part in MobileFaceNet(8, 48).modules() if isinstance(part, torch.nn.Conv2d | torch.nn.BatchNorm2d)
    ]
    assert len(parts) == 2 * 50
    assert all(isinstance(conv, torch.nn.Conv2d) and conv.bias is None for conv in parts[::2])
    assert [norm.num_features for norm in parts[1::2]] == [conv.out_channels for conv in parts[::2]]


def test_block_that_keeps_its_shape_leads_its_input_around():
    block = Bottleneck(4, 4, 2, 1, "prelu").requires_grad_(False)
    torch.nn.init.zeros_(block.body[-1].weight)
    features = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(features), features)


@pytest.mark.parametrize(("outputs", "stride", "side"), [(4, 2, 3), (6, 1, 5)])
def test_block_that_changes_shape_has_no_shortcut(outputs, stride, side):
    block = Bottleneck(4, outputs, 2, stride, "relu").requires_grad_(False)
    torch.nn.init.zeros_(block.body[-1].weight)
    assert torch.equal(block(torch.randn(2, 4, 5, 5)), torch.zeros(2, outputs, side, side))
