"""The chapter on classes split at random: judged once, at the end, and only if the split was memorised."""

import pytest
import synthetic_recovery as made

from hidden_structure.report.claim import Claim
from hidden_structure.report.plotting import save, style
from hidden_structure.report.split.chapter import chapter


def written(found: dict, study=made.STUDY):
    return chapter(study, made.tables(found, study))


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("split."): claim for claim in written(found).claims}


def at(found: dict, epoch: int, **values) -> dict:
    for row in found["split"]:
        if row["epoch"] == epoch:
            row |= values
    return found


def test_each_hypothesis_has_one_verdict():
    found = claims(made.results())
    assert {name: claim.verdict for name, claim in found.items()} == dict.fromkeys(
        ("memorised", "grouping", "probe"), "supported"
    )


def test_a_split_that_was_not_memorised_says_nothing():
    found = claims(at(made.results(), 100, train_accuracy=0.6))
    assert found["memorised"].verdict == "contradicted"
    assert {found[name].verdict for name in ("grouping", "probe")} == {"not assessable"}


@pytest.mark.parametrize(("name", "column"), [("grouping", "agreement"), ("probe", "probe_accuracy")])
def test_an_untrained_network_supports_nothing(name, column):
    start = claims(at(made.results(), 100, **{column: 0.5}))
    assert start[name].verdict == "contradicted"
    good = 0.97 if column == "agreement" else 0.94
    assert claims(at(made.results(), 0, **{column: good}))[name].verdict == "not assessable"


def test_earlier_snapshots_are_not_chosen_among():
    assert claims(at(made.results(), 5, agreement=0.1))["grouping"].verdict == "supported"
    assert claims(at(made.results(), 100, agreement=0.1))["grouping"].verdict == "contradicted"


def test_only_seeds_of_both_networks_are_compared():
    found = made.results()
    found["split"] = [row | {"seed": row["seed"] + 1} for row in found["split"]]
    assert claims(found)["probe"].seeds == ("1", "2")
    assert claims(found)["grouping"].seeds == ("1", "2", "3")


def test_the_chapter_can_be_left_out():
    study = made.STUDY.model_copy(update={"split": None})
    assert written(made.results(), study) is None
    assert written(made.results() | {"split": None}) is None


def test_the_figure_marks_every_measured_epoch(tmp_path):
    with style(made.STUDY.report.style):
        figure = written(made.results()).pictures[0].draw()
        save(figure, tmp_path / "figure.png")
    assert all(axes.get_ylabel() for axes in figure.axes)
    curves = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(curves) == 7
    assert len({(line.get_color(), line.get_marker()) for line in curves}) == 7
