"""The straight-through estimator: never worse than its start, deterministic, and it leaves the networks alone."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_permuting import same
from test_symmetry import own
from torch import nn
from torch.nn.functional import cross_entropy

from hidden_structure.frame import sections
from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.matching import MATCHERS, Problem, match
from hidden_structure.permutation.methods import METHODS
from hidden_structure.permutation.straight_through import match_straight_through
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import global_seed, numpy_generator, torch_generator
from hidden_structure.training.batches import evaluation_batches, on_device

RECIPE = sections.StraightThrough(epochs=3, batch_size=16, lr=0.01)


def problem(name="mlp", norm="batch", samples=70):
    pixels = numpy_generator("pixels").integers(0, 256, (samples, 8, 8, 3), dtype=np.uint8)
    images = on_device(pixels, np.full(3, 0.5), np.full(3, 0.3), torch.device("cpu"))
    labels = torch.arange(samples) % 5
    networks = [own(name, 2 if name == "mlp" else 8, 8, norm, seed=seed) for seed in (0, 1)]
    with torch.no_grad():
        for network in networks:  # so that the statistics of BatchNorm are not those of the start
            network.train()
            network(next(evaluation_batches(images, samples)))
    return derive(networks[0], next(evaluation_batches(images, 2))), networks, images, labels


def matched(problem, start=None, recipe=RECIPE, noise=(0, 1)):
    symmetry, networks, images, labels = problem
    a, b = (network.state_dict() for network in networks)
    start = permuting.identity(symmetry) if start is None else start
    return match_straight_through(symmetry, networks[0], a, b, images, labels, recipe, start, torch.float32, *noise)


def midpoint_loss(problem, permutation) -> float:
    """By hand: the half-way network, its BatchNorm in training mode on all images at once."""
    symmetry, networks, images, labels = problem
    a, b = networks[0].state_dict(), permuting.apply(symmetry, permutation, networks[1].state_dict())
    network = own("mlp", 2, 8, "batch")
    network.load_state_dict({name: (a[name] + b[name]) / 2 if a[name].is_floating_point() else a[name] for name in a})
    with torch.no_grad():
        logits = network.train()(next(evaluation_batches(images, len(labels))))
    return cross_entropy(logits, labels).item()


@pytest.mark.parametrize(("name", "norm"), [("mlp", "batch"), ("mlp", "none"), ("mlp", "layer"), ("resnet", "group")])
def test_it_never_ends_above_its_start(name, norm):
    one = problem(name, norm)
    for lr in (0.001, 1.0):
        start = permuting.draw(one[0], torch_generator("start", lr))
        found = matched(one, start, RECIPE.model_copy(update={"lr": lr, "epochs": 2}))
        assert found.after >= found.before
        permuting.check(one[0], found.permutation)


def test_the_objective_is_minus_the_loss_half_way():
    one = problem()
    start = permuting.draw(one[0], torch_generator("start"))
    found = matched(one, start)
    assert found.before == pytest.approx(-midpoint_loss(one, start), rel=1e-5)
    assert found.after == pytest.approx(-midpoint_loss(one, found.permutation), rel=1e-5)
    assert found.after > found.before, "nothing was found: the test says little"


def test_the_order_of_samples_is_that_of_its_name():
    one = problem()
    first, again = matched(one), matched(one)
    assert same(first.permutation, again.permutation)
    assert (first.before, first.after) == (again.before, again.after)


@pytest.mark.parametrize("training", [True, False])
def test_networks_and_modes_are_left_as_they_are(training):
    one = problem()
    network = one[1][0].train(training)
    network.hidden.norm1.train(not training)
    modes = [module.training for module in network.modules()]
    before = [{name: tensor.clone() for name, tensor in each.state_dict().items()} for each in one[1]]
    matched(one)
    assert [module.training for module in network.modules()] == modes
    assert all(same(each.state_dict(), state) for each, state in zip(one[1], before, strict=True))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


def test_a_batch_larger_than_the_images_is_refused():
    with pytest.raises(InputError, match=r"^permute.ste.batch_size: 71 is more than the 70 images") as error:
        matched(problem(), recipe=RECIPE.model_copy(update={"batch_size": 71}))
    assert "\n" not in str(error.value)
    assert matched(problem(), recipe=RECIPE.model_copy(update={"batch_size": 70})).after < 0


def test_networks_that_diverged_are_refused():
    one = problem()
    with torch.no_grad():
        one[1][1].hidden.linear1.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="is not finite"):
        matched(one)


@pytest.mark.parametrize("samples", [501, 2])
def test_no_batch_of_one_image_is_left(samples):
    """BatchNorm in training mode cannot take one."""
    recipe = RECIPE.model_copy(update={"epochs": 1, "batch_size": 2 if samples == 2 else 250})
    assert np.isfinite(matched(problem(samples=samples), recipe=recipe).after)


def test_batches_of_one_image_are_refused():
    """BatchNorm could not take them."""
    with pytest.raises(ValidationError):
        sections.StraightThrough(epochs=1, batch_size=1, lr=0.01)


def test_all_methods_start_from_the_same_networks():
    symmetry, networks, images, labels = problem()
    recipe = sections.Permute(methods=list(METHODS), restarts=2, samples=70, ste=RECIPE)
    found = match(Problem(symmetry, networks, images, labels, recipe, torch.float32, (0, 1)))
    assert list(found) == list(METHODS) == list(MATCHERS)
    one = (symmetry, networks, images, labels)
    assert found["ste"].before == pytest.approx(-midpoint_loss(one, found["weights"].permutation), rel=1e-5)
    for method in found:
        assert found[method].after >= found[method].before
        only = recipe.model_copy(update={"methods": [method]})
        alone = match(Problem(symmetry, networks, images, labels, only, torch.float32, (0, 1)))
        assert list(alone) == [method]
        assert same(alone[method].permutation, found[method].permutation), "a method depends on the others asked for"


class Tied(nn.Module):
    """Two layers that share a weight, which then has two names in the state dict."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(192, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.third.weight = self.second.weight
        self.head = nn.Linear(6, 5)

    def forward(self, images):
        return self.head(self.third(self.second(self.first(images.flatten(1)).relu()).relu()).relu())


def test_layers_may_share_a_weight():
    _, _, images, labels = problem()
    networks = [initialised(seed) for seed in (0, 1)]
    symmetry = derive(networks[0], next(evaluation_batches(images, 2)))
    found = matched((symmetry, networks, images, labels))
    assert found.after >= found.before
    b = permuting.apply(symmetry, found.permutation, networks[1].state_dict())
    assert torch.equal(b["second.weight"], b["third.weight"])


def initialised(seed):
    with global_seed("tied", seed):
        return Tied().eval()
