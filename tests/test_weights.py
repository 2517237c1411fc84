"""Tensors of a network: loaded from where no versions are kept, and written where a layer computes its weight."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torchvision.models import MNASNet

from hidden_structure.connectivity.line import interpolate
from hidden_structure.frame import artifacts
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.weights import as_state, computed, copy_of, load_state, writer
from hidden_structure.permutation.permuting import apply, draw
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import global_seed, torch_generator
from hidden_structure.training import loop, resume


class Versioned(nn.Module):
    """Looks at the version of what it is given, as mnasnet does."""

    _version = 2

    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(12, 6), nn.Linear(6, 3)

    def forward(self, images):
        return self.head(self.hidden(images.flatten(1)).relu())

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *others):
        version = local_metadata.get("version")
        assert version in (1, 2), f"version should be set to 1 or 2 instead of {version}"
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


def mnasnet():
    return MNASNet(0.1, num_classes=3)


def two(make):
    networks = []
    for seed in range(2):
        with global_seed("initialisation", seed):
            networks.append(make())
    return networks


def same(network, other):
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("make", [Versioned, mnasnet])
def test_stored_tensors_load_into_a_module_that_asks_for_a_version(make, tmp_path):
    network, other = two(make)
    artifacts.write_tensors(tmp_path / "network.safetensors", network.state_dict())
    load_state(other, artifacts.read_tensors(tmp_path / "network.safetensors"))
    assert same(network, other)


def test_training_of_a_module_that_asks_for_a_version_is_resumed(tmp_path):
    states = [loop.TrainingState(network, torch.optim.SGD(network.parameters(), 0.1)) for network in two(Versioned)]
    resume.save(tmp_path / "state.safetensors", states[0])
    assert resume.load(tmp_path / "state.safetensors", states[1])
    assert same(states[0].network, states[1].network)


def test_permuted_and_interpolated_states_keep_their_versions():
    network, other = two(Versioned)
    symmetry = derive(network, torch.randn(2, 3, 2, 2, generator=torch_generator("images")))
    permuted = apply(symmetry, draw(symmetry, torch_generator("planted")), network.state_dict())
    for state in (permuted, interpolate(permuted, other.state_dict(), 0.5)):
        other.load_state_dict(state)
    plain = dict(network.state_dict())
    assert not hasattr(as_state(plain, plain), "_metadata")
    assert apply(symmetry, draw(symmetry, torch_generator("planted")), plain).keys() == plain.keys()


def test_tensors_of_another_architecture_are_one_line():
    with pytest.raises(InputError, match="of another architecture") as caught:
        load_state(Versioned(), mnasnet().state_dict())
    assert "\n" not in str(caught.value)


HOOKS = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.5),
}


@pytest.fixture(params=HOOKS)
def hooked(request):
    layer = nn.Linear(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and in use
        HOOKS[request.param](layer)
    layer(torch.randn(2, 4))  # whose weight is now part of a graph
    return layer.eval()


def test_what_hooks_computed_is_copied_by_value(hooked):
    images, copy = torch.randn(2, 4), copy_of(hooked)
    assert torch.equal(copy(images), hooked(images))
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(1)
    assert not torch.equal(copy(images), hooked(images))


@torch.no_grad()
def test_the_computed_weight_is_that_of_the_next_pass(hooked):
    for parameter in hooked.parameters():
        parameter.add_(torch.rand(parameter.shape))
    weight, images = computed(hooked, "weight").clone(), torch.randn(2, 4)
    torch.testing.assert_close(hooked(images), images @ weight.T + hooked.bias)


@pytest.mark.parametrize("how", [nn.Identity(), parametrizations.weight_norm], ids=["plain", "weight_norm"])
@torch.no_grad()
def test_nothing_is_written_before_it_is_asked_for(how):
    layer, scale = how(nn.Linear(4, 3)), torch.tensor([[2.0], [0.0], [0.5]])
    before = layer.weight.clone()
    write = writer(layer, "weight", scale)
    assert torch.equal(layer.weight, before)
    write()
    torch.testing.assert_close(layer.weight, before * scale)
