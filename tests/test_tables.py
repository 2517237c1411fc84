"""A table is read back as it was written, up to the digits it keeps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hidden_structure.frame import tables
from hidden_structure.frame.errors import InputError

text = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
number = st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9).map(lambda value: float(f"{value:.6g}"))
cell = st.none() | st.booleans() | number | text | st.lists(number, max_size=4)


@given(st.lists(st.fixed_dictionaries({"a": cell, "b": cell, "c": cell}), min_size=1, max_size=5))
def test_what_was_written_is_read(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("tables") / "a.csv"
    tables.write(file, rows)
    assert tables.read(file) == rows


def test_groups_become_columns_and_groups_again(tmp_path):
    rows = [{"name": "a", "loss": {"train": 0.5, "test": 1}}, {"name": "b", "more": {"deep": {"er": [1, 2]}}}]
    tables.write(tmp_path / "a.csv", rows)
    header, first, _ = (tmp_path / "a.csv").read_text().splitlines()
    assert header == '"name","loss.train","loss.test","more.deep.er"'
    assert first == '"a",0.5,1,'
    assert tables.read(tmp_path / "a.csv") == rows


def test_numbers_keep_six_digits(tmp_path):
    tables.write(tmp_path / "a.csv", [{"a": math.pi, "b": 1 / 3 * 1e-20}])
    assert (tmp_path / "a.csv").read_text() == '"a","b"\n3.14159,3.33333e-21\n'


@pytest.mark.parametrize("value", [math.nan, math.inf, {1}, ["text"]])
def test_what_a_table_cannot_hold_is_refused_and_nothing_written(tmp_path, value):
    with pytest.raises((TypeError, ValueError)):
        tables.write(tmp_path / "a.csv", [{"a": value}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", '"a"\n1,2\n', '"a"\n"1\n', '"a"\nx\n', '"a"\n1'])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=r"a\.csv"):
        tables.read(tmp_path / "a.csv")
