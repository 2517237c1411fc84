"""The examples run as a user would run them, and say what is so."""

import os
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tiny
from PIL import Image

from hidden_structure.frame import params
from hidden_structure.networks import checkpoints
from hidden_structure.networks.build import build


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> str:
    """What distil_tabular prints, run outside the repository: it needs no file of it."""
    command = [sys.executable, "-W", "error", str(tiny.ROOT / "examples/distil_tabular.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tiny.ROOT / "src")}
    folder = tmp_path_factory.mktemp("example")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert not list(folder.iterdir())
    return done.stdout


def test_a_table_is_distilled_and_students_keep_what_the_teacher_knows(said):
    teacher, vanilla, lelp = (float(value) for value in re.findall(r": (0\.\d{3})$", said, re.MULTILINE)[:3])
    assert teacher > 0.95
    assert vanilla > 0.9
    assert lelp > 0.9


def test_pieces_tell_the_cultivars_apart_that_the_teacher_was_never_told_of(said):
    tables = [[int(count) for count in found.split(", ")] for found in re.findall(r"\[(.*)\]", said)]
    samples = sum(map(sum, tables))
    assert samples < 90  # the training samples of one class
    apart = max(tables[0][0] + tables[1][1], tables[0][1] + tables[1][0])
    assert apart > 0.8 * samples
    assert float(said.split()[-1]) > 0.4


def test_its_docstring_says_how_to_run_it():
    text = (tiny.ROOT / "examples/distil_tabular.py").read_text()
    assert "python examples/distil_tabular.py" in text.split('"""')[1]
    assert len(text.splitlines()) < 80


@pytest.mark.parametrize(("name", "network"), [("resnet18", "torchvision:resnet18"), ("vit", "train_checkpoints:ViT")])
def test_checkpoints_are_trained_and_read(name, network, tmp_path, monkeypatch, capsys):
    """From a table of images and from a folder of them."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 255, (128, 32, 32, 3), np.uint8), np.arange(128) % 10
    np.savez(tmp_path / "data.npz", train_images=images, train_labels=labels)
    for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = tmp_path / f"data/train/{label}/{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    monkeypatch.syspath_prepend(tiny.ROOT / "examples")
    asked = [name, "--data", str(tmp_path / ("data" if name == "vit" else "data.npz")), "--seed", "0", "--epochs", "4"]
    monkeypatch.setattr("sys.argv", ["train_checkpoints.py", *asked, "--out", str(tmp_path / "a.pt")])
    runpy.run_path(str(tiny.ROOT / "examples/train_checkpoints.py"), run_name="__main__")
    assert "epoch 4 of 4: 0." in capsys.readouterr().out
    built = build(params.Network(name=network, depth=None, width=None, norm=None), (32, 32, 3), 10)
    assert checkpoints.read(str(tmp_path / "a.pt"), built).notes == ()
