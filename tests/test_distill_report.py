"""The chapter on distillation: quantities, claims, figures and table of made-up students."""

import math
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
import synthetic_students as synthetic
from hypothesis import given
from hypothesis import strategies as some
from matplotlib.figure import Figure
from scipy import stats

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.sections import DISTILLATIONS
from hidden_structure.report.distillation import claims as distill_claims
from hidden_structure.report.distillation import figures as distill_figures
from hidden_structure.report.distillation import measure as distill_summary
from hidden_structure.report.plotting import save
from hidden_structure.report.recovery import claims
from hidden_structure.report.summary import Measured

DEFAULT = params.load(Path(__file__).parent.parent / "studies/digits.yaml")
IDS = [
    f"distill.{name}"
    for name in (
        "teacher alone kd lelp_gain lelp fitnet subclass random_projections kmeans tsne_kmeans random oracle pieces "
        "inherits"
    ).split()
]
FEW = {"seeds": [4], "methods": ["lelp", "alone", "kd"], "subclasses": [5], "temperatures": [4.0]}
SUBSETS = (
    list(DISTILLATIONS),
    ["kd"],
    ["lelp", "kd"],
    ["alone", "kd", "oracle"],
    ["kd", "random", "kmeans"],
    ["kd", "subclass", "random-projections", "tsne-kmeans"],
)


def measured(study: params.Study) -> Measured:
    return distill_summary.measure(synthetic.distill(study), synthetic.students(study), study)


def table(study: params.Study, **changed: list[float]) -> dict[str, dict]:
    """Changed quantities: _ stands for a dot, and __ for a hyphen."""
    own = {f"distill.{name.replace('__', '-').replace('_', '.')}": values for name, values in changed.items()}
    return {row["id"]: row for row in distill_claims.table(study, measured(study) | own, 2)}


def draw(study: params.Study) -> dict[str, Figure]:
    return distill_figures.draw(synthetic.distill(study), measured(study))


def published(source: str, **merge: object) -> params.Study:
    """A study of that dataset whose teacher knows labels merged so."""
    content = synthetic.studied(DEFAULT).model_dump()
    content["data"]["source"] = source
    content["distill"]["merge"] |= merge
    return params.Study.model_validate(content)


def test_every_method_of_the_parameters_has_a_name_and_its_place():
    assert tuple(distill_summary.NAMES) == DISTILLATIONS
    mixed = synthetic.studied(DEFAULT, methods=["oracle", "kd", "alone"])
    rows = distill_summary.table(synthetic.distill(mixed), mixed)
    assert distill_summary.methods(measured(mixed)) == [row["method"] for row in rows] == ["alone", "kd", "oracle"]


def test_the_gain_pairs_students_of_one_seed_in_whichever_order_they_come():
    study = synthetic.studied(DEFAULT, methods=["kd", "lelp"])
    found = synthetic.distill(study)
    values = {"kd": [0.5, 0.7, 0.6], "lelp": [0.6, 0.8, 0.7]}
    for row in found["rows"]:
        row["test_accuracy"] = values[row["method"]][row["seed"]]
    found["rows"].reverse()
    own = distill_summary.measure(found, synthetic.students(study), study)
    assert own["distill.kd.accuracy"] == values["kd"]
    assert own["distill.lelp.gain"] == pytest.approx([0.1, 0.1, 0.1])
    assert "distill.kd.gain" not in own
    low, high = distill_summary.interval(own["distill.lelp.gain"])  # although accuracies scatter by as much
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)


def test_quantities_are_those_of_the_metrics():
    study = synthetic.studied(DEFAULT)
    own, students = measured(study), synthetic.students(study)
    assert own["distill.teacher.accuracy"] == [0.85]
    for row in students["pieces"]:
        assert own[f"distill.{row['method']}.pieces"] == [row["ami"]]
    for method in DISTILLATIONS:
        kept = [row["agreement"] for row in students["rows"] if row["method"] == method]
        assert own[f"distill.{method}.recovery"] == kept


def test_damaged_metrics_are_an_error_in_one_line():
    study = synthetic.studied(DEFAULT)
    with pytest.raises(InputError, match="no students"):
        distill_summary.measure(None, None, study)

    def damaged(change: Callable[[dict, dict], object]) -> None:
        found, students = synthetic.distill(study), synthetic.students(study)
        change(found, students)
        distill_summary.measure(found, students, study)

    with pytest.raises(InputError, match="no student by oracle of seed 2"):
        damaged(lambda found, students: found["rows"].pop())
    with pytest.raises(InputError, match="no pieces of oracle"):
        damaged(lambda found, students: students["pieces"].pop())
    with pytest.raises(InputError, match=r"agreement .*method oracle.* is nan"):
        damaged(lambda found, students: students["rows"][-1].update(agreement=math.nan))
    with pytest.raises(InputError, match=r"teacher's accuracy .* is None"):
        damaged(lambda found, students: found["teacher"].update(test_accuracy=None))


@given(some.lists(some.floats(-0.5, 0.5), min_size=2, max_size=8).filter(lambda values: stdev(values) > 1e-6))
def test_the_interval_is_that_of_scipy_around_the_mean(differences: list[float]):
    reference = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    found = distill_summary.interval(differences)
    assert found == pytest.approx((reference.low, reference.high), rel=1e-5, abs=1e-9)
    mirrored = distill_summary.interval([-value for value in differences])
    assert mirrored == pytest.approx((-found[1], -found[0]))


def test_the_interval_shrinks_as_seeds_agree_and_as_there_are_more():
    widths = [
        high - low for low, high in (distill_summary.interval([0.1 - s, 0.1, 0.1 + s]) for s in (0.05, 0.01, 0.0))
    ]
    assert widths[0] > widths[1] > widths[2] == 0
    few, many = (distill_summary.interval([0.0, 0.1] * count) for count in (1, 5))
    assert few[0] < many[0] < 0.05 < many[1] < few[1]
    assert distill_summary.interval([0.1]) is distill_summary.interval([]) is None


def test_the_interval_holds_the_truth_in_95_of_100_draws():
    draws = np.random.default_rng(0).normal(0.02, 0.01, (2000, 3))
    found = [distill_summary.interval(list(draw)) for draw in draws]
    assert np.mean([low <= 0.02 <= high for low, high in found]) == pytest.approx(0.95, abs=0.02)


def test_with_many_seeds_the_interval_is_that_of_the_bootstrap():
    values = np.random.default_rng(1).normal(0.02, 0.01, 200)
    generator = np.random.default_rng(2)
    means = generator.choice(values, (4000, len(values))).mean(1)
    assert distill_summary.interval(list(values)) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=3e-4)


def test_all_claims_of_a_study_of_all_methods():
    study = synthetic.studied(DEFAULT)
    rows = table(study)
    assert list(rows) == IDS
    for name, row in rows.items():
        assert list(row) == list(claims.HEADER)
        assert row["claim"].endswith(".")
        assert row["published"] is None
        assert row["holds"] is True, name
        assert row["seeds"] == ([study.seeds[0]] if name in ("distill.teacher", "distill.pieces") else [0, 1, 2])
    assert claims.markdown(list(rows.values())).count("\n") == 2 + len(rows)


@pytest.mark.parametrize(
    ("methods", "left"),
    [
        (["kd"], ["teacher"]),
        (["alone", "kd"], ["teacher", "alone", "kd"]),
        (["kd", "lelp"], ["teacher", "lelp_gain", "lelp", "inherits"]),
        (["kd", "oracle", "kmeans"], ["teacher", "pieces"]),
        (["kd", "random"], ["teacher", "random"]),
        (["kd", "random", "kmeans"], ["teacher", "random", "pieces"]),
        (["kd", "fitnet", "lelp"], ["teacher", "lelp_gain", "lelp", "fitnet", "inherits"]),
    ],
)
def test_claims_on_methods_that_the_study_does_not_run_are_left_out(methods: list[str], left: list[str]):
    assert list(table(synthetic.studied(DEFAULT, methods=methods))) == [f"distill.{name}" for name in left]


def test_published_numbers_are_of_cifar100_with_labels_modulo_2_alone():
    found = {name: row["published"] for name, row in table(published("cifar100")).items() if row["published"]}
    assert found == {
        "distill.kd": 0.7287,
        "distill.lelp_gain": 0.0704,
        "distill.lelp": 0.7991,
        "distill.tsne_kmeans": 0.7759,
        "distill.oracle": 0.8642,
    }
    assert "ResNet-56 taught by a ResNet-92" in table(published("cifar100"))["distill.lelp"]["claim"]
    for other in (published("cifar10"), published("cifar100", classes=5), published("cifar100", method="random")):
        for row in table(other).values():
            assert row["published"] is None
            assert "ResNet-56" not in row["claim"]


def test_without_a_merge_of_its_own_the_teacher_has_that_of_the_study():
    content = published("cifar100").model_dump()
    content["distill"]["merge"] = None
    for classes, number in ((2, 0.7991), (5, None)):
        content["merge"]["classes"] = classes
        assert table(params.Study.model_validate(content))["distill.lelp"]["published"] == number


@pytest.mark.parametrize(
    ("name", "quantity", "bound", "at_bound", "above"),
    [
        ("teacher", "teacher_accuracy", 0.75, True, True),
        ("alone", "alone_accuracy", 0.85, False, False),
        ("kd", "kd_accuracy", 0.6, True, True),
        ("fitnet", "fitnet_accuracy", 0.8, True, False),
        ("random_projections", "random__projections_accuracy", 0.8, True, False),
        ("oracle", "oracle_accuracy", 0.8, False, True),
        ("pieces", "tsne__kmeans_pieces", 0.1, True, True),
    ],
)
def test_a_claim_flips_where_its_sentence_says(name: str, quantity: str, bound: float, at_bound: bool, above: bool):
    level = {"teacher_accuracy": [0.85], "alone_accuracy": [0.6] * 3, "lelp_accuracy": [0.8] * 3}
    for value, holds in ((bound - 1e-4, not above), (bound, at_bound), (bound + 1e-4, above)):
        count = 1 if name in ("teacher", "pieces") else 3
        row = table(synthetic.studied(DEFAULT), **level | {quantity: [value] * count})[f"distill.{name}"]
        assert f"{bound:g}" in row["claim"]
        assert (row["measured"], row["holds"]) == (pytest.approx(value), holds)


def test_lelp_gains_if_the_interval_lies_above_0():
    study = synthetic.studied(DEFAULT)
    for gains, holds in (([0.01, 0.012, 0.011], True), ([0.01, 0.05, 0.001], False), ([-0.01] * 3, False)):
        row = table(study, lelp_gain=gains)["distill.lelp_gain"]
        low, high = distill_summary.interval(gains)
        assert f"{low:.4g} to {high:.4g}" in row["claim"]
        assert (row["measured"], row["holds"]) == (pytest.approx(fmean(gains), rel=1e-5), holds)
    row = table(synthetic.studied(DEFAULT, **FEW))["distill.lelp_gain"]
    assert row["holds"] is False
    assert "One seed has no interval" in row["claim"]


def test_lelp_lies_above_kd_by_more_than_the_larger_spread():
    study = synthetic.studied(DEFAULT)
    for kd, holds in (([0.69, 0.7, 0.71], True), ([0.6, 0.7, 0.8], False)):
        row = table(study, kd_accuracy=kd, lelp_accuracy=[0.75, 0.75, 0.76])["distill.lelp"]
        assert f"{0.7 + stdev(kd):g}, " in row["claim"]
        assert row["holds"] is holds
    row = table(synthetic.studied(DEFAULT, **FEW), kd_accuracy=[0.8], lelp_accuracy=[0.8])["distill.lelp"]
    assert row["holds"] is False
    assert "one seed" in row["claim"]


def test_random_pieces_gain_no_more_than_the_spread():
    study = synthetic.studied(DEFAULT)
    for gains, holds in (([-0.01, 0.0, 0.02], True), ([0.01, 0.012, 0.014], False), ([0.0] * 3, True)):
        assert table(study, random_gain=gains)["distill.random"]["holds"] is holds


def test_fine_structure_is_inherited_if_the_interval_of_the_paired_difference_is_above_0():
    study = synthetic.studied(DEFAULT)
    for kept, holds in (([0.5, 0.51, 0.49], True), ([0.5, 0.3, 0.41], False), ([0.3] * 3, False)):
        row = table(study, kd_recovery=[0.4] * 3, lelp_recovery=kept)["distill.inherits"]
        assert row["holds"] is holds
        assert row["measured"] == pytest.approx(fmean(kept) - 0.4, abs=1e-6)


def test_the_table_has_a_row_a_method_with_each_seed_and_the_interval():
    study = synthetic.studied(DEFAULT)
    found, own = synthetic.distill(study), measured(study)
    rows = {row["method"]: row for row in distill_summary.table(found, study)}
    assert list(rows) == list(DISTILLATIONS)
    for method, row in rows.items():
        assert row["accuracies"] == own[f"distill.{method}.accuracy"]
        if method != "kd":
            assert row["interval"] == distill_summary.interval(own[f"distill.{method}.gain"])
            assert row["interval"][0] < row["gain"] < row["interval"][1]
    assert (rows["kd"]["gain"], rows["kd"]["interval"]) == (None, None)
    assert (rows["lelp"]["subclasses"], rows["lelp"]["beta"], rows["lelp"]["outputs"]) == (5, 0.5, 10)
    assert rows["alone"]["temperature"] is None
    few = synthetic.studied(DEFAULT, **FEW)
    for row in distill_summary.table(synthetic.distill(few), few):
        assert row["interval"] is row["accuracy_spread"] is None
    assert distill_summary.table(None, synthetic.studied(DEFAULT, seeds=[])) == []


@pytest.mark.parametrize("methods", SUBSETS, ids="-".join)
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2, 3, 4]], ids=len)
def test_figures_draw_for_any_methods_and_seeds(methods: list[str], seeds: list[int], tmp_path: Path):
    study = synthetic.studied(DEFAULT, methods=methods, seeds=seeds)
    for name, figure in draw(study).items():
        save(figure, tmp_path / f"{name}.png")
        names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        if name != "subclasses":
            assert names == [distill_summary.NAMES[method] for method in DISTILLATIONS if method in methods]


def test_the_same_input_gives_the_same_bytes_and_every_figure_has_its_texts(tmp_path: Path):
    runs = [draw(synthetic.studied(DEFAULT)) for _ in range(2)]
    assert set(runs[0]) == set(distill_figures.SECTION)
    for name, texts in distill_figures.SECTION.items():
        assert all(text.endswith(".") for text in texts[1:])
        for suffix in ("png", "pdf"):
            first, second = (save(run[name], tmp_path / f"{name}.{suffix}") for run in runs)
            assert first == second


def test_the_number_of_pieces_is_drawn_only_where_several_were_tried():
    assert "subclasses" not in draw(synthetic.studied(DEFAULT, subclasses=[5]))
    assert "subclasses" not in draw(synthetic.studied(DEFAULT, methods=["kd", "oracle"]))
    assert "subclasses" in draw(synthetic.studied(DEFAULT, methods=["kd", "kmeans"]))


def test_over_the_number_of_pieces_the_best_of_what_was_tried_is_drawn():
    def row(method: str, subclasses: int | None, temperature: float, accuracy: float) -> dict:
        own = {"method": method, "subclasses": subclasses, "beta": None, "temperature": temperature}
        return own | {"accuracy": accuracy}

    tried = [
        *(row("kmeans", *numbers) for numbers in ((5, 1.0, 0.7), (5, 4.0, 0.8), (2, 4.0, 0.6), (10, 4.0, 0.75))),
        *(row("kd", None, *numbers) for numbers in ((1.0, 0.65), (4.0, 0.64))),
    ]
    axes = distill_figures.subclasses(tried).axes[0]
    kmeans, kd = axes.lines
    assert list(kmeans.get_xdata()) == pytest.approx([2, 5, 10])
    assert list(kmeans.get_ydata()) == [0.6, 0.8, 0.75]
    assert set(kd.get_ydata()) == {0.65}
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "5", "10"]
    assert len(distill_figures.subclasses([one for one in tried if one["method"] != "kd"]).axes[0].lines) == 1


def test_rings_are_the_seeds_and_bars_the_interval():
    study = synthetic.studied(DEFAULT, methods=["kd", "lelp"])
    own = measured(study)
    left, right = draw(study)["students"].axes
    rings = [line for line in left.lines if len(line.get_xdata()) == 3]
    assert [list(line.get_xdata()) for line in rings] == [own[f"distill.{name}.accuracy"] for name in ("kd", "lelp")]
    [bar] = right.containers
    ends = bar.lines[2][0].get_segments()[0][:, 0]
    assert list(ends) == pytest.approx([100 * end for end in distill_summary.interval(own["distill.lelp.gain"])])
    levels = {line.get_label(): line.get_xdata()[0] for line in left.lines}
    assert levels["teacher"] == 0.85
    assert levels["distillation (KD)"] == pytest.approx(fmean(own["distill.kd.accuracy"]), rel=1e-5)
