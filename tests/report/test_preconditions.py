"""What counts as a properly trained network."""

import pytest

from hidden_structure.report.claim import unless
from hidden_structure.report.preconditions import REFERENCES, trained, trained_from


@pytest.mark.parametrize(("source", "classes"), [*REFERENCES, ("cifar10", 5), ("cifar100", 20), ("folder", 7)])
def test_chance_is_not_trained_and_the_reference_is(source, classes):
    floor, origin = trained_from(source, classes)
    assert 1 / classes < floor < 1
    assert origin.startswith("ours")
    if (source, classes) in REFERENCES:
        assert floor < REFERENCES[source, classes].value


def test_the_floor_is_that_of_the_number_of_classes():
    assert trained_from("cifar100", 2)[0] > trained_from("cifar100", 100)[0]
    assert unless(trained("a.teacher", "the teacher is", [0.656], ["0"], "cifar100", 2))
    assert not unless(trained("a.fine", "the network is", [0.656], ["0"], "cifar100", 100))


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_the_bound_does_not_depend_on_the_name_of_the_claim(classes):
    one, other = (trained(id, "it is", [0.8], ["0"], "cifar10", classes) for id in ("a.teacher", "b.coarse"))
    assert one.criterion == other.criterion
    assert bool(unless(one)) == bool(unless(other))


def test_every_network_must_be_trained_and_one_is_enough():
    assert not unless(trained("a.b", "it is", [0.9], ["0"], "cifar10", 10))
    assert "1 of 2" in unless(trained("a.b", "they are", [0.9, 0.5], ["0", "1"], "cifar10", 10))
    assert "not measured" in unless(trained("a.b", "it is", [], [], "cifar10", 10))


def test_a_floor_is_above_chance_where_the_reference_of_more_classes_is_below_that():
    assert trained_from("cifar100", 2)[0] > 0.5
    claim = trained("distillation.teacher", "the teacher is", [0.9], ["0"], "digits", 2)
    assert (claim.idea, claim.kind) == ("distillation", "precondition")
    assert claim.statement == "The teacher is properly trained."
