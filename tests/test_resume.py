"""Where unfinished work is kept: under a name that tells all it depends on, and only until it is finished; and that a
state which is none of this training is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from tiny import ROOT

import hidden_structure
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.workplace import code_of, code_of_networks, versions_of_networks, workplace
from hidden_structure.networks.build import initialise
from hidden_structure.training import loop, resume

PIPELINE = """
stages:
  single:
    deps: [stages/single.py, src/used, src/one.py, artifacts/data.npz]
  many:
    foreach: [fine, coarse]
    do:
      deps: [stages/many.py, "artifacts/${item}.npz"]
"""
CODE = ["stages/single.py", "src/used/a.py", "src/used/deep/b.py", "src/one.py"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("dvc.yaml", PIPELINE)
    for name in (*CODE, "stages/many.py", "src/unused.py", "artifacts/data.npz", "artifacts/fine.npz"):
        write(name, name)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def name_of(described=None, values=(1, 2), stage="single") -> str:
    with workplace(stage, described or {"lr": 0.1}, [np.array(values)]) as place:
        return place.name


def test_finished_work_is_removed_and_unfinished_work_is_found_again():
    with pytest.raises(ZeroDivisionError), workplace("single", {}, []) as place:  # noqa: PT012
        place.mkdir(parents=True)
        (place / "state").write_text("half")
        raise ZeroDivisionError
    with workplace("single", {}, []) as again:
        assert (again / "state").read_text() == "half"
    assert not list(paths.RESUME.iterdir())


def test_finished_work_that_is_to_be_kept_stays_until_other_work_of_its_stage_is_finished():
    def work(stage: str, lr: float, keep: bool) -> Path:
        with workplace(stage, {"lr": lr}, [], keep) as place:
            place.mkdir(parents=True, exist_ok=True)
        return place

    with pytest.raises(ZeroDivisionError), workplace("single", {"lr": 3}, []) as half:  # noqa: PT012
        half.mkdir(parents=True)
        raise ZeroDivisionError
    first, other = work("single", 1, True), work("many@fine", 1, True)
    assert work("single", 1, True) == first
    assert {half, first, other} == set(paths.RESUME.iterdir())
    second = work("single", 2, True)
    assert {half, second, other} == set(paths.RESUME.iterdir())
    with (
        pytest.raises(ZeroDivisionError),
        workplace("single", {"lr": 2}, [], True),
    ):  # it is gone on with, and cut short
        raise ZeroDivisionError
    third = work("single", 5, True)
    assert {half, second, third, other} == set(paths.RESUME.iterdir())
    work("single", 4, False)
    assert {half, second, other} == set(paths.RESUME.iterdir())


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_text("other")], ids=["missing", "damaged"])
def test_what_was_kept_is_taken_up_as_it_was_or_not_at_all(change):
    def work() -> Path:
        with workplace("single", {}, [], True) as place:
            (place / "models").mkdir(parents=True, exist_ok=True)
            (place / "models/end").write_text("weights")
        return place

    place = work()
    assert work() == place
    change(place / "models/end")
    with pytest.raises(InputError, match=rf"models/end is missing or damaged: delete {place}"):
        work()
    shutil.rmtree(place)
    assert work() == place


def test_a_place_depends_on_the_version_of_the_library_that_its_network_is_from():
    assert versions_of_networks({"network": {"name": "pytest:Net"}}) == {"libraries": f"pytest=={pytest.__version__}"}
    assert versions_of_networks({"network": {"name": "mlp"}, "x": [1]}) == {}
    assert versions_of_networks({"name": "my_own.nets:Net"}) == {}


def test_other_params_data_or_stages_have_another_place():
    assert name_of() == name_of()
    assert len({name_of(), name_of({"lr": 0.2}), name_of(values=(1, 3)), name_of(stage="many@fine")}) == 4


def test_a_place_depends_on_the_code_that_its_stage_does_and_on_no_other():
    before = name_of()
    write("src/unused.py", "changed")
    write("stages/many.py", "changed")
    assert name_of() == before
    for file in CODE:
        write(file, "changed")
        assert name_of() != before
        write(file, file)
    assert name_of() == before


def test_a_stage_of_a_foreach_has_the_code_of_all_and_the_data_of_its_item():
    assert code_of("many@fine") == [Path("stages/many.py")]


def test_without_a_pipeline_or_beside_other_code_than_it_names_the_code_is_the_whole_package(folder):
    package = sorted(Path(hidden_structure.__file__).parent.rglob("*.py"))
    assert Path(hidden_structure.__file__) in package
    assert code_of("many@coarse") == package  # its data is not there
    Path("src/one.py").unlink()
    assert code_of("single") == package
    assert code_of("single", ROOT / "none.yaml") == package


def test_a_place_depends_on_the_code_of_the_users_own_network_and_on_what_that_imports_from_beside_it(folder):
    own = {"spawn": {"network": {"name": "my_nets.wide:Net", "options": {}}}}
    files = {
        "my_nets/__init__.py": "",
        "my_nets/wide.py": "from . import blocks",
        "my_nets/blocks.py": "import layers_of_mine",
    }
    for file, text in (files | {"layers_of_mine.py": "import torch", "unasked.py": ""}).items():
        write(file, text)
    found = {file.relative_to(folder).as_posix() for file in code_of_networks(own)}
    assert found == {*files, "layers_of_mine.py"}
    before = name_of(own)
    write("unasked.py", "changed")
    assert name_of(own) == before
    for file in ("my_nets/wide.py", "my_nets/blocks.py", "layers_of_mine.py"):
        text = Path(file).read_text()
        write(file, f"{text}  # changed")
        assert name_of(own) != before
        write(file, text)
    write("my_nets/wide.py", "no Python")  # what builds the network says so
    assert name_of(own) != before
    write("without_init/net.py", "from without_init.blocks import Block\nimport torch, numpy.linalg")
    write("without_init/blocks.py", "import without_init.net, layers_of_mine")
    write("without_init/unasked.py", "")
    found = code_of_networks({"name": "without_init.net:Net"})
    assert found == [folder / name for name in ("layers_of_mine.py", "without_init/blocks.py", "without_init/net.py")]


@pytest.mark.parametrize("name", ["torchvision:resnet18", "torchvision.models:resnet18", "timm:vit", "json:loads"])
def test_installed_libraries_are_no_code_of_the_users_own(name):
    assert code_of_networks({"network": {"name": name}}) == []


def test_a_network_that_is_of_a_family_or_nowhere_has_no_code_of_its_own():
    assert not code_of_networks({"network": {"name": "mlp"}, "others": [{"name": "nowhere:Net"}]})


def fresh() -> loop.TrainingState:
    study = params.Study.model_validate(tiny.study())
    return loop.start(initialise(study.network, (8, 8, 1), 4, 0), study.train, torch.device("cpu"))


SAVED = {"epoch": 1, "history": [{"epoch": 0}, {"epoch": 1}]}
RECORDS = [None, "half", "[]", "null", '{"epoch": 1, "history": []}', '{"epoch": "", "history": 3}', json.dumps(SAVED)]
RECORDS += [json.dumps(SAVED | {"batch": batch}) for batch in (-1, "2", 1.0)]


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_a_state_whose_record_is_another_thing_is_refused_by_name(record):
    file, state = Path("state.safetensors"), fresh()
    resume.save(file, state)
    tensors = artifacts.read_tensors(file)
    del tensors["record"]
    if record is not None:
        tensors["record"] = torch.tensor(list(record.encode()), dtype=torch.uint8)
    artifacts.write_tensors(file, tensors)
    if record == json.dumps(SAVED):
        assert resume.load(file, state)
        assert state.epoch == 1
        return
    with pytest.raises(InputError, match=r"state\.safetensors is not what its stage writes"):
        resume.load(file, state)


@pytest.mark.parametrize("odd", ["network/head.weight", "network/other", "optimizer/0/momentum_buffer", "odd"])
def test_a_state_of_another_network_or_optimizer_is_refused_by_name(odd):
    file, state = Path("state.safetensors"), fresh()
    resume.save(file, state)
    artifacts.write_tensors(file, artifacts.read_tensors(file) | {odd: torch.zeros(2, 7)})
    with pytest.raises(InputError, match=r"state\.safetensors is not what its stage writes"):
        resume.load(file, state)


def test_where_no_state_is_there_is_nothing_to_go_on_with():
    assert not resume.load(Path("none.safetensors"), fresh())
