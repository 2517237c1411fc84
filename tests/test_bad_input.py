"""Whatever is wrong with params.yaml or a data file ends in one line that names it, and in no other exception."""

import copy
import errno
import gzip
import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from hidden_structure.datasets import idx
from hidden_structure.datasets.folder import read_superclasses
from hidden_structure.datasets.images import read_images
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.problems import first_problem

ROOT = Path(__file__).parents[1]
STUDY = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())

examples = settings(max_examples=40, deadline=None)


def leaves(section: dict, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of params.yaml that hold a value, each as its path of names."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


LEAVES = list(leaves(STUDY))


def changed(key: tuple[str, ...], value: object = None, new_name: str | None = None, remove: bool = False) -> dict:
    study = copy.deepcopy(STUDY)
    section = study
    for name in key[:-1]:
        section = section[name]
    old = section.pop(key[-1])
    if not remove:
        section[new_name or key[-1]] = old if new_name else value
    return study


def message(study: object) -> str | None:
    """What Study says of it; None if it is valid."""
    try:
        params.Study.model_validate(study)
    except ValidationError as error:
        found = first_problem(error, params.Study)
        assert "\n" not in found
        assert len(found) < 1000
        return found
    return None


def refused(study: object, named: str) -> None:
    assert named in (message(study) or "")


def refusal(read: Callable[[], object]) -> str | None:
    """The message of the InputError that read ends in, None if it ends well; any other exception goes through."""
    try:
        read()
    except InputError as error:
        return str(error)
    return None


# params.yaml


@examples
@given(st.sampled_from(LEAVES), st.data())
def test_a_misspelt_key_is_named(key, data):
    name, at = key[-1], data.draw(st.integers(0, len(key[-1]) - 1))
    misspelt = data.draw(st.sampled_from([name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], name.upper()]))
    if misspelt:
        refused(changed(key, new_name=misspelt), f"unknown key {'.'.join((*key[:-1], misspelt))}")


def test_a_missing_key_is_named():
    for key in LEAVES:
        refused(changed(key, remove=True), f"key {'.'.join(key)} is missing")


WRONG = ({"x": 1}, [[]], [{}], "~ no such value", "", "\x1b[2J", "x" * 10**5, 16**5000, -(16**5000), 10**400, 2**63)
WRONG += (-7, 0.5 - 1e9, 1e300, float("nan"), float("inf"), float("-inf"), [1e300], [float("nan")], [16**5000], [True])
WRONG += (["\x00"], ["x" * 10**5], [0, 0], list(range(1, 3000)), {"x" * 10**5: 1}, {1: 1}, b"x", (1,), {1, 2})
FREE_TEXT = (
    "folder",
    "superclasses",
    "address",
    "font",
    "mplstyle",
)  # may be any path or address: checked where it is used


def test_a_value_of_another_type_or_out_of_range_is_named():
    for key in LEAVES:
        for wrong in WRONG:
            possible = wrong == "~ no such value" and key[-1] in FREE_TEXT
            found = message(changed(key, wrong))
            assert found is None if possible else found is not None and ".".join(key) in found, (key, wrong)


NUMBERS = (0, 1, 2, 3.5 + 1e-9, 1e-300, -0.0, 10**5, 10**9, 2**32 + 1, 10**12)


def test_a_value_is_refused_or_bounded():
    for key in LEAVES:
        for value in (*NUMBERS, True, None, [], {}, "2", "nan", [1], ["a"]):
            study = changed(key, value)
            if found := message(study):
                assert any(name in found for name in (".".join(key), f"{key[0]}."))
            elif isinstance(value, int | float):
                assert abs(value) <= 2**32


def parts(annotation: object, bounds: tuple = ()) -> Iterator[tuple[object, tuple]]:
    """The plain types in an annotation, each with what is said of it."""
    if get_origin(annotation) is Annotated:
        inner, *said = get_args(annotation)
        yield from parts(inner, (*bounds, *said))
    elif get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation, bounds
    else:
        for inner in get_args(annotation):
            yield from parts(inner, bounds if get_origin(annotation) in (Union, UnionType) else ())


def models(section: type[BaseModel]) -> set[type[BaseModel]]:
    """The section and all sections below it."""
    types = [kind for field in section.model_fields.values() for kind, _ in parts(field.annotation)]
    below = [kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return {section}.union(*map(models, below))


def test_every_number_and_every_text_has_bounds():
    counted = 0
    for section in models(params.Study):
        assert section.model_config["allow_inf_nan"] is False
        hints = get_type_hints(section, include_extras=True)
        for name in section.model_fields:
            for kind, said in parts(hints[name]):
                limits = {limit for one in said for limit in (one.metadata if isinstance(one, FieldInfo) else [one])}
                above = {getattr(limit, bound, None) for limit in limits for bound in ("le", "lt")} - {None}
                below = {getattr(limit, bound, None) for limit in limits for bound in ("ge", "gt")} - {None}
                if kind in (int, float):
                    counted += 1
                    assert max(above, default=float("inf")) <= 2**32, (section, name)
                    assert min(below, default=-1) >= 0, (section, name)
                elif kind is str:
                    counted += 1
                    assert any(getattr(limit, "max_length", None) for limit in limits), (section, name)
    assert counted > 70


IMPOSSIBLE = {
    "seeds": [[], [0, 0], [-1], [True], ["0"]],
    "study": ["", "../up", "A study", ".", "..", "/up", "a/b", "a\\b", "~", "up\n", "a" * 65, "\u0430", None, 1],
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
    "train.milestones": [[0], [1.0], [0.5, 0.5], [0.6, 0.3]],
    "train.snapshots": [1, 62],
    "train.nesterov": [1],
    "train.lr": [1e4, "0.1"],
    "features.layers": [["a\x07"], [""], ["a\nb"]],
    "data.folder": ["", "a\x00b", "x" * 2000],
    "network.width": [65_537],
    "unconstrained.dimension": [3],
    "unconstrained.per_class": [100_000],
    "cluster.l2": [1e308],
    "distill.temperatures": [[1e300], [1e-9]],
    "distill.tuning": [9, 0],
    "distill.softnesses": [[1.0, 0.1], [-0.1, 0.1], [0.1]],
    "distill.tuning_seeds": [[], [0], [100, 0]],
    "distill.teachers": [[], [0, 0], [-1]],
    "distill.epochs": [[8], [0]],
    "distill.hint": [-1.0, "much", [], [1.0, 1.0], [1.0, -2.0]],
    "spawn.widths": [[1e300], [200.0]],
    "spawn.children": [[{}], [{"rl": 1}, {}], [{"lr": 1e300}, {}], [{}, {"lr": {}}]],
    "spawn.checkpoints": [["a.pt"], ["a.pt", "a.pt"], ["a.pt", "b.pt"]],  # the last has widths besides
    "inspect": [{"checkpoints": [], "labels": "fine"}, {"checkpoints": ["a.pt"], "labels": "all"}],
    "data.normalise": [{"mean": [0.5]}, {"mean": [0.5], "std": [0.0]}, {"mean": [], "std": [1.0]}],
    "train.flip": ["yes", 1],
    "cluster.reducers": [[], ["tsne", "tsne"], ["umap"]],
    "cluster.perplexity": [0],
    "interpolate.spawned_points": [30, 1],
    "interpolate.permuted_points": [4],
    "linearity.alphas": [[0.25], []],
}


def test_an_impossible_value_is_named():
    for key, values in IMPOSSIBLE.items():
        for wrong in values:
            refused(changed(tuple(key.split(".")), wrong), key)


def test_a_text_that_is_none_is_told_in_words():
    """Not by the regular expression that it fails to match."""
    said = "must be one line of text, not empty, got"
    assert message(changed(("data", "folder"), "")) == f"data.folder: {said} ''"
    assert message(changed(("data", "folder"), "a\nb")) == f"data.folder: {said} 'a\\nb'"
    assert message(changed(("merge", "groups"), {"": ["a"], "b": ["c"]})) == f"merge.groups.'': {said} ''"
    assert message(changed(("merge", "groups"), {"a": [""]})) == f"merge.groups.a.0: {said} ''"
    for key in LEAVES:
        assert "pattern" not in (message(changed(key, "")) or "")
    for name in ("", "A study", "-a"):
        refused(changed(("study",), name), "study: must be small letters, digits and hyphens, the first no hyphen, got")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@examples
@given(st.sampled_from(LEAVES), VALUES)
def test_any_value_is_taken_or_its_key_is_named(key, value):
    found = message(changed(key, value))
    assert found is None or key[0] in found


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
        found = refusal(lambda: idx.read(file, dimensions=3))
        assert found is None or (str(file) in found and "\n" not in found)


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
        found = refusal(lambda: read_images([file], size=4))
        assert found is None or (str(file) in found and "\n" not in found)


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
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["params.yaml"]


def test_a_truncated_image_ends_a_stage_in_one_line_and_writes_nothing(tmp_path):
    write_images(tmp_path / "images")
    file = tmp_path / "images" / "dog" / "2.png"
    file.write_bytes(file.read_bytes()[:100])
    write_study(tmp_path, data={"source": "folder", "folder": "images"})
    done = run_stage("prepare_data", tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"error: images/dog/2\.png is not a readable image .*\n", done.stderr)
    assert not list((tmp_path / paths.ARTIFACTS).iterdir())


def run_here(stage: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [stage])
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


@pytest.mark.parametrize(
    "text", ["[" * 1000, "a: !!bool x", 'a: !!int ""', "a: b: c", "\x00", "a: 1\na: 2", "- 1", "", "1e400", "a: *b"]
)
def test_params_that_are_not_a_mapping_in_yaml_are_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml") as error:
        params.load(path)
    assert "\n" not in str(error.value)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)
)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (BOMB.encode(), "line 2 has an alias"),
        (b"a: &a {b: 1}\nc: {<<: *a}\n", "line 2 has an alias"),
        (b"a: 1\n" * 200_001, "larger than 1,000,000 bytes"),
        (b"a: \xff\n", r"not UTF-8 text \(byte 3\)"),
        (b"- " * 3000, "nested too deeply"),
        (b"a: [", "not valid YAML"),
        (None, "not a regular file"),
    ],
    ids=["bomb", "merge", "large", "latin-1", "deep", "syntax", "directory"],
)
def test_what_is_wrong_with_a_yaml_file_is_said(tmp_path, content, wrong):
    """Of params.yaml, and of a folder's table of super-classes."""
    path = tmp_path / "some.yaml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for read in (params.load, partial(read_superclasses, class_names=("a", "b"))):
        with pytest.raises(InputError, match=rf"some\.yaml.*{wrong}") as caught:
            read(path)
        assert len(str(caught.value)) < 500


def test_a_file_that_may_not_be_read_is_not_called_invalid(tmp_path, monkeypatch):
    path = tmp_path / "params.yaml"
    path.write_text("a: 1")

    def denied(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", denied)  # not by its mode, which does not stop root
    with pytest.raises(InputError, match=r"params\.yaml cannot be read: Permission denied"):
        params.load(path)


def test_a_key_of_any_characters_is_named_in_one_short_line():
    for name in ("a\nb", "\x1b[2J", "x" * 10**5, "\u202e", 1, 16**5000, None, 1.5, True):
        found = message(STUDY | {name: 1})
        assert found
        assert found.isprintable()
