"""Tables of other merges: all that the report shows of them, and no more."""

import math

import numpy as np
import pytest
import synthetic_merges as synthetic
import torch

from hidden_structure.collapse.metrics import class_distances
from hidden_structure.frame import params, tables
from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import numpy_generator
from hidden_structure.tables.merges import label, separation, tabulate

STUDY = params.load()


def made(**changed) -> dict:
    return tabulate(STUDY, (synthetic.results([0, 1]) | changed).get)


def test_every_table_is_written_and_read_as_it_was(tmp_path):
    for name, rows in made().items():
        tables.write(tmp_path / f"{name}.csv", rows)
        assert len(tables.read(tmp_path / f"{name}.csv")) == len(rows) > 0


def test_a_row_a_network_and_a_row_a_super_class():
    found = made()
    merges = [row for row in found["merges"] if row["method"] not in ("none", "control")]
    assert len(merges) == 2 * len(synthetic.MERGES)
    assert [row["accuracy"] for row in found["merges"] if row["method"] == "none"] == [0.9, 0.9]  # at the last epoch
    assert len([row for row in found["merges"] if row["method"] == "control"]) == 4  # by the first reducer
    assert len(found["merged"]) == sum(classes for _, classes in synthetic.MERGES.values())
    assert all(len(row["estimated"]["gap"]) == 2 for row in found["merged"])
    assert [row["test"] for row in found["classes"]] == [2] * 10


def test_a_super_class_is_the_mean_of_its_networks():
    found, (first, second) = (
        made()["merged"][0],
        [row for row in synthetic.result([0, 1])["rows"] if row["name"] == "modulo-5"],
    )
    own = [row["superclasses"][found["superclass"]]["agreement"] for row in (first, second)]
    assert found["agreement"] == pytest.approx(sum(own) / 2)


def test_without_merges_only_the_studys_own_merge_is_there():
    for nothing in (None, {"rows": []}):
        assert made(merges=nothing).keys() == {"classes", "neighbours"}


def test_a_study_that_merges_nothing_has_no_neighbours():
    labels = synthetic.results([0])["labels"]
    labels["coarse_of"] = {name: name for name in labels["coarse_of"]}
    assert made(merges=None, labels=labels).keys() == {"classes"}


def test_what_is_missing_is_named():
    merges = synthetic.result([0, 1])
    merges["rows"].pop()
    with pytest.raises(InputError, match="lack a seed"):
        made(merges=merges)
    with pytest.raises(InputError, match="no network of merge modulo-5, seed 0"):
        made(**{"train-merges": []})
    cluster = synthetic.results([0])["cluster"]
    cluster["class_distances"]["matrix"][0][1] = math.nan
    with pytest.raises(InputError, match="no number"):
        made(cluster=cluster)


def test_merges_are_called_what_they_are():
    row = {"name": "random-5-1", "method": "random", "classes": 5}
    assert label(row) == "random 5 (1)"
    assert label(row | {"name": "modulo-5", "method": "modulo"}) == "modulo 5"


def test_separation_is_the_distance_of_means_in_units_of_scatter():
    labels, draw = np.arange(60) % 4, numpy_generator("scatter")
    offsets = draw.standard_normal((60, 3))
    means = np.array([[0.0, 0, 0], [3, 4, 0], [0, 0, 12], [0, 0, 0]])
    features = means[labels] + offsets
    for index in range(4):  # exactly centred, with a mean square of 1
        own = offsets[labels == index] - offsets[labels == index].mean(0)
        features[labels == index] = means[index] + own / math.sqrt((own**2).sum(1).mean())
    found = separation(class_distances(torch.from_numpy(features), torch.from_numpy(labels), 4).numpy())
    np.testing.assert_allclose(found[0], [0, 5, 12, 0], atol=1e-6)
    np.testing.assert_allclose(found[1, 2], 13, rtol=1e-9)
    assert np.isfinite(separation(np.zeros((2, 2)))).all()


def test_the_nearest_two_are_named():
    for row in made()["neighbours"]:
        assert row["separations"] == sorted(row["separations"])
        assert {row["nearest"]["a"], row["nearest"]["b"]} <= {f"class {index}" for index in range(10)}
