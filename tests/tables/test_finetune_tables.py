"""Tables of networks of two tasks."""

import pytest
import synthetic_finetune as made

from hidden_structure.frame import params, tables
from hidden_structure.tables.finetune import tabulate

STUDY = params.load()


def test_every_table_is_written_and_read_as_it_was(tmp_path):
    found = tabulate(STUDY, {"finetune": made.result()}.get)
    for name, rows in found.items():
        tables.write(tmp_path / f"{name}.csv", rows)
        assert len(tables.read(tmp_path / f"{name}.csv")) == len(rows) > 0
    assert [row["class"] for row in found["tasks"] if row["task"] == "second"] == [f"class {i}" for i in range(5, 10)]
    assert [row["block"] for row in found["finetuned_layers"]] == [1, 1, 1, 2, 2, 3]


def test_ratios_are_of_the_worst_layer_and_alpha():
    found = tabulate(STUDY, {"finetune": made.result((0,))}.get)
    for row in found["crossed"]:
        ratio = made.RATIO[row["kind"]] * (0.8 if row["repaired"] else 1)
        assert row["bend"] == pytest.approx(ratio)
        assert row["output"] == pytest.approx(0.6 * ratio)
        assert row["laws"]["linear"] == pytest.approx(0.9 * ratio)  # at alphas other than 1/2
        assert row["laws"]["exponential"] > row["laws"]["linear"]
        assert row["layers"]["dissimilarity"][-2] == pytest.approx(ratio * row["layers"]["ends"][-2])
    for row in found["sums"]:
        ratio = 0.8 * made.RATIO[row["kind"]]
        assert row.get("bent_at") == ([0.25, 1.0] if row["repaired"] else None)
        assert row.get("bend") == (
            [pytest.approx(0.75 * ratio), pytest.approx(1.5 * ratio)] if row["repaired"] else None
        )
        assert row["coefficients"] == [0, *made.COEFFICIENTS]


def test_a_study_without_such_networks_has_no_tables():
    assert tabulate(STUDY, {"finetune": None}.get) == tabulate(STUDY, {}.get) == {}
