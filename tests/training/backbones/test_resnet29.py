import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from twinface.training.backbones.resnet29 import ChannelAffine, ResidualBlock, ResNet29  # noqa: E402


def test_has_as_many_weights_as_dlibs_network():
    assert sum(weight.numel() for weight in ResNet29().parameters()) == 5_614_592


def test_has_29_convolutions_each_with_an_affine():
    network = ResNet29()
    kinds = [type(part) for part in network.modules()]
    assert kinds.count(torch.nn.Conv2d) == kinds.count(ChannelAffine) == 29


@pytest.mark.parametrize("dimension", [128, 64])
def test_yields_one_embedding_per_crop_and_does_not_normalise_it(dimension):
    torch.manual_seed(0)
    crops = torch.randn(3, 3, 150, 150)
    with torch.no_grad():
        embeddings = ResNet29(dimension)(crops)
    assert embeddings.shape == (3, dimension)
    assert (embeddings.norm(dim=1) - 1).abs().min() > 1e-3


def test_every_weight_learns():
    torch.manual_seed(0)
    network = ResNet29()
    network(torch.randn(2, 3, 150, 150)).square().sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def test_affine_scales_then_shifts_each_channel():
    affine = ChannelAffine(2)
    affine.load_state_dict({"scale": torch.tensor([2.0, -1.0]), "shift": torch.tensor([0.5, 3.0])})
    features = torch.tensor([1.0, 4.0]).reshape(1, 2, 1, 1)
    assert affine(features).flatten().tolist() == [2.5, -1.0]


def silent_block(inputs, outputs, shrink):
    """A block whose body yields zeros, so that only the shortcut speaks."""
    block = ResidualBlock(inputs, outputs, shrink)
    block.body[-1].load_state_dict({"scale": torch.zeros(outputs), "shift": torch.zeros(outputs)})
    return block.requires_grad_(False)


def test_plain_block_leads_its_input_around_the_body():
    features = torch.rand(1, 4, 5, 5)
    assert torch.equal(silent_block(4, 4, False)(features), features)


def test_shrinking_block_averages_and_adds_empty_channels_at_the_end():
    features = torch.rand(1, 2, 7, 7)
    result = silent_block(2, 5, True)(features)
    assert result.shape == (1, 5, 3, 3)
    assert torch.allclose(result[0, :2, 0, 0], features[0, :, :2, :2].mean(dim=(1, 2)))
    assert not result[0, 2:].any()


def test_shrinking_block_adds_empty_rows_and_columns_to_the_smaller_branch():
    # 8 rows: the convolution yields 3, the average pool 4
    block = ResidualBlock(1, 1, shrink=True).requires_grad_(False)
    block.body[-1].load_state_dict({"scale": torch.zeros(1), "shift": torch.tensor([10.0])})
    result = block(torch.ones(1, 1, 8, 8))
    assert result.shape == (1, 1, 4, 4)
    assert torch.equal(result[0, 0, :3, :3], torch.full((3, 3), 11.0))
    assert result[0, 0, 3].tolist() == [1.0] * 4
    assert result[0, 0, :, 3].tolist() == [1.0] * 4


def test_sum_of_branches_is_rectified():
    block = silent_block(1, 1, False)
    assert block(torch.tensor([[[[-2.0, 3.0]]]])).flatten().tolist() == [0.0, 3.0]
