"""The examples run as a user would run them, and say what is so."""

import os
import re
import subprocess
import sys

import pytest
import tiny


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
