"""What coarse labels buy in original ones, and the networks that are trained on that."""

import copy

import numpy as np
import pytest
import tiny

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.merges.price import affordable, as_many_steps, draw
from hidden_structure.seeding import numpy_generator


@pytest.mark.parametrize(("classes", "coarse"), [(10, 5), (10, 2), (100, 20)])
def test_the_price_is_the_bits_of_the_labels_and_of_the_names(classes, coarse):
    fine = np.arange(100 * classes) % classes
    each = classes // coarse
    naming = coarse * np.log2(np.arange(1, each + 1)).sum()
    expected = (len(fine) * np.log2(coarse) + naming) / np.log2(classes)
    assert affordable(fine, np.arange(classes) % coarse) == int(expected)


def test_labels_that_merge_nothing_buy_all_samples_and_one_class_for_all_only_its_names():
    fine = np.arange(1000) % 4
    assert affordable(fine, np.arange(4)) == 1000
    assert affordable(fine, np.zeros(4, int)) == int(np.log2(24) / 2)
    assert all(affordable(np.arange(count) % 5, np.arange(5)) == count for count in range(5, 60))  # whatever rounding


def test_unequal_classes_cost_their_entropy():
    fine = np.repeat([0, 1, 2], [800, 100, 100])
    both = np.array([0.8, 0.2]), np.array([0.8, 0.1, 0.1])
    coarse, whole = (-(share * np.log2(share)).sum() for share in both)
    assert affordable(fine, np.array([0, 1, 1])) == int((1000 * coarse + 1) / whole)


@pytest.mark.parametrize("samples", [3, 10, 333, 999, 1000])
def test_every_class_gives_its_share_and_no_sample_is_drawn_twice(samples):
    fine = np.repeat([0, 1, 2], [500, 300, 200])
    drawn = draw(fine, samples, numpy_generator("test"))
    assert len(drawn) == len(np.unique(drawn)) == samples
    counts = np.bincount(fine[drawn], minlength=3)
    assert (counts >= 1).all()
    assert np.abs(counts - samples * np.array([0.5, 0.3, 0.2])).max() <= 2
    assert (drawn != draw(fine, samples, numpy_generator("another"))).any() or samples == 1000


RECIPE = params.Study.model_validate(tiny.study()).train


@pytest.mark.parametrize("part", [64, 100, 333, 1003, 1437])
def test_a_part_is_learnt_in_as_many_steps_as_the_whole_but_for_half_an_epoch_of_the_part(part):
    """Steps of full batches, of which a small part has fewer than its share of samples."""
    recipe = RECIPE.model_copy(update={"epochs": 30, "batch_size": 64})
    longer = as_many_steps(recipe, 1437, part, "merges.train")
    own = part // 64
    assert abs(longer.epochs * own - 30 * 22) <= own / 2
    assert longer.model_copy(update={"epochs": 30}) == recipe


def test_of_a_part_as_large_a_share_of_training_is_without_augmentation():
    recipe = RECIPE.model_copy(update={"epochs": 20, "batch_size": 64, "clean": 10})
    longer = as_many_steps(recipe, 1437, 300, "merges.train")
    assert longer.clean / longer.epochs == pytest.approx(0.5, abs=0.01)
    assert as_many_steps(recipe.model_copy(update={"clean": 0}), 1437, 300, "merges.train").clean == 0


def test_a_part_of_less_than_a_batch_is_told():
    with pytest.raises(InputError, match=r"merges\.train\.batch_size: 64 is more than the 63 images of a part"):
        as_many_steps(RECIPE.model_copy(update={"batch_size": 64}), 1437, 63, "merges.train")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("priced")
    tiny.write_data(folder)
    found = []
    for priced in (True, False):
        tiny.write_params(folder, merges=tiny.OVERRIDES["merges"] | {"seeds": [0], "priced": priced})
        done = tiny.in_process(folder, "train_merges.py")
        assert done.returncode == 0, done.stderr
        found.append(artifacts.read_json(folder / paths.results("train-merges")))
    return found


def test_each_merge_has_a_network_on_what_its_labels_buy_which_changes_nothing_else(trained):
    priced, plain = map(copy.deepcopy, trained)
    assert [row.pop("bought")["samples"] for row in priced] == [225, 100]  # of 320, by 5 labels and by 2
    assert priced == plain


def test_a_network_on_bought_labels_learns_the_original_classes(trained):
    bought = [row["bought"] for row in trained[0]]
    assert all(row["test_accuracy"] > 0.5 for row in bought)
