from pathlib import Path

import pytest
import synthetic_results as synthetic

from hidden_structure.frame import params
from hidden_structure.report.linearity import claims as linearity_claims
from hidden_structure.report.linearity import measure as linearity_summary
from hidden_structure.report.recovery import claims

STUDY = synthetic.connected(params.load(Path(__file__).parent.parent / "studies/digits.yaml"))
RESNET = {"name": "resnet", "depth": 20, "width": 16, "norm": "batch"}
ENDINGS = ("", "_repaired")
IDS = [f"llfc.{name}{ending}" for ending in ("", ".repaired") for name in ("spawned", "permuted", "unaligned")]
IDS += ["llfc.additivity", "llfc.commutativity.before", "llfc.commutativity.after", "llfc.bound", "stitch.spawned"]
# All claims hold with these.
VALUES = {
    "llfc": {"spawned.k5": 0.01, "none": 0.5, "weights": 0.02},
    "additivity": {"spawned.k5": 0.02, "none": 0.2, "weights": 0.1},
    "commutativity": {"spawned.k5": 0.01, "none": 0.6, "weights": 0.1},
    "output_dissimilarity": {"spawned.k5": 0.01, "none": 0.5, "weights": 0.2},
    "error_ratio": {"spawned.k5": 0.5, "none": 4.0, "weights": 0.7},
    "stitch": {"spawned.k5": 0.04, "none": 0.6, "weights": 0.1},
}


def on(source: str, network: dict = RESNET, **spawn: object) -> params.Study:
    content = synthetic.connected(STUDY, **{"widths": [], "network": network, "epochs": [5]} | spawn).model_dump()
    permute = content["permute"] | {"methods": ["weights"]}
    return params.Study.model_validate(content | {"data": content["data"] | {"source": source}, "permute": permute})


CIFAR = on("cifar10")


def measurements(**changed: float) -> dict[str, list[float]]:
    values = {
        f"{quantity}.{group}{ending}": value
        for quantity, groups in VALUES.items()
        for group, value in groups.items()
        for ending in ENDINGS
    }
    values |= {name.replace("__", "."): value for name, value in changed.items()}
    return {name: [value] * (2 if "spawned" in name else 3) for name, value in values.items()}


def table(study: params.Study = CIFAR, **changed: float) -> dict[str, dict]:
    return {row["id"]: row for row in linearity_claims.table(study, measurements(**changed))}


def test_the_rows_and_their_keys():
    rows = table()
    assert list(rows) == IDS
    for name, row in rows.items():
        assert list(row) == ["id", "claim", "source", "published", "measured", "spread", "seeds", "holds"]
        assert row["holds"] is True, name
        assert row["claim"].endswith(".")
        assert row["source"] == linearity_claims.ZHOU
    for name in ("llfc.spawned", "llfc.spawned.repaired", "llfc.additivity", "stitch.spawned"):
        assert rows[name]["seeds"] == [0, 1]
    for name in ("llfc.permuted", "llfc.unaligned.repaired", "llfc.commutativity.before", "llfc.commutativity.after"):
        assert rows[name]["seeds"] == ["0-1", "1-2", "2-0"]
    assert rows["llfc.bound"]["seeds"] == [0, 1, 2]


def test_what_the_summary_measures_is_all_that_the_claims_need():
    for study in (STUDY, CIFAR, synthetic.connected(STUDY, seeds=[3, 4], spawned=1, epochs=[2])):
        measured = linearity_summary.measure(synthetic.linearity(study), synthetic.stitch(study), study)
        rows = linearity_claims.table(study, measured)
        assert [row["id"] for row in rows] == IDS
        assert claims.markdown(rows).count("\n") == 2 + len(rows)
        assert claims.html_rows(rows).count("<tr") == len(rows)


@pytest.mark.parametrize(
    ("name", "quantity", "bound", "at_most"),
    [
        ("llfc.spawned", "llfc.spawned.k5", 0.05, True),
        ("llfc.spawned.repaired", "llfc.spawned.k5_repaired", 0.05, True),
        ("llfc.permuted", "llfc.weights", 0.05, True),
        ("llfc.permuted.repaired", "llfc.weights_repaired", 0.05, True),
        ("llfc.unaligned", "llfc.none", 0.1, False),
        ("llfc.unaligned.repaired", "llfc.none_repaired", 0.1, False),
        ("llfc.additivity", "additivity.spawned.k5", 0.1, True),
        ("llfc.commutativity.before", "commutativity.none", 0.02, False),
        ("llfc.commutativity.after", "commutativity.weights", 0.3, True),
        ("llfc.bound", "error_ratio.spawned.k5", 1, True),
        ("stitch.spawned", "stitch.spawned.k5", 0.05, True),
    ],
)
def test_a_claim_flips_where_its_sentence_says(name: str, quantity: str, bound: float, at_most: bool):
    assert f" {bound:g} or {'less' if at_most else 'more'}" in table()[name]["claim"]
    for value in (bound - 1e-3, bound, bound + 1e-3):
        row = table(**{quantity.replace(".", "__"): value})[name]
        assert row["measured"] == pytest.approx(value)
        assert row["holds"] is (value <= bound if at_most else value >= bound)


def test_the_printed_bound_is_the_one_that_decides():
    third = 1 / 3  # of which a tenth has no end
    printed = float(table(llfc__none=third)["llfc.spawned"]["claim"].split(" or less")[0].split()[-1])
    for value, holds in ((printed, True), (printed + 1e-6, False)):
        assert table(llfc__none=third, llfc__spawned__k5=value)["llfc.spawned"]["holds"] is holds


def test_each_is_compared_with_unaligned_networks_under_the_same_repair():
    rows = table(llfc__none_repaired=0.1)
    assert [rows[f"llfc.{name}"]["holds"] for name in ("spawned", "permuted")] == [True, True]
    assert rows["llfc.permuted.repaired"]["holds"] is False
    assert "0.01 or less" in rows["llfc.spawned.repaired"]["claim"]


def test_the_bound_counts_lines_that_meet_its_premise_alone():
    row = table()["llfc.bound"]
    assert "on 4 of 16 lines" in row["claim"]  # two spawned pairs, as merged and with REPAIR
    assert (row["measured"], row["spread"]) == (0.5, 0)
    row = table(output_dissimilarity__none=0.05)["llfc.bound"]
    assert "on 7 of 16 lines" in row["claim"]
    assert (row["measured"], row["holds"]) == (4, False)
    assert table(output_dissimilarity__none=0.0501)["llfc.bound"]["holds"] is True


def test_a_premise_that_is_met_nowhere_proves_nothing():
    row = table(output_dissimilarity__spawned__k5=0.3, output_dissimilarity__spawned__k5_repaired=0.3)["llfc.bound"]
    assert (row["measured"], row["spread"], row["holds"]) == (None, None, False)
    assert "on 0 of 16 lines" in row["claim"]
    assert claims.cells(row)[4] == ""


def test_the_published_figure_belongs_to_its_network_alone():
    assert table()["stitch.spawned"]["published"] == 0.0466
    for study in (on("cifar100"), on("cifar10", RESNET | {"width": 64}), on("digits")):
        assert table(study)["stitch.spawned"]["published"] is None


def test_a_study_without_methods_or_activations_still_has_its_other_claims():
    study = CIFAR.model_copy(update={"permute": CIFAR.permute.model_copy(update={"methods": []})})
    assert list(table(study)) == [name for name in IDS if "permuted" not in name and "after" not in name]
    measured = {name: values for name, values in measurements().items() if not name.startswith("additivity")}
    assert [row["id"] for row in linearity_claims.table(CIFAR, measured)] == [
        name for name in IDS if "additivity" not in name
    ]
