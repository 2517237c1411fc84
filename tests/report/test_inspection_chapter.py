"""The chapter on given networks looked into: what it says first."""

import pytest
import tiny

from hidden_structure.frame import params
from hidden_structure.frame.given import Inspect
from hidden_structure.report.inspection.chapter import chapter

SOURCES = ("given", "pixels", "untrained")


def tables(networks: int, accuracy: float) -> dict[str, list[dict]]:
    scores = {"test_accuracy": accuracy, "train_accuracy": accuracy, "reordered": accuracy, "guess": 0.5, "chance": 0.6}
    collapse = dict.fromkeys(("nc1", "norms", "cosine", "spread", "nc3", "nc4"), 0.1)
    shown = {"label": "a", "agreement": 0.8, "chance": 0.3, "accuracy": 0.7}
    inside = {"class": "even", "samples": 9, "gap": 2, "silhouette": 2, "separation": 0.4, "classes": 2}
    numbers, every = range(1, networks + 1), ("labels", *SOURCES)
    return {
        "inspected": [{"network": n, "file": f"{n}.pt", "test_loss": 1.0, "notes": ""} | scores for n in numbers],
        "inspected_collapse": [
            {"network": n, "source": source, "classes": 2} | collapse for n in numbers for source in SOURCES[::2]
        ],
        "inside": [{"network": n, "source": source} | inside | {"label": "a"} for n in numbers for source in SOURCES],
        "hidden": [{"network": n, "source": source, "classes": 10} | shown for n in numbers for source in every],
        "classes": [],
    }


@pytest.fixture
def plan():
    study = params.load(tiny.ROOT / "params.yaml")
    return study.model_copy(update={"inspect": Inspect(checkpoints=["1.pt", "2.pt"], labels="coarse")})


def test_finer_classes_that_clusters_give_back_are_told_first_with_their_controls(plan):
    found = chapter(plan, tables(2, 0.9).__getitem__).findings
    for place, said in enumerate(found[:2], 1):
        assert said.startswith(f"Clusters inside the classes of {place}.pt agree with the 10 finer classes on 80 %")
        assert "(shuffled labels 30 %, pixels 80 %, an untrained network 80 %)" in said
    assert [said.split()[0] for said in found[2:]] == ["1.pt", "By", "2.pt", "By"]


def test_what_is_wrong_with_a_network_is_told_before_them(plan):
    found = chapter(plan, tables(1, 0.5).__getitem__).findings
    assert found[0].startswith("Check this first")
    assert found[1].startswith("Clusters inside the classes of 1.pt")


def test_without_finer_classes_nothing_is_said_of_them(plan):
    found = chapter(plan, (tables(1, 0.9) | {"hidden": []}).__getitem__).findings
    assert [said.split()[0] for said in found] == ["1.pt", "By"]
