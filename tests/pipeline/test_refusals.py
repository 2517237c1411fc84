"""Whatever is wrong with params.yaml, DVC deletes no result: not of this study, and nothing outside the repository."""

import shutil
from pathlib import Path

import pytest
import tiny
from ruamel.yaml import YAML
from test_pipeline import ALL, Clone

RESTORED = {"prepare-data", "extract-features"}  # DVC puts their outputs back from its cache, so it may delete them
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Clone:
    """A study that DVC holds for finished, with something in place of every output."""
    clone = Clone(tmp_path_factory.mktemp("finished"))
    for file in outputs(clone.folder / "reports/digits"):
        write(clone.folder / file)
    clone.dvc("commit", "--force")
    clone.commit()
    return clone


@pytest.fixture
def clone(finished, tmp_path) -> Clone:
    """A copy of it, with a folder beside the repository that holds files named like a study's."""
    copy = object.__new__(Clone)
    copy.folder = shutil.copytree(finished.folder, tmp_path / "repository")
    for file in outputs(tmp_path / "victim"):
        if file.is_relative_to(tmp_path):
            write(file)
    return copy


def outputs(report: Path) -> list[Path]:
    """A file of every output; those that `study` is part of lie below report."""
    stages = YAML(typ="safe", pure=True).load(tiny.ROOT / "dvc.yaml")["stages"]
    files = []
    for stage in stages.values():
        body = stage.get("do", stage)
        entries = [entry for kind in ("outs", "metrics", "plots") for entry in body.get(kind, [])]
        for path in (entry if isinstance(entry, str) else next(iter(entry)) for entry in entries):
            for item in stage.get("foreach", [""]):
                file = Path(path.replace("reports/${study}", str(report)).replace("${item}", item))
                files.append(file if file.suffix else file / "file")
    return files


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("a result")


def change(clone: Clone, old: str, new: str) -> None:
    text = (clone.folder / "params.yaml").read_text()
    assert old in text
    (clone.folder / "params.yaml").write_text(text.replace(old, new, 1))


def lost(clone: Clone) -> list[Path]:
    """Outputs, and files beside the repository, that are no longer what they were."""
    kept = [clone.folder / file for file in outputs(clone.folder / "reports/digits")]
    kept += [file for file in outputs(clone.folder.parent / "victim") if file.is_relative_to(clone.folder.parent)]
    assert len(kept) > 80
    return [file for file in kept if not file.is_file() or file.read_text() != "a result"]


def test_a_stage_that_fails_has_lost_nothing(clone):
    change(clone, "study: digits", "study: ../../victim")
    for script in (clone.folder / "stages").iterdir():
        script.write_text("raise SystemExit(1)")
    failed = clone.run("dvc", "repro", "--single-item", "--keep-going", "--force", *sorted(ALL - RESTORED))
    assert all(f"Running stage '{name}'" in failed.stdout for name in ALL - RESTORED)
    assert lost(clone) == []


def test_what_dvc_deletes_all_the_same_comes_back_from_its_cache(clone):
    change(clone, "  batch_size: 500", "  batch_size: many")
    assert clone.run("dvc", "repro", "--single-item", "extract-features").returncode
    change(clone, "  batch_size: many", "  batch_size: 500")
    assert clone.reproduce("--single-item", "extract-features") == set(), "nothing must run"
    assert lost(clone) == []


WRONG = {
    "another type": ("  lr: 0.1", '  lr: "0.1"', ("repro", "--single-item", "train@fine"), "train.lr"),
    "an unknown key": ("  lr: 0.1", "  rl: 0.1\n  lr: 0.1", ("repro",), "train.rl"),
    "a missing key": (
        "  nesterov: false\n",
        "",
        ("repro", "--single-item", "--force", "merge-labels"),
        "train.nesterov",
    ),
    "invalid YAML": ("study: digits", "study: [digits", ("repro",), "params.yaml"),
    "a path": ("study: digits", "study: ../../victim", ("repro",), "study"),
    "an experiment": ("study: digits", "study: digits", ("exp", "run", "--set-param", "train.lr=fast"), "train.lr"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_params_are_named_and_nothing_is_lost(clone, wrong):
    old, new, command, named = WRONG[wrong]
    change(clone, old, new)
    refused = clone.run("dvc", *command)
    assert refused.returncode != 0
    assert named in refused.stderr
    assert lost(clone) == []
