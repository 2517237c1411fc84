import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hidden_structure.datasets.labels import (
    Merge,
    bits_per_sample,
    class_counts,
    describe,
    from_groups,
    joined_names,
    merge,
    merge_name,
)
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError

ROOT = Path(__file__).parents[1]
ANIMALS = ("ant", "bee", "cat", "dog", "eel", "fox")
PAIRS = Merge(np.array([0, 0, 1, 1, 2, 2]), ("insects", "pets", "wild"))


def asks(method: str, classes: int | None = None, groups: dict | None = None, seed: int = 0) -> params.Merge:
    return params.Merge(method=method, classes=classes, groups=groups, seed=seed)


def names_of(classes: int) -> tuple[str, ...]:
    return tuple(f"class-{i}" for i in range(classes))


def test_modulo_merges_the_classes_that_leave_the_same_remainder():
    merged = merge(asks("modulo", 5), names_of(10), {})
    assert merged.coarse_of.tolist() == [0, 1, 2, 3, 4] * 2
    assert merged.coarse_names[1] == "class-1+class-6"
    assert merged.coarse_of.dtype == np.int64


@settings(deadline=None)
@given(st.integers(2, 60), st.data())
def test_random_groups_are_balanced_and_depend_on_the_seed_alone(classes, data):
    coarse, seed = data.draw(st.integers(2, classes)), data.draw(st.integers(0, 100))
    merged = merge(asks("random", coarse, seed=seed), names_of(classes), {})
    sizes = np.bincount(merged.coarse_of)
    assert len(sizes) == len(merged.coarse_names) == coarse
    assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(merged.coarse_of, merge(asks("random", coarse, seed=seed), names_of(classes), {}).coarse_of)


def test_random_groups_differ_between_seeds():
    drawn = {tuple(merge(asks("random", 5, seed=seed), names_of(10), {}).coarse_of) for seed in range(10)}
    assert len(drawn) > 5


@pytest.mark.parametrize("method", ["modulo", "random"])
def test_a_merge_into_as_many_classes_as_there_are_keeps_them_apart(method):
    merged = merge(asks(method, 6), ANIMALS, {})
    assert sorted(merged.coarse_of) == list(range(6))
    assert [merged.coarse_names[k] for k in merged.coarse_of] == list(ANIMALS)


def test_groups_are_numbered_in_their_own_order_and_cover_the_classes():
    groups = {"wild": ["fox", "eel"], "insects": ["bee", "ant"], "pets": ["cat", "dog"]}
    merged = merge(asks("groups", groups=groups), ANIMALS, {})
    assert merged.coarse_names == ("wild", "insects", "pets")
    assert {name: merged.coarse_names[k] for name, k in zip(ANIMALS, merged.coarse_of, strict=True)} == {
        name: group for group, members in groups.items() for name in members
    }


def test_merges_by_groups_have_names_of_their_own_and_are_the_same_if_they_put_the_same_together():
    one = {"x": ["fox", "eel"], "y": ["bee"]}
    other = {"x": ["fox"], "y": ["bee", "eel"]}
    renamed = {"a": ["bee"], "b": ["eel", "fox"]}
    names = [merge_name(asks("groups", groups=groups)) for groups in (one, other, one)]
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("groups-2-") for name in names)
    assert asks("groups", groups=one).same_as(asks("groups", groups=renamed))
    assert not asks("groups", groups=one).same_as(asks("groups", groups=other))
    assert not asks("groups", groups=one).same_as(asks("modulo", 2))


@pytest.mark.parametrize("method", ["superclass", "semantic"])
def test_a_table_is_taken_from_the_data(method):
    assert merge(asks(method), ANIMALS, {method: PAIRS}) is PAIRS
    assert merge(asks(method, 3), ANIMALS, {method: PAIRS}) is PAIRS


FULL = {"a": list(ANIMALS[:3]), "b": list(ANIMALS[3:])}
IMPOSSIBLE = [
    (asks("modulo", 7), "merge.classes"),
    (asks("random", 7), "merge.classes"),
    (asks("modulo"), "merge.classes"),
    (asks("random"), "merge.classes"),
    (asks("groups", 3, FULL), "merge.classes"),
    (asks("semantic", 4), "merge.classes"),
    (asks("superclass"), "merge.method superclass"),
    (asks("groups"), "merge.groups"),
    (asks("modulo", 2, FULL), "merge.groups"),
    (asks("groups", groups={}), "merge.groups"),
    (asks("groups", groups={"all": list(ANIMALS)}), "merge.groups"),
    (asks("groups", groups=FULL | {"c": []}), "'c'"),
    (asks("groups", groups=FULL | {"c": ["ant"]}), "'ant'"),
    (asks("groups", groups=FULL | {"b": ["dog", "dog", "eel", "fox"]}), "'dog'"),
    (asks("groups", groups=FULL | {"b": ["dog", "eel"]}), "fox"),
    (asks("groups", groups=FULL | {"b": ["dog", "eel", "foxx"]}), "did you mean 'fox'"),
]


@pytest.mark.parametrize(("asked", "named"), IMPOSSIBLE)
def test_an_impossible_merge_names_the_key_in_one_line(asked, named):
    with pytest.raises(InputError, match=named) as caught:
        merge(asked, ANIMALS, {"semantic": PAIRS})
    assert "\n" not in str(caught.value)
    assert "merge." in str(caught.value)


def test_names_of_large_groups_are_cut_short_but_stay_distinct():
    names = joined_names(np.arange(100) % 20, names_of(100))
    assert len(set(names)) == 20
    assert names[0] == "class-0+class-20+class-40+2 more"


def test_coarse_names_that_would_be_the_same_are_refused():
    with pytest.raises(InputError, match="a\\+b"):
        merge(asks("modulo", 2), ("a", "a+b", "b"), {})


def test_a_merge_that_leaves_a_coarse_class_empty_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="coarse_of"):
        Merge(np.array([0, 2]), ("a", "b", "c"))


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 50))
def test_labels_of_equally_many_samples_a_class_cost_the_logarithm_of_the_classes(classes, samples):
    counts = class_counts(np.repeat(np.arange(classes), samples), classes)
    assert counts.tolist() == [samples] * classes
    assert bits_per_sample(counts) == pytest.approx(math.log2(classes))


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=6, max_size=6).filter(any))
def test_merging_classes_never_costs_more_bits(counts):
    counts = np.array(counts)
    assert bits_per_sample(np.bincount(PAIRS.coarse_of, counts)) <= bits_per_sample(counts) + 1e-12
    assert bits_per_sample(counts) >= 0


def test_a_description_counts_every_sample_once():
    train, test = np.array([0, 0, 1, 2]), np.array([2, 1, 0])
    described = describe(("a", "b", "c"), train, test)
    assert described["train_counts"] == {"a": 2, "b": 1, "c": 1}
    assert described["test_counts"] == {"a": 1, "b": 1, "c": 1}
    assert described["bits_per_sample"] == pytest.approx(1.5)
    json.dumps(described)


def test_from_groups_names_the_file_it_was_read_from():
    with pytest.raises(InputError, match=r"^table\.yaml: "):
        from_groups({"a": ["ant"]}, ANIMALS, "table.yaml")


def test_the_stages_write_labels_that_agree_with_the_data_and_the_same_bytes_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stage"])
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())

    summary = paths.results("labels")

    def run() -> list[bytes]:
        for stage in ("prepare_data", "merge_labels"):
            runpy.run_path(str(ROOT / "stages" / f"{stage}.py"), run_name="__main__")
        return [path.read_bytes() for path in (paths.DATA, *map(paths.labels, paths.SUPERVISIONS), summary)]

    assert run() == run()
    data, fine, coarse = map(artifacts.read_arrays, (paths.DATA, paths.labels("fine"), paths.labels("coarse")))
    summary = artifacts.read_json(summary)
    for split in ("train", "test"):
        assert np.array_equal(fine[split], data[f"{split}_labels"])
        assert np.array_equal(coarse[split], data[f"{split}_labels"] % 5)
        assert coarse[split].dtype == np.int64
        assert sum(summary["coarse"][f"{split}_counts"].values()) == len(data[f"{split}_images"])
    assert list(summary["coarse_of"]) == fine["names"].tolist() == data["class_names"].tolist()
    assert list(summary["coarse_of"].values()) == coarse["names"][coarse["coarse_of"]].tolist()
    assert summary["coarse"]["classes"] == 5
    assert summary["coarse"]["bits_per_sample"] == pytest.approx(math.log2(5), abs=1e-3)
