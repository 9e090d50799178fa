import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch.nn import functional as F  # noqa: E402

from twinface.errors import ContractMismatch  # noqa: E402
from twinface.training.backbones.resnet import Block, ResNet, from_torchvision  # noqa: E402

# as torchvision's documentation states them, with ImageNet's 1000 classes
WEIGHTS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}


@pytest.mark.parametrize("depth", WEIGHTS)
def test_has_as_many_weights_as_the_published_network(depth):
    with torch.device("meta"):
        network = ResNet(depth, 1000)
    assert sum(weight.numel() for weight in network.parameters()) == WEIGHTS[depth]


@pytest.mark.parametrize("depth", WEIGHTS)
def test_has_as_many_layers_as_its_name_says(depth):
    with torch.device("meta"):
        network = ResNet(depth, 1000)
    shortcuts = [block.shortcut for block in network.modules() if isinstance(block, Block)]
    projections = sum(isinstance(shortcut, torch.nn.Sequential) for shortcut in shortcuts)
    layers = [part for part in network.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) - projections == depth


def test_other_depths_are_refused():
    with pytest.raises(ValueError, match=r"depth must be one of 18, 34, 50, 101, 152, got 19"):
        ResNet(19, 8)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return ResNet(18, 24)


def test_yields_one_embedding_per_crop_and_does_not_normalise_it(small):
    torch.manual_seed(1)
    with torch.no_grad():
        embeddings = small(torch.randn(3, 3, 48, 48))
    assert embeddings.shape == (3, 24)
    assert embeddings.dtype == torch.float32
    assert (embeddings.norm(dim=1) - 1).abs().min() > 1e-3


def test_every_weight_learns(small):
    torch.manual_seed(1)
    small.zero_grad()
    small(torch.randn(2, 3, 33, 33)).square().sum().backward()
    idle = [name for name, weight in small.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def layout(depth):
    """torchvision's layers in torchvision's order: name, then shape of a convolution's kernel."""
    bottleneck, inputs = depth >= 50, 64
    yield "conv1", (64, 3, 7, 7)
    for stage, count in enumerate({18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]):
        width = 64 * 2**stage
        outputs = 4 * width if bottleneck else width
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            if bottleneck:
                yield f"{name}.conv1", (width, inputs, 1, 1)
                yield f"{name}.conv2", (width, width, 3, 3)
                yield f"{name}.conv3", (outputs, width, 1, 1)
            else:
                yield f"{name}.conv1", (width, inputs, 3, 3)
                yield f"{name}.conv2", (width, width, 3, 3)
            if block == 0 and (stage > 0 or bottleneck):
                yield f"{name}.downsample.0", (outputs, inputs, 1, 1)
            inputs = outputs


def norm_of(conv):
    return conv.replace("downsample.0", "downsample.1").replace("conv", "bn")


def torchvision_state(depth, dimension=24):
    """Random weights under torchvision's names."""
    torch.manual_seed(depth)
    state = {}
    for conv, shape in layout(depth):
        state[f"{conv}.weight"] = torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5
        norm = norm_of(conv)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = torch.rand(shape[0]) + 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    state["fc.weight"] = torch.randn(dimension, 512 if depth < 50 else 2048)
    state["fc.bias"] = torch.randn(dimension)
    return state


@pytest.fixture(scope="module")
def published():
    return torchvision_state(18)


def reference(state, crops):
    """The network written out, weights looked up by torchvision's names."""

    def normed(features, conv, stride=1):
        kernel, norm = state[f"{conv}.weight"], norm_of(conv)
        features = F.conv2d(features, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        parts = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(features, *parts)

    features = F.max_pool2d(normed(crops, "conv1", 2).relu(), 3, 2, 1)
    names = dict.fromkeys(".".join(name.split(".")[:2]) for name in state if name.startswith("layer"))
    for name in names:
        stride = 2 if name[5] != "1" and name.endswith(".0") else 1
        if f"{name}.conv3.weight" in state:
            body = normed(features, f"{name}.conv1").relu()
            body = normed(normed(body, f"{name}.conv2", stride).relu(), f"{name}.conv3")
        else:
            body = normed(normed(features, f"{name}.conv1", stride).relu(), f"{name}.conv2")
        if f"{name}.downsample.0.weight" in state:
            features = normed(features, f"{name}.downsample.0", stride)
        features = F.relu(body + features)
    return F.linear(features.mean(dim=(2, 3)), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize("depth", [18, 50])
def test_with_torchvisions_weights_it_computes_what_torchvision_does(depth):
    state, crops = torchvision_state(depth), torch.randn(2, 3, 33, 33)
    network = ResNet(depth, 24).eval()
    network.load_state_dict(from_torchvision(state))
    with torch.no_grad():
        found, wanted = network(crops), reference(state, crops)
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("prefix", ["resnet.", "backbone.", "model.", "module.", "module.resnet."])
def test_a_common_prefix_is_removed(prefix, published):
    found = from_torchvision({f"{prefix}{name}": value for name, value in published.items()})
    wanted = from_torchvision(published)
    assert list(found) == list(wanted)
    assert all(found[name] is value for name, value in wanted.items())


@pytest.mark.parametrize(
    "name",
    [
        "head.0.weight",
        "layer5.0.conv1.weight",
        "layer1.0.conv1.bias",
        "layer1.0.conv4.weight",
        "fc.0.weight",
        "bn1.eps",
    ],
)
def test_the_first_name_that_does_not_fit_is_said(name, published):
    state = {f"resnet.{known}": value for known, value in published.items()}
    state[f"resnet.{name}"] = state["resnet.later.weight"] = torch.zeros(1)
    with pytest.raises(ContractMismatch) as caught:
        from_torchvision(state)
    assert str(caught.value).startswith(f"resnet.{name}: torchvision's ResNet has no such weights")
    assert str(caught.value).endswith("resnet.conv1.weight")


def test_names_outside_the_prefix_do_not_fit(published):
    state = {f"resnet.{name}": value for name, value in published.items()}
    state["fc.weight"] = torch.zeros(1)
    with pytest.raises(ContractMismatch, match=r"^fc\.weight: "):
        from_torchvision(state)


def test_another_networks_weights_are_refused():
    with pytest.raises(ContractMismatch, match=r"^stem\.0\.weight: "):
        from_torchvision({"stem.0.weight": torch.zeros(1)})
