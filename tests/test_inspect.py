"""Given networks looked into: what is planted inside classes is found, and the documents' commands run."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from ruamel.yaml import YAML
from setuptools import find_namespace_packages

from hidden_structure.cli import pipeline
from hidden_structure.cli.main import main
from hidden_structure.datasets import digits
from hidden_structure.frame import artifacts, params, paths, tables
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.given import Normalise
from hidden_structure.networks.build import initialise
from hidden_structure.report.connectivity.given import warnings
from hidden_structure.tables import inspection
from hidden_structure.training.given import reordered

NETWORK = {"name": "mlp", "depth": 1, "width": 64, "norm": "none", "options": {}}
SECTIONS = {"train": None, "merges": None, "split": None, "distill": None, "spawn": None, "unconstrained": None}
SECTIONS |= {"permute": None, "interpolate": None, "linearity": None, "network": NETWORK}


def seeing(outputs: int) -> dict[str, torch.Tensor]:
    """The weights of a network whose features are the images, made positive."""
    state = initialise(params.Network(**NETWORK), (8, 8, 1), outputs, 0).state_dict()
    names = [name for name in state if not name.startswith("head")]
    return state | {name: torch.eye(64) if state[name].dim() == 2 else torch.full((64,), 20.0) for name in names}


def prepared(folder: Path, labels: str, outputs: int) -> Path:
    tiny.write_data(folder)
    torch.save({"model": seeing(outputs)}, folder / "a.pt")
    own = {"checkpoints": [str(folder / "a.pt")], "labels": labels}
    cluster = {"reducers": ["pca"], "restarts": 3, "components": 5}
    content = tiny.study(**SECTIONS, cluster=cluster) | {"inspect": own}
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(content, file)
    return folder


def test_classes_planted_inside_those_that_the_network_knows_are_found(tmp_path):
    prepared(tmp_path, "coarse", 5)
    done = tiny.in_process(tmp_path, "inspect_networks.py")
    assert done.returncode == 0, done.stderr
    (row,) = artifacts.read_json(tmp_path / paths.results("inspect"))
    assert {own["gap"] for own in row["inside"]["given"].values()} == {2}  # of ten classes, five merge two each
    assert {own["silhouette"] for own in row["inside"]["given"].values()} == {2}
    assert row["recovered"]["given"]["agreement"] > 0.95
    assert row["recovered"]["given"]["probe_accuracy"] > 0.9
    assert row["recovered"]["given"]["agreement"] == pytest.approx(row["recovered"]["pixels"]["agreement"], abs=0.02)
    assert row["notes"] == ["taken from model"]
    assert row["test_accuracy"] <= row["reordered"]
    found = artifacts.read_arrays(tmp_path / paths.inspected(1), {"map": ("f", 2)})["map"]
    assert found.shape == (320, 2)


def test_what_of_a_checkpoint_is_left_out_is_said(tmp_path, capsys):
    prepared(tmp_path, "fine", 10)
    state = {f"model.{name}": tensor for name, tensor in seeing(10).items()}
    torch.save({"state_dict": state | {"criterion.weight": torch.ones(10)}}, tmp_path / "a.pt")
    done = tiny.in_process(tmp_path, "inspect_networks.py")
    assert done.returncode == 0, done.stderr
    assert "a.pt: taken from state_dict.model; left out criterion.weight" in capsys.readouterr().err


def test_classes_of_one_cloud_have_one_cluster_and_two_runs_the_same_bytes(tmp_path):
    prepared(tmp_path, "fine", 10)
    results = []
    for _ in range(2):
        done = tiny.in_process(tmp_path, "inspect_networks.py")
        assert done.returncode == 0, done.stderr
        results.append((tmp_path / paths.results("inspect")).read_bytes())
    assert results[0] == results[1]
    (row,) = artifacts.read_json(tmp_path / paths.results("inspect"))
    assert {own["gap"] for own in row["inside"]["given"].values()} == {1}
    assert "recovered" not in row
    assert row["collapse"]["nc1"] < 0.2  # the images' own means differ by far more than their noise


def test_left_out_it_writes_no_rows(tmp_path):
    prepared(tmp_path, "fine", 10)
    tiny.write_params(tmp_path)
    assert tiny.in_process(tmp_path, "inspect_networks.py").returncode == 0
    assert artifacts.read_json(tmp_path / paths.results("inspect")) == []
    assert inspection.tabulate(None, lambda name: []) == {}


def test_reordered_outputs_count_as_their_best_assignment():
    labels = np.arange(30) % 3
    assert reordered((labels + 1) % 3, labels, 3) == 1
    assert reordered(labels, labels, 3) == 1
    assert reordered(np.zeros(30, int), labels, 3) == pytest.approx(1 / 3)


def test_warnings_are_of_networks_that_cannot_be_meant_so():
    row = {"file": "a.pt", "guess": 0.1, "chance": 0.13, "test_accuracy": 0.9, "reordered": 0.9}
    assert list(warnings([row])) == []
    (told,) = warnings([row | {"test_accuracy": 0.11, "reordered": 0.2}])
    assert "no more than a guess (10 %)" in told
    assert "normalised otherwise" in told
    (told,) = warnings([row | {"test_accuracy": 0.11, "reordered": 0.97}])
    assert "97 % if its outputs stand for the classes in another order" in told


def test_an_order_of_classes_that_a_table_tells_is_mended_in_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = digits.load(0.2, 0)
    images, odd = torch.from_numpy(data.train_images).flatten(1) / 255, torch.from_numpy(data.train_labels) % 2
    state = seeing(2)
    head = torch.linalg.lstsq(images, torch.nn.functional.one_hot(odd, 2).float()).solution.T
    weights = next(name for name in state if name.startswith("head") and state[name].dim() == 2)
    torch.save(state | {weights: head, weights.replace("weight", "bias"): -20 * head.sum(1)}, "a.pt")
    table = {"odd": ["1", "3", "5", "7", "9"], "even": ["0", "2", "4", "6", "8"]}
    with Path("fine.yaml").open("w") as file:
        YAML().dump(table, file)
    options = ("--options", '{"depth": 1, "width": 64, "norm": "none"}', "--fine", "fine.yaml", "--normalise", "none")
    main(["inspect", "a.pt", "--network", "mlp", "--data", "digits", *options])
    told = capsys.readouterr().err
    assert "in another order: put the classes of the table given to --fine (merge.groups) into the network's" in told
    assert "rename the folders" not in told + Path("inspected/README.md").read_text()


@pytest.mark.parametrize(("mean", "std"), [([0.25], [0.5]), ([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])])
def test_given_statistics_take_the_place_of_the_images_own(mean, std):
    data = digits.load(0.2, 0)
    own = data.arrays()
    if len(mean) == 3:
        with pytest.raises(InputError, match=r"data\.normalise\.mean: 3 numbers, but images are grey: give 1"):
            data.arrays(Normalise(mean=mean, std=std))
        return
    found = data.arrays(Normalise(mean=mean, std=std))
    assert found["mean"].tolist() == mean
    assert found["std"].tolist() == std
    assert found["mean"].dtype == own["mean"].dtype
    assert all(np.array_equal(found[name], own[name]) for name in own.keys() - {"mean", "std"})


def test_the_commands_run_every_stage_in_an_order_in_which_each_finds_what_it_reads():
    stages = YAML(typ="safe", pure=True).load((tiny.ROOT / "dvc.yaml").read_text())["stages"]
    assert set(pipeline.STAGES) == stages.keys() - {"report"}
    place = {name: index for index, name in enumerate(pipeline.STAGES)}
    makers = {
        path: name
        for name, stage in stages.items()
        for item in stage.get("foreach", [""])
        for path in (out.replace("${item}", item) for out in stage.get("do", stage)["outs"] if isinstance(out, str))
    }
    for name, stage in stages.items():
        for item in stage.get("foreach", [""]):
            for need in (path.replace("${item}", item) for path in stage.get("do", stage)["deps"]):
                for path, maker in makers.items():
                    within = Path(path).is_relative_to(need) or Path(need).is_relative_to(path)
                    if within and maker != name and name != "report":
                        assert place[maker] < place[name], (name, need)
    assert len(set(pipeline.STAGES)) == len(pipeline.STAGES)


def test_a_wheel_has_the_stages():
    found = find_namespace_packages(str(tiny.ROOT / "src"))
    assert {"hidden_structure.stages", "hidden_structure.inspection", "hidden_structure.report.inspection"} <= set(
        found
    )
    scripts = {file.name for file in (tiny.ROOT / "stages").glob("*.py")}
    assert {file.name for file in (tiny.ROOT / "src/hidden_structure/stages").glob("*.py")} == scripts


def test_the_documents_snippets_run_and_end_in_reports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (tiny.ROOT / "docs/checkpoints.md").read_text()
    for kind, block in re.findall(r"```(py|yml|sh)\n(.*?)```", text, re.DOTALL):
        if kind == "sh":
            if block.startswith("python "):  # trains networks for minutes
                continue
            program, *arguments = block.split()
            assert program == "hidden-structure"
            main([*arguments, "--device", "cpu"])
        else:
            name = block.splitlines()[0].removeprefix("# ")
            Path(name).write_text(block)
            if name == "train.py":
                exec(compile(block, name, "exec"), {})
    sys.modules.pop("my_nets")
    for folder in ("compared", "inspected", "parity"):
        text = Path(folder, "README.md").read_text()
        assert "Check this first" not in text, text
        assert Path(folder, "report.html").stat().st_size > 10_000
    accuracies = {row["source"]: row["accuracy"] for row in tables.read(Path("parity/tables/hidden.csv"))}
    assert accuracies.keys() == {"labels", "given", "pixels", "untrained"}
    assert 0.2 < accuracies["given"] <= accuracies["labels"] + 0.02
    assert not Path("inspected/tables/hidden.csv").exists()
    assert len(tables.read(Path("inspected/tables/inside.csv"))) == 10 * 3
    collapse = {row["source"]: row["nc1"] for row in tables.read(Path("inspected/tables/inspected_collapse.csv"))}
    assert collapse["given"] < collapse["untrained"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("even: [zero]", "--fine: 'even' holds the unknown class 'zero'"),
        ("even: ['0']\nodd: ['1']", "--fine: in no group: 2, 3"),
        ("- 1", "--fine .*fine.yaml must map names to lists of class names"),
        (None, "--fine .*fine.yaml is missing"),
    ],
)
def test_a_table_that_does_not_fit_is_told_in_one_line(table, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(seeing(2), "a.pt")
    if table:
        Path("fine.yaml").write_text(table)
    options = ("--options", '{"depth": 1, "width": 64, "norm": "none"}', "--fine", "fine.yaml")
    with pytest.raises(SystemExit, match=message):
        main(["inspect", "a.pt", "--network", "mlp", "--data", "digits", *options])


def test_a_network_of_fewer_classes_than_folders_is_told_of_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(seeing(2), "a.pt")
    options = ("--options", '{"depth": 1, "width": 64, "norm": "none"}')
    said = "and 10 classes; if it tells fewer apart, say by --fine which of these each is made of"
    with pytest.raises(SystemExit, match=said):
        main(["inspect", "a.pt", "--network", "mlp", "--data", "digits", *options])
