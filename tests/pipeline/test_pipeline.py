"""A tiny study in a temporary clone: made, left alone, changed and put back, compared between branches, verified."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from ruamel.yaml import YAML

FIRST = {"prepare-data", "check", "merge-labels", "train@fine", "train@coarse", "measure-collapse", "extract-features"}
LAST = {"make-tables", "report"}
CONNECTIVITY = {"spawn", "permute", "interpolate", "linearity", "average-networks"}
OTHER = {"follow-recovery", "train-memorised", "cluster", "train-merges", "compare-merges", "split", "sweep"}
ALL = (
    FIRST
    | OTHER
    | CONNECTIVITY
    | LAST
    | {"imbalance", "finetune", "solve-unconstrained", "distill", "compare-students"}
)
ALL |= {"inspect-networks"}

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Clone:
    """A copy of the repository under git, with a tiny default study that has not been made yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("src", "stages", "studies", "tools"):
            shutil.copytree(tiny.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".dvc").mkdir()
        for name in ("dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".gitignore", ".dvcignore"):
            shutil.copyfile(tiny.ROOT / name, folder / name)
        self.write_params()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess:
        identity = {f"GIT_{who}_{what}": "test@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | identity | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dvc(self, *arguments: str) -> str:
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tool(self, name: str, *arguments: str) -> subprocess.CompletedProcess:
        return self.run("python", f"tools/{name}.py", *arguments, PYTHONPATH="src")

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a commit")

    def write_params(self, **sections: dict) -> None:
        """The tiny study, and the values in which it differs: those of a section are not those of other parts."""
        tiny.write_params(self.folder, seeds=[0], cluster={"reducers": ["pca"], "restarts": 2})
        file, yaml = self.folder / "params.yaml", YAML(pure=True)
        content = yaml.load(file)
        for name, values in sections.items():
            content[name] |= values
        yaml.dump(content, file)

    def reproduce(self, *arguments: str) -> set[str]:
        """The names of the stages that ran."""
        lines = self.dvc("repro", *arguments).splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running stage")}

    def changed(self) -> set[str]:
        """The names of the stages whose own code, keys or data are no longer those of their results."""
        return set(json.loads(self.dvc("status", "--json")))

    def edit(self, file: str) -> None:
        path = self.folder / file
        path.write_text(path.read_text() + "# a comment\n")


def test_the_life_of_a_study(tmp_path):
    clone = Clone(tmp_path)
    assert clone.reproduce() == ALL
    assert "</html>" in (tmp_path / "artifacts/report/report.html").read_text()
    assert clone.reproduce() == set(), "a second run must do nothing"
    done = clone.tool("publish", "--new")
    assert done.stdout == "The report: reports/digits/report.html\n"
    clone.commit()

    for file in ("stages/make_tables.py", "src/hidden_structure/frame/progress.py"):
        clone.edit(file)
    assert clone.changed() == {"make-tables"}, "the frame is no dependency"
    clone.git("checkout", "--quiet", "stages", "src")
    clone.edit("src/hidden_structure/report/plotting.py")
    assert clone.reproduce() == {"report"}
    clone.git("checkout", "--quiet", "src")

    clone.git("checkout", "--quiet", "-b", "slower")
    clone.write_params(train={"lr": 0.05})
    students = {"distill", "compare-students"}  # of a teacher that is trained by the recipe of the study
    below = {"follow-recovery", "cluster", "compare-merges", "finetune"}
    trained = FIRST - {"prepare-data", "merge-labels"} | below | students | LAST
    assert clone.reproduce() == trained, "networks with a recipe of their own are not trained again"
    clone.commit()
    changed = json.loads(clone.dvc("params", "diff", "main", "--json"))["params.yaml"]
    assert changed == {"train.lr": {"old": 0.1, "new": 0.05, "diff": -0.05}}
    numbers = json.loads(clone.dvc("metrics", "diff", "main", "--json"))["reports/digits/metrics.json"]
    assert 1 <= len(numbers) <= 30
    clone.dvc("plots", "diff", "main", "--out", "plots")
    page = (tmp_path / "plots/index.html").read_text()
    assert all(f"{branch}_reports_digits_figures_collapse.png" in page for branch in ("main", "workspace"))
    shutil.rmtree(tmp_path / "plots")

    clone.write_params()
    assert clone.reproduce() == set(), "what was made once is not made again"
    assert clone.git("diff", "main", "--stat", "--", "reports") == ""

    clone.write_params(cluster={"l2": 1e-3}, merge={"method": "random"}, permute={"restarts": 1})
    probed = {"follow-recovery", "cluster", "compare-merges", "split", "sweep", "compare-students", "inspect-networks"}
    matched = {"permute", "interpolate", "linearity"}
    assert clone.changed() == {"check", "merge-labels"} | probed | matched | LAST, "no student is taught again"


def test_a_stage_runs_the_code_of_the_folder_it_stands_in(tmp_path):
    """Not that of the checkout that is installed: an experiment may run in a copy."""
    clone = Clone(tmp_path)
    (tmp_path / "src/hidden_structure/datasets/load.py").write_text("raise SystemExit('the code of this folder')\n")
    assert "the code of this folder" in clone.run("dvc", "repro", "prepare-data").stderr


def test_without_version_control_a_stage_runs_all_the_same(tmp_path):
    """As in a tarball, where `make` sets this option."""
    clone = Clone(tmp_path)
    shutil.rmtree(tmp_path / ".git")
    clone.dvc("config", "--local", "core.no_scm", "true")
    assert clone.reproduce("prepare-data") == {"prepare-data"}
    assert (tmp_path / "artifacts/data.npz").is_file()
