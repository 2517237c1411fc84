"""Deriving symmetries leaves the network as it was, whatever its own code keeps on it, and takes what it has kept."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import weight_norm

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation.coverage import movable_share
from hidden_structure.permutation.graphs import trace
from hidden_structure.permutation.linear_matching import match_maps
from hidden_structure.permutation.linear_symmetry import derive_maps
from hidden_structure.permutation.permuting import apply, draw
from hidden_structure.permutation.planted import plant
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights
from hidden_structure.seeding import torch_generator


class Keeping(nn.Module):
    """Two layers, and what its code does with the units between them."""

    def __init__(self, keep, only_in_training=False, **kept):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(12, 6))
        self.head = nn.Linear(6, 3)
        self.register_buffer("average", torch.zeros(6))
        self.keep, self.only_in_training = keep, only_in_training
        for name, value in kept.items():
            setattr(self, name, value)

    def forward(self, x):
        hidden = self.inner(x).relu()
        if self.training or not self.only_in_training:
            self.keep(self, hidden)
        return self.head(hidden)


def assign(network, hidden):
    network.features = hidden
    network.inner.features = hidden


KEPT = {
    "attributes": (assign, {}),
    "a list": (lambda m, h: m.kept.append(h), {"kept": []}),
    "a dictionary": (lambda m, h: m.kept.update(hidden=h), {"kept": {}}),
    "a list in a dictionary": (lambda m, h: m.kept["all"].append(h), {"kept": {"all": []}}),
    "a count": (lambda m, h: setattr(m, "calls", m.calls + 1), {"calls": 0}),
}


def attributes(network):
    """Names and kinds of all that the network's modules hold, and how many of it there are."""

    def described(value):
        if isinstance(value, dict):
            return {name: described(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [described(inner) for inner in value]
        return (type(value), value if isinstance(value, int) else id(value))

    return {name: described(vars(module)) for name, module in network.named_modules()}


@pytest.mark.parametrize(("keep", "kept"), KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("run_before", [True, False])
def test_what_a_forward_pass_keeps_is_what_the_last_one_kept(keep, kept, run_before):
    network, images = Keeping(keep, **copy.deepcopy(kept)), torch.randn(4, 12)
    if run_before:
        network(images)
    before = attributes(network)
    assert derive(network, images).groups
    assert attributes(network) == before


def fail(network, hidden):
    assign(network, hidden)
    if hidden.sum() > 0:
        network.kept = hidden


@pytest.mark.parametrize("images", [None, torch.randn(4, 12)])
def test_nothing_is_left_on_a_network_that_cannot_be_traced(images):
    network = Keeping(fail)
    before = attributes(network)
    with pytest.raises(InputError, match="cannot be traced"):
        trace(network, images)
    assert attributes(network) == before


CHANGING = {
    "a running average": (
        lambda: Keeping(lambda m, h: m.average.mul_(0.9).add_(h.mean(0).detach(), alpha=0.1)),
        lambda: torch.randn(4, 12),
    ),
    "a largest norm": (
        lambda: nn.Sequential(nn.Embedding(11, 6, max_norm=0.1), nn.Flatten(), nn.Linear(30, 3)),
        lambda: torch.arange(10).view(2, 5),
    ),
}


@pytest.mark.parametrize(("make", "images"), CHANGING.values(), ids=CHANGING)
@pytest.mark.parametrize("derived", [derive, derive_maps])
def test_weights_and_buffers_that_a_forward_pass_changes_stay(make, images, derived):
    network = make()
    before = copy.deepcopy(network.state_dict())
    derived(network, images())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def unused_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and in use
        return weight_norm(nn.Linear(2, 2))


PARTS_OF_GRAPHS = {  # which deepcopy refuses
    "a penalty": (lambda m, h: setattr(m, "penalty", h.square().mean()), {}),
    "a list": (lambda m, h: m.kept.append(h), {"kept": []}),
    "a tuple": (lambda m, h: setattr(m, "kept", (h, [h])), {}),
    "a dictionary": (lambda m, h: m.kept.update(hidden=h), {"kept": {}}),
    "a weight of an unused layer": (lambda m, h: m.unused(h[:, :2]), {"unused": unused_norm}),
}


@pytest.mark.parametrize(("keep", "kept"), PARTS_OF_GRAPHS.values(), ids=PARTS_OF_GRAPHS)
@pytest.mark.parametrize("derived", [derive, derive_maps])
def test_what_training_has_kept_is_no_harm(keep, kept, derived):
    kept = {name: value() if callable(value) else copy.copy(value) for name, value in kept.items()}
    network, images = Keeping(keep, only_in_training=True, **kept), torch.randn(4, 12)
    network(images)
    derived(network.eval(), images)


class Counted(nn.Linear):
    """Keeps what is no tensor in its state."""

    def get_extra_state(self):
        return {"epoch": 3}

    def set_extra_state(self, state):
        assert state == {"epoch": 3}


@pytest.mark.parametrize("derived", [derive, derive_maps])
def test_a_state_may_hold_more_than_tensors(derived):
    network = Keeping(lambda m, h: None, extra=nn.Identity())
    network.inner = nn.Sequential(Counted(12, 6))
    found = derived(network, torch.randn(4, 12))
    symmetry = found if derived is derive else found.symmetry
    assert movable_share(symmetry, network.state_dict()) > 0.9
    permuted = apply(symmetry, draw(symmetry, torch_generator("draw")), network.state_dict())
    images, before = torch.randn(4, 12), copy.deepcopy(network)
    load_state(network, permuted)
    torch.testing.assert_close(network(images), before(images))


def test_networks_whose_states_hold_more_than_tensors_are_matched():
    network, images = nn.Sequential(Counted(12, 6), nn.Linear(6, 3)), torch.randn(4, 12)
    other = plant(derive(network, images), network, torch_generator("planted"))[0]
    aligned = match_maps(
        derive_maps(network, images), network.state_dict(), other.state_dict(), torch_generator("match")
    )
    assert aligned.after >= aligned.permuted
    symmetry = derive(network, images)
    matched = match_weights(symmetry, network.state_dict(), other.state_dict(), torch_generator("match"), 1)
    load_state(other, apply(symmetry, matched.permutation, other.state_dict()))
    assert torch.equal(other[0].weight, network[0].weight)


@pytest.mark.parametrize("layer", [nn.LazyLinear, nn.LazyBatchNorm1d])
def test_a_layer_without_sizes_is_refused_in_one_line(layer):
    network = nn.Sequential(nn.Linear(12, 6), layer(6) if layer is nn.LazyLinear else layer(), nn.Linear(6, 3))
    with pytest.raises(InputError, match=r"^1 has no sizes yet: run the network on images once first$"):
        derive(network, torch.randn(4, 12))
    network(torch.randn(4, 12))
    assert derive(network, torch.randn(4, 12)).groups
