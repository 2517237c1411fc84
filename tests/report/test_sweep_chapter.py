"""The chapter on the grid of recipes: one verdict, to which a recipe that failed adds nothing."""

import synthetic_recovery as made
from matplotlib.patches import Rectangle

from hidden_structure.report.claim import Claim
from hidden_structure.report.plotting import save, style
from hidden_structure.report.sweep.chapter import chapter

STUDY = made.STUDY.model_copy(update={"sweep": made.STUDY.split})  # any that is not None


def written(found: dict):
    return chapter(STUDY, made.tables(found))


def claims(found: dict) -> dict[str, Claim]:
    return {claim.id.removeprefix("sweep."): claim for claim in written(found).claims}


def recipe(found: dict, lr: float, decay: float, **values) -> dict:
    for row in found["sweep"]:
        if (row["lr"], row["weight_decay"]) == (lr, decay):
            row |= values
    return found


FAILED = dict.fromkeys(("train_accuracy", "test_accuracy", "nc1", "probe_accuracy", "oracle_accuracy", "agreement"))


def test_recovery_in_every_recipe_is_supported():
    assert {claim.verdict for claim in claims(made.results()).values()} == {"supported"}


def test_one_recipe_that_loses_the_classes_contradicts_it_and_is_named():
    found = recipe(made.results(), 0.1, 0.005, probe_accuracy=0.55)
    assert claims(found)["everywhere"].verdict == "contradicted"
    assert "a learning rate of 0.1 with a weight decay of 0.005" in " ".join(written(found).findings)


def test_a_recipe_that_failed_or_did_not_learn_counts_neither_way():
    for values in (FAILED | {"error": "diverged"}, {"probe_accuracy": 0.1, "test_accuracy": 0.3}):
        found = recipe(made.results(), 0.1, 0.005, **values)
        assert {claim.verdict for claim in claims(found).values()} == {"supported"}
    assert "failed" in " ".join(written(recipe(made.results(), 0.1, 0.005, **FAILED)).findings)


def test_a_grid_of_which_most_failed_says_nothing():
    found = made.results()
    for lr in (0.1, 0.01):
        for decay in made.DECAYS:
            recipe(found, lr, decay, **FAILED)
    assert claims(found)["trained"].verdict == "contradicted"
    assert claims(found)["everywhere"].verdict == "not assessable"


def test_nothing_is_left_of_a_grid_that_failed_altogether(tmp_path):
    found = made.results()
    for row in found["sweep"]:
        row |= FAILED
    chapter = written(found)
    assert {claim.verdict for claim in chapter.claims} == {"contradicted", "not assessable"}
    with style(STUDY.report.style):
        save(chapter.pictures[0].draw(), tmp_path / "figure.png")


def test_what_clusters_of_pixels_do_as_well_is_not_assessable():
    found = made.results()
    for row in found["cluster"]["rows"]:
        if row["source"] == "pixels":
            row["probe_accuracy"] = 0.9
    assert claims(found)["everywhere"].verdict == "not assessable"
    assert claims(recipe(found, 0.1, 0.005, probe_accuracy=0.55))["everywhere"].verdict == "contradicted"


def test_a_failed_square_is_hatched_and_the_others_hold_their_numbers(tmp_path):
    found = recipe(made.results(), 0.1, 0.005, **FAILED)
    found["sweep"] = [row for row in found["sweep"] if row["seed"] < 2]
    with style(STUDY.report.style):
        figure = written(found).pictures[0].draw()
        save(figure, tmp_path / "figure.png")
    axes = figure.axes[2]
    assert len([patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]) == 1
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("0.900") == 5
    assert "diverged" in texts


def test_every_network_is_a_mark_beside_the_model_where_it_was_measured(tmp_path):
    found = recipe(made.results(), 0.1, 0.005, wrong=None)
    picture = written(found).pictures[1]
    with style(STUDY.report.style):
        figure = picture.draw()
        save(figure, tmp_path / "figure.png")
    assert all(len(axes.lines) == len(found["sweep"]) - len(made.SEEDS) + 1 for axes in figure.axes)
    for row in found["sweep"]:
        del row["wrong"]
    assert len(written(found).pictures) == 1


def test_the_chapter_can_be_left_out():
    assert chapter(made.STUDY.model_copy(update={"sweep": None}), made.tables(made.results())) is None
    assert written(made.results() | {"sweep": []}) is None


def test_two_recipes_are_not_every_recipe():
    found = made.results()
    found["sweep"] = [row for row in found["sweep"] if row["lr"] == made.LRS[0]]
    judged = claims(found)["everywhere"]
    assert judged.verdict == "not assessable"
    assert "fewer than 3 recipes" in judged.unmet


def test_a_seed_of_which_few_recipes_trained_anything_takes_nothing_from_the_others():
    found = recipe(made.results(), 0.1, 0.005, probe_accuracy=0.55)
    found["sweep"] = [row for row in found["sweep"] if row["lr"] in made.LRS[:2]]
    for row in found["sweep"]:
        if row["seed"] == 2 and row["lr"] != 0.1:
            row |= FAILED
    assert claims(found)["everywhere"].verdict == "contradicted"
