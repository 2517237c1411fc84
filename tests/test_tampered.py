"""Every artifact of a tiny study, replaced by what its stage never wrote: who reads it says so in one line."""

import shutil
from pathlib import Path

import pytest
import tiny
from test_locking import COMMANDS, STAGES

from hidden_structure.frame import paths

SECTIONS = {
    "train": {"epochs": 3, "batch_size": 80, "snapshots": 2},
    "network": {"norm": "batch", "width": 16},
    "merges": tiny.OVERRIDES["merges"] | {"seeds": [0]},
    "memorised": {"train": None},
    "split": {"seeds": [0], "train": None},
    "distill": {"methods": ["kd", "lelp"], "temperatures": [1.0], "network": None},
    "sweep": {"seeds": [0], "lrs": [0.1], "weight_decays": [0.0]},
    "imbalance": {"train": None},
    "permute": {"methods": ["weights"], "restarts": 1, "samples": 100},
    "cluster": {"reducers": ["pca"], "components": 2, "restarts": 1},
    "unconstrained": {"ratios": [1, 100]},
}
# Of stages that read a file, one that meets it early.
READERS = {
    "artifacts/data.npz": "merge-labels",
    "artifacts/labels/fine.npz": "measure-collapse",
    "artifacts/labels/coarse.npz": "measure-collapse",
    "artifacts/snapshots/*/0/00003.safetensors": "measure-collapse",
    "artifacts/models/*/0.safetensors": "extract-features",
    "artifacts/features/coarse/0.safetensors": "cluster",
    "artifacts/features/untrained/0.safetensors": "cluster",
    "artifacts/memorised/0.safetensors": "cluster",
    "artifacts/features/fine/0.safetensors": "compare-merges",
    "artifacts/merges/*/0.safetensors": "compare-merges",
    "artifacts/students/kd/*/0.safetensors": "compare-students",
    "artifacts/spawned/*/0/trunk.safetensors": "permute",
    "artifacts/permutations/*/*.npz": "interpolate",
    "artifacts/clusters/0.npz": "make-tables",
    "artifacts/results/*.json": "make-tables",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A study of which every stage but the last two has run."""
    return computed(tmp_path_factory.mktemp("whole"))


def computed(folder: Path) -> Path:
    tiny.write_params(folder, **SECTIONS)
    tiny.write_data(folder)
    shutil.copy(tiny.ROOT / "dvc.yaml", folder)
    waiting = [name for name in COMMANDS if name not in ("prepare-data", "check", "make-tables", "report")]
    while waiting:
        name = waiting.pop(0)
        done = tiny.in_process(folder, *COMMANDS[name])
        if done.returncode:
            assert "is missing" in done.stderr, done.stderr
            waiting.append(name)
    return folder


def test_the_same_study_gives_the_same_bytes_in_another_folder(whole, tmp_path):
    again = computed(tmp_path)
    files = {file.relative_to(whole): file for file in (whole / paths.ARTIFACTS).rglob("*") if file.is_file()}
    assert len(files) > 40
    for name, file in files.items():
        assert (again / name).read_bytes() == file.read_bytes(), name


def damages(file: Path, others: list[Path], first: bool) -> dict[str, bytes]:
    """What no file of that kind can be is tried with the first one only: it is one reader that refuses it."""
    content = file.read_bytes()
    found = {"a list": b"[]"}
    if file.suffix == ".json":
        found |= {"an object": b"{}", "rows of nothing": b"[null]"}
    if first:
        found |= {"truncated": content[: len(content) // 2], "empty": b"", "null": b"null", "NaN": b'[{"epoch": NaN}]'}
    return found | {f"as {other.name}": other.read_bytes() for other in others}


def test_every_reader_is_one_of_the_files_readers():
    for pattern, name in READERS.items():
        stage = STAGES[name.split("@")[0]]
        folder = pattern.split("/*")[0].removesuffix("/0.safetensors")
        assert any(
            folder.replace("digits", "${study}") in dependency or folder.startswith(dependency.split("{")[0])
            for dependency in stage["deps"]
            if dependency.startswith(("artifacts", "reports"))
        ), pattern


@pytest.mark.parametrize("pattern", READERS)
def test_a_tampered_artifact_is_one_line_and_no_traceback(whole, tmp_path, pattern):
    files = sorted(whole.glob(pattern))
    assert files
    everything = sorted((whole / paths.ARTIFACTS).rglob("*"))
    folder = tmp_path / "study"
    shutil.copytree(whole, folder)
    refused = dict.fromkeys(files if pattern.endswith(".json") else files[:1], 0)
    for file in refused:
        alike = [each for each in everything if each.suffix == file.suffix and each != file]
        others = [each for each in alike if each.parent.parent != file.parent.parent]
        siblings = [each for each in alike if each.parent == file.parent]
        tampered = folder / file.relative_to(whole)
        for damage, content in damages(file, others[:1] + siblings[:1], file == files[0]).items():
            tampered.write_bytes(content)
            done = tiny.in_process(folder, *COMMANDS[READERS[pattern]])
            refused[file] += done.returncode
            if done.returncode:
                assert done.stderr.startswith("error: "), damage
                assert "\n" not in done.stderr
                labels = file.parent.name == "labels"  # they say what networks are like, so may weights be to blame
                name = file.relative_to(whole)
                assert str(name.parent if labels else name) in done.stderr, (damage, done.stderr)
        shutil.copy(file, tampered)
    assert refused[files[0]] >= 4  # a list is what some files hold, and one of the same stage's files may do as well
    assert [file.name for file, times in refused.items() if not times] == []
