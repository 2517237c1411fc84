"""The tables on training and neural collapse."""

import pytest
import synthetic_recovery as made
from synthetic_results import EPOCHS

from hidden_structure.frame import tables
from hidden_structure.frame.errors import InputError
from hidden_structure.tables.collapse import tabulate


def test_a_row_is_a_network_and_holds_every_measured_epoch():
    found = made.results()
    rows = tabulate(made.STUDY, found.get)
    assert {name: len(table) for name, table in rows.items()} == {"training": 6, "collapse": 6}
    training, collapse = rows["training"][0], rows["collapse"][0]
    assert training["snapshots"] == collapse["epochs"] == EPOCHS
    assert training["epochs"] == list(range(1, EPOCHS[-1] + 1))
    by_epoch = {row["epoch"]: row for row in found["train-fine"] if row["seed"] == 0}
    assert training["test"]["loss"] == [by_epoch[epoch]["test_loss"] for epoch in EPOCHS]
    assert training["train"]["accuracy"][-1] == by_epoch[EPOCHS[-1]]["train_accuracy"]


def test_each_network_has_its_own_numbers_of_classes_and_features():
    found = made.results()
    assert {row["dimension"] for row in tabulate(made.STUDY, found.get)["collapse"]} == {None}
    for row in found["collapse"]:
        row["dimension"] = 64
    shapes = [(row["classes"], row["dimension"]) for row in tabulate(made.STUDY, found.get)["collapse"]]
    assert shapes == [(10, 64)] * 3 + [(5, 64)] * 3


def test_epochs_out_of_order_are_put_into_it():
    found = made.results()
    reversed_rows = found | {name: found[name][::-1] for name in ("train-fine", "train-coarse", "collapse")}
    assert tabulate(made.STUDY, reversed_rows.get) == tabulate(made.STUDY, found.get)


def test_the_tables_are_read_as_they_were_written(tmp_path):
    for name, rows in tabulate(made.STUDY, made.results().get).items():
        tables.write(tmp_path / f"{name}.csv", rows)
        assert [row["supervision"] for row in tables.read(tmp_path / f"{name}.csv")] == ["fine"] * 3 + ["coarse"] * 3


def test_a_seed_that_is_missing_is_named_and_without_networks_there_is_no_table():
    found = made.results()
    found["train-coarse"] = [row for row in found["train-coarse"] if row["seed"] != 1]
    with pytest.raises(InputError, match="coarse network of seed 1"):
        tabulate(made.STUDY, found.get)
    assert tabulate(made.STUDY, lambda name: None) == {}
