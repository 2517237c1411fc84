"""Every kind of training, killed at the states it saves: nothing is trained twice, and the bytes are those of a run
that nobody disturbed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.networks.build import initialise
from hidden_structure.training import loop, resume, run
from hidden_structure.training.batches import on_device

TRAIN = {"epochs": 3, "batch_size": 80, "snapshots": 2}
SECTIONS = {
    "train": TRAIN,
    "network": {"norm": "batch", "width": 16},
    "merges": tiny.OVERRIDES["merges"] | {"seeds": [0]},
    "memorised": {"train": None},
    "split": {"seeds": [0, 1], "train": None},
    "distill": {"methods": ["kd", "fitnet", "subclass", "lelp"], "network": None},
    "spawn": {"train": None, "network": None, "epochs": [0, 2], "steps": [5], "widths": [0.5], "weight_decays": []},
    "sweep": {"seeds": [0], "lrs": [0.1, 0.05], "weight_decays": [0.0]},
    "imbalance": {"train": None},
    "cluster": {"reducers": ["pca"], "components": 2, "restarts": 1},
}
STAGES = [("train.py", "coarse"), ("train_memorised.py",), ("spawn.py",), ("train_merges.py",), ("split.py",)]
STAGES += [("distill.py",), ("sweep.py",), ("imbalance.py",), ("finetune.py",)]


def prepare(folder: Path, **sections) -> Path:
    folder.mkdir()
    tiny.write_params(folder, **(SECTIONS | sections))
    tiny.write_data(folder)
    study = params.load(folder / "params.yaml")
    pretrained = initialise(study.network, (8, 8, 1), 10, 0)  # what finetune reads: it need not be trained for this
    artifacts.write_tensors(folder / paths.model("fine", 0), pretrained.state_dict())
    return folder


def results(folder: Path) -> dict[str, bytes]:
    files = (folder / paths.ARTIFACTS).rglob("*")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize("written", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_network_killed_at_every_state_ends_as_the_undisturbed_one(
    tmp_path, monkeypatch, optimizer, precision, written
):
    """And `after` has seen every epoch, 0 included."""
    changes = {"epochs": 3, "batch_size": 48, "optimizer": optimizer, "nesterov": False, "crop": 1, "flip": True}
    recipe = params.Study.model_validate(tiny.study(train=changes)).train
    description = params.Network(name="resnet", depth=8, width=8, norm="batch")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 8, 8, 3), dtype=np.uint8)
    images = on_device(pixels, np.full(3, 0.5), np.full(3, 0.25), torch.device("cpu"))

    def train(file: Path, after=loop.nothing) -> loop.TrainingState:
        network = initialise(description, (8, 8, 3), 4, 0)
        return run.train(network, recipe, 0, images, torch.arange(96) % 4, precision, file, after=after)

    seen, save = set(), resume.save

    def dies(path: Path, state: loop.TrainingState) -> None:
        if written or state.epoch in tried:
            save(path, state)
        if state.epoch not in tried:
            tried.add(state.epoch)
            raise tiny.Killed

    undisturbed, tried = train(tmp_path / "undisturbed.safetensors"), set()
    monkeypatch.setattr(resume, "save", dies)
    monkeypatch.setattr(run, "SECONDS", 0.0)
    for _ in range(4):
        with pytest.raises(tiny.Killed):
            train(tmp_path / "killed.safetensors", lambda state: seen.add(state.epoch))
    killed = train(tmp_path / "killed.safetensors", lambda state: seen.add(state.epoch))
    assert seen == tried == {0, 1, 2, 3}
    assert killed.history == undisturbed.history
    names = list(undisturbed.network.state_dict())
    states = [each.network.state_dict() for each in (undisturbed, killed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)


def test_states_are_kept_every_few_seconds_and_at_the_end_alone(tmp_path, monkeypatch):
    recipe = params.Study.model_validate(tiny.study(train={"epochs": 6, "batch_size": 48, "crop": 0})).train
    pixels = np.random.default_rng(0).integers(0, 256, (96, 8, 8, 1), dtype=np.uint8)
    images = on_device(pixels, np.full(1, 0.5), np.full(1, 0.25), torch.device("cpu"))
    network = initialise(params.Network(name="mlp", depth=1, width=8, norm="none"), (8, 8, 1), 4, 0)
    clock, saved, called = itertools.count(0, 1), [], []
    monkeypatch.setattr(run.time, "monotonic", lambda: 0.9 * next(clock))
    monkeypatch.setattr(resume, "save", lambda path, state: saved.append(state.epoch))
    file, after = tmp_path / "state.safetensors", lambda state: called.append(state.epoch)
    run.train(network, recipe, 0, images, torch.arange(96) % 4, torch.float32, file, after=after)
    assert called == [0, 1, 2, 3, 4, 5, 6]
    assert saved[-1] == 6
    assert 0 < len(saved) - 1 < 6


class Watched:
    """Runs of a stage: counts states saved and steps taken, and can kill at a state, before or after it is written."""

    def __init__(self, patch: pytest.MonkeyPatch, stage: tuple[str, ...]) -> None:
        self.stage, self.saves, self.steps, self.at, self.written = stage, 0, 0, 0, False
        save, step = resume.save, loop.step

        def watched_save(path, state):
            self.saves += 1
            dies = self.saves == self.at
            if self.written or not dies:
                save(path, state)
            if dies:
                raise tiny.Killed

        def watched_step(*arguments):
            self.steps += 1
            return step(*arguments)

        patch.setattr(run, "SECONDS", 0.0)
        patch.setattr(resume, "save", watched_save)
        patch.setattr(loop, "step", watched_step)

    def run(self, folder: Path, at: int = 0, written: bool = False) -> tuple[int, int]:
        """Gives the states saved and the steps taken; at: kill at the state of that number."""
        self.saves, self.steps, self.at, self.written = 0, 0, at, written
        if at:
            with pytest.raises(tiny.Killed):
                tiny.in_process(folder, *self.stage)
            assert not (folder / paths.RESULTS).exists()
        else:
            done = tiny.in_process(folder, *self.stage)
            assert done.returncode == 0, done.stderr
        return self.saves, self.steps


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: Path(stage[0]).stem)
def test_killed_again_and_again_it_trains_nothing_twice_and_ends_with_the_bytes_of_an_undisturbed_run(
    tmp_path, monkeypatch, stage
):
    undisturbed, killed = (prepare(tmp_path / name) for name in ("undisturbed", "killed"))
    watched = Watched(monkeypatch, stage)
    saves, steps = watched.run(undisturbed)
    assert saves > 5
    done = [watched.run(killed, at=2 + saves // 4, written=True)]
    done.append(watched.run(killed, at=1 + saves // 4))
    left = saves - sum(saved for saved, _ in done) + 1
    done.append(watched.run(killed, at=left, written=True))  # all is trained, and nothing published
    done.append(watched.run(killed))
    again = sum(taken for _, taken in done) - steps
    assert 0 <= again <= 320 // TRAIN["batch_size"], "more was trained again than the epoch whose state was lost"
    assert done[-1][1] == 0
    assert results(killed) == results(undisturbed)
    assert not list((killed / paths.RESUME).iterdir())


@pytest.mark.parametrize("stage", [*STAGES, ("solve_unconstrained.py",)], ids=lambda stage: Path(stage[0]).stem)
def test_two_workers_write_the_bytes_of_one(tmp_path, stage):
    folders = [prepare(tmp_path / str(workers), tasks={"workers": workers}) for workers in (1, 2)]
    for folder in folders:
        done = tiny.in_process(folder, *stage)
        assert done.returncode == 0, done.stderr
        assert not list((folder / paths.RESUME).iterdir())
    assert results(folders[0]) == results(folders[1])


MORE = {
    ("train.py", "coarse"): {"seeds": [0, 1, 2]},
    ("train_memorised.py",): {"seeds": [0, 1, 2]},
    ("train_merges.py",): {
        "merges": SECTIONS["merges"]
        | {
            "seeds": [0, 1],
            "kinds": [*SECTIONS["merges"]["kinds"], {"method": "random", "classes": 5, "groups": None, "seed": 0}],
        }
    },
    ("split.py",): {"split": {"seeds": [0, 1, 2], "train": None}},
    ("sweep.py",): {"sweep": {"seeds": [0, 1], "lrs": [0.1, 0.05], "weight_decays": [0.0, 0.001]}},
    ("imbalance.py",): {"imbalance": {"train": None, "seeds": [0, 1], "ratios": [1, 2, 5]}},
}


@pytest.mark.parametrize("stage", MORE, ids=lambda stage: stage[0])
def test_what_is_kept_is_not_trained_again_for_a_study_of_more(tmp_path, monkeypatch, stage):
    kept, whole = prepare(tmp_path / "kept"), prepare(tmp_path / "whole", **MORE[stage])
    monkeypatch.setenv("HIDDEN_STRUCTURE_KEEP", "1")
    assert tiny.in_process(kept, *stage).returncode == 0
    tiny.write_params(kept, **(SECTIONS | MORE[stage]))
    trained, train = [], loop.fit
    monkeypatch.setattr(loop, "fit", lambda *given, **named: trained.append(given) or train(*given, **named))
    assert tiny.in_process(kept, *stage).returncode == 0
    again = len(trained)
    monkeypatch.delenv("HIDDEN_STRUCTURE_KEEP")
    assert tiny.in_process(whole, *stage).returncode == 0
    found = {name: content for name, content in results(kept).items() if not name.startswith(str(paths.RESUME))}
    assert found == results(whole)
    assert 0 < again < len(trained) - again


def test_a_merge_that_cannot_be_made_is_refused_whatever_was_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HIDDEN_STRUCTURE_KEEP", "1")
    names = [f"class {label}" for label in range(10)]
    groups = {"method": "groups", "classes": 2, "groups": {"a": names[:5], "b": names[5:]}, "seed": 0}
    for classes, code in ((2, 0), (3, 1)):
        merges = SECTIONS["merges"] | {"kinds": [groups | {"classes": classes}]}
        folder = tmp_path / "study"
        if classes == 2:
            prepare(folder, merges=merges)
        tiny.write_params(folder, **(SECTIONS | {"merges": merges}))
        done = tiny.in_process(folder, "train_merges.py")
        assert done.returncode == code
    assert "merge.classes is 3" in done.stderr


def test_a_process_that_the_system_kills_holds_others_off_until_then_and_is_gone_on_with(tmp_path):
    undisturbed, killed = (
        prepare(tmp_path / name, seeds=[0], train=TRAIN | {"epochs": 100}) for name in ("undisturbed", "killed")
    )
    assert tiny.in_process(undisturbed, "train.py", "fine").returncode == 0
    command = [sys.executable, str(tiny.ROOT / "stages/train.py"), "fine"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=killed, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + 60
    while not list(killed.glob("artifacts/resume/**/0/00000.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    assert process.poll() is None, "ended before it could be stopped"
    beside = tiny.in_process(killed, "train.py", "fine")
    assert beside.stderr.startswith(f"error: train@fine is already run by process {process.pid} ")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / paths.RESULTS).exists()
    assert tiny.in_process(killed, "train.py", "fine").returncode == 0
    assert results(killed) == results(undisturbed)
