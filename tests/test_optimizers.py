"""Muon beside SGD, and averages of weights: what they do to a network, and that a killed training goes on exactly."""

from itertools import pairwise

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network, Study, Train
from hidden_structure.networks.build import initialise
from hidden_structure.training import averaging, run
from hidden_structure.training.batches import on_device
from hidden_structure.training.optimizers import MuonAndSGD, optimizer, set_rate

CPU = torch.device("cpu")
SPEEDRUN = Network(name="speedrun", depth=None, width=4, norm="batch")
SHORT = {"epochs": 3, "batch_size": 32, "snapshots": 2, "lr": 0.02, "momentum": 0.6}
RECIPES = {
    "muon": {"optimizer": "muon"},
    "muon with rates of its own": {"optimizer": "muon", "shift_rate": 4.0, "decay_vectors": False, "others_rate": 8.0},
    "exponential": {"averaging": "exponential"},
    "lookahead": {"averaging": "lookahead", "averaging_every": 2},
    "muon, lookahead": {"optimizer": "muon", "averaging": "lookahead"},
    "smoothed labels": {"label_smoothing": 0.2},
    "a clean end": {"crop": 2, "flip": True, "clean": 2},
    "all pieces": {
        "flip": True,
        "flips": "alternating",
        "crop": 1,
        "padding": "reflect",
        "clean": 1,
        "label_smoothing": 0.2,
    },
}


def recipe(**changes) -> Train:
    return Study.model_validate(tiny.study(train=SHORT | changes)).train


def network() -> nn.Module:
    return initialise(SPEEDRUN, (12, 12, 3), 4, 0)


def images():
    pixels = np.random.default_rng(0).integers(0, 256, (96, 12, 12, 3), dtype=np.uint8)
    return on_device(pixels, np.full(3, 0.5), np.full(3, 0.25), CPU)


class Killed(Exception):
    """In place of a signal."""


def train(file, changes: dict, killed_after: int | None = None) -> dict[str, torch.Tensor]:
    trained = network()

    def after(state) -> None:
        if state.epoch == killed_after:
            raise Killed

    labels = torch.arange(96) % 4
    run.train(trained, recipe(**changes), 0, images(), labels, torch.float32, file, after=after)
    return trained.state_dict()


@pytest.mark.parametrize("kind", ["exponential", "lookahead"])
def test_an_average_that_would_take_up_no_step_is_refused(kind, tmp_path):
    changes = {"averaging": kind, "averaging_every": 10}  # of nine steps
    with pytest.raises(InputError, match=r"^train.averaging_every: 10 is more than the 9 steps of the training"):
        train(tmp_path / "state", changes)
    assert train(tmp_path / "state", changes | {"averaging_every": 9})


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_is_killed_goes_on_as_if_it_had_not_been(name, tmp_path):
    whole = train(tmp_path / "whole", RECIPES[name])
    with pytest.raises(Killed):
        train(tmp_path / "part", RECIPES[name], killed_after=2)
    rest = train(tmp_path / "part", RECIPES[name])
    assert all(torch.equal(whole[name], rest[name]) for name in whole)


@pytest.mark.parametrize(
    ("without", "piece"),
    [
        ({}, {"optimizer": "muon"}),
        ({"optimizer": "muon"}, {"shift_rate": 4.0}),
        ({"optimizer": "muon"}, {"others_rate": 8.0}),
        ({"optimizer": "muon"}, {"decay_vectors": False}),
        ({"optimizer": "muon"}, {"averaging": "lookahead"}),
        ({}, {"averaging": "exponential"}),
        ({}, {"averaging": "lookahead", "averaging_every": 2}),
        ({}, {"label_smoothing": 0.2}),
        ({}, {"flip": True}),
        ({"flip": True}, {"flips": "alternating"}),
        ({"crop": 1}, {"padding": "reflect"}),
        ({"crop": 2, "flip": True}, {"clean": 2}),
    ],
    ids=str,
)
def test_every_piece_of_a_recipe_makes_a_difference(without, piece, tmp_path):
    plain, changed = train(tmp_path / "plain", without), train(tmp_path / "changed", without | piece)
    assert any(not torch.equal(plain[name], changed[name]) for name in plain)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_hidden_tensors_by_orthogonal_matrices_whatever_their_layout_in_memory(layout):
    """Singular values of the step, over its rate, are near 1: Muon's own iteration keeps them within .7 and 1.2."""
    trained = network().to(memory_format=layout)
    before = {name: parameter.detach().clone() for name, parameter in trained.named_parameters()}
    muon = optimizer(trained, recipe(optimizer="muon", weight_decay=0.0, nesterov=False))
    set_rate(muon, 0.1)
    loss = trained(torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(0))).square().mean()
    loss.backward()
    muon.step()
    gradients = {name: parameter.grad for name, parameter in trained.named_parameters()}
    for name, parameter in trained.named_parameters():
        step = (before[name] - parameter.detach()) / 0.1
        if parameter.ndim == 4 and parameter.requires_grad:
            matrix = step.flatten(1)
            values = torch.linalg.svdvals(matrix / max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5)
            rank = torch.linalg.matrix_rank(gradients[name].flatten(1), rtol=0.05)
            assert (values[:rank] > 0.5).all()
            assert (values < 1.4).all()
        elif parameter.requires_grad and gradients[name] is not None and name != "head.weight":
            assert torch.allclose(step, gradients[name], atol=1e-5)  # SGD's first, without momentum yet


def test_a_step_takes_the_same_share_of_all_weights_away_however_fast_they_learn():
    trained = initialise(SPEEDRUN, (32, 32, 3), 10, 0)
    train = recipe(optimizer="muon", weight_decay=0.1, momentum=0.0, nesterov=False, shift_rate=4.0, others_rate=8.0)
    learning = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    for parameter in learning:
        nn.init.ones_(parameter)  # shifts begin at 0
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in learning]
    both = optimizer(trained, train)
    set_rate(both, train.lr)
    both.step()
    for old, parameter in zip(before, learning, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (1 - train.lr * train.weight_decay))


def test_the_head_and_all_vectors_are_left_to_sgd_and_fixed_filters_alone():
    trained = network()
    muon = optimizer(trained, recipe(optimizer="muon"))
    assert isinstance(muon, MuonAndSGD)
    assert {id(one) for one in muon.tensors} == {
        id(one) for name, one in trained.named_parameters() if one.ndim == 4 and "whitening" not in name
    }
    assert trained.head.weight in set(muon.optimizers[0].param_groups[0]["params"])


def test_the_exponential_average_is_the_weighted_sum_of_the_weights_it_took_up():
    layer, train = nn.Linear(1, 1, bias=False), recipe(averaging="exponential", averaging_every=2, averaging_decay=0.5)
    layer.weight.data.fill_(8.0)
    average = averaging.start(layer, train)
    for step, weight in enumerate([0.0, 4.0, 0.0, 2.0], 1):
        layer.weight.data.fill_(weight)
        averaging.after_step(average, layer, train, step, 4)
    # Kept are .25 of what was there each second step, taken up are 4 and 2.
    assert layer.weight.item() == pytest.approx(0.25 * (0.25 * 8 + 0.75 * 4) + 0.75 * 2)


def test_lookahead_hardly_holds_weights_at_the_start_and_holds_them_at_the_end():
    layer, train = nn.Linear(1, 1, bias=False), recipe(averaging="lookahead", averaging_every=1, averaging_decay=0.95)
    layer.weight.data.fill_(0.0)
    average = averaging.start(layer, train)
    moved = []
    for step in range(1, 101):
        before = layer.weight.item()
        layer.weight.data.add_(1.0)
        averaging.after_step(average, layer, train, step, 101)
        moved.append(layer.weight.item() - before)
    assert moved[0] == pytest.approx(1.0, abs=1e-5)
    assert moved[-1] < 0.1
    assert all(later <= earlier + 1e-4 for earlier, later in pairwise(moved))


def test_counts_are_not_averaged():
    assert not [name for name in averaging.averaged(network()) if name.endswith("num_batches_tracked")]


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    return model


def test_a_weight_that_layers_share_is_averaged_once():
    model, alone = tied(), nn.Linear(3, 3, bias=False)
    train = recipe(averaging="lookahead", averaging_every=1, averaging_decay=0.5)
    for network in (model, alone):
        for parameter in network.parameters():
            nn.init.zeros_(parameter)
        average = averaging.start(network, train)
        for step in range(1, 4):
            for parameter in network.parameters():
                parameter.data.add_(1.0)
            averaging.after_step(average, network, train, step, 4)
    assert torch.equal(model[0].weight, alone.weight)


class Strided(nn.Module):
    """A parameter of three or four dimensions whose rows do not lie one after the other in memory."""

    def __init__(self, shape: tuple[int, ...], plain: bool):
        super().__init__()
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0)).transpose(0, 1)
        self.tensor = nn.Parameter(drawn.contiguous() if plain else drawn)
        self.head = nn.Linear(len(drawn), 2, bias=False)
        nn.init.ones_(self.head.weight)

    def forward(self, inputs):
        return self.head((inputs * self.tensor).flatten(1).sum(1)[None])


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 4, 2, 5)], ids=str)
def test_muon_moves_a_parameter_however_it_lies_in_memory(shape):
    """Also after its weights have been put in from elsewhere, as a resumed training's and look-ahead's are."""
    found = []
    for plain in (True, False):
        model = Strided(shape, plain)
        muon = optimizer(model, recipe(optimizer="muon"))
        before = model.tensor.detach().clone()
        for _ in range(3):
            model.tensor.data.mul_(1.5)
            muon.zero_grad()
            model(torch.arange(float(before.numel())).view(before.shape)).square().sum().backward()
            muon.step()
        assert not torch.allclose(model.tensor, before * 1.5**3)
        found.append(model.tensor.detach())
        muon = optimizer(model, recipe(optimizer="muon", weight_decay=0.0))
        set_rate(muon, 0.0)
        muon.step()
        assert torch.equal(model.tensor, found[-1])
    torch.testing.assert_close(*found)
