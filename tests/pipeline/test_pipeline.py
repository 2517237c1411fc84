"""A tiny study in a temporary clone: made, left alone, changed, compared between branches, verified, tampered with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

ALL = {"prepare-data", "merge-labels", "measure-collapse", "extract-features", "cluster", "report"}
CONNECTIVITY = {"spawn", "permute", "interpolate", "linearity"}
MERGES = {"train-merges", "compare-merges"}
DISTILLATION = {"distill", "compare-students"}
OTHER = {"split", "sweep", "solve-unconstrained"} | DISTILLATION
ALL |= {"train@fine", "train@coarse"} | CONNECTIVITY | MERGES | OTHER


class Clone:
    """A copy of the repository under git, with a tiny default study that has not been made yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("src", "stages", "tools"):
            shutil.copytree(tiny.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".dvc").mkdir()
        (folder / "studies").mkdir()
        for name in ("dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".gitignore", ".dvcignore"):
            shutil.copyfile(tiny.ROOT / name, folder / name)
        self.write_params()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()

    def run(self, *command: str) -> subprocess.CompletedProcess:
        identity = {f"GIT_{who}_{what}": "test@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | identity | {"PATH": path, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a commit")

    def write_params(self, **sections) -> None:
        overrides = {"seeds": [0], "cluster": {"reducers": ["pca"], "restarts": 2}}
        for name, value in sections.items():
            overrides[name] = overrides.get(name, {}) | value
        tiny.write_params(self.folder, **overrides)

    def reproduce(self, *arguments: str) -> set[str]:
        """The names of the stages that ran."""
        lines = self.dvc("repro", *arguments).splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running stage")}

    def verify(self, *arguments: str) -> subprocess.CompletedProcess:
        return self.run("python", "tools/verify.py", *arguments)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_life_of_a_study(tmp_path):
    clone = Clone(tmp_path)
    folder = tmp_path / "reports/digits"
    assert clone.reproduce() == ALL
    claims = json.loads((folder / "claims.json").read_text())
    assert all(row.keys() >= {"id", "claim", "source", "published", "measured", "seeds", "holds"} for row in claims)
    assert "</html>" in (folder / "report.html").read_text()

    assert clone.reproduce() == set(), "a second run must do nothing"

    shutil.copyfile(tmp_path / "params.yaml", tmp_path / "studies/digits.yaml")
    done = clone.run("python", "tools/keep_lock.py")
    assert done.stdout == "The report: reports/digits/report.html\n"
    clone.commit()
    again = "measure-collapse extract-features cluster train-merges compare-merges split sweep solve-unconstrained"
    again = (*again.split(), "distill", "compare-students", "spawn", "permute", "interpolate", "linearity", "report")
    written = ("clusters", "merges", "students", "spawned", "permutations")
    for stale in (*(tmp_path / "artifacts" / name for name in written), folder / "figures"):
        (stale / "stale.png").touch()  # DVC leaves outputs where they are
    assert clone.reproduce("--force", "--single-item", *again) == set(again)
    assert clone.git("status", "--porcelain") == "", "the same inputs must give the same bytes"
    assert list(tmp_path.glob("artifacts/*/stale.png")) == []

    done = clone.verify()
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "claims.json").write_text("[]\n")
    done = clone.verify()
    assert done.returncode == 1
    assert "reports/digits/claims.json" in done.stdout
    clone.git("checkout", "--quiet", "reports")
    module = tmp_path / "src/hidden_structure/collapse/metrics.py"
    module.write_text(module.read_text() + "# changed\n")
    done = clone.verify()
    assert done.returncode == 1
    assert "measure-collapse was made by another src/hidden_structure/collapse/metrics.py" in done.stdout
    clone.git("checkout", "--quiet", "src")

    clone.git("checkout", "--quiet", "-b", "slower")
    clone.write_params(train={"lr": 0.05})
    assert clone.reproduce() == ALL - {"prepare-data", "merge-labels", "solve-unconstrained"}
    clone.commit()
    changed = json.loads(clone.dvc("params", "diff", "main", "--json"))["params.yaml"]
    assert changed.keys() == {"train.lr"}
    assert (changed["train.lr"]["old"], changed["train.lr"]["new"]) == (0.1, 0.05)
    numbers = json.loads(clone.dvc("metrics", "diff", "main", "--json"))
    assert "fine.nc1" in numbers["reports/digits/metrics.json"]
    clone.dvc("plots", "diff", "main", "--out", "plots")
    page = (tmp_path / "plots/index.html").read_text()
    assert "reports/digits/curves/collapse-fine.csv" in page.replace("\\u002f", "/").replace("_", "/")
    shutil.rmtree(tmp_path / "plots")

    clone.write_params(train={"lr": 0.05}, cluster={"restarts": 3})
    assert clone.reproduce() == {"cluster", "compare-merges", "split", "sweep", "report"} | DISTILLATION
    clone.write_params(train={"lr": 0.05}, cluster={"restarts": 3}, merge={"method": "random"})
    # Students of a teacher with a merge of its own come out the same, so nothing below them runs.
    untouched = {"prepare-data", "train@fine", "train-merges", "split", "solve-unconstrained", "compare-students"}
    assert clone.reproduce() == ALL - untouched - CONNECTIVITY
    clone.write_params(train={"lr": 0.05}, cluster={"restarts": 3}, merge={"method": "random"}, permute={"restarts": 1})
    assert clone.reproduce() == {"permute", "interpolate", "linearity", "report"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_without_version_control_a_stage_runs_all_the_same(tmp_path):
    """As in a tarball, where `make` sets this option."""
    clone = Clone(tmp_path)
    shutil.rmtree(tmp_path / ".git")
    clone.dvc("config", "--local", "core.no_scm", "true")
    assert clone.reproduce("prepare-data") == {"prepare-data"}
    assert (tmp_path / "artifacts/data.npz").is_file()
