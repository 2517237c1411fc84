"""The chapter on means of several networks: judged on sets that share none, unmatched networks support nothing."""

import pytest
import synthetic_averages as made

from hidden_structure.frame import params, tables
from hidden_structure.frame.sections import Average
from hidden_structure.report.averages.chapter import chapter
from hidden_structure.report.claim import Claim
from hidden_structure.report.plotting import save, style
from hidden_structure.tables.averages import tabulate

STUDY = params.load()
STUDY = STUDY.model_copy(update={"average": Average(counts=[2, 3, 6], widths=list(made.WIDTHS), restarts=1)})


def written(found: dict, study=STUDY):
    read = {name: tables.parse(tables.text(own)) for name, own in tabulate(study, found.get).items()}  # as from files
    return chapter(study, lambda name: read.get(name, []))


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("averages."): claim for claim in written(found).claims}


def changed(matching: str, accuracy: float, seeds: int = 12) -> dict:
    """All means by that matching have this accuracy."""
    found = made.results(seeds)
    for row in (row for own in found["average"] for row in own["means"] if row["matching"] == matching):
        row["test_accuracy"] = accuracy
    return found


def test_each_hypothesis_has_one_verdict():
    found = claims(made.results(12))
    assert {name: claim.verdict for name, claim in found.items()} == dict.fromkeys(
        ("learnt", "together", "near", "unmatched"), "supported"
    )
    assert found["together"].seeds == ("0-1-2", "3-4-5", "6-7-8", "9-10-11")  # disjoint sets, and the most of them


def test_networks_in_pairs_that_merge_better_contradict_it():
    assert claims(changed("pairwise", 0.98))["together"].verdict == "contradicted"


def test_a_matching_that_unmatched_networks_would_do_for_supports_nothing():
    judged = claims(changed("none", 0.955))
    assert {judged[name].verdict for name in ("together", "near")} == {"not assessable"}
    assert "not matched" in judged["near"].unmet
    assert judged["unmatched"].verdict == "contradicted"


def test_the_mean_of_unmatched_networks_in_the_place_of_matched_ones_contradicts_both():
    judged = claims(changed("together", 0.6))
    assert {judged[name].verdict for name in ("together", "near")} == {"contradicted"}


def test_networks_that_have_learnt_nothing_say_nothing():
    found = made.results(12)
    for row in found["average"]:
        for scores in (*row["networks"], *row["means"]):
            scores["test_accuracy"] = 0.1
    judged = claims(found)
    assert judged.pop("learnt").verdict == "contradicted"
    assert {claim.verdict for claim in judged.values()} == {"not assessable"}


def test_of_given_networks_nothing_is_claimed():
    spawn = STUDY.spawn.model_copy(update={"checkpoints": ["a.pt", "b.pt", "c.pt"]})
    found = written(made.results(3, (3,)), STUDY.model_copy(update={"spawn": spawn}))
    assert found.claims == []
    assert len(found.findings) == 4
    assert all(sentence.endswith(".") and "undecided" not in sentence for sentence in found.findings)
    assert "given networks 0, 1, 2" in found.pictures[0].making


def test_one_set_decides_nothing_and_two_networks_are_no_case_of_the_source():
    assert claims(made.results(3, (3,)))["together"].verdict == "undecided"
    assert claims(made.results(4, (2,))).keys() == {"learnt", "near", "unmatched"}


def test_the_chapter_can_be_left_out():
    assert written(made.results(), STUDY.model_copy(update={"average": None})) is None
    assert written({"average": None}) is None


def test_findings_and_numbers_tell_of_every_count_and_of_the_choice_of_reference():
    made_up = written(made.results())
    assert any("best and the worst network" in sentence for sentence in made_up.findings)
    (numbers,) = made_up.numbers
    assert {row[:3] for row in numbers.rows} == {(w, n, 6 // n) for w in made.WIDTHS for n in (2, 3, 6)}
    assert all(len(row) == len(numbers.columns) for row in numbers.rows)
    spread = [row[-2] for row in numbers.rows if row[1] == 6 and row[-2]]
    assert spread == ["0.01"] * 2  # 0.002 from seed to seed, of six


def test_the_figure_shows_every_matching_at_every_count(tmp_path):
    with style(STUDY.report.style):
        figure = written(made.results()).pictures[0].draw()
        save(figure, tmp_path / "figure.png")
    for axes in figure.axes:
        assert axes.get_xlabel() == "networks in a mean"
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "3", "6"]
        assert sum(line.get_marker() in ("o", "s", "D") for line in axes.lines) == 9
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "linear", "log"]
    with style(STUDY.report.style):
        assert written(made.results(3, (3,))).pictures[0].draw()  # without an interval


def test_no_interval_on_a_logarithmic_axis_reaches_zero():
    found = made.results(12)
    for row in found["average"]:
        for own in row["means"]:
            own["test_loss"] = 1.0 if row["seeds"][0] else 3.0
    with style(STUDY.report.style):
        loss = written(found).pictures[0].draw().axes[-1]
    bars = [bar for container in loss.containers for bar in container.lines[2][0].get_segments()]
    assert bars
    assert all(low > 0 for (_, low), _ in bars)
    for container in loss.containers:
        ((_, low), (_, high)), (middle,) = container.lines[2][0].get_segments()[0], container.lines[0].get_ydata()
        assert low * high == pytest.approx(middle**2), "as far to either side on this axis"


def test_every_table_is_read_as_it_was_written():
    found = tabulate(STUDY, made.results().get)
    assert {name: len(tables.parse(tables.text(rows))) for name, rows in found.items()} == {
        name: len(rows) for name, rows in found.items()
    }
    assert len(found["averaged"]) == 2 * 6
    assert tabulate(STUDY, {"average": None}.get) == {}
