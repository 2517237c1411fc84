"""Stitched networks: the same as those put together by hand, in both directions."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from test_graphs import NETWORKS, Function
from test_linearity import CASES, Exact, all_of, network_of, pair_of, split_of, state_of
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from hidden_structure import seeding
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity.layers import measure
from hidden_structure.linearity.stitching import stitch
from hidden_structure.permutation.permuting import apply, draw, invert
from hidden_structure.permutation.symmetry import derive
from hidden_structure.training import batches


def stitched(networks, split):
    return stitch(networks[0], *(state_of(network) for network in networks), split)


@torch.no_grad()
def error_of(network, split):
    return (network(all_of(split)).argmax(1) != split[1]).double().mean().item()


def labelled_by(network, split, share=0.7):
    """Labels of which that share is what the network decides."""
    images, labels = split
    with torch.no_grad():
        decided = network(all_of(split)).argmax(1)
    chosen = torch.rand(len(labels), generator=seeding.torch_generator("chosen")) < share
    return images, torch.where(chosen, decided, labels)


def by_hand_mlp(lower, upper, cut):
    layers = [*lower.hidden[:cut], *upper.hidden[cut:]]
    return nn.Sequential(nn.Flatten(), *layers, upper.head)


def by_hand_resnet(lower, upper, cut):
    """cut: 0 behind the stem, then two in every block; a shortcut goes around the first of those two."""

    def forward(m, images):
        x = m.lower.relu(m.lower.norm(m.lower.conv(images)))
        blocks = [
            block for stage in range(3) for block in zip(m.lower.stages[stage], m.upper.stages[stage], strict=True)
        ]
        for index, (below, above) in enumerate(blocks):
            first, second = 2 * index + 1, 2 * index + 2
            inner = below if first <= cut else above
            outer = below if second <= cut else above
            branch = inner.relu1(inner.norm1(inner.conv1(x)))
            x = outer.relu2(outer.norm2(outer.conv2(branch)) + outer.shortcut(x))
        return m.upper.head(m.upper.flatten(m.upper.pool(x)))

    return Function(forward, lower=lower, upper=upper)


def by_hand_vgg(lower, upper, cut):
    layers = [[layer for stage in network.stages for layer in stage] for network in (lower, upper)]
    place = [index for index, layer in enumerate(layers[0]) if isinstance(layer, nn.ReLU)][cut] + 1
    return nn.Sequential(*layers[0][:place], *layers[1][place:], upper.pool, upper.flatten, upper.head)


BY_HAND = {
    "mlp": (by_hand_mlp, range(2, 9, 2)),
    "mlp with norm": (by_hand_mlp, range(3, 10, 3)),
    "resnet": (by_hand_resnet, range(7)),
    "vgg": (by_hand_vgg, range(8)),
}
DEEP = {"mlp": lambda: [network_of(seed, depth=4) for seed in (0, 1)]}


@pytest.mark.parametrize("case", BY_HAND)
def test_stitched_networks_err_like_those_put_together_by_hand(case):
    networks, (by_hand, cuts) = DEEP.get(case, CASES[case])(), BY_HAND[case]
    split = labelled_by(networks[0], split_of(200))
    found = stitched(networks, split)
    a, b = networks
    assert found["a_below_b"] == pytest.approx([error_of(by_hand(a, b, cut).eval(), split) for cut in cuts])
    assert found["b_below_a"] == pytest.approx([error_of(by_hand(b, a, cut).eval(), split) for cut in cuts])
    assert (found["error_a"], found["error_b"]) == pytest.approx((error_of(a, split), error_of(b, split)))
    assert len(found["layers"]) == len(cuts)
    assert len(set(found["a_below_b"] + found["b_below_a"])) > 3  # or there were nothing to tell apart
    assert error_of(by_hand(a, a, cuts[1]).eval(), split) == pytest.approx(found["error_a"])


def test_the_cuts_are_the_activations_that_linearity_measures():
    for case in CASES:
        networks, split = CASES[case](), split_of(10)
        layers = measure(networks[0], *(state_of(network) for network in networks), [0.5], split)["layers"]
        assert stitched(networks, split)["layers"] == [layer["name"] for layer in layers if "additivity" in layer]


class Tied(nn.Module):
    """One weight on both sides of the cut, read by the code itself: as it is, or as its parametrisation computes it."""

    def __init__(self):
        super().__init__()
        self.first, self.shared = nn.Linear(192, 12), nn.Linear(12, 12)
        self.scale, self.head = nn.Parameter(torch.rand(12) + 0.5), nn.Linear(12, 10)

    def forward(self, images):
        scale, hidden = self.scale.exp(), self.first(images.flatten(1))
        hidden = F.linear(hidden * scale, self.shared.weight).relu()
        return self.head(F.linear(hidden, self.shared.weight * scale).relu())


@pytest.mark.parametrize("how", [lambda layer: None, weight_norm], ids=["plain", "parametrised"])
def test_above_the_cut_a_shared_parameter_is_that_of_the_upper_network(how):
    networks = pair_of(Tied)
    for network in networks:
        how(network.shared)
    split = labelled_by(networks[0], split_of(300))

    def by_hand(lower, upper, cut, images):
        hidden = F.linear(lower.first(images.flatten(1)) * lower.scale.exp(), lower.shared.weight).relu()
        after = upper if cut == 0 else lower
        return upper.head(F.linear(hidden, after.shared.weight * after.scale.exp()).relu())

    found = stitched(networks, split)
    with torch.no_grad():
        for name, pair in (("a_below_b", networks), ("b_below_a", networks[::-1])):
            logits = [by_hand(*pair, cut, all_of(split)) for cut in (0, 1)]
            assert found[name] == [pytest.approx((of.argmax(1) != split[1]).double().mean().item()) for of in logits]
    assert len(set(found["a_below_b"] + found["b_below_a"])) > 2


@pytest.mark.parametrize("case", CASES)
def test_a_network_stitched_to_itself_is_itself(case):
    network = CASES[case]()[0]
    split = labelled_by(network, split_of(50))
    found, error = stitched([network, network], split), error_of(network, split)
    assert found["a_below_b"] == found["b_below_a"] == [pytest.approx(error)] * len(found["layers"])
    assert found["error_a"] == found["error_b"] == pytest.approx(error)


@pytest.mark.parametrize("case", ["mlp with norm", "resnet", "vgg"])
def test_a_permuted_copy_stitches_once_it_is_brought_back(case):
    network = CASES[case]()[0]
    split = labelled_by(network, split_of(100), 1.0)
    symmetry, copy = derive(network, all_of(split)[:2]), deepcopy(network)
    planted = draw(symmetry, seeding.torch_generator("planted"))
    copy.load_state_dict(apply(symmetry, planted, network.state_dict()))
    apart = stitched([network, copy], split)
    assert max(apart["a_below_b"] + apart["b_below_a"]) > 0.1
    assert apart["error_a"] == apart["error_b"] == 0
    copy.load_state_dict(apply(symmetry, invert(symmetry, planted), copy.state_dict()))
    found = stitched([network, copy], split)
    assert {*found["a_below_b"], *found["b_below_a"], found["error_a"], found["error_b"]} == {0}


@pytest.mark.parametrize("constant", [0, 1])
def test_the_upper_network_decides(constant):
    """One network's head says the same whatever it reads: stitched networks say so where it is above, only there."""
    networks, (images, labels) = DEEP["mlp"](), split_of(120)
    networks[constant].head.weight.data.zero_()
    networks[constant].head.bias.data.copy_(torch.eye(10)[3])
    found = stitched(networks, (images, labels))
    expected = (labels != 3).double().mean().item()
    above, below = ("b_below_a", "a_below_b") if constant == 0 else ("a_below_b", "b_below_a")
    assert found[above] == [pytest.approx(expected)] * 4
    assert sum(error != pytest.approx(expected) for error in found[below]) >= 3
    assert found["error_a" if constant == 0 else "error_b"] == pytest.approx(expected)


def test_activations_in_place_are_cut_like_others():
    networks = pair_of(NETWORKS["shared ReLU"][0])
    split = labelled_by(networks[0], split_of(60, classes=5))
    expected = stitched(networks, split)
    assert expected["layers"] == ["relu:0", "relu:1", "relu:2"]
    for network in networks:
        network.relu.inplace = False
    with torch.no_grad():  # what the last one overwrites, nothing reads
        assert stitched(networks, split) == expected


@pytest.mark.parametrize("size", [1, 7])
def test_results_do_not_depend_on_the_batch_size(size, monkeypatch):
    networks = CASES["resnet"]()
    split = labelled_by(networks[0], split_of(30))
    expected = stitched(networks, split)
    monkeypatch.setattr(batches, "MOST", size)
    assert stitched(networks, split) == expected


def test_the_callers_network_and_states_are_left_as_they_were():
    network, other = CASES["resnet"]()
    network.train()
    network.norm.eval()
    modes, before, b = [module.training for module in network.modules()], state_of(network), state_of(other)
    stitch(network, network.state_dict(), b, split_of(10))
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(torch.equal(tensor, b[name]) for name, tensor in other.state_dict().items())


def test_a_network_without_activations_has_no_cut():
    networks = pair_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 10)))
    found = stitched(networks, split_of(10))
    assert (found["layers"], found["a_below_b"], found["b_below_a"]) == ([], [], [])


def test_what_does_not_depend_on_the_images_is_not_cut():
    assert stitched(pair_of(NETWORKS["bias of positions"][0]), split_of(5, Exact, 5))["layers"] == []


def test_states_of_another_architecture_are_one_line():
    network = network_of(0)
    wider = network_of(0, width=16).state_dict()
    for a, b in ((network.state_dict(), wider), (wider, network.state_dict())):
        with pytest.raises(InputError, match="architecture") as caught:
            stitch(network, a, b, split_of(5))
        assert "\n" not in str(caught.value)
