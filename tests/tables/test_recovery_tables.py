"""The tables on recovered classes, split classes and the grid of recipes, and the arrays of the map."""

from typing import get_args

import numpy as np
import pytest
import synthetic_recovery as made

from hidden_structure.frame import tables
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Cluster
from hidden_structure.seeding import numpy_generator
from hidden_structure.tables import recovery, split, sweep
from hidden_structure.tables.recovery import arrays, chance_agreement, tabulate


def test_every_network_and_way_of_clustering_has_a_row_and_true_labels_one_a_seed():
    rows = tabulate(made.STUDY, made.results().get)["recovery"]
    assert len(rows) == 3 * (3 * 3 + 1) + 3  # of the networks that memorised the first way alone
    assert {row["source"] for row in rows} == {"coarse", "pixels", "untrained", "memorised", "labels"}
    assert all(row["label"] for row in rows)


def test_scores_inside_super_classes_are_weighted_by_samples():
    found = made.results(4, 2)
    row = found["cluster"]["rows"][0]
    for (_, scores), (ari, samples) in zip(row["superclasses"].items(), ((1.0, 30), (0.0, 10)), strict=True):
        scores |= {"ari": ari, "samples": samples}
    first = tabulate(made.STUDY, found.get)["recovery"][0]
    assert first["inside"]["ari"] == 0.75


def test_a_class_that_is_merged_with_none_is_no_success_of_clustering():
    found = made.results(4, 2)
    row = found["cluster"]["rows"][0]
    own = zip(row["superclasses"].values(), ((0.25, 30, 2), (1.0, 10, 1)), strict=True)
    for scores, (ari, samples, clusters) in own:
        scores |= {"ari": ari, "samples": samples, "clusters": clusters}
    first = tabulate(made.STUDY, found.get)["recovery"][0]
    assert first["inside"]["ari"] == 0.25


def test_a_super_class_has_one_score_a_seed_of_the_first_reducer():
    found = made.results()
    rows = tabulate(made.STUDY, found.get)["superclasses"]
    assert len(rows) == 5 * 4
    name = rows[0]["superclass"]
    own = [row for row in found["cluster"]["rows"] if (row["source"], row["reducer"]) == ("coarse", "tsne")]
    assert rows[0]["agreement"] == [row["superclasses"][name]["agreement"] for row in own]
    assert rows[0]["seeds"] == made.SEEDS


def test_a_network_that_was_followed_has_a_row_with_its_collapse_beside_what_it_kept():
    found = made.results()
    rows = tabulate(made.STUDY, found.get)["following"]
    assert [row["seed"] for row in rows] == made.SEEDS
    own = [row for row in found["collapse"] if (row["supervision"], row["seed"]) == ("coarse", 1)]
    assert rows[1]["nc1"] == [row["nc1"] for row in own]
    assert rows[1]["epochs"] == [row["epoch"] for row in own]
    assert tabulate(made.STUDY, (found | {"follow-recovery": []}).get)["following"] == []
    found["follow-recovery"] = [row for row in found["follow-recovery"] if row["seed"] != 2]
    with pytest.raises(InputError, match="seed 2"):
        tabulate(made.STUDY, found.get)


def test_a_network_that_memorised_has_a_row_of_what_it_learnt_and_of_what_is_read_from_its_own_features():
    found = made.results()
    rows = tabulate(made.STUDY, found.get)["memorised"]
    assert [row["seed"] for row in rows] == made.SEEDS
    (own,) = (row for row in found["cluster"]["rows"] if (row["seed"], row["source"]) == (1, "memorised"))
    assert rows[1] == {
        "seed": 1,
        "fitted": found["memorised"][1]["train_accuracy"],
        "coarse": found["memorised"][1]["test_accuracy"],
        "labels": found["cluster"]["memorised"][1]["probe_accuracy"],
        "recovered": own["own_accuracy"],
    }
    found["memorised"].pop()
    with pytest.raises(InputError, match="memorised labels for seed 2"):
        tabulate(made.STUDY, found.get)


def test_a_study_in_which_none_memorised_has_no_such_table_and_asks_for_none_of_its_results():
    found = made.results()
    del found["memorised"], found["cluster"]["memorised"]
    found["cluster"]["rows"] = [row for row in found["cluster"]["rows"] if row["source"] != "memorised"]
    made_of = tabulate(made.STUDY.model_copy(update={"memorised": None}), found.__getitem__)
    assert "memorised" not in made_of
    assert "memorised" not in {row["source"] for row in made_of["superclasses"]}


def test_a_seed_without_clusters_is_named():
    found = made.results()
    found["cluster"]["oracle"].pop()
    with pytest.raises(InputError, match="seed 2"):
        tabulate(made.STUDY, found.get)
    assert tabulate(made.STUDY, lambda name: None) == {}


@pytest.mark.parametrize(("counts", "level"), [([10] * 5, 0.339), ([100] * 5, 0.244), ([144] * 2, 0.525), ([7], 1.0)])
def test_shuffled_labels_agree_more_often_than_one_in_the_number_of_classes(counts, level):
    assert chance_agreement(counts, numpy_generator("test")) == pytest.approx(level, abs=0.015)


def test_chance_is_that_of_labels_that_were_really_shuffled_and_named():
    from scipy.optimize import linear_sum_assignment

    generator, labels, shares = np.random.default_rng(0), np.repeat(np.arange(4), [5, 10, 15, 30]), []
    for _ in range(400):
        table = np.zeros((4, 4))
        np.add.at(table, (labels, generator.permutation(labels)), 1)
        shares.append(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))
    assert chance_agreement([5, 10, 15, 30], numpy_generator("test")) == pytest.approx(np.mean(shares), abs=0.01)


def test_the_map_keeps_at_most_so_many_samples_of_each_super_class_and_their_labels():
    fine = np.random.default_rng(0).integers(0, 6, 400)
    positions = np.stack([np.arange(400.0), fine], 1)
    report = made.STUDY.report.model_copy(update={"points": 50})
    study = made.STUDY.model_copy(update={"report": report})
    found = arrays(study, positions, {"train": fine}, {"train": fine % 3})
    assert np.bincount(found["coarse"]).tolist() == [50, 50, 50]
    assert (found["y"] == found["fine"]).all()
    assert (found["fine"] % 3 == found["coarse"]).all()
    assert len(np.unique(found["x"])) == 150
    assert [array.dtype for array in found.values()] == ["float32", "float32", "uint16", "uint16"]
    again = arrays(study, positions, {"train": fine}, {"train": fine % 3})
    assert all((again[name] == array).all() for name, array in found.items())


def test_a_hundred_classes_make_small_tables(tmp_path):
    found = tabulate(made.STUDY, made.results(100, 20).get)
    for name, rows in found.items():
        tables.write(tmp_path / f"{name}.csv", rows)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 100_000
    assert sum(map(len, found.values())) < 300


def test_a_split_network_is_one_row_of_its_snapshots():
    rows = split.tabulate(made.STUDY, made.results().get)["split"]
    assert [row["seed"] for row in rows] == made.SEEDS
    assert rows[0]["epochs"] == [0, 5, 100]
    assert rows[0]["train_accuracy"] == [0.1, 0.7, 0.99]
    assert split.tabulate(made.STUDY, {"split": []}.get) == split.tabulate(made.STUDY, {}.get) == {}


def test_a_recipe_that_failed_keeps_its_row_and_says_why(tmp_path):
    found = made.results()
    found["sweep"][0] |= dict.fromkeys(("nc1", "probe_accuracy", "agreement", "oracle_accuracy"))
    found["sweep"][0]["error"] = 'the "features" died'
    tables.write(tmp_path / "sweep.csv", sweep.tabulate(made.STUDY, found.get)["sweep"])
    first, second, *_ = tables.read(tmp_path / "sweep.csv")
    assert first["accuracy"] is first["nc1"] is None
    assert first["error"] == 'the "features" died'
    assert second["error"] is None
    assert second["accuracy"] == 0.9
    assert sweep.tabulate(made.STUDY, {}.get) == {}


def test_labels_of_reducers_cover_all_that_a_study_may_ask_for():
    (asked,) = (kind for kind in get_args(Cluster.model_fields["followed"].annotation) if get_args(kind))
    assert set(recovery.REDUCERS) == set(get_args(asked))
