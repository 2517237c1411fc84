import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError

KINDS = {
    "json": (artifacts.write_json, artifacts.read_json, [{"a": 1, "b": [0.1, None, "ü"]}]),
    "npz": (artifacts.write_arrays, artifacts.read_arrays, {"x": np.arange(6).reshape(2, 3), "names": np.array(["a"])}),
    "safetensors": (
        artifacts.write_tensors,
        artifacts.read_tensors,
        {"w": torch.randn(2, 3).T, "n": torch.tensor(3), "b": torch.randn(4).bfloat16()},
    ),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def equal(first, second) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            first[name].dtype == second[name].dtype and (first[name] == second[name]).all() for name in first
        )
    return first == second


def test_what_is_written_is_read_back_and_the_bytes_do_not_depend_on_the_name(tmp_path, kind):
    write, read, content = KINDS[kind]
    for name in ("one", "two"):
        write(tmp_path / f"{name}.{kind}", content)
    assert equal(read(tmp_path / f"one.{kind}"), content)
    assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()


def test_a_missing_or_damaged_file_is_an_error_that_names_it(tmp_path, kind):
    write, read, content = KINDS[kind]
    path = tmp_path / f"file.{kind}"
    with pytest.raises(InputError, match=rf"file\.{kind} is missing"):
        read(path)
    write(path, content)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x04N."):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"file\.{kind} is damaged"):
            read(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    artifacts.write_json(path, 1)

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        artifacts.write_atomically(path, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    assert artifacts.read_json(path) == 1


def test_nothing_that_needs_a_pickle_is_written_or_read(tmp_path):
    with pytest.raises(TypeError, match="pickle"):
        artifacts.write_arrays(tmp_path / "a.npz", {"x": np.array([{}], dtype=object)})
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"b\.npz is damaged"):
        artifacts.read_arrays(tmp_path / "b.npz")


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(tmp_path / "a.json", float("nan"))
    assert not list(tmp_path.iterdir())


def test_a_sound_file_that_cannot_be_read_is_not_called_damaged(tmp_path, kind, monkeypatch):
    write, read, content = KINDS[kind]
    path = tmp_path / f"file.{kind}"
    write(path, content)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(PermissionError, match=rf"Permission denied: .*file\.{kind}"):
            read(path)
    assert equal(read(path), content)


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate"), RuntimeError("can't allocate memory: you tried")])
def test_too_little_memory_is_no_damage(tmp_path, error, monkeypatch):
    artifacts.write_arrays(tmp_path / "a.npz", {"x": np.zeros(3)})

    def short(*_, **__):
        raise error

    monkeypatch.setattr(np, "load", short)
    with pytest.raises(MemoryError, match=r"a\.npz: .*allocate"):
        artifacts.read_arrays(tmp_path / "a.npz")


def test_a_disk_that_is_full_is_told_with_the_file_that_was_to_be_written(tmp_path):
    def fail(temporary):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*[/\\]a\.json"):
        artifacts.write_atomically(tmp_path / "a.json", fail)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["NaN", "[1, NaN]", '{"a": -Infinity}', "[1e999]"])
def test_json_with_numbers_that_are_not_finite_is_damaged(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json is damaged \(.* is no finite number\)"):
        artifacts.read_json(tmp_path / "a.json")


def test_json_of_another_type_is_refused(tmp_path):
    artifacts.write_json(tmp_path / "a.json", [])
    assert artifacts.read_json(tmp_path / "a.json", list) == []
    with pytest.raises(InputError, match=r"a\.json is not what its stage writes, it holds a list: "):
        artifacts.read_json(tmp_path / "a.json", dict)


@pytest.mark.parametrize(
    "array",
    [None, np.zeros(3), np.zeros((3, 1), np.int64), np.zeros(0, np.int64), np.array(3), np.array(["a"])],
    ids=str,
)
def test_an_array_of_another_kind_or_shape_is_refused(tmp_path, array):
    path, holds = tmp_path / "a.npz", {"x": ("i", 1)}
    artifacts.write_arrays(path, {"x": np.arange(3)})
    assert artifacts.read_arrays(path, holds)["x"].tolist() == [0, 1, 2]
    artifacts.write_arrays(path, {"y": np.arange(3)} if array is None else {"x": array})
    with pytest.raises(InputError, match=r"a\.npz is not what its stage writes, it holds .*'x'"):
        artifacts.read_arrays(path, holds)


@pytest.mark.parametrize("shape", [None, (), (2,), (4, 3)], ids=str)
def test_a_tensor_that_is_missing_or_of_another_length_is_refused(tmp_path, shape):
    path, holds = tmp_path / "a.safetensors", {"x": 3, "y": None}
    artifacts.write_tensors(path, {"x": torch.zeros(3, 2), "y": torch.zeros(1)})
    assert artifacts.read_tensors(path, holds).keys() == holds.keys()
    artifacts.write_tensors(path, {"y": torch.zeros(1)} | ({} if shape is None else {"x": torch.zeros(shape)}))
    with pytest.raises(InputError, match=r"a\.safetensors is not what its stage writes, it holds .*'x'"):
        artifacts.read_tensors(path, holds)


def test_weights_of_another_network_are_refused(tmp_path):
    path, network = tmp_path / "a.safetensors", torch.nn.Linear(2, 3)
    artifacts.write_tensors(path, network.state_dict())
    assert equal(artifacts.read_state(path, network), network.state_dict())
    for other in (torch.nn.Linear(2, 4), torch.nn.Linear(2, 3, bias=False), torch.nn.Sequential(network)):
        with pytest.raises(InputError, match=r"a\.safetensors .* another network than .* \(\S+ is "):
            artifacts.read_state(path, other)


@pytest.mark.parametrize(
    ("path", "mended"),
    [
        (paths.DATA, ("dvc checkout artifacts/data.npz`", "dvc repro -f prepare-data`")),
        (paths.model("coarse", 0), ("dvc checkout artifacts/models/coarse/0.safetensors`", "-f train@coarse`")),
        (paths.labels("fine"), ("dvc checkout artifacts/labels/fine.npz`", "-f merge-labels`")),
        (paths.spawned("width-1", 0, "trunk"), ("dvc checkout", "-f spawn`")),
        (paths.results("train-fine"), ("dvc checkout", "run `dvc repro -f train@fine`")),
        (paths.results("collapse"), ("dvc checkout", "run `dvc repro -f measure-collapse`")),
        (paths.RESUME / "spawn-1/state.npz", ("delete it, and its training starts anew",)),
    ],
    ids=str,
)
def test_the_way_to_a_sound_file_is_that_of_its_stage(tmp_path, monkeypatch, path, mended):
    shutil.copy(tiny.ROOT / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    read = {".npz": artifacts.read_arrays, ".json": artifacts.read_json, ".safetensors": artifacts.read_tensors}
    with pytest.raises(InputError) as told:
        read[path.suffix](path)
    assert str(told.value).startswith(f"{path} is damaged (")
    assert all(words in str(told.value) for words in mended)
    assert ("checkout" in str(told.value)) == (len(mended) == 2)


def test_labels_that_do_not_belong_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.write_data(tmp_path)
    fine, coarse = artifacts.read_both_labels()
    assert (coarse["coarse_of"][fine["train"]] == coarse["train"]).all()
    artifacts.write_arrays(paths.labels("coarse"), coarse | {"train": 1 - coarse["train"].clip(0, 1)})
    with pytest.raises(InputError, match=r"one of artifacts/labels/fine\.npz, artifacts/labels/coarse\.npz is not"):
        artifacts.read_both_labels()
    artifacts.write_arrays(paths.labels("coarse"), coarse | {"train": coarse["train"] + 4})
    with pytest.raises(InputError, match=r"coarse\.npz is not .* train labels beyond its 5 names"):
        artifacts.read_labels("coarse")


def test_a_published_folder_holds_the_files_and_nothing_of_before(tmp_path):
    folder, sources = tmp_path / "results", [tmp_path / name for name in "ab"]
    (folder / "old").mkdir(parents=True)
    (folder / "old/stale").write_text("of another run")
    for source in sources:
        source.write_text(source.name)
    artifacts.publish(folder, {folder / "deep/x": sources[0], folder / "y": sources[1]})
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == {"deep/x", "y"}
    assert (folder / "deep/x").read_text() == "a"
    artifacts.clear(folder)
    assert not list(folder.iterdir())


def test_the_bytes_of_tensors_of_any_type_are_given_in_the_order_of_files_and_names(tmp_path):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    artifacts.write_tensors(first, {"b": torch.ones(2, 3), "a": torch.tensor(7)})
    artifacts.write_tensors(second, {"c": torch.ones(3, dtype=torch.bfloat16)})
    found = [array.tobytes() for array in artifacts.arrays_of([first, second])]
    assert found == [np.int64(7).tobytes(), np.ones(6, np.float32).tobytes(), b"\x80\x3f" * 3]
    with pytest.raises(InputError, match="is missing"):
        list(artifacts.arrays_of([tmp_path / "3.safetensors"]))


def test_a_folder_is_left_as_it_is_if_a_file_that_is_to_be_published_is_missing(tmp_path):
    folder, source = tmp_path / "models", tmp_path / "kept"
    source.write_text("new")
    artifacts.publish(folder, {folder / "0": source})
    with pytest.raises(InputError, match=r"gone is missing: delete artifacts/resume"):
        artifacts.publish(folder, {folder / "1": source, folder / "2": tmp_path / "gone"})
    assert [file.name for file in folder.iterdir()] == ["0"]
