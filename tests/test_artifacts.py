import numpy as np
import pytest
import torch

from hidden_structure import artifacts
from hidden_structure.errors import InputError

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
        return first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)
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
