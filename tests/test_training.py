import copy

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network, Study
from hidden_structure.networks.build import build
from hidden_structure.seeding import global_seed
from hidden_structure.training import loop
from hidden_structure.training.batches import on_device

CPU = torch.device("cpu")
WIDTH = 8  # fewer channels overrun memory in oneDNN, on processors without AVX-512


def recipe(**changes):
    return Study.model_validate(tiny.study(train={"schedule": "cosine", "lr": 0.05} | changes)).train


def problem(samples: int = 192):
    """Images of four classes with different means, and their labels."""
    draw = np.random.default_rng(0)
    labels = np.arange(samples) % 4
    pixels = draw.integers(30, 220, (4, 8, 8, 3))[labels] + draw.integers(-20, 20, (samples, 8, 8, 3))
    return on_device(pixels.astype(np.uint8), np.full(3, 0.5), np.full(3, 0.25), CPU), torch.from_numpy(labels)


def network(name: str = "resnet", depth: int = 8, norm: str = "batch"):
    with global_seed("initialisation", 0):
        return build(Network(name=name, depth=depth, width=WIDTH, norm=norm), (8, 8, 3), 4)


def fit(train, state=None, precision=torch.float32, **options):
    images, labels = problem()
    state = state or loop.start(network(), train, CPU)
    loop.fit(state, images, labels, train, 0, precision, **options)
    return state


def same_bytes(first, second) -> bool:
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


def test_training_learns_a_separable_problem():
    state = fit(recipe(epochs=20, crop=0, flip=False))
    images, labels = problem()
    loss, accuracy = loop.evaluate(state.network, images, labels, torch.float32)
    assert accuracy > 0.95
    assert loss < state.history[1]["train_loss"]


def test_the_same_seed_trains_the_same_bytes_and_another_seed_others():
    first, second = fit(recipe()), fit(recipe())
    assert same_bytes(first.network, second.network)
    images, labels = problem()
    other = loop.start(network(), recipe(), CPU)
    loop.fit(other, images, labels, recipe(), 1, torch.float32)
    assert not same_bytes(first.network, other.network)


def test_a_diverging_run_names_the_learning_rate_and_keeps_the_last_good_state():
    kept = []
    with pytest.raises(InputError, match=r"epoch \d+: lower train\.lr"):
        fit(recipe(lr=1e3, schedule="constant", epochs=30), after_epoch=lambda state: kept.append(state.epoch))
    assert len(kept) < 30


@pytest.mark.parametrize(("share", "batch_size"), [((0, 1), 193), ((0, 3), 64)])
def test_a_batch_size_that_fits_neither_data_nor_processes_is_named(share, batch_size):
    with pytest.raises(InputError, match=r"train\.batch_size"):
        fit(recipe(batch_size=batch_size), share=share)


def test_evaluation_changes_neither_network_nor_mode():
    images, labels = problem()
    model = network().train()
    before = copy.deepcopy(model)
    loop.evaluate(model, images, labels, torch.float32)
    assert same_bytes(before, model)
    assert model.training


def test_evaluation_does_not_depend_on_the_batch_size():
    images, labels = problem()
    results = [loop.evaluate(network(), images, labels, torch.float32, size) for size in (7, 192)]
    assert results[0] == pytest.approx(results[1], rel=1e-5)


@given(st.sampled_from(["constant", "step", "cosine", "one-cycle"]), st.floats(0, 0.99), st.floats(0, 0.9))
def test_the_rate_never_exceeds_lr_nor_falls_below_zero(schedule, progress, warmup):
    rate = loop.learning_rate(recipe(schedule=schedule, warmup=warmup), progress)
    assert 0 <= rate <= 0.05 + 1e-12


def test_schedules_end_where_they_should():
    step = recipe(schedule="step", milestones=[0.25, 0.5], factor=0.1)
    rates = [loop.learning_rate(step, progress) for progress in (0.2, 0.3, 0.9)]
    assert rates == pytest.approx([0.05, 0.005, 0.0005])
    for schedule in ("cosine", "one-cycle"):
        train = recipe(schedule=schedule, warmup=0.25)
        assert loop.learning_rate(train, 0.25) == pytest.approx(0.05)
        assert loop.learning_rate(train, 1 - 1e-9) == pytest.approx(0, abs=1e-9)


@given(st.integers(1, 1000), st.integers(2, 60))
def test_snapshots_hold_the_first_and_last_epoch_and_no_more_than_asked(epochs, count):
    chosen = loop.snapshot_epochs(epochs, count)
    assert chosen[0] == 0
    assert chosen[-1] == epochs
    assert len(chosen) <= count
    assert chosen == sorted(set(chosen))
