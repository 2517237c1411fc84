"""Benchmarks are run by hand: that they still go with the library is what a test can say."""

import runpy

import pytest
import tiny

FOLDER = tiny.ROOT / "benchmarks"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_can_be_loaded(file, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)  # as if it were run
    assert runpy.run_path(str(file), run_name="benchmark")["__doc__"]


def test_there_are_benchmarks():
    assert len(FILES) > 10
