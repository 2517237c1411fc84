"""Trunks and children: a fork is the trunk's state, all of it, and what is trained does not depend on kills."""

from types import SimpleNamespace

import pytest
import tiny
import torch

from hidden_structure.connectivity.spawning import TRUNK, pairs, runs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.build import build
from hidden_structure.seeding import global_seed
from hidden_structure.training import loop, resume
from hidden_structure.training.batches import on_device

SPAWN = {"seeds": [0, 1], "network": None, "train": None, "spawned": 1, "epochs": [0, 2], "children": [{}, {}]}
SPAWN |= {"widths": [0.5], "weight_decays": []}
TRAIN = {"epochs": 4, "batch_size": 80}
NETWORK = {"norm": "batch", "width": 16}


def prepare(folder, spawn=None, **sections):
    tiny.write_params(folder, **({"spawn": SPAWN | (spawn or {}), "train": TRAIN, "network": NETWORK} | sections))
    tiny.write_data(folder)
    return folder


@pytest.fixture
def study(tmp_path):
    return prepare(tmp_path)


def results(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for top in (paths.SPAWNED, paths.RESULTS)
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def stage(folder, script="spawn.py", *arguments) -> SimpleNamespace:
    return tiny.in_process(folder, script, *arguments)


def run(folder) -> None:
    done = stage(folder)
    assert done.returncode == 0, done.stderr


# --- the library: what a fork is ---


def parts(optimizer="sgd", **train):
    recipe = {"epochs": 4, "batch_size": 80, "optimizer": optimizer, "lr": 0.01, "schedule": "cosine", "warmup": 0.3}
    plan = params.Study.model_validate(tiny.study(train=recipe | train, network=NETWORK))
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (320, 8, 8, 1), generator=generator, dtype=torch.uint8).numpy()
    images = on_device(pixels, pixels.mean((0, 1, 2)) / 255, pixels.std((0, 1, 2)) / 255, torch.device("cpu"))
    return plan, images, torch.arange(320) % 10


def fresh(plan):
    with global_seed("initialisation", 0):
        network = build(plan.network, (8, 8, 1), 10)
    return loop.start(network, plan.train, torch.device("cpu"))


def content(state) -> dict[str, torch.Tensor]:
    tensors = dict(state.network.state_dict())
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{index}/{name}": torch.as_tensor(slot) for name, slot in slots.items() if slot is not None}
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("k", [0, 2])
def test_a_fork_goes_on_as_its_trunk_or_by_its_own_noise(tmp_path, k, optimizer):
    plan, images, labels = parts(optimizer)

    def keep(state):
        if state.epoch == k:
            resume.save(tmp_path / "fork.safetensors", state)

    trunk = fresh(plan)
    keep(trunk)
    loop.fit(trunk, images, labels, plan.train, 0, torch.float32, after_epoch=keep)
    children = {}
    for noise in (0, "0-b"):
        child = fresh(plan)
        assert resume.load(tmp_path / "fork.safetensors", child)
        assert (child.epoch, len(child.history)) == (k, k + 1)
        loop.fit(child, images, labels, plan.train, noise, torch.float32)
        children[noise] = child
    assert same(content(children[0]), content(trunk))
    assert children[0].history == trunk.history
    assert not same(content(children["0-b"]), content(trunk))
    assert [row["lr"] for row in children["0-b"].history[1:]] == [row["lr"] for row in trunk.history[1:]]
    assert children["0-b"].history[: k + 1] == trunk.history[: k + 1]


def test_a_fork_has_the_trunks_weights_statistics_and_momentum(tmp_path):
    plan, images, labels = parts()
    trunk = fresh(plan)
    loop.fit(trunk, images, labels, plan.train.model_copy(update={"epochs": 2}), 0, torch.float32)
    resume.save(tmp_path / "fork.safetensors", trunk)
    child = fresh(plan)
    before = content(child)
    resume.load(tmp_path / "fork.safetensors", child)
    assert same(content(child), content(trunk))
    assert any("momentum_buffer" in name for name in content(child))
    assert not torch.equal(before["hidden.norm1.running_mean"], content(child)["hidden.norm1.running_mean"])


# --- the stage ---


def test_two_runs_write_the_same_bytes_and_leave_no_training_state(study, tmp_path_factory):
    other = prepare(tmp_path_factory.mktemp("other"))
    for folder in (study, other):
        run(folder)
        assert not list((folder / paths.RESUME).iterdir())
    assert results(study) == results(other)


def test_networks_are_those_that_the_plan_names_and_parted_where_it_says(study, monkeypatch):
    stale = study / paths.spawned("width-9-decay-0", 7, TRUNK)
    stale.parent.mkdir(parents=True)
    stale.write_text("of another run")
    run(study)
    assert not stale.exists()
    monkeypatch.chdir(study)
    plan = params.load()
    networks = {(r.cell.name, r.seed, r.name): paths.spawned(r.cell.name, r.seed, r.name) for r in runs(plan)}
    assert {path for path in paths.SPAWNED.rglob("*") if path.is_file()} == set(networks.values())
    assert len({path.read_bytes() for path in networks.values()}) == len(networks)
    for pair in pairs(plan):
        assert {(pair.cell.name, *pair.a), (pair.cell.name, *pair.b)} <= networks.keys()
    rows = artifacts.read_json(paths.results("spawn"))
    assert [(row["seed"], row["name"]) for row in rows] == [(r.seed, r.name) for r in runs(plan)]
    assert all(row["test_accuracy"] > 0.3 for row in rows if row["width"] == 1)
    assert artifacts.read_json(paths.results("hardware-spawn"))


def test_children_are_forks_of_their_trunk_trained_by_hand(study, monkeypatch):
    """Each network of the stage again, from library functions alone."""
    run(study)
    monkeypatch.chdir(study)
    plan = params.load()
    data, labels = artifacts.read_arrays(paths.DATA), artifacts.read_arrays(paths.labels("fine"))
    images = on_device(data["train_images"], data["mean"], data["std"], torch.device("cpu"))
    targets = torch.from_numpy(labels["train"])
    trunk = next(each for each in runs(plan) if each.name == TRUNK)
    for child in (each for each in runs(plan) if each.fork is not None):
        with global_seed("initialisation", child.seed):
            network = build(child.cell.network, (8, 8, 1), 10)
        state = loop.start(network, trunk.train, torch.device("cpu"))
        # The schedule is that of the whole run, so the trunk stops by an exception.
        if child.fork:

            def stop(state, fork=child.fork):
                if state.epoch == fork:
                    raise StopIteration

            with pytest.raises(StopIteration):
                loop.fit(state, images, targets, trunk.train, trunk.noise, torch.float32, after_epoch=stop)
        assert state.epoch == child.fork
        loop.fit(state, images, targets, child.train, child.noise, torch.float32)
        found = artifacts.read_tensors(paths.spawned(child.cell.name, child.seed, child.name))
        assert same(found, dict(state.network.state_dict()))


def test_a_trunk_is_the_network_that_train_makes(study):
    run(study)
    assert stage(study, "train.py", "fine").returncode == 0
    for seed in (0, 1):
        trunk = study / paths.spawned("width-1-decay-0.0005", seed, TRUNK)
        assert trunk.read_bytes() == (study / paths.model("fine", seed)).read_bytes()
    assert (study / paths.spawned("width-0.5-decay-0.0005", 0, TRUNK)).read_bytes() != trunk.read_bytes()


def test_a_child_with_another_optimizer_than_its_trunk_is_refused(study):
    """Adam would find SGD's momentum where its own state should be."""
    prepare(study, {"children": [{}, {"optimizer": "adam", "lr": 0.001}]})
    done = stage(study)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "optimizer" in done.stderr


def test_a_trunk_whose_fork_is_lost_is_trained_again(study, tmp_path_factory):
    """A trunk's fork was lost, with a child that has yet to leave there."""
    whole = prepare(tmp_path_factory.mktemp("whole"))
    run(whole)
    save = resume.save

    def dies(path, state):
        if path.stem == "00000-b":
            raise tiny.Killed
        save(path, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "save", dies)
        with pytest.raises(tiny.Killed):
            stage(study)
    lost = list(study.glob("artifacts/resume/*/*/0/fork-2*"))
    assert lost
    for path in lost:
        path.unlink()
    run(study)
    assert results(study) == results(whole)


FEWER = {"seeds": [0, 1], "spawned": 1, "epochs": [2], "steps": [6], "widths": [], "weight_decays": []}
MORE = [
    {"seeds": [0, 1, 2, 3]},
    {"spawned": 2},
    {"epochs": [0, 2]},
    {"steps": [1, 6]},
    {"widths": [0.5], "weight_decays": [0.01]},
    {"recipes": [{"lr": 0.05}]},
]


@pytest.mark.parametrize("more", MORE, ids=str)
def test_networks_that_are_kept_are_not_trained_again(tmp_path, monkeypatch, more):
    """Whatever is asked for besides; and what comes out is what training all of them gives."""
    kept, whole = tmp_path / "kept", tmp_path / "whole"
    for folder in (kept, whole):
        folder.mkdir()
    monkeypatch.setenv("HIDDEN_STRUCTURE_KEEP", "1")
    run(prepare(kept, FEWER))
    children = results(kept)
    prepare(kept, FEWER | more)
    trained, train = [], loop.fit
    monkeypatch.setattr(
        loop, "fit", lambda state, *given, **named: trained.append(state) or train(state, *given, **named)
    )
    run(kept)
    again = len(trained)
    run(prepare(whole, FEWER | more))
    assert results(kept) == results(whole)
    assert len(children) < len(results(kept))
    assert again < len(trained) - again  # a trunk at most, where children leave it elsewhere
    run(kept)
    assert results(kept) == results(whole)


def test_a_trunk_that_was_cut_short_after_a_fork_that_is_asked_for_now_is_trained_again(tmp_path, monkeypatch):
    kept, whole = tmp_path / "kept", tmp_path / "whole"
    for folder in (kept, whole):
        folder.mkdir()
        prepare(folder, {"epochs": [3]})
    save = resume.save

    def dies(path, state):
        save(path, state)
        if path.stem == TRUNK and state.epoch == 3:
            raise tiny.Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "save", dies)
        patch.setattr("hidden_structure.training.run.SECONDS", 0)
        with pytest.raises(tiny.Killed):
            stage(kept)
    steps, step = [], loop.step
    monkeypatch.setattr(loop, "step", lambda *given, **named: steps.append(given) or step(*given, **named))
    counts = []
    for folder in (kept, whole):
        run(prepare(folder, {"epochs": [1, 3]}))
        counts.append(len(steps) - sum(counts))
    assert results(kept) == results(whole)
    assert counts[0] <= counts[1], "it was not trained to its end before it was begun again"


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"spawn": SPAWN | {"widths": [0.3]}}, "spawn.widths"),
        ({"spawn": SPAWN | {"spawned": 3}}, "spawn.spawned"),
        ({"spawn": SPAWN, "train": TRAIN | {"lr": 1e3}}, "lr"),
        ({"spawn": SPAWN, "train": TRAIN | {"batch_size": 1000}}, "batch_size"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_writes_nothing(study, sections, message):
    tiny.write_params(study, **sections)
    done = stage(study)
    assert done.returncode == 1
    assert message in done.stderr
    assert "\n" not in done.stderr
    assert not results(study)


def test_params_that_other_stages_use_do_not_change_the_networks(study, tmp_path_factory):
    other = prepare(tmp_path_factory.mktemp("other"), cluster={"restarts": 3}, seeds=[5])
    run(study)
    run(other)
    assert results(study) == results(other)
