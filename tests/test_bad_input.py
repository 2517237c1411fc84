"""Whatever is wrong with params.yaml or a data file ends in one line that names it, and in no other exception."""

import copy
import gzip
import io
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML

from hidden_structure import artifacts, params, paths
from hidden_structure.datasets import idx
from hidden_structure.datasets.images import read_images
from hidden_structure.errors import InputError

ROOT = Path(__file__).parents[1]
STUDY = YAML(typ="safe", pure=True).load((ROOT / "studies/digits.yaml").read_text())

examples = settings(max_examples=40, deadline=None)


def leaves(section: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of params.yaml that hold a value, each as its path of names."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


LEAVES = list(leaves(STUDY))
ANY_POSITIVE = ("perplexity", "l2", "lr", "weight_decay", "feature_decay", "bias_decay")
ANY_POSITIVE += ("hint", "contrast", "contrast_temperature")


def changed(key: tuple[str, ...], value: object = None, new_name: str | None = None, remove: bool = False) -> dict:
    study = copy.deepcopy(STUDY)
    section = study
    for name in key[:-1]:
        section = section[name]
    old = section.pop(key[-1])
    if not remove:
        section[new_name or key[-1]] = old if new_name else value
    return study


def load_study(study: object) -> params.Study:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        with file.open("w") as stream:
            YAML(typ="safe", pure=True).dump(study, stream)
        return params.load(file)


def refused(study: object, named: str) -> None:
    with pytest.raises(InputError) as caught:
        load_study(study)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def refusal(read: Callable[[], object]) -> str | None:
    """The message of the InputError that read ends in, None if it ends well; any other exception goes through."""
    try:
        read()
    except InputError as error:
        return str(error)
    return None


# params.yaml


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda file: file.name)
def test_every_study_of_the_repository_is_valid(file):
    params.load(file)


@examples
@given(st.sampled_from(LEAVES), st.data())
def test_a_misspelt_key_is_named(key, data):
    name, at = key[-1], data.draw(st.integers(0, len(key[-1]) - 1))
    misspelt = data.draw(st.sampled_from([name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], name.upper()]))
    if misspelt:
        refused(changed(key, new_name=misspelt), f"unknown key {'.'.join((*key[:-1], misspelt))}")


@pytest.mark.parametrize("key", LEAVES, ids=".".join)
def test_a_missing_key_is_named(key):
    refused(changed(key, remove=True), f"key {'.'.join(key)} is missing")


@pytest.mark.parametrize(
    "wrong", [{"x": 1}, [[]], "~ no such value", 3.5 + 1e-9, -7, float("nan"), float("-inf")], ids=repr
)
@pytest.mark.parametrize("key", LEAVES, ids=".".join)
def test_a_value_of_another_type_or_out_of_range_is_named(key, wrong):
    if key[-1] in ("folder", "superclasses", "address") and isinstance(wrong, str):
        pytest.skip("any text may be a path or an address: its own check comes when it is used")
    if key[-1] in ANY_POSITIVE and wrong == 3.5 + 1e-9:
        pytest.skip("a possible value")
    refused(changed(key, wrong), ".".join(key))


IMPOSSIBLE = {
    "seeds": [[], [0, 0], [-1], [True], ["0"]],
    "study": ["", "../up", "A study"],
    "data.source": ["imagenet"],
    "data.test_fraction": [0, 1, 1.5],
    "data.size": [0],
    "merge.method": ["pairs"],
    "merge.classes": [1, 0],
    "merge.groups": [{"a": "b"}, {"a": [1]}],
    "network.name": ["resnet50", "torchvision:", "torchvision:../x"],
    "network.norm": ["instance"],
    "train.epochs": [0, "20"],
    "train.momentum": [1],
    "train.milestones": [[0], [1.0]],
    "train.snapshots": [1],
    "train.flip": ["yes", 1],
    "cluster.reducers": [[], ["tsne", "tsne"], ["umap"]],
    "cluster.perplexity": [0],
}


@pytest.mark.parametrize(("key", "wrong"), [(key, value) for key, values in IMPOSSIBLE.items() for value in values])
def test_an_impossible_value_is_named(key, wrong):
    refused(changed(tuple(key.split(".")), wrong), key)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@examples
@given(st.sampled_from(LEAVES), VALUES)
def test_any_value_is_taken_or_its_key_is_named(key, value):
    message = refusal(lambda: load_study(changed(key, value)))
    assert message is None or ".".join(key) in message or f": {key[0]}: " in message


@examples
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_in_place_of_params_is_refused_by_name(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"params\.yaml"):
            params.load(file)


# Data files


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """The file cut anywhere, with bytes changed, or replaced by noise."""
    at = st.integers(0, len(whole) - 1)
    changes = st.lists(st.tuples(at, st.integers(0, 255)), min_size=1, max_size=4)
    return at.map(lambda end: whole[:end]) | changes.map(lambda made: _with(whole, made)) | st.binary(max_size=100)


def _with(whole: bytes, changes: list[tuple[int, int]]) -> bytes:
    content = bytearray(whole)
    for at, byte in changes:
        content[at] = byte
    return bytes(content)


IDX = b"\0\0\x08\x03\0\0\0\x05\0\0\0\x04\0\0\0\x03" + bytes(range(60))


@pytest.mark.parametrize("name", ["images", "images.gz"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_idx_file_is_read_or_named(name, data):
    content = data.draw(damaged(gzip.compress(IDX, mtime=0) if name.endswith("gz") else IDX))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        message = refusal(lambda: idx.read(file, dimensions=3))
        assert message is None or (str(file) in message and "\n" not in message)


@settings(deadline=None)
@given(st.integers(0, len(IDX) - 1))
def test_a_truncated_idx_file_is_always_refused(length):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images"
        file.write_bytes(IDX[:length])
        with pytest.raises(InputError, match="truncated"):
            idx.read(file, dimensions=3)


def encoded(form: str) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_image_is_read_or_named(form, data):
    content = data.draw(damaged(encoded(form)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image"
        file.write_bytes(content)
        message = refusal(lambda: read_images([file], size=4))
        assert message is None or (str(file) in message and "\n" not in message)


# The stages


def write_study(folder: Path, **sections: dict) -> None:
    study = {key: value | sections.get(key, {}) if isinstance(value, dict) else value for key, value in STUDY.items()}
    with (folder / "params.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(study, stream)


def write_images(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            (folder / name / f"{i}.png").write_bytes(encoded("PNG"))


def run_stage(stage: str, folder: Path) -> subprocess.CompletedProcess:
    script = ROOT / "stages" / f"{stage}.py"
    return subprocess.run(
        [sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_misspelt_key_ends_a_stage_in_one_line_and_writes_nothing(tmp_path):
    write_study(tmp_path, data={"sourse": "digits"})
    done = run_stage("prepare_data", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*unknown key data\.sourse: did you mean source\?\n", done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_truncated_image_ends_a_stage_in_one_line_and_writes_nothing(tmp_path):
    write_images(tmp_path / "images")
    file = tmp_path / "images" / "dog" / "2.png"
    file.write_bytes(file.read_bytes()[:100])
    write_study(tmp_path, data={"source": "folder", "folder": "images"})
    done = run_stage("prepare_data", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"error: images/dog/2\.png is not a readable image .*\n", done.stderr)
    assert not (tmp_path / paths.ARTIFACTS).exists()


def run_here(stage: str) -> None:
    runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name="__main__")


def test_labels_that_cannot_be_merged_end_the_stage_and_leave_the_old_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "images")
    folder = {"source": "folder", "folder": "images"}
    write_study(tmp_path, data=folder, merge={"classes": 3})
    with pytest.raises(SystemExit, match=r"^error: artifacts/data\.npz is missing"):
        run_here("merge_labels")
    run_here("prepare_data")
    with pytest.raises(SystemExit, match=r"^error: merge\.classes is 3, but the data has 2 classes"):
        run_here("merge_labels")
    assert not paths.labels("coarse").exists()
    write_study(tmp_path, data=folder, merge={"classes": 2})
    run_here("merge_labels")
    before = paths.labels("coarse").read_bytes()
    write_study(tmp_path, data=folder, merge={"classes": None, "method": "semantic"})
    with pytest.raises(SystemExit, match=r"^error: merge\.method semantic needs a semantic table"):
        run_here("merge_labels")
    assert paths.labels("coarse").read_bytes() == before
    assert artifacts.read_arrays(paths.labels("fine"))["names"].tolist() == ["cat", "dog"]


@pytest.mark.parametrize("text", ["[" * 2000, "a: !!bool x", 'a: !!int ""', "a: b: c", "\x00", "a: 1\na: 2", "- 1", ""])
def test_params_that_are_not_a_mapping_in_yaml_are_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml") as error:
        params.load(path)
    assert "\n" not in str(error.value)
