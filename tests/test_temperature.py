"""The fitted temperature of a softmax: where the loss is least, and what it makes of a line between networks."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from test_connectivity import network_of, split_of

from hidden_structure import seeding
from hidden_structure.connectivity import line as connectivity
from hidden_structure.connectivity.heights import heights
from hidden_structure.connectivity.temperature import FLATTEST, fitted_temperature, loss_at


def drawn(count, classes=5, sharp=1.0, name="logits"):
    """Logits, and labels drawn from their own softmax: at temperature `sharp` they are calibrated."""
    generator = seeding.torch_generator("temperature", name)
    logits = 3 * torch.randn(count, classes, generator=generator)
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator).squeeze(1)
    return sharp * logits, labels


def asked_for(logits, labels, temperature):
    """The cross-entropy with Platt's targets, written out."""
    count, classes = logits.shape
    targets = torch.full((count, classes), 1 / (count + classes)).double()
    targets[torch.arange(count), labels] = (count + 1) / (count + classes)
    return -(targets * torch.log_softmax(logits.double() / temperature, 1)).sum(1).mean().item()


@pytest.mark.parametrize("sharp", [0.01, 1, 40])
def test_labels_drawn_from_the_softmax_give_its_temperature(sharp):
    logits, labels = drawn(20_000, sharp=sharp)
    assert fitted_temperature(logits, labels) == pytest.approx(sharp, rel=0.05)


@pytest.mark.parametrize("count", [7, 300])
@pytest.mark.parametrize("sharp", [1e-6, 0.3, 1e4])
def test_no_temperature_has_a_smaller_loss(count, sharp):
    logits, labels = drawn(count, sharp=sharp)
    found = fitted_temperature(logits, labels)
    best = minimize_scalar(
        lambda power: asked_for(logits, labels, sharp * math.exp(power)),
        bounds=(-5, 5),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(sharp * math.exp(best.x), rel=1e-4)
    assert asked_for(logits, labels, found) <= best.fun + 1e-12


def test_scale_and_offset_of_logits_change_nothing_that_is_calibrated():
    """A power of two and so exact; the offset, another for every sample, is what a softmax does not see."""
    logits, labels = drawn(500)
    found = fitted_temperature(logits, labels)
    assert fitted_temperature(8 * logits, labels) == pytest.approx(8 * found, rel=1e-9)
    shifted = logits.double() + torch.arange(500)[:, None]
    assert fitted_temperature(shifted, labels) == pytest.approx(found, rel=1e-9)
    assert loss_at(8 * found, 8 * logits, labels) == pytest.approx(loss_at(found, logits, labels), rel=1e-9)


def test_samples_that_are_all_right_have_a_temperature_and_others_a_bounded_loss():
    """Without Platt's targets the temperature would be 0, and one error on other samples would cost without bound."""
    labels = torch.arange(1000) % 10
    logits = torch.nn.functional.one_hot(labels, 10).float()
    found = fitted_temperature(logits, labels)
    assert 1 / found == pytest.approx(math.log(1001), rel=1e-6)  # a right class at 1001 / 1010, all others at 1 / 1010
    assert loss_at(found, logits, (labels + 1) % 10) < 7


def test_logits_that_say_nothing_are_made_flat_at_a_finite_temperature():
    labels = torch.arange(60) % 3
    alike = torch.ones(60, 3)
    assert fitted_temperature(alike, labels) == 1
    assert loss_at(1, alike, labels) == pytest.approx(math.log(3))
    wrong = -torch.nn.functional.one_hot(labels, 3).float()
    found = fitted_temperature(wrong, labels)
    assert found == pytest.approx(wrong[0].std(correction=0).item() / FLATTEST)
    assert loss_at(found, wrong, labels) == pytest.approx(math.log(3), abs=2 * FLATTEST)


def line_of(splits, fitted_on, a=0, b=1, repair=None):
    states = [network_of(seed).state_dict() for seed in (a, b)]
    return connectivity.along_line(
        network_of(2), *states, [0, 0.5, 1], splits, torch.float32, repair, batch_size=25, fitted_on=fitted_on
    )


def test_a_fitted_temperature_leaves_loss_and_accuracy_as_they_are_to_the_bit():
    splits = {"train": split_of(60), "test": split_of(30, "test")}
    plain, fitted = (line_of(splits, on) for on in (None, "train"))
    assert {name: fitted[name] for name in plain} == plain
    assert fitted.keys() - plain.keys() == {"temperature", "train_calibrated_loss", "test_calibrated_loss"}
    barriers = heights(fitted)["barrier"]
    assert set(barriers) == {f"{s}_{q}" for s in splits for q in ("loss", "error", "calibrated_loss")}


def test_every_point_ends_included_has_the_temperature_of_its_training_samples():
    splits = {"train": split_of(60), "test": split_of(30, "test")}
    line, network = line_of(splits, "train"), network_of(2)
    ends = [network_of(seed).state_dict() for seed in (0, 1)]
    for place, alpha in enumerate(line["alphas"]):
        connectivity.interpolate(*ends, alpha, network.state_dict())
        with torch.no_grad():
            logits = {name: network(images.normalise(images.pixels)) for name, (images, _) in splits.items()}
        expected = fitted_temperature(logits["train"], splits["train"][1])
        assert line["temperature"][place] == pytest.approx(expected, rel=1e-4)
        for name, (_, labels) in splits.items():
            assert line[f"{name}_calibrated_loss"][place] == pytest.approx(
                loss_at(expected, logits[name], labels), rel=1e-5
            )
    assert len(set(line["temperature"])) == 3


def test_no_label_of_the_test_set_enters_the_temperature():
    train, (images, labels) = split_of(60), split_of(30, "test")
    found = [line_of({"train": train, "test": (images, chosen)}, "train") for chosen in (labels, labels.flip(0))]
    assert found[0]["temperature"] == found[1]["temperature"]
    assert found[0]["test_calibrated_loss"] != found[1]["test_calibrated_loss"]


def test_logits_that_only_shrink_along_a_line_have_a_barrier_in_loss_and_none_once_calibrated():
    """Of a network and itself, whose logits a repair makes smaller the nearer the middle: no decision changes."""
    train, test = split_of(80), split_of(40, "test")
    network = network_of(0)
    with torch.no_grad():
        network.head.weight *= 30
        splits = {
            name: (images, network(images.normalise(images.pixels)).argmax(1))
            for name, (images, _) in {"train": train, "test": test}.items()
        }
    state = network.state_dict()

    def shrink(network, alpha):
        for parameter in network.head.parameters():
            parameter.data *= 0.02 + 0.98 * (2 * alpha - 1) ** 2

    line = connectivity.along_line(
        network_of(1), state, state, [0, 0.25, 0.5, 1], splits, torch.float32, shrink, fitted_on="train"
    )
    barriers = heights(line)["barrier"]
    assert barriers["test_loss"] > 0.3
    assert barriers["test_error"] == 0
    assert barriers["test_calibrated_loss"] < 1e-4
    assert np.argmin(line["temperature"]) == 2
