"""Tables of networks of which some classes have few images."""

import synthetic_imbalance as made

from hidden_structure.frame import params, tables
from hidden_structure.tables.imbalance import tabulate

STUDY = params.load()


def test_every_table_is_written_and_read_as_it_was(tmp_path):
    found = tabulate(STUDY, {"imbalance": made.result()}.get)
    for name, rows in found.items():
        tables.write(tmp_path / f"{name}.csv", rows)
        assert len(tables.read(tmp_path / f"{name}.csv")) == len(rows) > 0
    assert [row["trained"] for row in found["minorities"][:2]] == [False, True]
    assert {tuple(row["threshold"]) for row in found["foretold"]} == {("bounds", "decay")}


def test_a_study_without_such_networks_has_no_tables():
    assert tabulate(STUDY, {"imbalance": None}.get) == tabulate(STUDY, {}.get) == {}
