"""The chapter on minority collapse: judged at the end, against networks before training and the classes of many."""

import numpy as np
import pytest
import synthetic_imbalance as made

from hidden_structure.frame import params, tables
from hidden_structure.frame.imbalance import Imbalance
from hidden_structure.report.claim import Claim
from hidden_structure.report.imbalance.chapter import chapter
from hidden_structure.report.plotting import save, style
from hidden_structure.tables.imbalance import tabulate

STUDY = params.load()
SETTINGS = Imbalance(seeds=[0, 1, 2], train=STUDY.train, classes=None, ratios=[1, 10, 100], least=10)
STUDY = STUDY.model_copy(update={"imbalance": SETTINGS})
CLASSES = [{"class": f"class {index}"} for index in range(made.CLASSES)]


def written(found: dict, study=STUDY):
    rows = tabulate(study, {"imbalance": found}.get) | {"classes": CLASSES}
    read = {name: tables.parse(tables.text(own)) for name, own in rows.items()}  # as from files
    return chapter(study, lambda name: read.get(name, []))


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("imbalance."): claim for claim in written(found).claims}


def changed(ratio: int | None, trained: bool, group: str, **values) -> dict:
    """Of networks of that ratio, or of all."""
    found = made.result()
    for row in found["networks"]:
        if (row["epoch"] > 0) == trained and row["ratio"] == (ratio or row["ratio"]):
            row[group] |= values
    return found


def test_each_hypothesis_has_one_verdict():
    found = claims(made.result())
    assert [found[name].verdict for name in ("trained", "closer", "decay")] == ["supported"] * 3
    assert found["bounds"].verdict == "contradicted"  # these networks go with the other form, and the forms differ


def test_networks_that_stay_a_simplex_contradict_it():
    found = claims(changed(100, True, "minority", cosine_rows=-1 / 9))
    assert found["closer"].verdict == "contradicted"
    assert found["decay"].verdict != "supported"


def test_an_untrained_network_and_the_majority_support_nothing():
    assert claims(changed(100, True, "minority", cosine_rows=0.0))["closer"].verdict == "contradicted"
    for trained, group in ((False, "minority"), (True, "majority")):
        assert claims(changed(100, trained, group, cosine_rows=0.9))["closer"].verdict == "not assessable"


def test_a_model_that_a_simplex_or_rows_that_stay_would_do_for_is_not_assessable():
    found = made.result()
    for row in found["networks"]:
        row["model"] = {"bounds": -0.1, "decay": -0.1}
        row["minority"]["cosine_rows"] = -1 / 9
    judged = claims(found)
    assert {judged[form].verdict for form in ("bounds", "decay")} == {"not assessable"}
    assert "simplex" in judged["bounds"].unmet
    assert "stay as they are" in judged["bounds"].unmet


def test_what_a_model_says_of_a_network_before_training_supports_nothing():
    """Its rows have a cosine of 0, which some norms foretell: it does not rise."""
    found = made.result()
    for row in found["networks"]:
        if row["epoch"]:
            row["minority"]["cosine_rows"] = 0.0
    assert claims(found)["decay"].verdict == "contradicted"


def test_networks_that_are_not_trained_say_nothing():
    found = made.result()
    for row in found["networks"]:
        row["test_accuracy"] = 0.3
    judged = claims(found)
    assert judged.pop("trained").verdict == "contradicted"
    assert judged.pop("terminal").verdict == "supported"
    assert {claim.verdict for claim in judged.values()} == {"not assessable"}


def test_the_model_says_nothing_of_networks_that_do_not_fit_their_training_set():
    """It is of an optimum. That rows come closer needs no optimum."""
    judged = claims(changed(1, True, "majority", train_accuracy=0.97))
    assert judged["terminal"].verdict == "contradicted"
    assert {judged[form].verdict for form in ("bounds", "decay")} == {"not assessable"}
    assert judged["closer"].verdict == "supported"


@pytest.mark.parametrize("group", ["majority", "minority"])
def test_networks_of_every_ratio_must_fit_the_classes_that_the_model_keeps_apart(group):
    judged = claims(changed(10, True, group, train_accuracy=0.97))
    assert judged["terminal"].verdict == "contradicted"
    assert {judged[form].verdict for form in ("bounds", "decay")} == {"not assessable"}


def test_of_classes_whose_rows_are_one_no_image_need_be_told():
    found = changed(100, True, "minority", train_accuracy=0.2)
    for row in found["networks"]:
        if row["ratio"] == 100:
            row["model"] = {"bounds": 1.0, "decay": 1.0}
    assert claims(found)["terminal"].verdict == "supported"


def test_a_network_of_which_the_model_keeps_no_rows_is_not_left_out():
    """It is one of which the model may be most wrong."""
    found = made.result()
    for row in found["networks"]:
        if (row["ratio"], row["seed"]) == (100, 2):
            row["model"]["decay"] = None
    judged = claims(found)["decay"]
    assert judged.verdict == "not assessable"
    assert "ratio 100, seed 2" in judged.unmet
    assert not judged.values


def test_without_weight_decay_one_form_says_nothing():
    found = made.result()
    for row in (*found["networks"], *found["line"]):
        row.get("model", row)["decay"] = None
    found["thresholds"] = {"bounds": None, "decay": None}
    assert claims(found)["decay"].verdict == "not assessable"
    assert claims(found)["bounds"].verdict == "contradicted"
    assert len(written(found).findings) == 2
    assert written(found).pictures[0].draw()


def test_one_network_decides_nothing():
    assert claims(made.result((0,)))["closer"].verdict == "undecided"
    assert written(made.result((0,))).pictures[0].draw()


def test_the_chapter_can_be_left_out():
    assert written(made.result(), STUDY.model_copy(update={"imbalance": None})) is None
    assert written(None) is None


def test_findings_and_numbers_tell_every_ratio():
    made_up = written(made.result())
    assert "100 times as many images" in " ".join(made_up.findings)
    (numbers,) = made_up.numbers
    assert [row[0] for row in numbers.rows] == ["1", "10", "100"]
    assert all(len(row) == len(numbers.columns) for row in numbers.rows)
    assert set(made_up.headline) == {"minority_cosine"}


def test_the_figure_shows_whole_intervals():
    found = made.result()
    for row in found["networks"]:
        row["majority"]["cosine_rows"] = 0.2 * row["seed"] - 0.3  # of three networks the interval reaches to -0.6
    with style(STUDY.report.style):
        axes = written(found).pictures[0].draw().axes[0]
    ends = np.concatenate([path.vertices for bars in axes.collections for path in bars.get_paths()])[:, 1]
    assert len(ends) == 4 * len(made.RATIOS)  # of two groups the lower and the upper
    assert axes.get_ylim()[0] < ends.min() < -0.5


def test_the_figure_shows_networks_beside_theory(tmp_path):
    with style(STUDY.report.style):
        figure = written(made.result()).pictures[0].draw()
        save(figure, tmp_path / "figure.png")
    rows, means, accuracies = figure.axes
    assert all(axes.get_xlabel() for axes in figure.axes)
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == [f"{ratio}" for ratio in made.RATIOS]
    assert [bool(axes.get_ylabel()) for axes in figure.axes] == [True, False, True]  # two have the first one's
    found = made.result()
    theory = [line for line in rows.lines if len(line.get_xdata()) == len(found["line"])]
    assert len(theory) == 2
    assert theory[0].get_ydata() == pytest.approx([row["bounds"] for row in found["line"]], rel=1e-5)
    assert len({line.get_linestyle() for line in theory}) == 2
    for axes in (means, accuracies):
        assert sum(line.get_marker() in "os" for line in axes.lines) == 2 * len(made.RATIOS)
