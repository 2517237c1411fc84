"""The chapter on networks of two tasks: controls in the place of finetuned networks support nothing."""

import pytest
import synthetic_finetune as made

from hidden_structure.frame import params, tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.finetune.chapter import chapter
from hidden_structure.report.plotting import save, style
from hidden_structure.report.trained import trained
from hidden_structure.tables.finetune import tabulate

STUDY = params.load()
CLASSES = [{"class": f"class {index}"} for index in range(made.CLASSES)]
CONDITIONS = ("pretrained", "learnt", "scratch", "apart", "gained")
CLAIMS = ("linear", "pretraining", "law", "addition", "kept")


def written(found: dict | None, study=STUDY):
    rows = tabulate(study, {"finetune": found}.get) | {"classes": CLASSES}
    read = {name: tables.parse(tables.text(own)) for name, own in rows.items()}  # as from files
    return chapter(study, lambda name: read.get(name, []))


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("finetune."): claim for claim in written(found).claims}


def verdicts(found: dict) -> dict[str, str]:
    return {name: claim.verdict for name, claim in claims(found).items()}


def in_place_of_finetuned(kind: str) -> dict:
    """Networks of another kind, called finetuned."""
    found = made.result()
    for place, row in enumerate(found["pairs"]):
        if row["kind"] == "finetuned":
            own = made.pair(kind, row["seed"], row["repaired"])
            own["sums"][0]["accuracy"]["both"] = row["sums"][0]["accuracy"]["both"]  # which is a condition by itself
            found["pairs"][place] = own | {"kind": "finetuned"}
    return found


def test_networks_that_share_no_more_than_an_initialisation_must_not_pass(monkeypatch):
    monkeypatch.setitem(made.RATIO, "same", 0.12)
    found = verdicts(made.result())
    assert (found["linear"], found["addition"]) == ("not assessable", "not assessable")


def test_each_hypothesis_has_one_verdict():
    found = verdicts(made.result())
    assert found == dict.fromkeys((*CONDITIONS, *CLAIMS, "control"), "supported")
    without = verdicts(made.result(norm=False))
    assert without == found


def test_independent_networks_in_place_of_finetuned_ones_support_nothing():
    found = verdicts(in_place_of_finetuned("independent"))
    assert found["linear"] == found["pretraining"] == found["addition"] == found["kept"] == "contradicted"


def test_networks_of_one_initialisation_are_not_more_linear_than_themselves():
    found = verdicts(in_place_of_finetuned("same"))
    assert found["pretraining"] == "contradicted"
    assert found["kept"] == "contradicted"


def test_networks_from_scratch_that_never_moved_are_told_of_and_nothing_is_said(monkeypatch):
    monkeypatch.setitem(made.RATIO, "same", 0.0)
    found = made.result()
    for row in found["networks"]:
        if row["begins"] != "pretrained":
            row["accuracy"] = made._accuracy(0.2, 0.2)
    judged = verdicts(found)
    assert judged["scratch"] == "contradicted"
    assert {judged[name] for name in (*CLAIMS, "control")} == {"not assessable"}


def test_what_independent_networks_do_as_well_shows_nothing():
    found = made.result()
    for row in found["pairs"]:
        if row["kind"] == "independent":
            row["layers"] = made.layers("independent", 0.05, made.ALPHAS)
            for one in row["sums"]:
                one |= {"layers": made.layers("independent", 0.05, [0.5])} if "layers" in one else {}
            for point in row["line"]:
                for both in point["accuracy"].values():
                    both["within"] = made.OWN
    judged = claims(found)
    assert judged["control"].verdict == "contradicted"
    for name in ("linear", "addition", "kept"):
        assert judged[name].verdict == "not assessable"
        assert "independent networks" in judged[name].unmet


def test_the_pretrained_network_in_place_of_the_mean_keeps_nothing():
    found = made.result()
    for row in found["pairs"]:
        if row["kind"] == "finetuned":
            row["line"][2]["accuracy"] = row["sums"][0]["accuracy"]
    judged = claims(found)["kept"]
    assert judged.values == (0, 0, 0)
    assert judged.verdict == "contradicted"


def test_a_task_of_which_little_is_kept_is_not_made_up_for_by_the_other():
    found = made.result()
    for row in found["pairs"]:
        if row["kind"] == "finetuned":
            first, halfway, second = (row["line"][place]["accuracy"] for place in (0, 2, -1))
            began = row["sums"][0]["accuracy"]["second"]["within"]
            halfway["first"]["within"] = first["first"]["within"]
            halfway["second"]["within"], second["second"]["within"] = began, began + 0.05
    assert claims(found)["kept"].verdict == "contradicted"


def test_features_that_follow_the_other_law_contradict_the_first():
    found = made.result()
    for row in found["pairs"]:
        for layer in row["layers"]:
            layer["dissimilarity"], layer["exponential"] = layer["exponential"], layer["dissimilarity"]
    assert verdicts(found)["law"] == "contradicted"


@pytest.mark.parametrize("name", ["pretrained", "learnt", "scratch", "apart"])
def test_without_its_preconditions_nothing_can_be_said(name):
    found = made.result()
    for row in found["networks"]:
        if (row["begins"] == "pretrained") == (name == "learnt") and name in ("learnt", "scratch"):
            row["accuracy"][row["task"]]["within"] = 0.25
    for row in found["pairs"]:
        if name == "pretrained" and row["kind"] == "finetuned":
            row["sums"][0]["accuracy"]["both"]["all"] = 0.15
        if name == "apart" and row["kind"] == "finetuned":
            row["layers"][-1]["baseline"]["mean"] = 1e-3
    judged = verdicts(found)
    assert judged.pop(name) == "contradicted"
    assert {judged[claim] for claim in CLAIMS} == {"not assessable"}


def test_of_networks_that_gain_nothing_by_finetuning_nothing_is_said_of_what_is_kept():
    found = made.result()
    for row in found["pairs"]:
        if row["kind"] == "finetuned":
            row["sums"][0]["accuracy"]["first"]["within"] = row["sums"][0]["accuracy"]["second"]["within"] = made.OWN
    judged = verdicts(found)
    assert judged["gained"] == "contradicted"
    assert judged["kept"] == "not assessable"
    assert judged["linear"] == "supported"
    assert len(written(found).findings) == 4


def test_the_mean_alone_is_no_other_coefficient():
    found = made.result()
    for row in found["pairs"]:
        row["sums"] = [one for one in row["sums"] if one["coefficient"] in (0, 0.5)]
    assert verdicts(found)["addition"] == "not assessable"
    assert len(written(found).findings) == 4


def test_one_network_decides_nothing():
    found = verdicts(made.result((0,)))
    assert {found[name] for name in CLAIMS} == {"undecided"}
    assert all(picture.draw() for picture in written(made.result((0,))).pictures)


def test_the_chapter_can_be_left_out():
    assert written(made.result(), STUDY.model_copy(update={"finetune": None})) is None
    assert written(None) is None


@pytest.mark.parametrize("norm", [True, False])
def test_numbers_tell_every_kind_and_coefficient(norm):
    crossed, sums = written(made.result(norm=norm)).numbers
    assert len(crossed.rows) == 3 * (1 + norm)
    assert len(sums.rows) == len(crossed.rows) * (1 + len(made.COEFFICIENTS))
    for numbers in (crossed, sums):
        assert all(len(row) == len(numbers.columns) for row in numbers.rows)
    assert len({row[0] for row in crossed.rows}) == 3


def test_what_was_trained_is_told_with_its_cost():
    networks = tabulate(STUDY, {"finetune": made.result()}.get)["finetuned"]
    flop = {"network": "network", "width": 1, "outputs": made.CLASSES, "flop": 10**12}
    rows = {
        "finetuned": networks,
        "classes": [one | {"train": 100, "superclass": "a"} for one in CLASSES],
        "flops": [flop],
    }
    numbers = trained(STUDY, lambda name: rows.get(name, []))
    lines = {row[0]: dict(zip(numbers.columns, row, strict=True)) for row in numbers.rows}
    finetuned, others = (lines[name] for name in ("finetuned on part of the classes", "from scratch on these"))
    assert (finetuned["number"], others["number"]) == (6, 9)
    assert finetuned["PFLOP each"] == others["PFLOP each"] == "5"  # 500 images, 10 epochs
    assert finetuned["test accuracy"] == "0.81"


def test_no_band_of_the_layers_reaches_zero():
    found = made.result()
    for row in found["pairs"]:
        for value in (value for layer in row["layers"] for value in layer["dissimilarity"]):
            value["mean"] *= 1000.0 ** (row["seed"] % 2)
    figure = written(found).pictures[0].draw()
    corners = [path.vertices[:, 1] for axes in figure.axes for band in axes.collections for path in band.get_paths()]
    assert corners
    assert all((ends > 0).all() for ends in corners)


@pytest.mark.parametrize("norm", [True, False])
def test_figures_show_what_the_tables_hold(tmp_path, norm):
    found = made.result(norm=norm)
    for row in found["pairs"]:
        row["sums"][1]["accuracy"]["both"] |= {"all": 1.0, "within": 1.0}  # which tables give as whole numbers
    with style(STUDY.report.style):
        layers, vectors = (picture.draw() for picture in written(found).pictures)
        for place, figure in enumerate((layers, vectors)):
            save(figure, tmp_path / f"{place}.png")
    assert len(layers.axes) == 1 + norm
    for axes in layers.axes:
        assert [line.get_label() for line in axes.lines if line.get_marker() not in ("None", "")] == [
            "finetuned",
            "same initialisation",
            "independent",
        ]
    for axes in vectors.axes:
        drawn = [line for line in axes.lines if len(line.get_xdata()) == 1 + len(made.COEFFICIENTS)]
        assert len(drawn) == 5
        assert all(list(line.get_xdata()) == [0, *made.COEFFICIENTS] for line in drawn)
    assert all(axes.get_xlabel() for axes in (*layers.axes, *vectors.axes))
