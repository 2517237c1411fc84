"""Networks in step: each computes what it computes alone, whatever it overwrites, and forgets what is no more used."""

import math
import re
import weakref
from collections import Counter, OrderedDict
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from layer_names import layer_names
from torch import nn
from torchvision import models
from torchvision.models.googlenet import Inception
from torchvision.models.resnet import BasicBlock
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity.in_step import InStep
from hidden_structure.networks.build import build
from hidden_structure.networks.features import activations
from hidden_structure.permutation.graphs import bind, trace, traced
from hidden_structure.seeding import global_seed, torch_generator


class Function(nn.Module):
    """Layers given by name, and a function of them and the images."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = forward

    def forward(self, images):
        return self.function(self, images)


def own(name, depth, width, norm):
    return build(params.Network(name=name, depth=depth, width=width, norm=norm), (8, 8, 3), 5)


def shared_in_place(m, x):
    """One in-place ReLU called three times, the last time on what a shortcut still needs."""
    x = m.relu(m.conv(x))
    y = m.relu(m.norm(m.conv2(x)))
    y += x
    return m.head(m.relu(y).mean((2, 3)))


def overwritten(m, x):
    """What one operation gave, others overwrite: through a view, through a part of it, and by its own name."""
    x = m.conv(x)
    y = x.flatten(1)
    left, right = m.conv2(x.relu()).chunk(2, 1)
    hidden = left.relu()
    y.mul_(2)
    right.add_(1)
    right.relu_()
    x += 1
    return m.head((hidden + right).mean((2, 3)) + x.mean((2, 3))[:, :3])


def of_positions(m, x):
    """A bias that a small network makes of positions, as Swin's second version does, and a constant of the code."""
    bias = m.outer(F.relu(m.inner(m.places)))
    return m.head(m.conv(x).flatten(2) + bias.T + torch.arange(36.0))


NETWORKS = {
    "mlp": (lambda: own("mlp", 2, 7, "batch"), 8),
    "mlp, layer norm": (lambda: own("mlp", 3, 7, "layer"), 8),
    "mlp without norm": (lambda: own("mlp", 2, 7, "none"), 8),
    "resnet": (lambda: own("resnet", 8, 4, "batch"), 8),
    "resnet, group norm": (lambda: own("resnet", 14, 4, "group"), 9),
    "resnet without norm": (lambda: own("resnet", 8, 4, "none"), 8),
    "vgg": (lambda: own("vgg", 11, 4, "batch"), 8),
    "vgg, layer norm": (lambda: own("vgg", 13, 2, "layer"), 8),
    # torchvision's, with fewer blocks and channels
    "resnet18": (lambda: models.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5), 32),
    "mobilenet": (lambda: models.MobileNetV2(num_classes=5, width_mult=0.3, round_nearest=2), 32),
    "densenet": (lambda: models.DenseNet(4, (2, 3, 2), 6, 2, num_classes=5), 32),
    "squeezenet": (lambda: models.SqueezeNet("1_1", num_classes=5), 32),
    "shufflenet": (lambda: models.ShuffleNetV2([2, 2, 2], [4, 8, 12, 16, 20], num_classes=5), 32),
    "googlenet": (
        lambda: Function(
            lambda m, x: m.head(m.inception(x).mean((2, 3))),
            inception=Inception(3, 4, 4, 6, 4, 6, 4),
            head=nn.Linear(20, 5),
        ),
        8,
    ),
    "vit": (lambda: models.VisionTransformer(32, 16, 2, 2, 8, 12, num_classes=5), 32),
    "swin v2": (
        lambda: SwinTransformer(
            [4, 4],
            8,
            [1, 1],
            [2, 2],
            [4, 4],
            num_classes=5,
            block=SwinTransformerBlockV2,
            downsample_layer=PatchMergingV2,
        ),
        32,
    ),
    "shared ReLU": (
        lambda: Function(
            shared_in_place,
            conv=nn.Conv2d(3, 4, 3, padding=1),
            norm=nn.BatchNorm2d(4),
            conv2=nn.Conv2d(4, 4, 3, padding=1),
            relu=nn.ReLU(inplace=True),
            head=nn.Linear(4, 5),
        ),
        8,
    ),
    "overwritten": (
        lambda: Function(
            overwritten, conv=nn.Conv2d(3, 4, 3), conv2=nn.Conv2d(4, 6, 3, padding=1), head=nn.Linear(3, 5)
        ),
        8,
    ),
    "bias of positions": (
        lambda: Function(
            of_positions,
            inner=nn.Linear(2, 6),
            outer=nn.Linear(6, 4),
            places=nn.Parameter(torch.rand(36, 2)),
            conv=nn.Conv2d(3, 4, 3),
            head=nn.Sequential(nn.Flatten(), nn.Linear(144, 5)),
        ),
        8,
    ),
    "images overwritten": (
        lambda: Function(lambda m, x: m.head(F.relu_(x.sub_(0.3)).flatten(1)), head=nn.Linear(192, 5)),
        8,
    ),
}


def images_of(count, size=8):
    return torch.randn(count, 3, size, size, generator=torch_generator("images"))


@torch.no_grad()
def others_of(network, count):
    """Copies with every parameter and statistic changed."""
    generator, networks = torch_generator("others"), []
    for _ in range(count):
        networks.append(deepcopy(network))
        for name, tensor in networks[-1].state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.1)
    return networks


@pytest.fixture(scope="module", params=NETWORKS)
def networks(request):
    """Three networks of one architecture in evaluation mode, and images."""
    make, size = NETWORKS[request.param]
    with global_seed("initialisation", 0):
        network = make().eval()
    return others_of(network, 3), images_of(2, size)


@torch.no_grad()
def test_each_network_computes_what_it_computes_alone(networks):
    """Every layer and the output, to the last bit; and layers have the names of features.py."""
    networks, images = networks
    names = layer_names(networks[0], images)
    expected = [activations(network, images.clone(), [*names, "logits"]) for network in networks]
    before, calls, compared = images.clone(), Counter(), set()
    in_step = InStep(networks, images)
    for node in in_step.start(images):
        outputs = in_step.advance(node)
        if node.op == "call_module" and isinstance(outputs[0], torch.Tensor):
            compared.add(in_step.names[node])
            for output, alone in zip(outputs, expected, strict=True):
                assert torch.equal(output, alone[in_step.names[node]]), in_step.names[node]
        calls[in_step.names[node]] += 1
    assert torch.equal(images, before)
    assert set(calls.values()) == {1}
    assert (node.op, len(outputs)) == ("output", 3)
    for output, alone in zip(outputs, expected, strict=True):
        assert torch.equal(output, alone["logits"])
    assert not torch.equal(outputs[0], outputs[1])
    modules = dict(networks[0].named_modules())
    leaves = {
        name
        for name in names
        for module in [modules[name.rpartition(":")[0] if name not in modules else name]]
        if type(module).__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)
    }
    assert compared == leaves


@torch.no_grad()
def test_finishing_a_network_by_itself_gives_its_output_and_disturbs_nothing(networks):
    networks, images = networks
    expected = [network(images.clone()) for network in networks]
    in_step = InStep(networks, images)
    operations = [node for node in in_step.nodes if node.op != "placeholder"]
    chosen = set(operations[:: max(1, len(operations) // 10)] + operations[-2:])
    mixed = 0
    for node in in_step.start(images):
        outputs = in_step.advance(node)
        if node in chosen:
            for index in (1, 2):
                assert torch.equal(in_step.finish(index, index, node), expected[index]), node
            stitched = in_step.finish(1, 2, node)
            mixed += not torch.equal(stitched, expected[1]) and not torch.equal(stitched, expected[2])
    for output, alone in zip(outputs, expected, strict=True):
        assert torch.equal(output, alone)
    assert mixed or len(list(networks[0].children())) == 1


def test_at_the_ends_a_stitched_network_is_the_upper_or_the_lower_one():
    with global_seed("initialisation", 0):
        networks = others_of(own("resnet", 8, 4, "batch").eval(), 2)
    images = images_of(3)
    with torch.no_grad():
        lower, upper = (network(images) for network in networks)
        in_step = InStep(networks, images)
        for node in in_step.start(images):
            in_step.advance(node)
            if node.target == "conv":  # everything behind the first layer
                by_hand = deepcopy(networks[1])
                by_hand.conv = networks[0].conv
                assert torch.equal(in_step.finish(0, 1, node), by_hand(images))
            if node.target == "head":
                assert torch.equal(in_step.finish(0, 1, node), lower)
                assert torch.equal(in_step.finish(1, 0, node), upper)


@torch.no_grad()
def test_an_operation_on_another_argument_leaves_the_values_alone():
    with global_seed("initialisation", 0):
        networks = others_of(NETWORKS["shared ReLU"][0]().eval(), 2)
    images, seen = images_of(2), 0
    expected = [network(images) for network in networks]
    in_step = InStep(networks, images)
    for node in in_step.start(images):
        if node.target == "relu":
            own_input = in_step.inputs(node)[0].clone()
            assert torch.equal(in_step.on(node, -own_input), (-own_input).relu())
            assert torch.equal(in_step.inputs(node)[0], own_input)
            seen += 1
        outputs = in_step.advance(node)
    assert seen == 3
    assert all(torch.equal(output, alone) for output, alone in zip(outputs, expected, strict=True))


@torch.no_grad()
def test_values_are_forgotten_after_their_last_use():
    layers = [layer for _ in range(20) for layer in (nn.Linear(192, 192), nn.Tanh())]
    networks = others_of(nn.Sequential(nn.Flatten(), *layers), 2)
    in_step, made, most = InStep(networks, images_of(2)), [], 0
    for node in in_step.start(images_of(2)):
        outputs = in_step.advance(node)
        made += [weakref.ref(output) for output in outputs if node.op == "call_module"]
        del outputs
        most = max(most, sum(ref() is not None for ref in made))
    assert len(made) == 2 * 41
    assert most <= 2 * 2  # of each network, what an operation reads and what it gives


@torch.no_grad()
def test_what_a_shortcut_needs_is_kept_until_then_and_no_longer():
    def forward(m, x):
        x = m.first(x.flatten(1))
        return m.head(m.third(m.second(x).tanh()) + x)

    layers = {name: nn.Linear(size, 6) for name, size in {"first": 192, "second": 6, "third": 6, "head": 6}.items()}
    networks, alive = others_of(Function(forward, **layers), 2), {}
    in_step, stream = InStep(networks, images_of(2)), None
    for node in in_step.start(images_of(2)):
        outputs = in_step.advance(node)
        if node.target == "first":
            stream = weakref.ref(outputs[0])
        del outputs
        alive[in_step.names[node]] = stream is not None and stream() is not None
    assert alive == {
        "flatten": False,
        "first": True,
        "second": True,
        "tanh": True,
        "third": True,
        "add": True,
        "head": False,
        "output": False,
    }


@torch.no_grad()
def test_starting_again_forgets_a_run_broken_off():
    network = own("resnet", 8, 4, "batch").eval()
    in_step, images = InStep([network], images_of(2)), images_of(3)
    for count, node in enumerate(in_step.start(images_of(2) + 1)):
        in_step.advance(node)
        if count == 7:
            break
    for node in in_step.start(images):
        outputs = in_step.advance(node)
    assert torch.equal(outputs[0], network(images))


def test_weights_are_shared_and_not_copied():
    network = own("mlp", 2, 7, "none")
    in_step, images = InStep([network], images_of(2)), images_of(2)
    with torch.no_grad():
        network.head.bias.add_(1)
        for node in in_step.start(images):
            outputs = in_step.advance(node)
        assert torch.equal(outputs[0], network(images))


def test_only_what_depends_on_the_images_is_of_the_images():
    in_step = InStep([NETWORKS["bias of positions"][0]().eval()], images_of(2))
    apart = {in_step.names[node] for node in in_step.nodes if node not in in_step.of_images}
    assert {"inner", "outer", "relu", "places"} <= apart
    assert {in_step.names[node] for node in in_step.of_images} >= {"conv", "head.0", "head.1", "output"}
    assert not apart & {"conv", "head.0", "head.1", "output"}


def test_no_operation_takes_the_name_of_a_module():
    """torch.fx may call a function's result, or the images, as a module that it meets later is called."""

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.relu, self.head = nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, features):
            hidden = F.relu(self.features(features.flatten(1)))
            return self.head(self.relu(-hidden))

    network = Named().eval()
    in_step = InStep([network], images_of(2))
    modules = [in_step.names[node] for node in in_step.nodes if node.op == "call_module"]
    assert modules == ["features", "relu", "head"] == layer_names(network, images_of(1))
    assert len(set(in_step.names.values())) == len(in_step.nodes)


def test_one_module_under_two_names_is_called_by_the_first():
    network = Function(
        lambda m, x: m.b(m.second(m.a(m.first(x.flatten(1))))), a=nn.Linear(192, 192), b=nn.Linear(192, 2)
    )
    network.first = network.second = nn.ReLU()
    in_step, names = InStep([network], images_of(2)), layer_names(network, images_of(1))
    assert [in_step.names[node] for node in in_step.nodes if node.op == "call_module"] == names
    assert names == ["first:0", "a", "first:1", "b"]


def looped(m, x):
    return m.head(torch.stack([image.flatten() for image in x]))


def branching(m, x):
    hidden = x.flatten(1)
    if x.sum() > 0:
        return m.head(hidden)
    return hidden


UNTRACEABLE = {
    "branches on the images": (branching, "a decision .* depends on values or the shape of the images", 2),
    "lacks a layer": (lambda m, x: m.missing(x), "has no attribute 'missing'", 0),
    "iterates over the images": (looped, "a loop, .* runs over a tensor made of the images", 1),
    "takes a length": (lambda m, x: m.head(x.flatten(1) / len(x)), "write its .shape", 0),
    "counts to a size": (lambda m, x: sum(m.head(x.flatten(1)) for _ in range(x.shape[0])), "a Python number", 0),
    "looks a size up": (lambda m, x: {2: m.head(x.flatten(1))}[x.shape[0]], "Python code uses the value of", 0),
    "calls what is no attribute": (lambda m, x: nn.Linear(192, 5)(x.flatten(1)), "register it", 0),
    "prints an address": (lambda m, x: {}[object()], "<object>", 0),
}


@pytest.mark.parametrize(("forward", "reason", "line"), UNTRACEABLE.values(), ids=UNTRACEABLE)
@pytest.mark.parametrize("path", ["", "body.0."])
def test_a_network_that_cannot_be_traced_is_one_line(forward, reason, line, path):
    """It names the submodule, and the line of the network's own code."""
    inner = network = Function(forward, head=nn.Linear(192, 5), dropout=nn.Dropout()).train()
    inner.head.eval()
    if path:
        network = nn.Sequential(OrderedDict(body=nn.Sequential(inner)))
    with pytest.raises(
        InputError, match=rf"{type(network).__name__} cannot be traced by torch\.fx: .*{reason}"
    ) as caught:
        trace(network)
    message, first = str(caught.value), forward.__code__.co_firstlineno
    assert "\n" not in message
    assert len(message) < 300
    assert not re.search(r"0x|Proxy\(|co_varnames", message)
    assert re.search(rf"test_graphs\.py:{first + line}\)$", message)
    assert ("(in body.0, at " in message) == bool(path)
    assert [inner.training, inner.head.training, inner.dropout.training] == [True, False, True]
    assert not [name for name in vars(network) if "constant" in name]
    with pytest.raises(InputError, match="cannot be traced"):
        InStep([network, deepcopy(network)], images_of(2))


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(192, 5)

    def forward(self, images, mask=None, *others, scale=2.0, **options):
        hidden = images.flatten(1) if mask is None else images.flatten(1) * mask
        return self.head(hidden) * scale


def test_only_the_images_are_an_input():
    network, images = Optional(), images_of(3)
    graph, constants = traced(network, images)
    assert [node.op for node in graph.nodes].count("placeholder") == 1
    with torch.no_grad():
        assert torch.equal(bind(network, graph, constants)(images), network(images))


class Masked(Optional):
    def forward(self, images, mask):
        return self.head(images.flatten(1) * mask)


class Counting(Optional):
    """Changes itself, and its input, whenever it is run."""

    def __init__(self):
        super().__init__()
        self.register_buffer("runs", torch.zeros(1))

    def forward(self, images):
        self.runs.add_(1)
        return self.head(images.mul_(2).flatten(1))


def hooked():
    network = Optional()
    network.register_forward_hook(lambda module, inputs, output: output * 2)
    return network


def function(forward):
    return lambda: Function(forward, head=nn.Linear(192, 5))


ODD = {
    "two inputs": (Masked, "cannot be called with images alone, .* 'mask'"),
    "a tuple": (function(lambda m, x: (m.head(x.flatten(1)), x)), "puts out a tuple"),
    "a dict": (function(lambda m, x: {"logits": m.head(x.flatten(1))}), "puts out a dict"),
    "other channels": (lambda: nn.Conv2d(1, 4, 3), r"cannot take images of shape \(2, 3, 8, 8\) and type float32"),
    "noise": (function(lambda m, x: m.head(F.dropout(x.flatten(1)))), "something else each time"),
    "a hook": (hooked, "traces it puts out something else"),
}


@pytest.mark.parametrize(("make", "reason"), ODD.values(), ids=ODD)
def test_a_graph_that_is_not_the_network_is_refused(make, reason):
    with pytest.raises(InputError, match=reason) as caught:
        traced(make(), images_of(2))
    assert "\n" not in str(caught.value)


def test_images_of_another_type_are_refused():
    with pytest.raises(InputError, match=r"Optional cannot take images of shape \(2, 3, 8, 8\) and type uint8 \("):
        traced(Optional(), images_of(2).to(torch.uint8))


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30, float("inf"), float("nan")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_graph_may_differ_by_rounding_and_no_more(scale, dtype):
    class Inexact(Optional):
        """Differs from its trace by a factor."""

        def forward(self, images):
            traced_now = isinstance(images, torch.fx.Proxy)
            return self.head(images.flatten(1)) * (scale * (1 + self.off if traced_now else 1))

    network, images = Inexact().to(dtype), images_of(2).to(dtype)
    network.off = torch.finfo(dtype).eps
    traced(network, images)
    if math.isfinite(scale):
        network.off = 0.3
        with pytest.raises(InputError, match="something else than by itself"):
            traced(network, images)


def test_comparing_leaves_the_network_and_the_images_as_they_were():
    network, images = Counting().train(), images_of(2)
    before = images.clone()
    traced(network, images)
    assert torch.equal(images, before)
    assert network.runs.item() == 0
    assert network.training


def test_tracing_leaves_the_network_as_it_was():
    network = NETWORKS["bias of positions"][0]().train()
    before, state = set(vars(network)), deepcopy(network.state_dict())
    graph, constants = trace(network)
    assert set(vars(network)) == before
    assert network.training
    assert [value.tolist() for value in constants.values()] in ([], [list(range(36))])
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert {"inner", "outer", "conv", "head.1"} <= {node.target for node in graph.nodes}


class Scaled(nn.Module):
    """A buffer in another shape, as frozen norms use theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 3)
        self.register_buffer("scale", torch.ones(3))

    def forward(self, x):
        return self.linear(x.flatten(1)) * self.scale.reshape(1, -1)


def test_what_is_made_of_a_buffer_is_of_each_network_its_own():
    one, two = Scaled(), Scaled()
    two.scale.fill_(2.0)
    graph, constants = trace(one)
    assert not constants
    images = torch.ones(2, 3, 2, 2)
    assert torch.equal(bind(two, graph, constants)(images), two(images))


def test_a_parameter_that_a_trace_cannot_see_is_refused():
    weight = nn.Parameter(torch.ones(12, 3))
    network = Function(lambda m, x: x.flatten(1) @ weight.square(), linear=nn.Linear(3, 3))
    with pytest.raises(InputError, match="does not see"):
        trace(network)


def test_every_operation_knows_its_line():
    graph, _ = trace(Scaled())
    sources = [node.meta["source"] for node in graph.nodes if node.op == "call_method"]
    assert sources
    assert all("test_graphs.py:" in source for source in sources)


def test_a_network_without_code_of_its_own_names_no_line():
    graph, _ = trace(nn.Sequential(nn.Flatten(), nn.Linear(192, 5)))
    assert not any(node.meta["source"] for node in graph.nodes)
    with pytest.raises(InputError, match=r"torch\.fx: [^(]*$"):
        trace(nn.Sequential(torch.compile(nn.Linear(192, 5))))


def looping(m, x):
    """Numbers that the code needs: a length, a loop over steps, types, and a tensor as long as the sequence."""
    assert x.shape[1] <= 8, "too long"
    y = m.head(x.flatten(2)) + torch.arange(x.size(1), device=x.device)[:, None]
    steps = [step * (1 + index) for index, step in enumerate(y.transpose(0, 1))]
    total = sum(steps) if x.dtype == m.head.weight.dtype and len(steps) == x.shape[1] else x.flatten(1)
    return torch.stack([total, total.new_zeros(x.shape[0], 5)], -1).view(x.shape[0], -1)


def encoder(m, x):
    return m.layers(m.head(x.flatten(2)))


SIZED = {
    "numbers": lambda: Function(looping, head=nn.Linear(64, 5)),
    "layers of a transformer": lambda: Function(
        encoder,
        head=nn.Linear(64, 4),
        layers=nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), 2),
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("make", SIZED.values(), ids=SIZED)
def test_sizes_that_do_not_depend_on_the_number_of_images_are_numbers(make):
    """The trace is of any number of images, and of no other network's weights."""
    with global_seed("sized"):
        network, other = make().eval(), make().eval()
    graph, constants = traced(network, images_of(2))
    for each in (network, other):
        for count in (1, 2, 5, 7):
            images = images_of(count)
            torch.testing.assert_close(bind(each, graph, constants)(images), each(images), rtol=0, atol=1e-5)


def test_the_number_of_images_is_no_number():
    network = Function(lambda m, x: m.head(x.flatten(1)) + torch.zeros(x.shape[0], 5), head=nn.Linear(192, 5))
    with pytest.raises(InputError, match="cannot be traced"):
        traced(network, images_of(2))


def test_layers_of_a_transformer_are_in_step():
    with global_seed("sized"):
        networks = [SIZED["layers of a transformer"]().eval() for _ in range(2)]
    in_step = InStep(networks, images_of(2))
    names = [in_step.names[node] for node in in_step.nodes if node.op == "call_module"]
    assert [name for name in names if "attn" in name] == ["layers.layers.0.self_attn", "layers.layers.1.self_attn"]


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 3))


COMPILED = {
    "torch.jit.trace": (lambda network: torch.jit.trace(network, images_of(2)), "give the module that it was made of"),
    "torch.jit.script": (torch.jit.script, "give the module that it was made of"),
    "torch.compile": (torch.compile, r"give network(\.0)?\._orig_mod"),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("compiled", "mend"), COMPILED.values(), ids=COMPILED)
def test_a_compiled_network_is_refused_in_one_line(compiled, mend, inside):
    network, name = compiled(perceptron()), "network.0" if inside else "network"
    with pytest.raises(
        InputError, match=rf"cannot be traced by torch\.fx: torch.* has compiled {name}: {mend}"
    ) as caught:
        trace(nn.Sequential(network, nn.ReLU()) if inside else network)
    assert "\n" not in str(caught.value)


def over_a_shape(m, x):
    if x.shape[1] > 0:
        return m.head(x.flatten(1).expand(2, 3, 4))
    return x


def test_an_error_in_torchs_own_code_names_the_line_of_the_network():
    with pytest.raises(InputError) as caught:
        trace(Function(over_a_shape, head=nn.Linear(192, 5)), images_of(2))
    assert re.search(rf"test_graphs\.py:{over_a_shape.__code__.co_firstlineno + 2}\)$", str(caught.value))


def masked_by_hand(m, x):
    scores = x.flatten(2)
    count = scores.shape[1]
    mask = torch.ones(count, count, dtype=torch.bool).triu(1)
    least = torch.full([], torch.finfo(scores.dtype).min, dtype=scores.dtype)
    scores = (scores @ scores.transpose(1, 2)).masked_fill(mask, torch.finfo(scores.dtype).min)
    return m.head(torch.where(mask, least, scores).softmax(-1).flatten(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_of_a_tensor_is_known(dtype):
    network, images = Function(masked_by_hand, head=nn.Linear(9, 5)).to(dtype), images_of(2).to(dtype)
    graph, constants = traced(network, images)
    assert torch.equal(bind(network, graph, constants)(images), network(images))
