"""Benchmarks are run by hand: that they can still be begun is what a test can say."""

import runpy
from pathlib import Path

import pytest

FILES = sorted(path for path in Path("benchmarks").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_can_be_begun(file, monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")  # as if it were run
    assert runpy.run_path(str(file), run_name="benchmark")["__doc__"]
