"""Every kind of training, killed at the states it saves: nothing is trained twice, and the bytes are those of a run
that nobody disturbed."""

from pathlib import Path

import pytest
import tiny

from hidden_structure.frame import paths
from hidden_structure.merges import sweep_tasks
from hidden_structure.training import loop, resume

TRAIN = {"epochs": 3, "batch_size": 80, "snapshots": 2}
SECTIONS = {
    "train": TRAIN,
    "network": {"norm": "batch", "width": 16},
    "merges": tiny.OVERRIDES["merges"] | {"seeds": [0]},
    "split": {"seeds": [0, 1], "train": None},
    "distill": {"methods": ["kd", "lelp"], "network": None},
    "sweep": {"seeds": [0], "lrs": [0.1, 0.05], "weight_decays": [0.0]},
    "cluster": {"reducers": ["pca"], "components": 2, "restarts": 1},
}
STAGES = [("train.py", "coarse"), ("spawn.py",), ("train_merges.py",), ("split.py",), ("distill.py",), ("sweep.py",)]


def prepare(folder: Path) -> Path:
    folder.mkdir()
    tiny.write_params(folder, **SECTIONS)
    tiny.write_data(folder)
    return folder


def results(folder: Path) -> dict[str, bytes]:
    files = [*(folder / paths.ARTIFACTS).rglob("*"), *(folder / "reports").rglob("*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


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

        patch.setattr(resume, "save", watched_save)
        patch.setattr(loop, "step", watched_step)
        patch.setattr(sweep_tasks, "run", tiny.serial)

    def run(self, folder: Path, at: int = 0, written: bool = False) -> tuple[int, int]:
        """Gives the states saved and the steps taken; at: kill at the state of that number."""
        self.saves, self.steps, self.at, self.written = 0, 0, at, written
        if at:
            with pytest.raises(tiny.Killed):
                tiny.in_process(folder, *self.stage)
            assert not [name for name in results(folder) if "reports" in name]
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
