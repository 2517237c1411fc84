from pathlib import Path

import pytest
import synthetic_results as synthetic

from hidden_structure.frame import params
from hidden_structure.report.connectivity import claims as connectivity_claims
from hidden_structure.report.connectivity import measure as connectivity_summary
from hidden_structure.report.recovery import claims

STUDY = synthetic.connected(params.load(Path(__file__).parent.parent / "studies/digits.yaml"))
RESNET = {"name": "resnet", "depth": 20, "width": 16, "norm": "batch"}
METHODS = ("none", "weights", "activations", "correlations", "ste")
ENDINGS = ("", ".repaired")
IDS = [f"spawn.barrier.k{k}{ending}" for k in (0, 1, 5) for ending in ENDINGS]
IDS += ["spawn.instability.k5", *(f"permute.{method}.barrier{ending}" for method in METHODS for ending in ENDINGS)]
# All claims hold on CIFAR-10 with these, plain and repaired.
VALUES = {
    "spawn.barrier.k0": (0.3, 0.2),
    "spawn.barrier.k1": (0.1, 0.05),
    "spawn.barrier.k5": (0.01, 0.005),
    "spawn.instability.k0": (0.3, 0.3),
    "spawn.instability.k1": (0.1, 0.1),
    "spawn.instability.k5": (0.012, 0.012),
    "permute.none.barrier": (0.8, 0.6),
    "permute.weights.barrier": (0.3, 0.2),
    "permute.activations.barrier": (0.3, 0.2),
    "permute.correlations.barrier": (0.3, 0.2),
    "permute.ste.barrier": (0.3, 0.2),
}


def on(source: str, network: dict = RESNET, **spawn: object) -> params.Study:
    content = synthetic.connected(STUDY, **{"widths": [], "network": network} | spawn).model_dump()
    return params.Study.model_validate(content | {"data": content["data"] | {"source": source}})


CIFAR = on("cifar10")
MNIST = on("mnist", {"name": "mlp", "depth": 3, "width": 512, "norm": "none"})


def table(study: params.Study = CIFAR, **changed: float) -> dict[str, dict]:
    values = {}
    for quantity, pair in VALUES.items():
        values |= dict(zip((quantity, f"{quantity}_repaired"), pair, strict=True))
    values |= {name.replace("__", "."): value for name, value in changed.items()}
    rows = connectivity_claims.table(study, {name: [value] * 3 for name, value in values.items()})
    return {row["id"]: row for row in rows}


def test_the_rows_and_their_keys():
    rows = table()
    assert list(rows) == IDS
    for name, row in rows.items():
        assert list(row) == ["id", "claim", "source", "published", "measured", "spread", "seeds", "holds"]
        assert row["holds"] is True, name
        assert row["claim"].endswith(".")
        assert row["seeds"] == ([0, 1] if name.startswith("spawn.") else ["0-1", "1-2", "2-0"])


def test_what_the_summary_measures_is_all_that_the_claims_need():
    for study in (STUDY, CIFAR, synthetic.connected(STUDY, seeds=[3, 4], spawned=1, epochs=[2])):
        measured = connectivity_summary.measure(synthetic.interpolate(study), study)
        rows = connectivity_claims.table(study, measured)
        for row in rows:
            assert len(claims.cells(row)) == len(claims.HEADER)
        assert claims.markdown(rows).count("\n") == 2 + len(rows)
        assert claims.html_rows(rows).count("<tr") == len(rows)
    assert {row["spread"] for row in rows} == {None}
    assert rows[-1]["seeds"] == ["3-4"]


@pytest.mark.parametrize(
    ("study", "name", "quantity", "bound", "side"),
    [
        (CIFAR, "spawn.barrier.k0", "spawn.barrier.k0", 0.02, "from"),
        (MNIST, "spawn.barrier.k0", "spawn.barrier.k0", 0.02, "below"),
        (CIFAR, "spawn.barrier.k1", "spawn.barrier.k1", 0.3, "to"),
        (CIFAR, "spawn.barrier.k5", "spawn.barrier.k5", 0.02, "below"),
        (CIFAR, "spawn.barrier.k1.repaired", "spawn.barrier.k1_repaired", 0.1, "to"),
        (CIFAR, "permute.none.barrier", "permute.none.barrier", 0.02, "from"),
        (CIFAR, "permute.none.barrier.repaired", "permute.none.barrier_repaired", 0.8, "to"),
        (CIFAR, "permute.weights.barrier", "permute.weights.barrier", 0.4, "to"),
        (CIFAR, "permute.correlations.barrier", "permute.correlations.barrier", 0.4, "to"),
        (MNIST, "permute.ste.barrier", "permute.ste.barrier", 0.005, "to"),
        (CIFAR, "permute.ste.barrier.repaired", "permute.ste.barrier_repaired", 0.3, "to"),
    ],
)
def test_a_claim_flips_where_its_sentence_says(study: params.Study, name: str, quantity: str, bound: float, side: str):
    assert f"{bound:g}" in table(study)[name]["claim"]
    for value in (bound - 1e-3, bound, bound + 1e-3):
        row = table(study, **{quantity.replace(".", "__"): value})[name]
        assert row["measured"] == pytest.approx(value)
        assert row["holds"] is {"from": value >= bound, "to": value <= bound, "below": value < bound}[side]


def test_alignment_is_compared_with_none_under_the_same_repair():
    row = table(permute__none__barrier_repaired=0.3)["permute.weights.barrier.repaired"]
    assert "0.15" in row["claim"]
    assert row["holds"] is False  # 0.2 is below the 0.3 without REPAIR
    assert table(permute__none__barrier=0.5)["permute.weights.barrier"]["holds"] is False


def test_zero_barrier_is_asked_of_an_mlp_on_small_images_alone():
    assert table(MNIST)["permute.weights.barrier"]["holds"] is False
    for study in (CIFAR, on("mnist"), on("cifar10", {"name": "mlp", "depth": 3, "width": 512, "norm": "none"})):
        row = table(study)["permute.weights.barrier"]
        assert row["holds"] is True
        assert "zero" not in row["claim"]


def test_published_figures_belong_to_their_network_and_method_alone():
    def published(study: params.Study) -> dict[str, float]:
        return {name: row["published"] for name, row in table(study).items() if row["published"] is not None}

    names = ("permute.correlations.barrier", "permute.correlations.barrier.repaired")
    assert published(CIFAR) == dict(zip(names, (0.809, 0.26), strict=True))
    assert published(MNIST) == dict(zip(names, (0.167, 0.011), strict=True))
    assert all("midpoint" in table(CIFAR)[name]["claim"] for name in names)
    for other in (on("cifar100"), on("cifar10", RESNET | {"norm": "group"}), on("mnist"), STUDY):
        assert published(other) == {}
        assert "published" not in table(other)[names[0]]["claim"]


@pytest.mark.parametrize(("epochs", "expected"), [([0], [0]), ([3], [3]), ([5, 1], [5]), ([9, 0, 2, 4], [0, 2, 4, 9])])
def test_every_k_that_has_a_criterion_has_a_claim(epochs: list[int], expected: list[int]):
    study = on("cifar10", epochs=epochs)
    rows = connectivity_claims.table(study, connectivity_summary.measure(synthetic.interpolate(study), study))
    found = [row["id"] for row in rows if row["id"].startswith("spawn.") and not row["id"].endswith(".repaired")]
    assert found == [*(f"spawn.barrier.k{k}" for k in expected), f"spawn.instability.k{max(epochs)}"]


def test_a_study_without_permutations_still_has_its_other_claims():
    study = CIFAR.model_copy(update={"permute": CIFAR.permute.model_copy(update={"methods": []})})
    assert list(table(study)) == [name for name in IDS if name.startswith(("spawn.", "permute.none."))]
