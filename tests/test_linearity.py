"""Layerwise linear feature connectivity: what is measured, by definition, and where theory says what it must be."""

import json
import math
import warnings
from collections import Counter
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_graphs import NETWORKS, Function
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from hidden_structure import seeding
from hidden_structure.connectivity.repair import repairer
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity import layers, products
from hidden_structure.linearity.distribution import QUANTILES
from hidden_structure.linearity.exponential import exponential_weights
from hidden_structure.linearity.formulas import FAR
from hidden_structure.linearity.in_step import InStep
from hidden_structure.linearity.layers import measure
from hidden_structure.linearity.stitching import stitch
from hidden_structure.networks.build import build
from hidden_structure.permutation.permuting import apply, draw, invert
from hidden_structure.permutation.symmetry import derive
from hidden_structure.training import batches
from hidden_structure.training.batches import Images

ALPHAS = [0.25, 0.5, 0.9]


class Exact(Images):
    """Images in float64, for networks that compute in it."""

    def normalise(self, pixels):
        return super().normalise(pixels).double()


class Contiguous(Exact):
    def normalise(self, pixels):
        return super().normalise(pixels).contiguous()


def split_of(count, kind=Exact, classes=4):
    generator = seeding.torch_generator("images")
    pixels = torch.randint(256, (count, 8, 8, 3), generator=generator, dtype=torch.uint8)
    labels = torch.randint(classes, (count,), generator=generator)
    return kind(pixels, torch.full((3,), 1 / 64), torch.full((3,), -2.0)), labels


def all_of(split):
    return split[0].normalise(split[0].pixels)


@pytest.mark.parametrize("width", [3, 20_000, 90_000])  # rows a block: all of 7, 3 and 1
def test_inner_products_are_of_whole_rows_however_many_fit_the_cache(width):
    values = torch.randn(3, 7, width, generator=seeding.torch_generator("rows"))
    a, b, c = values
    found = products.dots((a, a), (a, b), (c, b))
    exact = [(x.double() * y.double()).sum(1) for x, y in ((a, a), (a, b), (c, b))]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, torch.stack(exact).numpy(), rtol=1e-4, atol=1e-2)


def network_of(seed, name="mlp", depth=3, width=12, norm="none", classes=10):
    """In float64, with biases and running statistics that are not 0 and 1, and no class that it prefers."""
    with seeding.global_seed("initialisation", seed):
        network = build(params.Network(name=name, depth=depth, width=width, norm=norm), (8, 8, 3), classes)
        network(torch.randn(32, 3, 8, 8))
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
        network.double().eval()
        network.head.bias.data -= network(torch.randn(32, 3, 8, 8).double()).detach().mean(0)
    return network


def pair_of(make):
    networks = []
    for seed in range(2):
        with seeding.global_seed("initialisation", seed):
            networks.append(make().double().eval())
    return networks


def odd():
    """Groups, strides, padding by reflection, biases, a linear layer on tokens, and other activations than ReLU."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, groups=3),
        nn.GELU(),
        nn.Conv2d(6, 4, 3, stride=2, padding=1, padding_mode="reflect", groups=2),
        nn.Identity(),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(2),
        nn.Linear(9, 5),
        nn.ReLU(),
        nn.Conv1d(4, 3, 2, dilation=2, bias=False),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(9, 10),
    )


CASES = {
    "mlp": lambda: [network_of(seed) for seed in (0, 1)],
    "mlp with norm": lambda: [network_of(seed, norm="batch") for seed in (0, 1)],
    "resnet": lambda: [network_of(seed, "resnet", 8, 4, "batch") for seed in (0, 1)],
    "vgg": lambda: [network_of(seed, "vgg", 11, 2, "none") for seed in (0, 1)],
    "odd layers": lambda: pair_of(odd),
    "shared ReLU": lambda: pair_of(NETWORKS["shared ReLU"][0]),
}


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def measured(networks, split, alphas=ALPHAS, repair=None):
    return measure(networks[0], *(state_of(network) for network in networks), alphas, split, repair)


# --- the definitions, one by one, from forward passes of their own ---


def on_the_line(networks, alphas, repair=None):
    found = []
    for alpha in (0, 1, *alphas):
        found.append(deepcopy(networks[0]))
        a, b = (network.state_dict() for network in networks)
        mean = {name: (1 - alpha) * a[name] + alpha * b[name] for name in a if a[name].is_floating_point()}
        found[-1].load_state_dict(a | mean)
        if repair is not None:
            repair(found[-1], alpha)
    return found


def recorded(network, images):
    """Of every call of a module without parts: the module, its input and its output."""
    calls, order = Counter(), []

    def before(module, inputs):
        module.read = inputs[0].clone()

    def after(module, inputs, output):
        order.append((names[module], calls[names[module]], (module, module.read, output.clone())))
        calls[names[module]] += 1

    modules = {name: module for name, module in network.named_modules() if ".parametrizations" not in name}
    modules = {n: m for n, m in modules.items() if not list(m.children()) or parametrize.is_parametrized(m)}
    names = {module: name for name, module in modules.items()}
    handles = [module.register_forward_pre_hook(before) for module in names]
    handles += [module.register_forward_hook(after) for module in names]
    with torch.no_grad():
        network(images)
    for handle in handles:
        handle.remove()
    return {f"{name}:{index}" if calls[name] > 1 else name: call for name, index, call in order}


def norms(x):
    return x.flatten(1).norm(dim=1)


def apart(x, y):
    """1 - cos."""
    return 1 - (x * y).flatten(1).sum(1) / (norms(x) * norms(y))


def dist(x, y):
    return norms(x - y) ** 2 / (norms(x) * norms(y))


def of_linear_part(module, inputs):
    module = deepcopy(module)
    module.bias = None
    return module(inputs)


@torch.no_grad()
def by_definition(networks, alphas, images, layers):
    """Layer -> quantity -> its values, one a sample; layers: as measured, for their depths, which have tests below."""
    depths = {layer["name"]: layer["depth"] for layer in layers}
    a, b, *merged = (recorded(network, images) for network in networks)
    found = {}
    for name, (module, reads_a, gives_a) in a.items():
        other, reads_b, gives_b = b[name]
        if isinstance(module, (nn.Identity, nn.Flatten, nn.Dropout)):
            continue
        between = [(1 - alpha) * gives_a + alpha * gives_b for alpha in alphas]
        own = {"baseline": apart(gives_a, gives_b)}
        gives = [network[name][2] for network in merged]
        own["dissimilarity"] = [apart(x, y) for x, y in zip(gives, between, strict=True)]
        depth = depths[name]
        weighted = [(1 - alpha) ** depth * gives_a + alpha**depth * gives_b for alpha in alphas]
        own["exponential"] = [apart(x, y) for x, y in zip(gives, weighted, strict=True)]
        own["coefficient"] = [(x * y).flatten(1).sum(1) / norms(y) ** 2 for x, y in zip(gives, between, strict=True)]
        if isinstance(module, (nn.ReLU, nn.GELU, nn.LeakyReLU)):
            inputs = [(1 - alpha) * reads_a + alpha * reads_b for alpha in alphas]
            own["additivity"] = [dist(module(x), y) for x, y in zip(inputs, between, strict=True)]
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            kept = of_linear_part(module, reads_a) + of_linear_part(other, reads_b)
            crossed = of_linear_part(module, reads_b) + of_linear_part(other, reads_a)
            own |= {"commutativity": dist(kept, crossed), "inputs": dist(reads_a, reads_b)}
            own["weights"] = dist(module.weight[None], other.weight[None]).item()
        found[name] = own
    return found


def assert_same(layers, expected, tolerance):
    assert [layer["name"] for layer in layers] == list(expected)
    for layer in layers:
        own = expected[layer["name"]]
        assert layer.keys() == own.keys() | {"name", "depth"}
        for quantity, values in own.items():
            if quantity == "weights":
                assert layer["weights"] == pytest.approx(values, rel=1e-5, abs=tolerance)
                continue
            several = isinstance(values, list)
            pairs = zip(layer[quantity], values, strict=True) if several else [(layer[quantity], values)]
            for summary, value in pairs:
                place = f"{quantity} of {layer['name']}"
                value = value.numpy()
                assert list(summary) == ["mean", "spread", *QUANTILES]
                assert summary["mean"] == pytest.approx(value.mean(), rel=1e-5, abs=tolerance), place
                assert summary["spread"] == pytest.approx(value.std(ddof=1), rel=1e-4, abs=tolerance), place
                for name, share in QUANTILES.items():
                    exact = np.quantile(value, share, method="inverted_cdf")
                    assert summary[name] == pytest.approx(exact, rel=0.011, abs=max(tolerance, 1.1e-7)), place


@pytest.mark.parametrize("case", CASES)
def test_every_quantity_is_that_of_its_definition(case):
    networks, split = CASES[case](), split_of(61)
    found = measured(networks, split)
    expected = by_definition(on_the_line(networks, ALPHAS), ALPHAS, all_of(split), found["layers"])
    assert_same(found["layers"], expected, 1e-12)
    assert sum("additivity" in layer for layer in found["layers"]) >= 3
    assert sum("commutativity" in layer for layer in found["layers"]) >= 3


PARAMETRISED = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "weight_norm's hook": weight_norm,
    "spectral_norm's hook": spectral_norm,
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
}


@pytest.mark.parametrize("how", PARAMETRISED.values(), ids=PARAMETRISED)
def test_parametrised_layers_are_measured_by_the_weights_they_compute(how):
    def make():
        network = odd()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the older hooks are deprecated, and in use
            how(network[2])
            how(network[6])
        return network

    networks, split = pair_of(make), split_of(40)
    found = measured(networks, split)["layers"]
    with torch.no_grad():
        for network in networks:  # or deepcopy would refuse what hooks have computed
            network(all_of(split))
    assert_same(found, by_definition(on_the_line(networks, ALPHAS), ALPHAS, all_of(split), found), 1e-9)


class Called(nn.Module):
    """One network in two spellings: layers called by position alone, or by names, with arguments left at defaults."""

    def __init__(self, plainly):
        super().__init__()
        self.first, self.relu, self.head = nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 10)
        self.plainly = plainly

    def forward(self, images, mask=None, *others, scale=0.5, **options):
        if self.plainly:
            return self.head(self.relu(F.gelu(self.first(images.flatten(1)))) * 0.5)
        hidden = self.relu(input=F.gelu(input=self.first(input=images.flatten(1)), approximate="none"))
        if mask is not None:
            hidden = hidden * mask
        return self.head(input=hidden * scale)


def test_how_a_network_is_written_decides_nothing():
    found = []
    for plainly in (True, False):
        networks, split = pair_of(lambda plainly=plainly: Called(plainly)), split_of(20)
        found.append((measured(networks, split), stitch(networks[0], *map(state_of, networks), split)))
    assert found[0] == found[1]
    assert [layer["name"] for layer in found[0][0]["layers"]] == ["first", "gelu", "relu", "head"]


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "vgg"])
def test_float32_is_float64_up_to_its_precision(case):
    networks = CASES[case]()
    found = measured([network.float() for network in networks], split_of(61, Images))
    networks = [network.double() for network in networks]
    expected = by_definition(on_the_line(networks, ALPHAS), ALPHAS, all_of(split_of(61)), found["layers"])
    assert_same(found["layers"], expected, 1e-4 if case == "vgg" else 1e-5)


@pytest.mark.parametrize("case", ["mlp", "resnet"])
def test_every_network_on_the_line_is_repaired_ends_included(case):
    networks, split = CASES[case](), split_of(50)
    a, b = (state_of(network) for network in networks)
    repair = repairer(deepcopy(networks[0]), a, b, split[0], torch.float32)
    found = measured(networks, split, repair=repair)
    repaired = on_the_line(networks, ALPHAS, repair)
    assert_same(found["layers"], by_definition(repaired, ALPHAS, all_of(split), found["layers"]), 1e-12)
    assert found["layers"] != measured(networks, split)["layers"]
    with torch.no_grad():
        decisions = [network(all_of(split)).argmax(1) for network in repaired]
    errors = [(own != split[1]).double().mean().item() for own in decisions]
    assert [found["test_error"][end] for end in "ab"] + found["test_error"]["merged"] == pytest.approx(errors)


def test_repair_is_told_of_the_network_at_every_alpha():
    networks, seen = CASES["mlp"](), []
    lines = [dict(network.state_dict()) for network in on_the_line(networks, ALPHAS)]

    def repair(network, alpha):
        expected = lines[len(seen)]
        assert all(torch.allclose(tensor, expected[name]) for name, tensor in network.state_dict().items())
        seen.append(alpha)
        for parameter in network.parameters():
            parameter.data.copy_(torch.linspace(-1, 1.1, parameter.numel()).view_as(parameter))

    found = measured(networks, split_of(20), repair=repair)  # which makes them all one network
    assert seen == [0, 1, *ALPHAS]
    assert max(abs(value) for value in deviations(found)) < 1e-12


# --- networks of which theory says what must come out ---


def deviations(found):
    """By how much anything deviates from what a network and itself have."""
    values = []
    for layer in found["layers"]:
        for name, own in layer.items():
            if name == "weights":
                values.append(own)
            elif name not in ("name", "depth"):
                own = own if isinstance(own, list) else [own]
                values += [summary["mean"] - (name == "coefficient") for summary in own]
                values += [summary["spread"] for summary in own]
    return values


def means(found, quantity):
    """Layer -> the mean, or the largest over alphas of |mean|; of the coefficient, of its deviation from 1."""
    found = {layer["name"]: layer[quantity] for layer in found["layers"] if quantity in layer}
    return {
        name: max(abs(summary["mean"] - (quantity == "coefficient")) for summary in own)
        if isinstance(own, list)
        else own["mean"]
        for name, own in found.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_a_network_and_itself_differ_in_nothing(case):
    network = CASES[case]()[0]
    found = measured([network, network], split_of(30))
    assert max(map(abs, deviations(found))) < 1e-12
    found = measured([network.float()] * 2, split_of(30, Images))
    assert max(map(abs, deviations(found))) < 2e-6
    error = found["test_error"]
    assert {error["a"], error["b"], error["either"], *error["merged"], *error["interpolated"]} == {error["a"]}
    assert error["disagreement"] == [0, 0, 0]


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "odd layers"])
def test_at_the_ends_of_the_line_everything_is_linear(case):
    found = measured(CASES[case](), split_of(30), alphas=[0.0, 1.0])
    for quantity in ("dissimilarity", "exponential", "coefficient", "additivity"):
        assert max(means(found, quantity).values()) < 1e-12
    error = found["test_error"]
    assert error["merged"] == error["interpolated"] == [error["a"], error["b"]]
    assert error["disagreement"] == [0, 0]


@pytest.mark.parametrize("case", CASES)
def test_the_line_may_be_walked_from_either_end(case):
    networks, split = CASES[case](), split_of(30)
    there = measured(networks, split, alphas=[0.25, 0.5])
    back = measured(networks[::-1], split, alphas=[0.75, 0.5])
    assert flat(there["layers"]) == pytest.approx(flat(back["layers"]), rel=1e-5, abs=1e-12)
    assert there["test_error"]["merged"] == back["test_error"]["merged"]
    assert there["test_error"]["a"] == back["test_error"]["b"]


def flat(content, place=()):
    if isinstance(content, dict):
        return {key: value for name, part in content.items() for key, value in flat(part, (*place, name)).items()}
    if isinstance(content, list):
        return {key: value for index, part in enumerate(content) for key, value in flat(part, (*place, index)).items()}
    return {} if isinstance(content, str) else {place: content}


def test_one_linear_layer_is_always_linear():
    networks = pair_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 10)))
    found = measured(networks, split_of(50))
    assert means(found, "dissimilarity")["1"] < 1e-12
    assert means(found, "coefficient")["1"] < 1e-12
    assert (means(found, "commutativity")["1"], means(found, "inputs")["1"]) == (0, 0)
    assert means(found, "baseline")["1"] > 0.1
    assert found["layers"][0]["weights"] > 0.1


def test_linear_layers_are_linear_together_only_where_they_commute():
    """Without activations features are polynomials in alpha; additivity, which nothing asks for, cannot save them."""
    make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 20), nn.Linear(20, 30), nn.Linear(30, 10))  # noqa: E731
    networks, split = pair_of(make), split_of(50)
    found = measured(networks, split)
    assert means(found, "dissimilarity")["1"] < 1e-12
    assert min(means(found, "commutativity")[name] for name in "23") > 0.1
    assert min(means(found, "dissimilarity")[name] for name in "23") > 0.01
    for same in ("12", "13", "23"):  # if one layer at most differs, all of them commute
        nearly = [networks[0], deepcopy(networks[1])]
        for name in same:
            nearly[1].get_submodule(name).load_state_dict(networks[0].get_submodule(name).state_dict())
        found = measured(nearly, split)
        assert max(means(found, "commutativity").values()) < 1e-12
        assert max(means(found, "dissimilarity").values()) < 1e-12
        assert max(means(found, "coefficient").values()) < 1e-12
        assert means(found, "baseline")["3"] > 0.1


FIXED, VARIED = slice(0, 6), slice(6, 12)  # units of every hidden layer


def satisfying(seed):
    """Two ReLU networks that differ at every layer, weakly additive and commuting at every one.

    The fixed units, whose weights read fixed units only, are the same in both. The varied ones differ, but have the
    same sign in both; and no weight that reads them does. So (W_A - W_B)(H_A - H_B) multiplies zeros by zeros.
    """
    networks = [network_of(seed, depth=3), network_of(seed, depth=3)]
    a, b = (network.state_dict() for network in networks)
    generator = seeding.torch_generator("theorem", seed)

    def positive(tensor):
        return tensor.uniform_(0.1, 1, generator=generator)

    factors = 0.3 + 2 * torch.rand(6, generator=generator, dtype=torch.float64)
    b["hidden.linear1.weight"][VARIED] *= factors[:, None]
    b["hidden.linear1.bias"][VARIED] *= factors
    for layer in ("hidden.linear2", "hidden.linear3"):
        positive(a[f"{layer}.weight"][VARIED])
        a[f"{layer}.weight"][FIXED, VARIED] = 0
        b[f"{layer}.weight"].copy_(a[f"{layer}.weight"])
        positive(b[f"{layer}.weight"][VARIED, FIXED])
        for state in (a, b):
            positive(state[f"{layer}.bias"][VARIED])
    for state in (a, b):
        state["head.weight"][:, FIXED].normal_(generator=generator)
        state["head.weight"][:, VARIED].mul_(0.1)
    b["head.bias"].normal_(generator=generator)
    return networks


@pytest.mark.parametrize("seed", range(3))
def test_theorem_weak_additivity_and_commutativity_give_linear_features(seed):
    found = measured(satisfying(seed), split_of(80), alphas=[0.1, 0.5, 0.7])
    assert max(means(found, "additivity").values()) < 1e-12
    assert max(means(found, "commutativity").values()) < 1e-12
    assert len(means(found, "dissimilarity")) == 7
    assert max(means(found, "dissimilarity").values()) < 1e-12
    assert max(means(found, "coefficient").values()) < 1e-12
    assert all(summary["spread"] < 1e-12 for layer in found["layers"] for summary in layer["dissimilarity"])
    # And that not because the two were the same, or linear.
    assert min(layer["weights"] for layer in found["layers"] if "weights" in layer) > 0.01
    assert min(means(found, "baseline").values()) > 1e-3
    images = all_of(split_of(80))
    active = [recorded(network, images)["hidden.relu1"][2] > 0 for network in satisfying(seed)]
    assert torch.equal(*active)
    assert 0.2 < active[0].double().mean() < 0.8


def test_without_commutativity_features_are_no_longer_linear():
    networks = satisfying(0)
    with torch.no_grad():  # still positive, hence still weakly additive
        networks[1].hidden.linear2.weight[VARIED, VARIED] = networks[1].hidden.linear2.weight[VARIED, VARIED].flip(0, 1)
    found = measured(networks, split_of(80))
    assert max(means(found, "additivity").values()) < 1e-12
    commutativity, dissimilarity = means(found, "commutativity"), means(found, "dissimilarity")
    assert commutativity.pop("hidden.linear2") > 1e-3
    assert max(commutativity.values()) < 1e-12
    assert max(dissimilarity[f"hidden.{name}"] for name in ("linear1", "relu1")) < 1e-12
    assert min(dissimilarity[f"hidden.{name}"] for name in ("linear2", "relu2", "linear3", "relu3")) > 1e-6
    assert dissimilarity["head"] > 1e-6


def test_without_weak_additivity_features_are_no_longer_linear():
    networks = satisfying(0)
    with torch.no_grad():  # of other signs than in the other network, but read by the same weights
        for tensor in (networks[1].hidden.linear1.weight, networks[1].hidden.linear1.bias):
            tensor[VARIED] *= -1
    found = measured(networks, split_of(80))
    assert max(means(found, "commutativity").values()) < 1e-12
    additivity, dissimilarity = means(found, "additivity"), means(found, "dissimilarity")
    assert additivity.pop("hidden.relu1") > 1e-2
    assert max(additivity.values()) < 1e-12
    assert dissimilarity.pop("hidden.linear1") < 1e-12
    assert min(dissimilarity.values()) > 1e-6
    assert means(found, "coefficient")["hidden.relu1"] > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_lemma_on_linear_features_errors_are_at_most_those_of_both_ends(seed):
    networks, (images, labels) = satisfying(seed), split_of(200)
    with torch.no_grad():
        decisions = [network(images.normalise(images.pixels)).argmax(1) for network in networks]
    assert not torch.equal(*decisions)
    generator = seeding.torch_generator("labels", seed)
    for share in (0.0, 0.3, 1.0):  # of labels as one or the other decides
        chosen = torch.where(torch.rand(200, generator=generator) < 0.5, *decisions)
        own = torch.where(torch.rand(200, generator=generator) < share, chosen, labels)
        error = measured(networks, (images, own))["test_error"]
        for merged in error["merged"]:
            assert merged <= error["either"] <= error["a"] + error["b"] <= 2 * max(error["a"], error["b"])
        assert error["disagreement"] == [0, 0, 0]
        assert error["merged"] == error["interpolated"]


@pytest.mark.parametrize("seed", range(8))
def test_errors_of_any_pair_keep_to_their_bounds_and_are_those_of_forward_passes(seed):
    case = [*CASES][seed % 3]
    networks, (images, labels) = CASES[case](), split_of(90, classes=3)
    with torch.no_grad():
        logits = [network(all_of((images, labels))) for network in on_the_line(networks, ALPHAS)]
    a, b, *merged = (values.argmax(1) for values in logits)
    chosen = torch.rand(90, generator=seeding.torch_generator("labels", seed)) < seed / 8
    labels = torch.where(chosen, torch.where(labels == 0, a, b), labels)
    error = measured(networks, (images, labels))["test_error"]
    expected = {"a": a != labels, "b": b != labels, "either": (a != labels) | (b != labels)}
    for name, wrong in expected.items():
        assert error[name] == pytest.approx(wrong.double().mean().item()), name
    assert max(error["a"], error["b"]) <= error["either"] <= error["a"] + error["b"] + 1e-12
    for index, alpha in enumerate(ALPHAS):
        between = ((1 - alpha) * logits[0] + alpha * logits[1]).argmax(1)
        found = {name: error[name][index] for name in ("merged", "interpolated", "disagreement")}
        assert found == pytest.approx(
            {
                "merged": (merged[index] != labels).double().mean().item(),
                "interpolated": (between != labels).double().mean().item(),
                "disagreement": (between != merged[index]).double().mean().item(),
            }
        )
        assert found["interpolated"] <= error["either"]
        assert found["merged"] <= error["either"] + found["disagreement"] + 1e-12
    assert sum(error["disagreement"]) > 0


# --- symmetries ---


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "vgg"])
def test_a_permuted_copy_brought_back_differs_in_nothing(case):
    network, split = CASES[case]()[0], split_of(40)
    symmetry = derive(network, all_of(split)[:2])
    planted = draw(symmetry, seeding.torch_generator("planted"))
    copy = deepcopy(network)
    copy.load_state_dict(apply(symmetry, planted, network.state_dict()))
    apart = measured([network, copy], split)
    assert apart["test_error"]["a"] == apart["test_error"]["b"]
    hidden = list(means(apart, "dissimilarity"))[1:-1]
    assert max(means(apart, "dissimilarity")[name] for name in hidden) > 0.01
    assert max(means(apart, "commutativity").values()) > 0.01
    assert min(layer["weights"] for layer in apart["layers"] if "weights" in layer) > 0.01
    copy.load_state_dict(apply(symmetry, invert(symmetry, planted), copy.state_dict()))
    assert max(map(abs, deviations(measured([network, copy], split)))) < 1e-12


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "vgg"])
def test_one_permutation_of_both_networks_changes_nothing(case):
    networks, split = CASES[case](), split_of(40)
    expected = measured(networks, split)
    symmetry = derive(networks[0], all_of(split)[:2])
    planted = draw(symmetry, seeding.torch_generator("both"))
    for network in networks:
        network.load_state_dict(apply(symmetry, planted, network.state_dict()))
    found = measured(networks, split)
    assert flat(found["layers"]) == pytest.approx(flat(expected["layers"]), rel=1e-5, abs=1e-12)
    assert found["test_error"] == expected["test_error"]


# --- layerwise exponentially weighted connectivity ---


def test_depth_counts_weights_on_the_longest_path():
    depth = {layer["name"]: layer["depth"] for layer in measured(CASES["resnet"](), split_of(5))["layers"]}
    first = {"conv": 1, "norm": 1, "relu": 1, "stages.0.0.conv1": 2, "stages.0.0.norm2": 3, "stages.0.0.relu2": 3}
    later = {"stages.1.0.shortcut.conv": 4, "stages.1.0.conv1": 4, "stages.1.0.conv2": 5, "stages.1.0.relu2": 5}
    assert {name: depth[name] for name in (*first, *later)} == first | later
    assert (depth["stages.2.0.relu2"], depth["head"]) == (7, 8)
    depth = {layer["name"]: layer["depth"] for layer in measured(CASES["shared ReLU"](), split_of(5))["layers"]}
    assert {name: depth[name] for name in depth if ":" in name} == {"relu:0": 1, "relu:1": 2, "relu:2": 2}


def test_filters_that_are_given_and_not_trained_have_no_depth():
    networks = pair_of(odd)
    for network in networks:
        network[0].weight.requires_grad_(False)
    depth = {layer["name"]: layer["depth"] for layer in measured(networks, split_of(5))["layers"]}
    assert [depth[name] for name in ("0", "1", "2", "6", "8", "11")] == [0, 0, 1, 2, 3, 4]


class Standardised(nn.Conv2d):
    """Its weights are made anew at every pass, so that torch.fx sees a function and no module."""

    def forward(self, images):
        mean, std = (of(self.weight, (1, 2, 3), keepdim=True) for of in (torch.mean, torch.std))
        return nn.functional.conv2d(images, (self.weight - mean) / std, self.bias)


class OwnWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.place = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(6, 36))

    def forward(self, images):
        return self.matrix @ (images.flatten(2) + self.place)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (Standardised(3, 6, 3), nn.ReLU(), Standardised(6, 6, 1), nn.ReLU()),
        lambda: (nn.ConvTranspose2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 6, 3, groups=2), nn.ReLU()),
        lambda: (nn.Conv2d(3, 6, 3), nn.ReLU(), OwnWeights(), nn.ReLU()),
        lambda: (nn.Conv2d(3, 6, 3), nn.LayerNorm((6, 6, 6)), nn.Conv2d(6, 6, 1), nn.ReLU()),
    ],
    ids=["standardised", "transposed", "of its own", "normed"],
)
def test_whatever_multiplies_by_trained_weights_counts_in_the_depth(layers):
    networks = [nn.Sequential(*layers(), nn.Flatten(), nn.LazyLinear(4)) for _ in range(2)]
    for network in networks:
        network(torch.zeros(2, 3, 8, 8))
        network.double()
    depth = {layer["name"]: layer["depth"] for layer in measured(networks, split_of(5))["layers"]}
    assert [depth[name] for name in ("1", "3", "5")] == [1, 2, 3]


def test_features_without_biases_are_homogeneous_of_the_layers_depth():
    network = network_of(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        twice = deepcopy(network)
        for parameter in twice.parameters():
            parameter *= 2
    plain, doubled = (recorded(each, all_of(split_of(20))) for each in (network, twice))
    for layer in measured([network, twice], split_of(20))["layers"]:
        torch.testing.assert_close(doubled[layer["name"]][2], 2 ** layer["depth"] * plain[layer["name"]][2])


def law(found, quantity):
    """Layer -> the mean at every alpha."""
    return {layer["name"]: [summary["mean"] for summary in layer[quantity]] for layer in found["layers"]}


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "odd layers"])
def test_only_alphas_other_than_one_half_and_layers_behind_the_first_tell_the_laws_apart(case):
    """Halfway both weight the ends alike, and so they do at any alpha where the exponent is 1."""
    found = measured(CASES[case](), split_of(40), alphas=[0.25, 0.5, 0.9])
    linear, exponential = law(found, "dissimilarity"), law(found, "exponential")
    for layer in found["layers"]:
        one, other = linear[layer["name"]], exponential[layer["name"]]
        assert one[1] == pytest.approx(other[1], abs=1e-12)
        assert (one == pytest.approx(other, abs=1e-12)) == (layer["depth"] == 1)


def test_networks_on_units_of_their_own_are_exponentially_weighted():
    """No weight of one network reads a unit of the other's: all cross terms are 0, and ReLU does not see the factor."""
    networks = [network_of(seed) for seed in (0, 1)]
    with torch.no_grad():
        for network, others in zip(networks, (VARIED, FIXED), strict=True):
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
                elif name != "head.weight":
                    parameter[others] = 0
                if parameter.shape[-1] == 12 and parameter.dim() == 2:
                    parameter[:, others] = 0
    found = measured(networks, split_of(60), alphas=[0.1, 0.3, 0.7])
    linear, exponential = law(found, "dissimilarity"), law(found, "exponential")
    assert max(max(values) for values in exponential.values()) < 1e-12
    assert min(min(linear[f"hidden.relu{index}"]) for index in (2, 3)) > 1e-3
    assert min(linear["head"]) > 1e-3


def test_networks_that_are_linear_are_not_exponentially_weighted():
    found = measured(satisfying(0), split_of(80), alphas=[0.1, 0.3, 0.7])
    assert max(map(max, law(found, "dissimilarity").values())) < 1e-12
    exponential = law(found, "exponential")
    assert min(min(exponential[f"hidden.relu{index}"]) for index in (2, 3)) > 1e-5


def test_the_weights_of_very_deep_layers_are_numbers_whose_squares_are():
    assert exponential_weights(0.25, 2) == pytest.approx((1, 1 / 9))
    assert exponential_weights(0.75, 2) == pytest.approx((1 / 9, 1))
    assert exponential_weights(0.5, 10_000) == exponential_weights(0.2, 0) == (1, 1)
    for alpha in (0.0, 1e-3, 0.49, 1.0):
        assert exponential_weights(alpha, 10_000)[0 if alpha < 0.5 else 1] == 1


# --- the union bound ---


def decided(networks, split):
    """What each network decides."""
    with torch.no_grad():
        return [network(all_of(split)).argmax(1) for network in networks]


@pytest.mark.parametrize("case", ["mlp", "resnet"])
def test_interpolated_logits_err_only_where_an_end_errs(case):
    """Where both ends prefer the right class, so does every mean of their logits."""
    networks, (images, _) = CASES[case](), split_of(200)
    a, b = decided(networks, (images, _))
    error = measured(networks, (images, torch.where(torch.arange(200) < 100, a, b)))["test_error"]
    assert 0 < max(error["a"], error["b"]) <= error["either"] <= error["a"] + error["b"]
    assert max(error["interpolated"]) <= error["either"] < 1


def test_lemma_networks_that_are_linear_at_the_output_err_no_more_often_than_their_ends_together():
    networks, (images, _) = satisfying(0), split_of(80)
    labels = decided(networks, (images, _))[0]
    error = measured(networks, (images, labels))["test_error"]
    assert error["merged"] == error["interpolated"]
    assert max(error["merged"]) <= error["either"] <= error["a"] + error["b"]


def test_networks_that_are_not_linear_may_err_where_no_end_does():
    networks = pair_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 10)))
    with torch.no_grad():  # each reads the opposite: halfway nothing is left of the first layer, and one class of all
        networks[1].load_state_dict(networks[0].state_dict())
        networks[1][1].weight.neg_()
        for network in networks:
            network[1].bias.zero_()
            network[3].bias.zero_()
    images, _ = split_of(400)
    a, b = decided(networks, (images, _))
    kept = a == b
    images = Exact(images.pixels[kept], images.scale, images.shift)
    error = measured(networks, (images, a[kept]), alphas=[0.5])["test_error"]
    assert (error["either"], error["interpolated"]) == (0, [0])
    assert error["merged"][0] > 0


# --- how it is computed does not show ---


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "odd layers"])
@pytest.mark.parametrize("size", [1, 7])
def test_results_do_not_depend_on_the_batch_size(case, size, monkeypatch):
    networks, split = CASES[case](), split_of(30)
    expected = measured(networks, split)
    monkeypatch.setattr(batches, "MOST", size)
    found = measured(networks, split)
    assert flat(found["layers"]) == pytest.approx(flat(expected["layers"]), rel=1e-5, abs=1e-12)
    assert found["test_error"] == expected["test_error"]


@pytest.mark.parametrize("case", ["resnet", "vgg"])
def test_results_do_not_depend_on_the_memory_format(case):
    networks = CASES[case]()
    expected = measured(networks, split_of(30))
    for kind in (Exact, Contiguous):
        for memory_format in (torch.channels_last, torch.contiguous_format):
            network = networks[0].to(memory_format=memory_format)
            found = measured([network, networks[1]], split_of(30, kind))
            assert flat(found["layers"]) == pytest.approx(flat(expected["layers"]), rel=1e-5, abs=1e-12)


def test_results_do_not_depend_on_how_activations_are_written():
    def forward(activation, m, x):
        x = m.first(x.flatten(1))
        x = m.second(activation(x, m))
        return m.head(activation(x, m))

    ways = {
        "module": lambda x, m: m.relu(x),
        "module in place": lambda x, m: m.overwriting(x),
        "function": lambda x, m: F.relu(x),
        "function in place": lambda x, m: F.relu(x, inplace=True),
        "torch": lambda x, m: torch.relu(x),
        "torch in place": lambda x, m: torch.relu_(x),
        "method": lambda x, m: x.relu(),
        "method in place": lambda x, m: x.relu_(),
    }
    sizes = {"first": (192, 9), "second": (9, 9), "head": (9, 10)}
    results = {}
    for way, activation in ways.items():
        networks = pair_of(
            lambda activation=activation: Function(
                partial(forward, activation),
                **{name: nn.Linear(*size) for name, size in sizes.items()},
                relu=nn.ReLU(),
                overwriting=nn.ReLU(inplace=True),
            )
        )
        results[way] = measured(networks, split_of(30))["layers"]
        kinds = ["additivity" in layer for layer in results[way]]
        assert kinds == [False, True, False, True, False], way
        assert flat(results[way]) == flat(results["module"]), way
        names = [layer["name"] for layer in results[way]]
        assert (names[0], names[2], names[4]) == ("first", "second", "head")
        assert len(set(names)) == 5
    assert [layer["name"] for layer in results["module"]][1::2] == ["relu:0", "relu:1"]
    assert [layer["name"] for layer in results["function"]][1::2] == ["relu", "relu_1"]


def test_samples_may_lie_along_any_axis_and_share_it_with_others():
    """A network of tokens: the images along the first axis, the second, or one with the tokens, inside or outside."""
    ways = {
        "first": (lambda x: x, lambda x: x),
        "second": (lambda x: x.transpose(0, 1), lambda x: x.transpose(0, 1)),
        "together": (lambda x: x.flatten(0, 1), lambda x: x.unflatten(0, (-1, 16))),
        "apart": (lambda x: x.transpose(0, 1).flatten(0, 1), lambda x: x.unflatten(0, (16, -1)).transpose(0, 1)),
        "between": (
            lambda x: x.unflatten(1, (2, 8)).transpose(0, 1).flatten(0, 2),
            lambda x: x.unflatten(0, (2, -1, 8)).transpose(0, 1).flatten(1, 2),
        ),
    }

    def forward(there, back, m, x):
        x = m.relu(m.first(there(x.flatten(1).unflatten(1, (16, 12)))))
        return m.head(back(m.relu(m.second(x))).mean(1))

    sizes, results = {"first": (12, 9), "second": (9, 7), "head": (7, 10)}, {}
    for way, both in ways.items():
        networks = pair_of(
            lambda both=both: Function(
                partial(forward, *both), **{name: nn.Linear(*size) for name, size in sizes.items()}, relu=nn.ReLU()
            )
        )
        results[way] = measured(networks, split_of(31))["layers"]
        assert [layer["name"] for layer in results[way]] == ["first", "relu:0", "second", "relu:1", "head"]
        assert flat(results[way]) == pytest.approx(flat(results["first"]), rel=1e-6, abs=1e-10)


def test_samples_in_no_order_that_is_known_are_told_with_their_layer():
    def forward(m, x):
        tokens = x.flatten(1).unflatten(1, (16, 12)).flatten(0, 1).flip(0)
        return m.head(m.relu(m.mixed(tokens)).flip(0).unflatten(0, (-1, 16)).mean(1))

    networks = pair_of(
        lambda: Function(forward, mixed=nn.Linear(12, 9), relu=nn.ReLU(), head=nn.Linear(9, 10)),
    )
    with pytest.raises(InputError, match="the output of flip holds its samples in no order that is known"):
        measured(networks, split_of(30))


def test_operations_that_are_no_layers_may_hold_samples_in_any_order():
    def forward(m, x):
        tokens = x.flatten(1).unflatten(1, (16, 12)).flatten(0, 1).flip(0)
        return m.head(m.relu(m.layer(tokens.flip(0).unflatten(0, (-1, 16)).mean(1))))

    networks = pair_of(
        lambda: Function(forward, layer=nn.Linear(12, 9), relu=nn.ReLU(), head=nn.Linear(9, 10)),
    )
    assert [layer["name"] for layer in measured(networks, split_of(30))["layers"]] == ["layer", "relu", "head"]


def test_one_image_is_enough():
    networks = CASES["mlp"]()
    found = measured(networks, split_of(1))["layers"]
    assert [layer["name"] for layer in found] == [layer["name"] for layer in measured(networks, split_of(9))["layers"]]
    assert all(np.isfinite(value) for value in flat(found).values() if isinstance(value, float))


def test_a_network_that_drops_the_axis_of_a_single_image_loses_no_layer():
    def forward(m, x):
        return m.head(m.relu(m.fc(m.pool(m.conv(x)).squeeze())))

    own = {
        "conv": lambda: nn.Conv2d(3, 6, 3),
        "pool": lambda: nn.AdaptiveAvgPool2d(1),
        "fc": lambda: nn.Linear(6, 9),
        "relu": nn.ReLU,
        "head": lambda: nn.Linear(9, 10),
    }
    networks = pair_of(lambda: Function(forward, **{name: make() for name, make in own.items()}))
    assert [layer["name"] for layer in measured(networks, split_of(7))["layers"]] == list(own)


def test_what_mixes_the_samples_of_a_batch_away_is_no_layer_of_theirs():
    networks = pair_of(
        lambda: Function(
            lambda m, x: m.head(m.first(x.flatten(1))) + m.relu(m.prior(x.flatten(1).mean(0))),
            first=nn.Linear(192, 9),
            prior=nn.Linear(192, 10),
            relu=nn.ReLU(),
            head=nn.Linear(9, 10),
        )
    )
    assert [layer["name"] for layer in measured(networks, split_of(30))["layers"]] == ["first", "head"]


ACTIVATIONS = {
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "celu": nn.CELU(),
    "leaky_relu": nn.LeakyReLU(),
    "rrelu": nn.RReLU(),
    "hardtanh": nn.Hardtanh(),
    "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(),
    "mish": nn.Mish(),
    "softplus": nn.Softplus(),
    "softsign": nn.Softsign(),
    "logsigmoid": nn.LogSigmoid(),
    "threshold": nn.Threshold(0.1, 0),
    "tanhshrink": nn.Tanhshrink(),
    "softshrink": nn.Softshrink(),
    "hardshrink": nn.Hardshrink(),
}
OTHERS = [nn.Softmax(1), nn.PReLU(), nn.BatchNorm1d(9), nn.LayerNorm(9), nn.MaxPool1d(1), nn.Dropout(), nn.Identity()]


def test_activations_are_known_as_modules_and_as_functions():
    assert {name.replace("_", "") for name in ACTIVATIONS} == layers.ACTIVATIONS
    functions = {name: getattr(F, name) for name in ACTIVATIONS}
    functions["threshold"] = partial(F.threshold, threshold=0.1, value=0)

    def network(activation):
        return Function(lambda m, x: m.activation(m.layer(x)), layer=nn.Linear(4, 9), activation=activation).eval()

    for name, module in ACTIVATIONS.items():
        graphs = [
            InStep([network(module)], torch.ones(2, 4)),
            InStep([Function(partial(on_layer, functions[name]), layer=nn.Linear(4, 9))], torch.ones(2, 4)),
        ]
        for in_step in graphs:
            kinds = [layers.is_activation(in_step.module, node) for node in in_step.nodes]
            assert kinds == [False, False, True, False], name
    for module in OTHERS:
        in_step = InStep([network(module)], torch.ones(2, 4))
        assert not any(layers.is_activation(in_step.module, node) for node in in_step.nodes), module


def on_layer(activation, m, x):
    return activation(m.layer(x))


def test_the_callers_network_and_states_are_left_as_they_were():
    network, other = CASES["resnet"]()
    network.train()
    network.norm.eval()
    modes = [module.training for module in network.modules()]
    before, attributes = state_of(network), set(vars(network))
    a, b = network.state_dict(), state_of(other)
    measure(network, a, b, ALPHAS, split_of(10))
    assert [module.training for module in network.modules()] == modes
    assert set(vars(network)) == attributes
    for state in (network.state_dict(), a):
        assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in b.items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_layers_may_share_their_weights():
    def tied():
        network = nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.Linear(9, 9), nn.GELU(), nn.Linear(9, 9))
        network[4].weight = network[2].weight
        return network

    networks, split = pair_of(tied), split_of(30, classes=9)
    found = measured(networks, split)
    expected = by_definition(on_the_line(networks, ALPHAS), ALPHAS, all_of(split), found["layers"])
    assert_same(found["layers"], expected, 1e-12)
    assert means(found, "commutativity")["4"] > 0.1


def test_what_does_not_depend_on_the_images_is_no_layer_of_theirs(monkeypatch):
    networks, split = pair_of(NETWORKS["bias of positions"][0]), split_of(5, classes=5)
    found = measured(networks, split)
    assert [layer["name"] for layer in found["layers"]] == ["conv", "head.1"]
    monkeypatch.setattr(batches, "MOST", 1)
    assert [layer["name"] for layer in measured(networks, split)["layers"]] == ["conv", "head.1"]


# --- what is not a number, and what is next to nothing ---


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("index", [0, 1])
def test_features_that_are_not_finite_name_their_layer(index, value):
    """1e30 is finite in float32, but its square is not."""
    networks = [network.float() for network in CASES["mlp"]()]
    networks[index].hidden.linear2.bias.data[3] = value
    said = r"the features of layer hidden\.linear2 are not finite"
    if not math.isfinite(value):
        said = r"hidden\.linear2\.bias of the networks holds NaN or infinity"
    with pytest.raises(InputError, match=f"^{said}") as caught:
        measured(networks, split_of(9, Images))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [0, 1])
def test_of_one_dead_layer_the_values_are_finite_and_as_documented(index):
    networks = CASES["mlp"]()
    networks[index].hidden.linear2.bias.data.fill_(-1e3)
    networks[1 - index].hidden.linear2.bias.data.fill_(1e3)  # else some of the other's were 0, too
    found = measured(networks, split_of(30), alphas=[0.5])
    json.dumps(found, allow_nan=False)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["hidden.relu2"]["baseline"]["mean"] == 1
    assert layers["hidden.linear3"]["inputs"] == pytest.approx(
        {"mean": FAR, "spread": 0, **dict.fromkeys(QUANTILES, FAR)}, rel=0.01
    )
    assert all(abs(value) <= FAR for value in flat(found["layers"]).values())


def test_of_two_dead_layers_the_values_are_those_of_equal_features():
    networks = CASES["mlp"]()
    for network in networks:
        network.hidden.linear2.bias.data.fill_(-1e3)
    found = measured(networks, split_of(30))
    json.dumps(found, allow_nan=False)
    layers = {layer["name"]: layer for layer in found["layers"]}
    dead = layers["hidden.relu2"]
    assert dead["baseline"]["mean"] == 0
    assert [summary["mean"] for summary in dead["dissimilarity"]] == [0, 0, 0]
    assert [summary["mean"] for summary in dead["coefficient"]] == [1, 1, 1]
    assert [summary["mean"] for summary in dead["additivity"]] == [0, 0, 0]
    assert layers["hidden.linear3"]["inputs"]["mean"] == layers["hidden.linear3"]["commutativity"]["mean"] == 0


def test_a_merged_network_that_is_dead_has_nothing_in_common_with_its_ends():
    networks = pair_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 10)))
    networks[1].load_state_dict(networks[0].state_dict())
    for sign, network in zip((1, -1), networks, strict=True):
        network[1].weight.data *= sign
        network[1].bias.data.fill_(0)
    found = measured(networks, split_of(30), alphas=[0.5])  # whose first layer is 0
    json.dumps(found, allow_nan=False)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["1"]["baseline"]["mean"] == pytest.approx(2)
    assert layers["1"]["dissimilarity"][0]["mean"] == 0  # 0 is what lies between, too
    assert layers["2"]["dissimilarity"][0]["mean"] == 1
    assert layers["2"]["coefficient"][0]["mean"] == 0
    assert layers["2"]["additivity"][0]["mean"] == FAR


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("share", [0.3, 0.01])
def test_features_that_cancel_are_not_lost_in_rounding(classes, share):
    """Logits of two classes are often opposite: between two networks that disagree, some are nearly 0."""
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(192, classes)).eval() for _ in range(2)]
    with torch.no_grad():
        rows = torch.randn(2, 1, 192, generator=seeding.torch_generator("cancelling"))
        for network, row in zip(networks, (rows[0], share * rows[1] - rows[0]), strict=True):
            network[1].weight.copy_(torch.cat([row, -row] * (classes // 2)) / 10)
            network[1].bias.zero_()
    found = measured(networks, split_of(3000, Images, classes), alphas=[0.5])
    json.dumps(found, allow_nan=False)
    dissimilarity, coefficient = (found["layers"][0][name][0] for name in ("dissimilarity", "coefficient"))
    assert abs(dissimilarity["mean"]) < 1e-4  # one linear layer is linear
    assert dissimilarity["spread"] < 1e-2
    assert coefficient["mean"] == pytest.approx(1, abs=1e-3)
    assert coefficient["spread"] < 0.05


def test_states_of_another_architecture_are_one_line():
    network, split = network_of(0), split_of(5)
    wider, longer = network_of(0, width=16).state_dict(), network_of(0, depth=4).state_dict()
    for a, b in ((wider, wider), (longer, longer), (network.state_dict(), wider), (longer, network.state_dict())):
        with pytest.raises(InputError, match="architecture") as caught:
            measure(network, a, b, ALPHAS, split)
        assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_traced_is_one_line():
    network = Function(lambda m, x: m.head(x.flatten(1)) if x.mean() > 0 else x, head=nn.Linear(192, 10)).double()
    with pytest.raises(InputError, match="cannot be traced"):
        measured([network, network], split_of(5))


def test_features_whose_squares_float32_loses_are_compared_as_any():
    values = torch.randn(2, 7, 40, generator=seeding.torch_generator("small"))
    a, b = values * torch.tensor([1e-24, 1.0, 1e-24, 1.0, 1e-20, 0.0, 1e-30])[:, None]
    found = products.dots((a, a), (a, b), (b, b))
    exact = [(x.double() * y.double()).sum(1) for x, y in ((a, a), (a, b), (b, b))]
    np.testing.assert_allclose(found, torch.stack(exact).numpy(), rtol=1e-4)
    assert (found[0] > 0).tolist() == [True, True, True, True, True, False, True]


@pytest.mark.parametrize("images", [0, 3])
def test_there_is_a_label_for_each_image(images):
    a, b = (network_of(seed).state_dict() for seed in (0, 1))
    pixels, labels = split_of(4)
    for ask in (partial(measure, alphas=[0.5]), stitch):
        with pytest.raises(InputError, match=f"got {images} labels of 4 images"):
            ask(network_of(0), a, b, split=(pixels, labels[:images]))
