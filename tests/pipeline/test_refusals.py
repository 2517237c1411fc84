"""Whatever is wrong with params.yaml is named before anything is trained or deleted."""

import shutil

import pytest
from test_pipeline import Clone

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Clone:
    """A study with data and labels."""
    clone = Clone(tmp_path_factory.mktemp("finished"))
    clone.reproduce("merge-labels")
    clone.commit()
    return clone


@pytest.fixture
def clone(finished, tmp_path) -> Clone:
    copy = object.__new__(Clone)
    copy.folder = shutil.copytree(finished.folder, tmp_path / "repository")
    return copy


def change(clone: Clone, old: str, new: str) -> None:
    text = (clone.folder / "params.yaml").read_text()
    assert old in text
    (clone.folder / "params.yaml").write_text(text.replace(old, new, 1))


def contents(clone: Clone) -> dict[str, bytes]:
    files = [file for file in (clone.folder / "artifacts").rglob("*") if file.suffix in (".npz", ".json")]
    assert len(files) >= 4
    return {str(file): file.read_bytes() for file in files}


WRONG = {
    "another type": ("  lr: 0.1", '  lr: "0.1"', ("repro",), "train.lr"),
    "a path": ("study: digits", "study: ../../victim", ("repro",), "study"),
    "not with these data": ("  classes: 5", "  classes: 11", ("repro",), "merge.classes"),
    "an experiment": ("study: digits", "study: digits", ("exp", "run", "--set-param", "train.lr=fast"), "train.lr"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_params_are_named_and_nothing_is_lost(clone, wrong):
    old, new, command, named = WRONG[wrong]
    before = contents(clone)
    change(clone, old, new)
    refused = clone.run("dvc", *command)
    assert refused.returncode != 0
    assert named in refused.stderr
    assert "Running stage 'train" not in refused.stdout
    assert contents(clone) == before


def test_what_a_stage_that_fails_has_deleted_comes_back_from_the_cache(clone):
    """As where a single stage is asked for, so that nothing is checked before it."""
    before = contents(clone)
    change(clone, "  method: modulo", "  method: [modulo]")
    assert clone.run("dvc", "repro", "--single-item", "merge-labels").returncode
    change(clone, "  method: [modulo]", "  method: modulo")
    assert clone.reproduce("merge-labels") == set(), "nothing must run"
    assert contents(clone) == before
