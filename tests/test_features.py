"""Named activations: what a name stands for, that they are copies, and that the network is left as it was."""

import pytest
import torch
from layer_names import layer_names
from torch import nn

from hidden_structure import seeding
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.networks.features import activations, extract, head, head_tensors

SMALL = {
    "mlp": (2, 12, "batch"),
    "resnet": (8, 4, "batch"),
    "vgg": (11, 4, "batch"),
    "torchvision:resnet18": (None, None, None),
    "torchvision:shufflenet_v2_x0_5": (None, None, None),
}


def network_of(name):
    depth, width, norm = SMALL[name]
    with seeding.global_seed("initialisation", 0):
        network = build(params.Network(name=name, depth=depth, width=width, norm=norm), (16, 16, 3), 5)
        network(torch.randn(16, 3, 16, 16))  # so that BatchNorm's running statistics are not 0 and 1
    return network.eval()


def images_of(count):
    return torch.randn(count, 3, 16, 16, generator=seeding.torch_generator("images"))


class Shared(nn.Module):
    """One ReLU called twice, a layer never called, one whose output is a tuple."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.relu = nn.ReLU(inplace=True)
        self.attention = nn.MultiheadAttention(4, 1)
        self.unused = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, images):
        hidden = self.relu(-self.relu(self.first(images)) + 1)
        return self.head(self.attention(hidden, hidden, hidden)[0])


class NotLinearAtLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, images):
        return self.linear(images) * 2


@pytest.fixture
def shared():
    with seeding.global_seed("initialisation", 0):
        return Shared().eval()


@pytest.mark.parametrize("name", SMALL)
def test_the_head_on_the_penultimate_features_gives_the_logits(name):
    network, images = network_of(name), images_of(4)
    found = activations(network, images, ["penultimate", "logits"])
    assert list(found) == ["penultimate", "logits"]
    assert found["penultimate"].shape == (4, head(network).in_features)
    torch.testing.assert_close(head(network)(found["penultimate"]), network(images))
    torch.testing.assert_close(found["logits"], network(images))


@pytest.mark.parametrize("name", SMALL)
def test_every_layer_can_be_asked_for_in_any_order(name):
    network, images = network_of(name), images_of(2)
    layers = [*layer_names(network, images), "penultimate"]
    assert len(set(layers)) == len(layers) > 5
    layers.reverse()
    found = activations(network, images, layers)
    assert list(found) == layers
    assert all(len(values) == 2 for values in found.values())


def test_an_activation_is_that_of_the_layers_up_to_it():
    network, images = network_of("vgg"), images_of(2)
    found = activations(network, images, ["stages.1", "stages.0.norm1"])
    torch.testing.assert_close(found["stages.1"], network.stages[:2](images))
    torch.testing.assert_close(found["stages.0.norm1"], network.stages[0][:2](images))


def test_operations_in_place_do_not_reach_earlier_activations():
    network, images = network_of("torchvision:resnet18"), images_of(2)
    found = activations(network, images, ["conv1", "bn1", "relu", "layer1.0.bn2", "layer1.0.relu:1"])
    torch.testing.assert_close(found["bn1"], network.bn1(network.conv1(images)))
    assert (found["bn1"] < 0).any()
    torch.testing.assert_close(found["relu"], found["bn1"].clamp(min=0))
    shortcut = network.maxpool(found["relu"])  # torchvision adds it to bn2's output in place
    torch.testing.assert_close(found["layer1.0.relu:1"], (found["layer1.0.bn2"] + shortcut).clamp(min=0))


def test_calls_of_a_shared_module_are_numbered(shared):
    images = torch.randn(5, 4, generator=seeding.torch_generator("images"))
    found = activations(shared, images, ["relu:1", "first", "relu:0"])
    torch.testing.assert_close(found["relu:0"], found["first"].clamp(min=0))
    torch.testing.assert_close(found["relu:1"], (1 - found["relu:0"]).clamp(min=0))


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("relu", "called 2 times: write relu:0"),
        ("relu:2", "calls relu 2 times"),
        ("relu:x", "no layer 'relu:x': did you mean relu"),
        ("unused", "calls unused 0 times"),
        ("attention", "does not put out one tensor"),
        ("heads", "did you mean head"),
        ("penultimat", "did you mean penultimate"),
        ("zzz", "its layers are first, relu"),
        ("", "no layer ''"),
    ],
)
def test_an_impossible_layer_is_a_one_line_error_and_leaves_no_hook(shared, layer, says):
    with pytest.raises(InputError, match=rf"^features\.layers: .*{says}") as caught:
        activations(shared, torch.zeros(2, 4), ["first", layer])
    assert "\n" not in str(caught.value)
    assert no_hooks(shared)


def test_no_hook_outlives_a_failing_forward_pass(shared):
    shared.head.register_forward_pre_hook(lambda module, inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        activations(shared, torch.zeros(2, 4), ["first"])
    assert no_hooks(shared)


def no_hooks(network):
    return not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("network", [NotLinearAtLast(), nn.Sequential(nn.Linear(4, 3), nn.ReLU()), nn.Flatten()])
def test_a_network_that_does_not_end_in_a_linear_layer_has_no_penultimate_features(network):
    images = torch.randn(2, 4)
    assert torch.equal(activations(network, images, ["logits"])["logits"], network(images))
    with pytest.raises(InputError, match="linear layer"):
        activations(network, images, ["penultimate"])


@pytest.mark.parametrize(
    ("behind", "order", "says"),
    [
        (nn.LogSoftmax(1), ("layer", "head"), "no linear layer's: .*what a linear layer gives, with nothing behind it"),
        (nn.LogSoftmax(1), ("head", "layer"), "no linear layer's: .*what a linear layer gives, with nothing behind it"),
        (nn.Identity(), ("head", "layer"), "that of head, and not of layer, .*: make its head after all others"),
    ],
)
def test_a_network_whose_output_is_not_its_heads_is_refused_with_the_reason(behind, order, says):
    network = nn.Module()
    layers = {"layer": nn.Linear(4, 4), "head": nn.Linear(4, 3)}
    for name in order:
        setattr(network, name, layers[name])
    network.forward = lambda images: behind(network.head(network.layer(images)))
    with pytest.raises(InputError, match=rf"^network\.name: the output of Module is {says}"):
        activations(network, torch.randn(2, 4), ["penultimate"])


@pytest.mark.parametrize(
    "parametrised",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.spectral_norm,  # by hooks
        nn.Identity(),
    ],
)
def test_the_heads_tensors_are_what_it_computes_with(parametrised):
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), parametrised(nn.Linear(5, 3))).eval()
    found, images = head_tensors(network), torch.randn(4, 6)
    assert found.keys() == {"weight", "bias"}
    logits = activations(network, images, ["1"])["1"] @ found["weight"].T + found["bias"]
    torch.testing.assert_close(logits, network(images))


def test_gradients_flow_through_activations():
    network = network_of("resnet")
    activations(network, images_of(2), ["stages.0"])["stages.0"].sum().backward()
    assert network.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", SMALL)
def test_extracted_features_do_not_depend_on_the_batches(name):
    network, images = network_of(name), images_of(7)
    layers = ["penultimate", "logits", layer_names(network, images)[0]]
    whole = extract(network, [images], layers, 7)
    parts = extract(network, iter(images.split([1, 4, 2])), layers, 7)
    assert list(whole) == list(parts) == layers
    for layer in layers:
        assert whole[layer].dtype == torch.float32
        assert not whole[layer].requires_grad
        torch.testing.assert_close(parts[layer], whole[layer], rtol=1e-4, atol=1e-5)


def test_extraction_evaluates_and_gives_every_module_its_mode_back():
    network, images = network_of("resnet"), images_of(6)
    expected = extract(network, [images], ["penultimate"], 6)["penultimate"]
    network.train()
    network.norm.eval()  # as one freezes BatchNorm
    state = {key: value.clone() for key, value in network.state_dict().items()}
    torch.testing.assert_close(extract(network, [images], ["penultimate"], 6)["penultimate"], expected)
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    with pytest.raises(InputError):
        extract(network, [images], ["no such layer"], 6)
    assert network.training
    assert network.stages.training
    assert not network.norm.training


def test_bfloat16_activations_come_out_as_float32():
    with torch.autocast("cpu", torch.bfloat16):
        found = extract(network_of("mlp"), [images_of(3)], ["hidden.relu1"], 3)
    assert found["hidden.relu1"].dtype == torch.float32


class Sequences(nn.Module):
    """Its tokens first, as torch's own layers have them unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, images):
        return self.head(self.layer(images.flatten(1).unflatten(1, (-1, 2)).transpose(0, 1)).mean(0))


def test_a_layer_that_has_its_images_elsewhere_is_refused():
    with pytest.raises(InputError, match="the output of layer holds 6 of something along its first axis for 4 images"):
        extract(Sequences(), [torch.randn(4, 12)], ["layer"], 4)


@pytest.mark.parametrize("samples", [5, 7])
def test_another_number_of_images_than_announced_is_an_error(samples):
    with pytest.raises(ValueError, match=f"{samples}"):
        extract(network_of("mlp"), images_of(6).split(2), ["logits"], samples)
