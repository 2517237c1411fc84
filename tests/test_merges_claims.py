from pathlib import Path

import pytest
import synthetic_merges as synthetic

from hidden_structure.frame import params
from hidden_structure.report.merges import claims as merges_claims
from hidden_structure.report.merges import measure as merges_summary
from hidden_structure.report.recovery import claims

DEFAULT = params.load(Path(__file__).parent.parent / "studies/digits.yaml")
CORRELATIONS = {  # claim -> similarity
    "semantics.correlation.pixels": "pixels",
    "semantics.correlation": "features",
    "semantics.correlation.confusion": "confusion",
}
SUPERVISION = ["supervision.2", "supervision.3", "supervision.5", "supervision.7"]
COUNTS = {"clusters.count": "clusters.gap", "clusters.count.silhouette": "clusters.silhouette"}
IDS = [*CORRELATIONS, "semantics.unrelated", *SUPERVISION, *COUNTS]


def kind(method: str, classes: int | None = None, seed: int = 0) -> dict:
    return {"method": method, "classes": classes, "groups": None, "seed": seed}


KINDS = [
    *(kind("modulo", classes) for classes in (5, 2, 10, 7, 3)),
    kind("semantic"),
    *(kind("random", 5, seed) for seed in (0, 1)),
]


def on(source: str = "digits", method: str = "modulo", kinds: list[dict] = KINDS) -> params.Study:
    content = DEFAULT.model_dump()
    content["data"]["source"], content["merge"]["method"] = source, method
    return params.Study.model_validate(content | {"merges": content["merges"] | {"seeds": [0, 1], "kinds": kinds}})


def measurements(**changed: float) -> dict[str, list[float]]:
    """All claims hold with these."""
    values = {}
    for similarity in merges_summary.SIMILARITIES:
        numbers = {"rho": -0.6, "low": -0.8, "high": -0.3, "superclasses": 25}
        values |= {f"semantics.same.{similarity}.{name}": value for name, value in numbers.items()}
    values |= {"unrelated.random-5-0": 0.2, "unrelated.random-5-1": 0.1} | dict.fromkeys(COUNTS.values(), 0.8)
    for classes in (2, 3, 5, 7, 10):
        values |= {f"merges.modulo-{classes}.accuracy": 0.9, f"merges.modulo-{classes}.bits": 2.0}
    values |= {"fine.test_accuracy": 0.9, "recovery.accuracy": 0.4, "recovery.oracle_accuracy": 0.5}
    values |= {name.replace("__", ".").replace("_of_", "-"): value for name, value in changed.items()}
    return {name: [value] for name, value in values.items()}


def table(study: params.Study | None = None, **changed: float) -> dict[str, dict]:
    rows = merges_claims.table(study or on(), measurements(**changed), 10, 5)
    return {row["id"]: row for row in rows}


def test_the_rows_and_their_keys():
    rows = table(on("cifar100", "superclass"))
    assert list(rows) == [*IDS, "cifar100.recovery"]
    for name, row in rows.items():
        assert list(row) == ["id", "claim", "source", "published", "measured", "spread", "seeds", "holds"]
        assert row["holds"] is True, name
        assert row["claim"].endswith(".")
        assert row["published"] is None
    assert rows["semantics.correlation"]["source"] == merges_claims.NGUYEN
    assert rows["semantics.unrelated"]["seeds"] == ["random-5-0", "random-5-1"]
    assert rows["supervision.2"]["seeds"] == [0, 1]
    assert rows["cifar100.recovery"]["source"] == claims.YANG
    assert rows["cifar100.recovery"]["seeds"] == DEFAULT.seeds


def test_recovery_of_the_100_classes_is_claimed_of_their_20_super_classes_alone():
    for study in (on(), on("cifar100", "modulo"), on("cifar10", "superclass")):
        assert "cifar100.recovery" not in table(study)
    rows = merges_claims.table(on("cifar100", "superclass", []), measurements(), 100, 20)
    assert [row["id"] for row in rows][-1] == "cifar100.recovery"


def test_what_the_summary_measures_is_all_that_the_claims_need():
    rows = synthetic.result([0, 1])["rows"]
    kinds = [kind(method, classes, seed) for seed, (method, classes) in enumerate(synthetic.MERGES.values())]
    measured = merges_summary.measure(rows, 5) | {"fine.test_accuracy": [0.95]}
    found = merges_claims.table(on(kinds=kinds), measured, 10, 5)
    assert [row["id"] for row in found] == [name for name in IDS if name != "supervision.3"]
    assert claims.markdown(found).count("\n") == 2 + len(found)


def test_a_study_without_merges_has_no_claims_on_them():
    assert merges_claims.table(on(kinds=[]), {"fine.test_accuracy": [0.9]}, 10, 5) == []


@pytest.mark.parametrize(("name", "similarity"), CORRELATIONS.items())
def test_a_correlation_must_be_negative_beyond_chance(name: str, similarity: str):
    for high, holds in ((-0.01, True), (0.0, False), (0.2, False)):
        row = table(**{f"semantics__same__{similarity}__high": high})[name]
        assert (row["measured"], row["holds"]) == (high, holds)
        assert "-0.6 over 25 super-classes" in row["claim"]
        assert "below 0" in row["claim"]


def test_unrelated_classes_are_better_on_average_over_random_merges():
    row = table(unrelated__random_of_5_of_0=-0.3)["semantics.unrelated"]
    assert (row["measured"], row["holds"]) == (-0.1, False)
    assert row["spread"] > 0
    row = table(unrelated__random_of_5_of_0=-0.1)["semantics.unrelated"]
    assert (row["measured"], row["holds"]) == (0, False)
    assert table(unrelated__random_of_5_of_0=-0.09)["semantics.unrelated"]["holds"] is True


def test_supervision_is_judged_midway_from_a_guess_to_the_fine_network():
    for classes, floor in ((2, 0.55), (7, 0.8)):
        for accuracy, holds in ((floor, True), (floor - 1e-3, False)):
            row = table(**{f"merges__modulo_of_{classes}__accuracy": accuracy})[f"supervision.{classes}"]
            assert f"{floor:g} or more" in row["claim"]
            assert (row["measured"], row["holds"]) == (accuracy, holds)


@pytest.mark.parametrize(("name", "quantity"), COUNTS.items())
def test_half_of_the_counts_must_be_right(name: str, quantity: str):
    for share, holds in ((0.5, True), (0.49, False)):
        row = table(**{quantity.replace(".", "__"): share})[name]
        assert "0.5 or more" in row["claim"]
        assert (row["measured"], row["holds"]) == (share, holds)


def test_the_100_classes_must_be_half_as_well_recovered_as_the_oracle():
    for accuracy, holds in ((0.25, True), (0.249, False)):
        row = table(on("cifar100", "superclass"), recovery__accuracy=accuracy)["cifar100.recovery"]
        assert "0.25 or more" in row["claim"]
        assert (row["measured"], row["holds"]) == (accuracy, holds)
