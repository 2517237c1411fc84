import copy
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import dropout

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network, Study
from hidden_structure.networks.build import build
from hidden_structure.seeding import global_seed
from hidden_structure.training import loop, resume, run
from hidden_structure.training.batches import on_device
from hidden_structure.training.noise import noise
from hidden_structure.training.whitening import whiten

CPU = torch.device("cpu")
WIDTH = 8


def recipe(**changes):
    return Study.model_validate(tiny.study(train={"schedule": "cosine", "lr": 0.05} | changes, distill=None)).train


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


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"lr": 1e12}, "lower spawn.train.lr (1000000000000.0) or spawn.train.weight_decay (0.0005)"),
        ({"weight_decay": 1e6}, "lower spawn.train.weight_decay (1000000.0) or spawn.train.lr (0.05)"),
        ({"lr": 1e12, "weight_decay": 0.0}, "lower spawn.train.lr (1000000000000.0)"),
        ({"lr": 1e12, "weight_decay": 0.0, "momentum": 0.99}, "lr (1000000000000.0) or spawn.train.momentum (0.99)"),
    ],
    ids=str,
)
def test_what_can_make_a_run_diverge_is_named_with_its_place_in_the_params(changes, advice):
    train = recipe(schedule="constant", epochs=30).model_copy(update=changes)  # beyond what params allow
    with pytest.raises(loop.Diverged) as told:
        fit(train, section="spawn.train")
    assert str(told.value).endswith(advice)


def test_a_last_step_to_infinity_is_no_result():
    """Its loss was still finite: it was measured before the step."""
    kept, once = [], recipe(schedule="constant").model_copy(update={"epochs": 1, "lr": 1e300, "batch_size": 192})
    with pytest.raises(loop.Diverged, match=r"the last step made weights infinite or NaN: lower train\.lr"):
        fit(once, after_epoch=kept.append)
    assert not kept


@pytest.mark.parametrize(("share", "batch_size"), [((0, 1), 193), ((0, 3), 64)])
def test_a_batch_size_that_fits_neither_data_nor_processes_is_named(share, batch_size):
    with pytest.raises(InputError, match=r"train\.batch_size"):
        fit(recipe(batch_size=batch_size), share=share)


@pytest.mark.parametrize(("network_name", "norm", "refused"), [("mlp", "batch", True), ("mlp", "layer", False)])
def test_batches_of_one_image_are_refused_before_a_step_where_norms_need_more(network_name, norm, refused):
    train = recipe(batch_size=1, crop=0, flip=False).model_copy(update={"epochs": 1})
    made = network(network_name, 1, norm)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    state = loop.start(made, train, CPU)
    if not refused:
        fit(train, state)
        assert state.epoch == 1
        return
    with pytest.raises(InputError, match=r"train\.batch_size: one image has no variance"):
        fit(train, state)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_every_layer_of_a_network_for_which_channels_last_is_not_safe_gets_plain_memory():
    train, seen = recipe().model_copy(update={"epochs": 1}), []
    for width in (4, 8):
        with global_seed("initialisation", 0):
            model = build(Network(name="resnet", depth=8, width=width, norm="batch"), (8, 8, 3), 4)
        state = loop.start(model, train, CPU)
        model.stages[1][0].shortcut.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].stride(1)))
        fit(train, state)
        assert all((stride == 1) == (width == 8) for stride in seen)
        assert seen
        seen.clear()


UNSAFE = """
import numpy as np, torch
from hidden_structure.frame.params import Train
from hidden_structure.networks.resnet import ResNet
from hidden_structure.training import loop
from hidden_structure.training.batches import on_device
torch.manual_seed(0)
network, twin = ResNet(3, 4, 8, 4, "batch"), ResNet(3, 4, 8, 4, "batch").double()
twin.load_state_dict(network.state_dict())
pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
images, labels = on_device(pixels, np.full(3, 0.5), np.full(3, 0.25), torch.device("cpu")), torch.arange(64) % 4
recipe = Train.model_validate(RECIPE)
loop.fit(loop.start(network, recipe, torch.device("cpu")), images, labels, recipe, 0, torch.float32)
loss, _ = loop.classify(twin(images.normalise(images.pixels).double().contiguous()), None, labels)
loss.backward()
for ours, exact in zip(network.parameters(), twin.parameters()):
    assert torch.allclose(ours.double(), exact - exact.grad, atol=1e-4)
"""


def test_a_narrow_network_trains_by_its_gradient_where_onednn_has_no_more_than_avx2():
    """In channels-last its gradient is wrong there, or the process dies."""
    plain = {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "crop": 0, "flip": False}
    one_step = {"epochs": 1, "snapshots": 2, "batch_size": 64, "lr": 1.0, "schedule": "constant", "warmup": 0.0}
    train = recipe().model_dump() | plain | one_step
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", UNSAFE.replace("RECIPE", repr(train))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_evaluation_changes_neither_network_nor_mode():
    images, labels = problem()
    model = network().train()
    model.norm.eval()  # as one freezes BatchNorm
    before = copy.deepcopy(model)
    loop.evaluate(model, images, labels, torch.float32)
    assert same_bytes(before, model)
    assert model.training
    assert not model.norm.training


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


def test_label_smoothing_leaves_a_loss_that_accuracy_does_not_show():
    plain, smooth = (fit(recipe(epochs=20, crop=0, label_smoothing=share)) for share in (0.0, 0.2))
    assert smooth.history[-1]["train_accuracy"] > 0.9
    floor = -(0.85 * np.log(0.85) + 3 * 0.05 * np.log(0.05))  # the entropy of the smoothed target
    assert smooth.history[-1]["train_loss"] > floor > plain.history[-1]["train_loss"]


def test_the_last_epochs_can_show_images_as_they_are():
    """After them training goes on as without augmentation from the same weights."""
    augmented, clean = recipe(crop=1, flip=True, epochs=3), recipe(crop=1, flip=True, epochs=3, clean=3)
    without = recipe(crop=0, flip=False, epochs=3)
    assert same_bytes(fit(clean).network, fit(without).network)
    assert not same_bytes(fit(augmented).network, fit(without).network)


def test_vectors_are_spared_from_decay_and_shifts_have_a_rate_of_their_own():
    model = network()
    train = recipe(weight_decay=0.1, decay_vectors=False, shift_rate=64.0)
    groups = loop.start(model, train, CPU).optimizer.param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for group in groups:
        matrices = {parameter.ndim > 1 for parameter in group["params"]}
        assert matrices == {group["weight_decay"] > 0}
    shifts = next(group["params"] for group in groups if group.get("scale") == 64.0)
    assert {id(parameter) for parameter in shifts} == {
        id(parameter) for name, parameter in model.named_parameters() if "norm" in name and name.endswith("bias")
    }


def test_a_higher_rate_of_shifts_moves_them_as_many_times_as_far_and_forgets_no_faster():
    moved = []
    for rate in (1.0, 8.0):
        train = recipe(optimizer="sgd", momentum=0.0, nesterov=False, weight_decay=0.5, shift_rate=rate)
        model = network()
        with torch.no_grad():
            model.norm.bias.fill_(1.0)
        state = loop.start(model, train, CPU)
        images, labels = problem(8)

        def objective(outputs, inputs, targets, shift=model.norm.bias):  # whose gradient is 1 for each of these
            return shift.sum() + 0 * outputs.sum(), targets == targets

        loop.step(model, state.optimizer, images.normalise(images.pixels), labels, 0.1, torch.float32, objective)
        moved.append((1.0 - model.norm.bias).mean().item())
    gradient, decay = 1.0, 0.5
    assert moved[0] == pytest.approx(0.1 * (gradient + decay))
    assert moved[1] == pytest.approx(0.1 * (8 * gradient + decay))


def test_both_sides_of_an_image_count_alike():
    """Accuracy over the mean of the logits does not change when all images are mirrored; that of one side does."""
    images, labels = problem()
    mirrored = replace(images, pixels=images.pixels.flip(2))
    trained = network()
    first, second = (
        loop.evaluate(trained, each, labels, torch.float32, both_sides=True) for each in (images, mirrored)
    )
    assert first == pytest.approx(second, rel=1e-5)
    one, other = (loop.evaluate(trained, each, labels, torch.float32) for each in (images, mirrored))
    assert one[0] != pytest.approx(other[0], rel=1e-5)


class Noisy(nn.Module):
    """Dropout that no module says of, and a branch that is left out at random."""

    def __init__(self):
        super().__init__()
        self.hidden, self.branch, self.head = nn.Linear(192, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, images):
        features = dropout(self.hidden(images.flatten(1)).relu(), 0.5, self.training)
        if not self.training or torch.rand(()) < 0.5:
            features = features + self.branch(features)
        return self.head(features)


@pytest.fixture
def late(monkeypatch):
    """From which step of a training on `Late` drops half of its features."""
    monkeypatch.setattr(Late, "steps", 0)
    return Late


class Late(Noisy):
    """Draws nothing in its first steps, as where dropout is scheduled by the network itself."""

    steps = 0

    def forward(self, images):
        if self.training:
            Late.steps += 1
        return super().forward(images) if Late.steps > 3 else self.head(self.hidden(images.flatten(1)).relu())


@pytest.mark.parametrize("kind", [Noisy, Late])
def test_what_a_network_draws_depends_on_its_seed_and_step_alone(tmp_path, late, kind):
    """Not on what ran before in the process, nor on whether training went on from a file in the middle of an epoch."""
    train, trained = recipe(epochs=3, batch_size=32), []
    images, labels = problem()

    def begun():
        with global_seed("initialisation", 0):
            return loop.start(kind(), train, CPU)

    for before in (1, 2):
        state, late.steps = begun(), 0
        torch.manual_seed(before)
        left = torch.get_rng_state()

        def keep(state):
            if (state.epoch, state.batch) == (1, 2):
                resume.save(tmp_path / "state", state)

        loop.fit(state, images, labels, train, 0, torch.float32, after_step=keep)
        assert torch.equal(torch.get_rng_state(), left)
        trained.append(state.network)
    state, late.steps = begun(), 8
    assert resume.load(tmp_path / "state", state)
    loop.fit(state, images, labels, train, 0, torch.float32)
    assert same_bytes(trained[0], trained[1])
    assert same_bytes(trained[0], state.network)


def test_every_seed_epoch_step_and_process_draws_for_itself():
    drawn = []
    for names in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        with noise(CPU, *names) as begin:
            for step in (0, 1, 0):
                begin(step)
                drawn.append(torch.rand(()).item())
    assert drawn[0::3] == drawn[2::3]
    assert len(set(drawn)) == 8
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    with pytest.raises(ZeroDivisionError), noise(CPU, 0) as begin:  # noqa: PT012
        begin(0)
        raise ZeroDivisionError
    assert torch.rand(()) == expected


def test_an_average_begins_with_the_weights_that_training_begins_with(tmp_path):
    """A whitened first layer is no longer what it was drawn as; with so short a training half of that would be left."""
    description = Network(name="speedrun", depth=None, width=4, norm="batch")
    average = {"averaging": "exponential", "averaging_every": 1, "averaging_decay": 0.99}
    train = recipe().model_copy(update={"epochs": 1} | average)
    images, labels = problem()
    images = replace(images, pixels=images.pixels.repeat_interleave(2, 1).repeat_interleave(2, 2))
    with global_seed("initialisation", 0):
        made = build(description, (16, 16, 3), 4)
    frozen = {name: value for name, value in made.named_parameters() if not value.requires_grad}
    run.train(made, train, 0, images, labels, torch.float32, tmp_path / "state")
    expected = copy.deepcopy(made)
    whiten(expected, images)
    assert frozen
    for name in frozen:
        torch.testing.assert_close(made.get_parameter(name), expected.get_parameter(name))
