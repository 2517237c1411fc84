"""Children that part within an epoch: the whole state is kept, the trunk does not notice, and the child goes on by its
own draws from there; where k is at an end of an epoch, steps and epochs are the same."""

from collections.abc import Callable

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from hidden_structure.connectivity.spawning import TRUNK, runs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import initialise
from hidden_structure.seeding import torch_generator
from hidden_structure.training import loop, resume
from hidden_structure.training.batches import on_device, training_batches

BATCHES = 4  # of an epoch
TRAIN = {"epochs": 4, "batch_size": 80, "lr": 0.02, "schedule": "cosine", "warmup": 0.3, "crop": 1, "flip": True}
NETWORK = {"norm": "batch", "width": 16}
SPAWN = {"seeds": [0, 1], "network": None, "train": None, "spawned": 1, "epochs": [], "children": [{}, {}]}
SPAWN |= {"widths": [], "weight_decays": []}


def parts(**train):
    plan = params.Study.model_validate(tiny.study(train=TRAIN | train, network=NETWORK))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (325, 8, 8, 1), generator=generator, dtype=torch.uint8).numpy()  # 5 are left over
    images = on_device(pixels, pixels.mean((0, 1, 2)) / 255, pixels.std((0, 1, 2)) / 255, torch.device("cpu"))
    return plan, images, torch.arange(325) % 10


def fresh(plan) -> loop.TrainingState:
    return loop.start(initialise(plan.network, (8, 8, 1), 10, 0), plan.train, torch.device("cpu"))


def content(state) -> dict[str, torch.Tensor]:
    tensors = dict(state.network.state_dict())
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{index}/{name}": torch.as_tensor(slot) for name, slot in slots.items() if slot is not None}
    if state.average is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in state.average.tensors.items()}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def keeping(file, epoch: int, batch: int) -> Callable[[loop.TrainingState], None]:
    def keep(state):
        if (state.epoch, state.batch) == (epoch, batch):
            resume.save(file, state)

    return keep


@pytest.mark.parametrize("averaging", ["none", "exponential", "lookahead"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_a_state_kept_within_an_epoch_is_whole_and_its_trunk_does_not_notice(tmp_path, optimizer, averaging):
    plan, images, labels = parts(optimizer=optimizer, averaging=averaging, averaging_every=3)
    alone, trunk = fresh(plan), fresh(plan)
    loop.fit(alone, images, labels, plan.train, 0, torch.float32)
    keep = keeping(tmp_path / "fork.safetensors", 1, 2)
    loop.fit(trunk, images, labels, plan.train, 0, torch.float32, after_step=keep)
    assert same(content(trunk), content(alone))
    assert trunk.history == alone.history
    children = {}
    for noise in (0, "0-b"):
        child = fresh(plan)
        assert resume.load(tmp_path / "fork.safetensors", child)
        assert (child.epoch, child.batch, len(child.history)) == (1, 2, 2)
        loop.fit(child, images, labels, plan.train, noise, torch.float32)
        assert (child.epoch, child.batch) == (4, 0)
        children[noise] = child
    assert same(content(children[0]), content(trunk))
    assert not same(content(children["0-b"]), content(trunk))
    assert [row["lr"] for row in children["0-b"].history[1:]] == [row["lr"] for row in trunk.history[1:]]


def test_a_child_ends_the_epoch_with_the_batches_that_are_left_of_its_own_order(tmp_path):
    plan, images, labels = parts(crop=0, flip=False)
    numbers, seen = torch.arange(325), []

    def watched(outputs, inputs, numbered):
        seen.append(numbered.tolist())
        return cross_entropy(outputs, labels[numbered]), numbered > 0

    arguments = images, numbers, plan.train
    keep = keeping(tmp_path / "fork.safetensors", 1, 3)
    loop.fit(fresh(plan), *arguments, 0, torch.float32, objective=watched, after_step=keep)
    trunk, child = seen.copy(), fresh(plan)
    seen.clear()
    resume.load(tmp_path / "fork.safetensors", child)
    loop.fit(child, *arguments, "0-b", torch.float32, objective=watched)
    assert len(trunk) == 4 * BATCHES
    assert len(seen) == 4 * BATCHES - 7, "as many steps as were left"
    generators = (torch_generator(name, "0-b", 1) for name in ("order", "augmentation"))
    own = [batch.tolist() for _, batch in training_batches(images, numbers, 80, *generators)]
    assert seen[0] == own[3] != trunk[7]
    assert seen[1:] != trunk[8:]


def test_a_state_beyond_the_end_of_an_epoch_is_refused():
    plan, images, labels = parts()
    state = fresh(plan)
    state.batch = BATCHES
    with pytest.raises(InputError, match="4 batches into an epoch of 4"):
        loop.fit(state, images, labels, plan.train, 0, torch.float32)


def trained(folder, **spawn) -> dict[str, bytes]:
    """The networks by cell, seed and name."""
    folder.mkdir()
    tiny.write_params(folder, spawn=SPAWN | spawn, train=TRAIN, network=NETWORK)
    tiny.write_data(folder)
    done = tiny.in_process(folder, "spawn.py")
    assert done.returncode == 0, done.stderr
    top = folder / paths.SPAWNED
    return {str(file.relative_to(top).with_suffix("")): file.read_bytes() for file in top.rglob("*.safetensors")}


@pytest.mark.parametrize("children", [[{}, {}], [{"lr": 0.01}, {}]])
def test_steps_that_are_epochs_give_their_bytes_and_no_k_changes_another_network(tmp_path, children):
    epochs = trained(tmp_path / "epochs", epochs=[0, 2], children=children)
    steps = trained(tmp_path / "steps", steps=[0, 2 * BATCHES, 5], children=children)
    cell = "width-1-decay-0.0005"
    letters = "b" if children[0] == {} else "ab"
    assert set(epochs) == {
        *(f"{cell}/{seed}/{TRUNK}" for seed in (0, 1)),
        *(f"{cell}/0/0000{k}-{letter}" for k in (0, 2) for letter in letters),
    }
    for letter in letters:
        epochs[f"{cell}/0/00008-steps-{letter}"] = epochs.pop(f"{cell}/0/00002-{letter}")
    within = {name: steps.pop(name) for name in [f"{cell}/0/00005-steps-{letter}" for letter in letters]}
    assert steps == epochs
    assert len({*steps.values(), *within.values()}) == len(steps) + len(within)


def test_a_recipe_has_a_trunk_and_children_of_its_own_and_changes_no_other_network(tmp_path, monkeypatch):
    plain = trained(tmp_path / "plain", steps=[5])
    more = trained(tmp_path / "more", steps=[5], recipes=[{"lr": 0.01, "flip": False}])
    cell = "width-1-decay-0.0005-lr-0.01-flip-false"
    own = {name: more.pop(name) for name in list(more) if name.startswith(cell)}
    assert more == plain
    assert set(own) == {f"{cell}/0/{TRUNK}", f"{cell}/0/00005-steps-b"}
    by_hand = trained(
        tmp_path / "hand", steps=[5], train=tiny.study(train=TRAIN | {"lr": 0.01, "flip": False})["train"]
    )
    assert {name.rpartition("/")[2]: file for name, file in own.items()} == {
        name.rpartition("/")[2]: file for name, file in by_hand.items() if "/0/" in name
    }
    monkeypatch.chdir(tmp_path / "more")
    rows = artifacts.read_json(paths.results("spawn"))
    assert [(row.get("recipe"), row["seed"], row["name"]) for row in rows] == [
        (run.cell.recipe or None, run.seed, run.name) for run in runs(params.load())
    ]


def test_impossible_steps_are_one_line_and_train_nothing(tmp_path):
    with pytest.raises(AssertionError, match=r"spawn\.steps: 16 are not before the last of 16 steps"):
        trained(tmp_path / "late", steps=[16])
    assert not (tmp_path / "late" / paths.SPAWNED).exists()
