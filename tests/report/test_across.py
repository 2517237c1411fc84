"""The report across studies: one verdict over their networks, lines that share networks are no replications, and files
that are the tables' and nothing else."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic_connectivity
import synthetic_recovery
import tiny

from hidden_structure.frame import tables
from hidden_structure.report.across import barriers, structure, writing
from hidden_structure.report.across.barriers import BARE, MATCHED, PARTED, Line
from hidden_structure.report.across.chapters import chapters
from hidden_structure.report.plotting import add_letters
from hidden_structure.report.recovery.controls import BY
from hidden_structure.seeding import numpy_generator

STUDY = synthetic_recovery.STUDY


def changed(agreement=lambda row: row["agreement"], **others) -> dict:
    found = synthetic_recovery.results() | others
    for row in found["follow-recovery"]:
        row["agreement"] = agreement(row)
    return found


def across(*results: dict):
    """Of a study for each; they are called a, b, ..."""
    studies = [STUDY.model_copy(update={"study": name}) for name, _ in zip("abcdef", results, strict=False)]
    made = [(study, synthetic_recovery.tables(found, study)) for study, found in zip(studies, results, strict=True)]
    return chapters(made)


def lost(row: dict) -> float:
    return row["agreement"] - 0.2 * (row["epoch"] == 200)


KEPT, LOST = changed(), changed(lost)
UNFOLLOWED = changed(**{"follow-recovery": []})


@pytest.mark.parametrize(
    ("results", "word", "paper"),
    [
        ([KEPT], "survives", "2306.17105"),
        ([KEPT, UNFOLLOWED], "survives", "2306.17105"),
        ([LOST, LOST], "transient", "2606.26749"),
        ([KEPT, LOST], "undecided", "neither"),
    ],
)
def test_one_verdict_over_all_studies_and_the_paper_that_it_speaks_for(results, word, paper):
    (chapter,), _ = across(*results)
    assert word in chapter.findings[0]
    assert paper in chapter.findings[0]
    assert "recovered by principal components" in chapter.findings[0]
    assert "what was not followed ends at" in chapter.findings[0]
    assert "(t-SNE)" in chapter.findings[0]
    assert "From the last kept epoch before collapse (a: NC1 0.149" in chapter.findings[0]
    followed = sum(bool(found["follow-recovery"]) for found in results)
    if followed == 1:  # its own report makes the claim
        assert not chapter.claims
        assert "in a alone" in chapter.findings[0]
        return
    (claim,) = chapter.claims
    assert structure.word(claim)[0] == word
    assert len(set(claim.seeds)) == len(claim.values) == followed  # studies, whose networks are no replications
    assert "over the means of a" in chapter.findings[0]


def test_what_clusters_found_better_before_does_not_survive_a_low_point():
    """The last kept epoch before collapse is one at which they find little: that they find more at the end is no sign
    that nothing was lost."""
    less = {50: 0.2, 80: 0.1, 130: 0.1, 200: 0.1}  # what they find less than made up, from an epoch before collapse on
    (chapter,), _ = across(changed(lambda row: row["agreement"] - less.get(row["epoch"], 0)))
    assert "undecided, which speaks for neither paper" in chapter.findings[0]
    assert "from its best epoch in a by " in chapter.findings[0]


def test_studies_may_have_been_followed_in_different_ways():
    def made(name: str, way: str) -> tuple:
        study = STUDY.model_copy(update={"study": name, "cluster": STUDY.cluster.model_copy(update={"followed": way})})
        results = changed()
        for row in results["follow-recovery"]:
            row["reducer"] = way
        return study, synthetic_recovery.tables(results, study)

    (chapter,), _ = chapters([made("a", "pca"), made("b", "tsne")])
    assert all(BY[way] in chapter.findings[0] for way in ("pca", "tsne"))
    assert "(a: NC1 " in chapter.findings[0]
    assert "; b: NC1 " in chapter.findings[0]


def test_who_counts_does_not_depend_on_how_it_came_out():
    """Untrained networks that keep as much say that nothing can be told, of networks that keep it and that do not."""
    easy = [
        changed(lambda row: row["agreement"] if row["epoch"] else 0.99),
        changed(lambda row: lost(row) if row["epoch"] else 0.99),
    ]
    for results in ([easy[0]], [easy[1]], easy):
        (chapter,), _ = across(*results)
        assert chapter.claims[0].verdict == "not assessable"


def test_each_study_has_its_own_verdict_beside_that_over_all():
    (chapter,), left_out = across(KEPT, LOST, UNFOLLOWED)
    (numbers,) = chapter.numbers
    words = dict(zip(numbers.columns, zip(*numbers.rows, strict=True), strict=True))
    assert words["structure"] == ("survives", "transient", "not asked: not followed")
    assert any(sentence.startswith("c: the coarse networks were not followed") for sentence in left_out)


def test_networks_that_have_not_collapsed_or_found_nothing_count_for_neither():
    raw = changed()
    for row in raw["collapse"]:
        row["nc1"] = 3.0
    nothing = changed(lambda row: 0.53)
    for found in (raw, nothing, UNFOLLOWED):
        (chapter,), _ = across(found)
        assert chapter.claims[0].verdict == "not assessable"
    (chapter,), _ = across(raw, KEPT)
    assert "in b alone" in chapter.findings[0]
    (chapter,), _ = across(raw, KEPT, KEPT)
    assert {name.partition("/")[0] for name in chapter.claims[0].seeds} == {"b", "c"}


def test_shuffled_labels_have_no_agreement_and_a_guess_no_accuracy_on_the_common_axis():
    found = synthetic_recovery.tables(KEPT)
    made = structure.networks(STUDY, found)
    level = structure.chance(found("superclasses"))
    by = {kind: list(structure.of_kind(made, kind)) for kind in (structure.FOLLOWED, structure.RECIPE)}
    assert len(by[structure.FOLLOWED]) == 3
    assert len(by[structure.RECIPE]) == len(found("sweep"))
    for network, row in zip(by[structure.FOLLOWED], found("following"), strict=True):
        back = [level + (1 - level) * value for value in network.found["pca"]]
        assert back == pytest.approx(row["agreement"])
        assert network.nc1 == tuple(row["nc1"])
        assert max(network.read) < 1
    assert structure.networks(STUDY, lambda name: []) == []


def test_what_separates_a_single_network_comes_from_its_distances():
    found = synthetic_recovery.tables(UNFOLLOWED)
    three = [network.apart for network in structure.of_kind(structure.networks(STUDY, found), structure.ENDED)]
    assert three == [(), (), ()]  # of a mean over three
    single = STUDY.model_copy(update={"seeds": [0]})
    results = synthetic_recovery.results(seeds=[0]) | {"follow-recovery": []}
    (network,) = structure.of_kind(
        structure.networks(single, synthetic_recovery.tables(results, single)), structure.ENDED
    )
    assert len(network.apart) == 1
    assert 0 <= network.apart[0] <= 1


def test_the_figure_shows_a_line_a_followed_network_and_a_mark_each():
    (chapter,), _ = across(KEPT, UNFOLLOWED)
    figure = chapter.pictures[0].draw()
    add_letters(figure)
    found = figure.axes[0]
    assert sum(len(line.get_xdata()) > 1 for line in found.lines) == 3
    low, high = found.get_xlim()
    assert low > high, "more collapsed is to the right"


def line(barrier: float, bend: float, replication: str, kind: str = MATCHED, study: str = "a") -> Line:
    return Line(study, "a cell", f"{replication}, a width", replication, kind, "weights", False, barrier, bend)


def test_repeating_the_lines_of_a_group_of_networks_makes_no_interval_narrower():
    draw = numpy_generator("groups")
    own = [line(x, x + float(draw.normal()), f"u{n % 8}") for n, x in enumerate(draw.normal(size=24).tolist())]
    assert barriers.correlation(own) == pytest.approx(barriers.correlation(own * 3))
    once, thrice = barriers.replications(own), barriers.replications(own * 3)
    assert once == pytest.approx(thrice)
    assert len(once) == 8
    few = [line(0, 1, "one"), line(1, 0, "one"), *own]  # too few lines to say anything
    assert barriers.replications(few) == once


def test_intervals_of_correlations_end_inside_of_them_and_a_perfect_order_is_no_certainty():
    rising, exchanged = ([line(n, y, "one") for n, y in enumerate(order)] for order in ((0, 1, 2, 3), (1, 0, 2, 3)))
    assert (barriers.correlation(rising), barriers.correlation(exchanged)) == (pytest.approx(1), pytest.approx(0.8))
    assert barriers.fisher(rising) == pytest.approx(np.arctanh(0.9)), "half way to the next best order"
    assert barriers.fisher(exchanged) == pytest.approx(np.arctanh(0.8))
    assert barriers.fisher([replace(one, bend=-one.bend) for one in rising]) == pytest.approx(-np.arctanh(0.9))
    assert barriers.fisher(rising[:2]) is None
    study = synthetic_connectivity.study(spawned=2)
    found = synthetic_connectivity.tabulated(study, synthetic_connectivity.results(study))
    (own,), _ = chapters([(study, lambda name: found.get(name, []))])
    said = [sentence for sentence in own.findings if "the rank correlation of barrier with bend" in sentence]
    ends = [re.findall(r"(\d\.\d\d)[, ]", sentence) for sentence in said]
    assert max(len(each) for each in ends) == 3, "a mean and both ends"
    assert all(float(end) <= 1 for each in ends for end in each)


def test_networks_with_a_line_to_one_another_are_one_group():
    study = synthetic_connectivity.study(seeds=[0, 1, 2, 3], spawned=3)
    found = synthetic_connectivity.tabulated(study, synthetic_connectivity.results(study))
    own = barriers.lines(study, found.__getitem__)
    assert len(own) == len(found["lines"]) == len(found["features"])
    assert {one.kind for one in own} == {PARTED, MATCHED, BARE}
    cells = {(row["width"], row["weight_decay"]) for row in found["lines"]}
    # Trunks 0 and 1 make a pair, to which what parted from either of them belongs; 2 and 3 the other.
    assert len({one.unit for one in own}) == 2 * len(cells)
    assert {one.replication for one in own} == {f"{study.study}/seed-{seed}" for seed in (0, 2)}
    assert barriers.lines(study, lambda name: found["lines"] if name == "lines" else []) == []


def test_recipes_are_cells_of_their_own_and_share_replications():
    study = synthetic_connectivity.study(seeds=[0, 1, 2, 3], spawned=3)
    found = synthetic_connectivity.tabulated(study, synthetic_connectivity.results(study))
    twice = {
        name: [*found[name], *(row | {"recipe": "crop 0", "pair": f"{row['pair']}, crop 0"} for row in found[name])]
        for name in ("lines", "features")
    }
    own, both = (barriers.lines(study, tables.__getitem__) for tables in (found, found | twice))
    assert len({one.cell for one in both}) == 2 * len({one.cell for one in own})
    assert len({one.unit for one in both}) == 2 * len({one.unit for one in own})
    assert {one.replication for one in both} == {one.replication for one in own}


def test_a_correlation_is_supported_contradicted_or_of_one_group_undecided():
    rising = [line(n, n + 0.01 * (n % 3), f"u{n % 3}") for n in range(12)]
    falling = [line(-one.barrier, one.bend, one.replication) for one in rising]

    def verdicts(own, unmet=""):
        every, matched = (claim.verdict for claim in barriers.claims(own, {"a": unmet}))
        assert every == matched  # all are of one kind
        return [every]

    assert verdicts(rising) == ["supported"]
    assert verdicts(falling) == ["contradicted"]
    assert verdicts([line(n, n, "one") for n in range(12)]) == ["undecided"]
    assert verdicts(rising, "they have learnt nothing") == ["not assessable"]
    assert verdicts([line(0, n, f"u{n % 3}") for n in range(12)]) == ["not assessable"]
    assert verdicts([line(n, n, f"u{n}") for n in range(12)]) == ["not assessable"]


def test_a_correlation_that_is_but_the_difference_of_kinds_is_none_of_matched_lines():
    low = [line(0.01 * n, 0.01 * (n // 3 % 2), f"u{n % 3}") for n in range(18)]
    high = [line(1 + 0.01 * n, 1 + 0.01 * (n // 3 % 2), f"u{n % 3}", BARE) for n in range(18)]
    every, matched = barriers.claims([*low, *high], {"a": ""})
    assert every.verdict == "supported"
    assert matched.measured < 0.5


@pytest.mark.parametrize("apart", [{"repaired": True}, {"cell": "another width"}, {"study": "b"}])
def test_a_correlation_that_is_but_the_difference_of_repairs_widths_or_studies_is_none(apart):
    def falling(base):
        return [line(base + n, base - n, f"u{n % 3}") for n in range(9)]

    own = [*falling(0), *(replace(one, **apart) for one in falling(100))]
    assert barriers.correlation(own) > 0.3
    assert barriers.within(own) == pytest.approx(-1)
    assert {claim.verdict for claim in barriers.claims(own, {"a": "", "b": ""})} == {"contradicted"}
    assert barriers.within([line(0, 0, "u")]) is None


def test_barriers_are_read_over_all_studies_that_have_them():
    study = synthetic_connectivity.study(spawned=2)
    found = synthetic_connectivity.tabulated(study, synthetic_connectivity.results(study))
    named = [study.model_copy(update={"study": name}) for name in "xy"]
    (chapter,), left_out = chapters(
        [*((one, lambda name: found.get(name, [])) for one in named), (STUDY, lambda name: [])]
    )
    assert [claim.id for claim in chapter.claims] == [
        "barriers.x",
        "barriers.x.matched",
        "barriers.y",
        "barriers.y.matched",
    ]
    assert all(len(claim.values) == len(study.spawn.seeds) // 2 for claim in chapter.claims[::2])
    assert any(STUDY.study in sentence and "barriers" in sentence for sentence in left_out)
    assert chapter.pictures[0].draw().axes[0].lines


@pytest.fixture
def reports(tmp_path) -> dict[str, Path]:
    """Two committed studies, one of which trains no networks to be followed and one without lines."""
    kept = {name: tmp_path / name for name in ("digits-grid", "cifar10-binary")}
    for name, folder in kept.items():
        shutil.copytree(tiny.ROOT / "reports" / name, folder, ignore=shutil.ignore_patterns("figures", "paper"))
    return kept


def same(one: list, other: list) -> bool:
    return one == other


def test_what_is_written_is_what_the_tables_give_twice_the_same_bytes(reports, tmp_path):
    folder = tmp_path / "across"
    writing.write(reports, folder)
    first = {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    assert writing.differences(reports, same, folder) == []
    writing.write(reports, folder)
    assert first == {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    assert {"README.md", "claims.csv", "figures/structure.csv", "figures/structure.png"} == {
        file.relative_to(folder).as_posix() for file in first
    }
    text = (folder / "README.md").read_text()
    assert "no table of lines between networks" in text
    assert "../digits-grid/README.md" in text


def test_what_differs_from_the_tables_is_named(reports, tmp_path):
    folder = tmp_path / "across"
    writing.write(reports, folder)
    rows = tables.read(folder / "figures/structure.csv")
    tables.write(folder / "figures/structure.csv", [rows[0] | {"x": 7.0}, *rows[1:]])
    (folder / "README.md").write_text("other\n")
    (folder / "figures/structure.png").unlink()
    (folder / "figures/old.png").write_bytes(b"")
    failures = writing.differences(reports, same, folder)
    for name in ("structure.csv is not", "README.md is not", "structure.png is missing", "old.png belongs to nothing"):
        assert any(name in failure and "make across" in failure for failure in failures)
    assert len(failures) == 4
