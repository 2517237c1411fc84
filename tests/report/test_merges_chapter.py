"""The chapter on other merges: its claims fail where they should, and its figures show what was measured."""

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import synthetic_merges as synthetic

from hidden_structure.frame import params
from hidden_structure.report.claim import Claim
from hidden_structure.report.merges.chapter import chapter
from hidden_structure.report.merges.correlation import FEWEST, rank_correlation
from hidden_structure.report.merges.measured import counted, kept
from hidden_structure.seeding import numpy_generator
from hidden_structure.tables.merges import tabulate

STUDY = params.load()
SEEDS = [0, 1, 2]


def made(results: Mapping, study: params.Study = STUDY):
    found = tabulate(STUDY, results.get)
    return chapter(study, lambda name: found.get(name, []))


def claims(results: Mapping, study: params.Study = STUDY) -> dict[str, Claim]:
    return {claim.id.partition(".")[2]: claim for claim in made(results, study).claims}


def each(results: Mapping, change) -> dict:
    """A copy, with `change` called on each merge's row."""
    changed = copy.deepcopy(results)
    for row in changed["merges"]["rows"]:
        change(row)
    return changed


def test_all_claims_are_the_chapters_and_have_ids_of_their_own():
    found = made(synthetic.results(SEEDS)).claims
    assert len({claim.id for claim in found}) == len(found)
    assert all(claim.id.startswith("merges.") and claim.idea == "merges" for claim in found)
    assert all(claim.values and len(claim.values) == len(claim.seeds) for claim in found)


def test_nothing_can_be_said_of_networks_that_are_not_trained():
    results = synthetic.results(SEEDS)
    for row in results["train-merges"]:
        row["test_accuracy"] = 0.3
    found = claims(results)
    assert found.pop("trained").verdict == "contradicted"
    assert found.pop("original").verdict == "supported"
    found.pop("control")
    assert {claim.verdict for claim in found.values()} == {"not assessable"}


def test_no_share_is_told_of_networks_on_original_labels_that_learnt_little():
    results = synthetic.results(SEEDS)
    for row in results["train-fine"]:
        row["test_accuracy"] = 0.3
    found = claims(results)
    assert found["original"].verdict == "contradicted"
    rest = [claim.verdict for name, claim in found.items() if name.startswith(("supervision", "control", "likeness"))]
    assert set(rest) == {"not assessable"}


def test_accuracy_is_a_share_of_that_of_the_network_of_the_same_seed_on_original_labels():
    rows = [{"method": "none", "seed": seed, "accuracy": accuracy} for seed, accuracy in enumerate((0.8, 0.5))]
    merged = [{"method": "modulo", "seed": seed, "accuracy": 0.4} for seed in (1, 0, 7)]
    assert kept(rows, merged) == pytest.approx([0.8, 0.5, 0.4 / 0.65])  # of no seed of theirs: of their mean


def test_labels_are_worth_their_price_where_they_beat_original_ones_for_the_same_bits():
    results = synthetic.results(SEEDS)
    supported = {name: claim.verdict for name, claim in claims(results).items() if name.startswith("worth")}
    assert supported
    assert set(supported.values()) == {"supported"}
    for row in results["train-merges"]:
        row["bought"]["test_accuracy"] = 0.99
    dear = claims(results)
    assert {dear[name].verdict for name in supported} == {"contradicted"}
    for row in results["train-merges"]:
        del row["bought"]
    assert not any(name.startswith("worth") for name in claims(results))


def test_unrelated_classes_must_be_recovered_better_than_related_ones_merge_by_merge():
    """Networks of one merge share its classes: more of them tell of no further merge."""
    results = synthetic.results(SEEDS)
    level = {"random": 0.9, "semantic": 0.6, "modulo": 0.8}

    def planted(row, sign=1):
        row["agreement"] = 0.75 + sign * (level[row["method"]] - 0.75) + 0.01 * (row["name"] == "random-5-1")

    assert claims(each(results, planted))["unrelated"].verdict == "supported"
    assert claims(each(results, lambda row: planted(row, -1)))["unrelated"].verdict == "contradicted"
    same = claims(each(results, lambda row: row.update(agreement=0.8)))["unrelated"]
    assert same.verdict == "contradicted"  # no gain is no gain
    one = {name: kind for name, kind in synthetic.MERGES.items() if name != "random-5-1"}
    assert claims(each(synthetic.results(SEEDS, one), planted))["unrelated"].verdict == "undecided"


def test_the_number_of_clusters_is_held_against_the_best_constant_answer():
    results = synthetic.results(SEEDS)

    def answer(number):
        def change(row):
            for scores in row["superclasses"].values():
                scores["estimated"] = {"gap": number(scores), "silhouette": number(scores)}

        return claims(each(results, change))

    for method in ("gap", "silhouette"):
        assert answer(lambda scores: scores["clusters"])[f"count-{method}"].values
        constant = answer(lambda scores: 2)[f"count-{method}"]
        assert max(constant.values) == 0
        assert constant.verdict == "contradicted"
        assert answer(lambda scores: 12)[f"count-{method}"].verdict == "contradicted"


UNEQUAL = {"groups-1-3-6": ("groups", 3), "groups-5-4-1": ("groups", 3), "modulo-2": ("modulo", 2)}


def test_merges_of_unequal_sizes_are_counted_against_the_one_answer_that_is_best_for_networks():
    merged = tabulate(STUDY, synthetic.results(SEEDS, UNEQUAL).get)["merged"]
    sizes = {row["name"]: [] for row in merged}
    for row in merged:
        sizes[row["name"]].append(len(row["members"]))
    assert sizes == {"groups-1-3-6": [1, 3, 6], "groups-5-4-1": [5, 4, 1], "modulo-2": [5, 5]}
    found = counted(merged, "gap")
    shares = {answer: np.mean([np.mean(np.equal(own, answer)) for own in sizes.values()]) for answer in range(1, 7)}
    assert np.mean(found.constant) == pytest.approx(max(shares.values())) == pytest.approx(shares[found.answer])
    assert len(found.networks) == 3 * len(SEEDS)


def test_the_best_constant_is_best_for_the_mean_over_networks_not_over_super_classes():
    """Four super-classes of one class in a single network; two networks with one of five."""

    def row(name: str, size: int) -> dict:
        return {"name": name, "members": list(range(size)), "seeds": [0], "estimated": {"gap": [size]}}

    found = counted([*(row("many", 1) for _ in range(4)), row("a", 5), row("b", 5)], "gap")
    assert found.answer == 5
    assert found.constant == (0, 1, 1)
    assert found.gains == (1, 0, 0)


def test_super_classes_told_twice_make_no_interval_of_the_rank_correlation_narrower():
    draw = numpy_generator("told twice")
    x, noise = draw.standard_normal((2, 24))
    own, members = [f"m{i % 4}" for i in range(24)], [(i,) for i in range(24)]
    once = rank_correlation(x, noise - x, own, members)
    twice = rank_correlation(np.tile(x, 2), np.tile(noise - x, 2), own * 2, members * 2)
    assert twice.pseudovalues == pytest.approx(once.pseudovalues)
    assert len(once.merges) == 4


def test_where_all_merge_as_many_no_method_of_counting_is_judged():
    merges = {name: kind for name, kind in synthetic.MERGES.items() if kind[1] == 5}
    assert "could not be told from a constant" in claims(synthetic.results(SEEDS, merges))["count-gap"].unmet


def test_networks_by_another_recipe_say_nothing_of_what_supervision_is_worth():
    longer = STUDY.train.model_copy(update={"epochs": 2 * STUDY.train.epochs})
    found = claims(synthetic.results(SEEDS), STUDY.model_copy(update={"train": longer}))["supervision-5"]
    assert found.verdict == "not assessable"
    assert "epochs" in found.unmet


def test_where_a_control_keeps_the_accuracy_no_network_is_praised_for_it():
    results = synthetic.results(SEEDS)
    assert claims(results)["control"].verdict == "supported"
    for row in results["cluster"]["rows"]:
        row["probe_accuracy"] = 0.85 + 0.001 * row["seed"]
    found = claims(results)
    assert found["control"].verdict == "contradicted"
    assert found["supervision-5"].verdict == "not assessable"


@pytest.mark.parametrize("classes", [2, 5, 7])
def test_a_guess_among_merged_classes_keeps_too_little(classes):
    found = claims(
        each(synthetic.results(SEEDS), lambda row: row.update(probe_accuracy=row["classes"] / 10 - 1e-3 * row["seed"]))
    )[f"supervision-{classes}"]
    assert found.verdict == "contradicted"


def test_likeness_dealt_out_at_random_explains_nothing():
    draw = numpy_generator("dealt out")
    planted = synthetic.results(SEEDS, slope=-0.4)
    assert claims(planted)["likeness"].verdict == "supported"

    def dealt(row):
        for scores in row["superclasses"].values():
            for likeness in scores.get("similarity", ()):
                scores["similarity"][likeness] = float(draw.random())

    assert claims(each(planted, dealt))["likeness"].verdict != "supported"


def test_few_super_classes_give_no_rank_correlation():
    one = {"modulo-5": ("modulo", 5)}
    assert claims(synthetic.results(SEEDS, one | {"random-2-0": ("random", 2)}))["likeness"].verdict == "not assessable"
    x = np.arange(2 * FEWEST) % FEWEST
    names = ["a"] * FEWEST + ["b"] * FEWEST
    assert rank_correlation(x, -x, names, [(i,) for i in x]).rho == pytest.approx(-1)
    assert rank_correlation(x, -x, names, [(i % (FEWEST - 1),) for i in x]) is None  # the same classes are one
    assert rank_correlation(x, -x, ["a"] * len(x), [(i,) for i in range(len(x))]) is None
    assert rank_correlation(x, 0 * x, names, [(i,) for i in x]) is None


def test_a_planted_correlation_is_found_and_noise_is_not():
    draw = numpy_generator("planted")
    x, noise = draw.standard_normal((2, 60))
    names, members = [f"m{i % 6}" for i in range(60)], [(i,) for i in range(60)]
    falling, nothing = (rank_correlation(x, y, names, members) for y in (noise - 2 * x, noise))
    assert falling.p < 0.001 < nothing.p
    assert falling.rho == pytest.approx(np.mean(falling.pseudovalues))
    assert max(falling.pseudovalues) < 0 < max(nothing.pseudovalues)


def test_a_merge_that_was_measured_twice_is_no_second_point_of_the_permutation_test():
    draw = numpy_generator("twice")
    x, noise = draw.standard_normal((2, 12))
    y, once = noise - 0.5 * x, [f"m{i % 3}" for i in range(12)]
    members = [(i,) for i in range(12)]
    single = rank_correlation(x, y, once, members)
    double = rank_correlation(np.tile(x, 2), np.tile(y, 2), once + [f"n{i % 3}" for i in range(12)], members * 2)
    assert double.p == pytest.approx(single.p)


def test_findings_begin_with_what_failed_and_end_in_a_full_stop():
    results = synthetic.results(SEEDS)
    for row in results["train-merges"]:
        row["bought"]["test_accuracy"] = 0.99
    found = made(results).findings
    assert "(contradicted" in found[0]
    verdicts = [sentence for sentence in found if "(contradicted" in sentence or "(supported" in sentence]
    assert verdicts == sorted(verdicts, key=lambda sentence: "(supported" in sentence)
    assert all(sentence.endswith(".") for sentence in found)


def test_without_merges_the_studys_own_merge_is_shown_and_nothing_is_claimed():
    found = made(synthetic.results(SEEDS) | {"merges": None})
    assert not found.claims
    assert [picture.name for picture in found.pictures] == ["neighbours"]
    assert chapter(STUDY, lambda name: []) is None


def test_every_figure_is_drawn_and_one_scale_serves_both_panels():
    found = made(synthetic.results(SEEDS))
    drawn = {picture.name: picture.draw() for picture in found.pictures}
    assert list(drawn) == ["semantics", "supervision", "cluster-count", "neighbours"]
    meshes = [axes.collections[0] for axes in drawn["cluster-count"].axes[:2]]
    assert meshes[0].get_clim() == meshes[1].get_clim()
    assert len(drawn["cluster-count"].axes) == 3  # with the colour bar
    assert not any(axes.get_title() for axes in drawn["semantics"].axes)
    assert len(drawn["neighbours"].axes[0].get_yticklabels()) == 5
    assert len(drawn["supervision"].axes[0].get_yticklabels()) == len(synthetic.MERGES) + 3
