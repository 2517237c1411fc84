"""Which networks the connectivity study trains, in which order, and which of them are compared."""

from collections import Counter

import pytest
import tiny
from ruamel.yaml import YAML

from hidden_structure.connectivity.spawning import (
    TRUNK,
    cell_name,
    cells,
    check_partings,
    forks,
    pairs,
    parting,
    partings,
    place,
    runs,
    waves,
)
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError

SPAWN = {"network": None, "train": None, "epochs": [0, 2], "widths": [0.5], "weight_decays": [], "seeds": [3, 1, 4, 0]}


def study(**spawn) -> params.Study:
    return params.Study.model_validate(tiny.study(spawn=SPAWN | {"spawned": 2} | spawn))


def load(folder, **spawn) -> params.Study:
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(tiny.study(spawn=SPAWN | {"spawned": 2} | spawn), file)
    return params.load(folder / "params.yaml")


def key(run) -> tuple:
    return run.cell.name, run.seed, run.name


@pytest.mark.parametrize("weight_decays", [[], [0.0, 0.01]])
@pytest.mark.parametrize("children", [[{}, {}], [{"lr": 0.01}, {}], [{}, {"epochs": 5}], [{"lr": 0.01}, {"lr": 0.02}]])
def test_every_run_stands_once_and_after_its_trunk(children, weight_decays):
    plan = study(children=children, weight_decays=weight_decays)
    order = [key(run) for run in runs(plan)]
    assert len(order) == len(set(order))
    for index, run in enumerate(runs(plan)):
        assert (run.fork is None) == (run.name == TRUNK)
        if run.fork is not None:
            assert run.fork in plan.spawn.epochs
            assert (run.cell.name, run.seed, TRUNK) in order[:index]
            assert run.seed in plan.spawn.seeds[: plan.spawn.spawned]
            assert run.cell == cells(plan)[0]
    trunks = Counter(name for name, _, kind in order if kind == TRUNK)
    assert set(trunks.values()) == {len(plan.spawn.seeds)}
    assert len(trunks) == len(cells(plan)) == 2 * (1 + len(weight_decays))
    per_seed = 2 if children[0] == {} else 4  # child a without a recipe of its own is the trunk
    assert len(order) - sum(trunks.values()) == per_seed * plan.spawn.spawned


@pytest.mark.parametrize("children", [[{}, {}], [{"lr": 0.01}, {}]])
def test_every_child_waits_for_its_trunk_which_keeps_its_fork_and_long_runs_come_first(children):
    plan = runs(study(children=children, widths=[0.5, 2.0]))
    trunks, others = waves(plan)
    assert sorted(map(key, trunks + others)) == sorted(map(key, plan))
    assert all(run.fork is None for run in trunks)
    for run in others:
        (trunk,) = (each for each in trunks if (each.cell, each.seed) == (run.cell, run.seed))
        assert run.fork in forks(plan, trunk)
        assert not forks(plan, run)
    widths, parted = [run.cell.width for run in trunks], [run.fork for run in others]
    assert widths == sorted(widths, reverse=True)
    assert parted == sorted(parted)
    kept = {trunk.seed for trunk in trunks if forks(plan, trunk)}
    assert kept == {3, 1}
    assert len({run.title for run in plan}) == len(plan)


@pytest.mark.parametrize("children", [[{}, {}], [{"lr": 0.01}, {}]])
def test_pairs_are_of_runs_that_exist(children):
    plan = study(children=children, weight_decays=[0.0])
    existing = {key(run): run for run in runs(plan)}
    for pair in pairs(plan):
        a, b = (existing[pair.cell.name, *each] for each in (pair.a, pair.b))
        assert a != b
        if pair.k is None:
            assert a.name == b.name == TRUNK
            assert a.seed != b.seed
        else:
            assert a.seed == b.seed
            assert b.fork == pair.k
            assert a.fork == (None if children[0] == {} else pair.k)
            assert a.noise != b.noise
    spawned = [(pair.k, pair.a[0]) for pair in pairs(plan) if pair.k is not None]
    assert sorted(spawned) == [(0, 1), (0, 3), (2, 1), (2, 3)]


@pytest.mark.parametrize("seeds", [[3, 1], [3, 1, 4, 0], [3, 1, 4, 0, 9, 2]])
def test_every_network_is_in_exactly_one_independent_pair(seeds):
    plan = study(seeds=seeds)
    for cell in cells(plan):
        found = [(pair.a[0], pair.b[0]) for pair in pairs(plan) if pair.k is None and pair.cell == cell]
        assert Counter(seed for pair in found for seed in pair) == dict.fromkeys(seeds, 1)


def test_no_two_pairs_have_one_id():
    plan = study(weight_decays=[0.0, 0.01], widths=[0.5, 2.0])
    assert len({pair.id for pair in pairs(plan)}) == len(pairs(plan))


def test_noise_and_recipe_of_trunks_and_children():
    plan = study(children=[{"lr": 0.01}, {"lr": 0.02}])
    found = {(run.seed, run.name): run for run in runs(plan) if run.cell == cells(plan)[0]}
    assert found[3, TRUNK].noise == found[3, "00002-a"].noise == 3, "the noise of the networks of `train`"
    assert found[3, TRUNK].train == plan.train
    assert found[3, "00000-b"].noise == found[3, "00002-b"].noise
    assert len({found[seed, name].noise for seed in (3, 1) for name in (TRUNK, "00000-b")}) == 4
    assert (found[3, "00002-a"].train.lr, found[3, "00002-b"].train.lr) == (0.01, 0.02)
    assert found[3, "00002-a"].train == plan.train.model_copy(update={"lr": 0.01})


def test_a_child_that_repeats_the_recipe_is_the_trunk():
    plan = study(children=[{"lr": tiny.study()["train"]["lr"]}, {}])
    assert not any(run.name.endswith("-a") for run in runs(plan))


def test_cells_are_all_widths_with_all_weight_decays():
    plan = study(widths=[0.5, 2.0], weight_decays=[0.0, 0.25])
    found = cells(plan)
    assert (found[0].network, found[0].train, found[0].width) == (plan.network, plan.train, 1)
    assert len({cell.name for cell in found}) == len(found)
    decays = (plan.train.weight_decay, 0.0, 0.25)
    assert {(cell.network.width, cell.train.weight_decay) for cell in found} == {
        (width, decay) for width in (32, 16, 64) for decay in decays
    }
    assert all(cell.network.width == 32 * cell.width for cell in found)


def test_a_network_and_a_recipe_of_its_own_replace_the_studys():
    network = {"name": "mlp", "depth": 1, "width": 10, "norm": "none"}
    plan = study(network=network, train=tiny.study()["train"] | {"lr": 0.5})
    assert cells(plan)[0].network == params.Network(**network)
    assert {run.train.lr for run in runs(plan)} == {0.5}
    assert cells(plan)[1].network.width == 5


@pytest.mark.parametrize("width", [0.3, 1 / 3, 0.01])
def test_widths_that_are_no_whole_number_of_units_are_refused(width):
    with pytest.raises(InputError, match=r"^spawn\.widths: .*whole number") as error:
        cells(study(widths=[width]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("width", "of", "units"), [(0.07, 100, 7), (0.1, 70, 7), (1.1, 10, 11), (0.29, 100, 29)])
def test_widths_that_are_whole_numbers_but_for_rounding_are_taken(width, of, units):
    """0.07 * 100 is 7.000000000000001 in floating point."""
    network = {"name": "mlp", "depth": 1, "width": of, "norm": "none"}
    assert cells(study(network=network, widths=[width]))[1].network.width == units


@pytest.mark.parametrize("spawn", [{"widths": [1.0]}, {"weight_decays": [5e-4]}])
def test_the_plain_cell_is_not_there_twice(spawn):
    """A width of 1 or the recipe's own weight decay would make two cells of one name, and every pair twice."""
    assert tiny.study()["train"]["weight_decay"] == 5e-4
    with pytest.raises(ValueError, match="leave it out"):
        study(**spawn)


def test_networks_of_torchvision_have_no_width_to_multiply():
    network = {"name": "torchvision:resnet18", "depth": None, "width": None, "norm": None}
    with pytest.raises(InputError, match=r"^spawn\.widths: torchvision:resnet18 .*empty list"):
        cells(study(network=network))
    assert len(cells(study(network=network, widths=[]))) == 1


@pytest.mark.parametrize(
    ("spawn", "says"),
    [
        ({"spawned": 5}, "spawn.spawned"),
        ({"spawned": 0}, "spawn.spawned"),
        ({"epochs": [0, 12]}, "spawn.epochs"),
        ({"epochs": [0, 5], "children": [{}, {"epochs": 5}]}, "spawn.epochs"),
        ({"epochs": [0, 5], "children": [{"epochs": 5}, {}]}, "spawn.epochs"),
        ({"epochs": [2, 2]}, "spawn.epochs"),
        ({"epochs": []}, "spawn.epochs"),
        ({"epochs": [-1]}, "spawn.epochs"),
        ({"seeds": [0, 0]}, "spawn.seeds"),
        ({"seeds": [0]}, "spawn.seeds"),
        ({"seeds": [0, 1, 2]}, "spawn.seeds: .*even number"),
        ({"children": [{}, {"learning_rate": 0.1}]}, "spawn.children.1: unknown key learning_rate"),
        ({"children": [{"lr": -1.0}, {}]}, "spawn.children.0: lr"),
        ({"children": [{"lr": None}, {}]}, "spawn.children.0: lr"),
        ({"children": [{"momentum": 0.0, "nesterov": True}, {}]}, "spawn.children.0: .*nesterov"),
        ({"children": [{}, {"optimizer": "adam", "lr": 1e-3}]}, "spawn.children.1: .*trunk's optimizer"),
        ({"children": [{"shift_rate": 4.0}, {}]}, "spawn.children.0: .*trunk's shift_rate, 1.0"),
        ({"children": [{"decay_vectors": False}, {}]}, "spawn.children.0: .*trunk's decay_vectors"),
        ({"children": [{}]}, "spawn.children"),
        ({"children": [{}, {}, {}]}, "spawn.children"),
        ({"children": [{}, None]}, "spawn.children"),
        ({"children": {}}, "spawn.children"),
        ({"widths": [0.0]}, "spawn.widths"),
        ({"widths": [0.5, 0.5]}, "spawn.widths"),
        ({"weight_decays": [-1.0]}, "spawn.weight_decays"),
        ({"train": {"lr": 0.1}}, "spawn.train"),
        ({"steps": [5, 5]}, "spawn.steps"),
        ({"steps": [-1]}, "spawn.steps"),
        ({"steps": [0.5]}, "spawn.steps"),
        ({"epochs": [], "steps": []}, "spawn.epochs: .*in steps"),
        ({"epochs": [0, 8], "recipes": [{"epochs": 8, "snapshots": 2}]}, "spawn.epochs: .*last of 8 epochs"),
        ({"recipes": [{}]}, "spawn.recipes.0"),
        ({"recipes": [{"lr": 0.1}]}, "spawn.recipes.0: is train itself"),
        ({"recipes": [{"lr": 0.2}, {"lr": 0.2, "crop": 1}]}, "spawn.recipes.1: is train itself, or a recipe before"),
        ({"recipes": [{"learning_rate": 0.1}]}, "spawn.recipes.0: unknown key learning_rate"),
        ({"recipes": [{"optimizer": "adam"}], "children": [{}, {"optimizer": "sgd"}]}, "children.1: .*optimizer, adam"),
    ],
    ids=str,
)
def test_impossible_params_are_one_line(tmp_path, spawn, says):
    with pytest.raises(InputError, match=says) as error:
        load(tmp_path, **spawn)
    assert "\n" not in str(error.value)


def test_a_misspelt_key_of_a_child_is_compared_with_the_keys_of_train(tmp_path):
    """Hints come from the keys of train, not from the names of sections."""
    with pytest.raises(InputError, match="did you mean momentum"):
        load(tmp_path, children=[{}, {"momentom": 0.5}])
    with pytest.raises(InputError) as error:
        load(tmp_path, children=[{}, {"seed": 1}])
    assert "mean seeds" not in str(error.value)
    assert "'study'" not in str(error.value), "the whole file is quoted"


def test_the_last_possible_fork_is_allowed(tmp_path):
    plan = load(tmp_path, epochs=[11])
    assert {run.fork for run in runs(plan)} == {None, 11}


def test_none_at_all_is_the_same_k_in_steps_and_in_epochs():
    assert partings(study(epochs=[2], steps=[0, 50])) == [2, 0, "50-steps"]
    assert partings(study(epochs=[0, 2], steps=[])) == [0, 2]


@pytest.mark.parametrize(
    ("k", "at"), [(0, (0, 0)), (3, (3, 0)), ("5-steps", (0, 5)), ("10-steps", (1, 0)), ("25-steps", (2, 5))]
)
def test_a_place_is_epochs_and_the_batches_of_the_next(k, at):
    assert place(k, 10) == at


def test_a_networks_name_tells_when_it_parted():
    plan = study(steps=[50, 100_000], children=[{"lr": 0.01}, {}])
    assert all(parting(run.name) == run.fork for run in runs(plan))
    assert {run.fork for run in runs(plan)} == {None, 0, 2, "50-steps", "100000-steps"}


def test_steps_and_recipes_leave_the_plan_without_them_as_it_is():
    without, plan = study(), study(steps=[50], recipes=[{"lr": 0.2}, {"crop": 0, "flip": False}])
    kept = [run for run in runs(plan) if not run.cell.recipe and run.fork != "50-steps"]
    assert [(key(run), run.row, run.noise) for run in kept] == [(key(run), run.row, run.noise) for run in runs(without)]
    left = [pair for pair in pairs(plan) if not pair.cell.recipe and pair.k != "50-steps"]
    assert [(pair.id, pair.row("none")) for pair in left] == [(pair.id, pair.row("none")) for pair in pairs(without)]


def test_every_recipe_has_trunks_of_its_own_with_a_child_each_k_and_no_independent_pair():
    plan = study(steps=[50], recipes=[{"lr": 0.2}, {"crop": 0, "flip": False}], weight_decays=[0.0])
    for cell in (cell for cell in cells(plan) if cell.recipe):
        own = [run for run in runs(plan) if run.cell == cell]
        assert [(run.seed, run.fork) for run in own] == [(s, k) for s in (3, 1) for k in (None, 0, 2, "50-steps")]
        assert all(run.train == cell.train for run in own)
        assert cell.network == plan.network
        between = [(pair.k, pair.a[0]) for pair in pairs(plan) if pair.cell == cell]
        assert between == [(k, seed) for k in (0, 2, "50-steps") for seed in (3, 1)]
    assert [cell.recipe for cell in cells(plan) if cell.recipe] == ["lr 0.2", "crop 0, flip false"]
    assert {cell.train.lr for cell in cells(plan)} == {0.1, 0.2}
    for of in (
        [pair.id for pair in pairs(plan)],
        [run.title for run in runs(plan)],
        [cell.name for cell in cells(plan)],
    ):
        assert len(of) == len(set(of))


def test_children_by_a_recipe_of_their_own_take_it_from_their_trunks():
    plan = study(recipes=[{"lr": 0.2}, {"weight_decay": 0.0}], children=[{}, {"crop": 0}])
    for run in runs(plan):
        if run.cell.recipe:
            assert run.train == run.cell.train.model_copy(update={} if run.name == TRUNK else {"crop": 0})


@pytest.mark.parametrize(
    ("spawn", "says"),
    [
        ({"steps": [120]}, "spawn.steps: 120 are not before the last of 120 steps"),
        ({"steps": [60], "children": [{}, {"epochs": 6}]}, "spawn.steps: 60 are not before the last of 60 steps"),
        ({"steps": [20]}, "spawn.steps: 20 are k = 2 of spawn.epochs: leave one out"),
        ({"steps": [0]}, "spawn.steps: 0 are k = 0 of spawn.epochs: leave one out"),
        ({"steps": [5], "children": [{}, {"batch_size": 16}]}, "spawn.steps: 5 end within an epoch, .*multiple of 10"),
        (
            {"steps": [60], "recipes": [{"batch_size": 64}]},
            "not before the last of 60 steps by the recipe of batch_size",
        ),
    ],
    ids=str,
)
def test_steps_that_the_data_have_no_place_for_are_one_line(spawn, says):
    with pytest.raises(InputError, match=says) as error:
        check_partings(study(**spawn), 325)
    assert "\n" not in str(error.value)


def test_steps_up_to_the_last_are_possible_and_whole_epochs_whatever_the_batches_of_a_child():
    check_partings(study(steps=[1, 19, 119]), 325)
    check_partings(study(steps=[30], children=[{}, {"batch_size": 16}]), 325)


def test_cells_of_other_numbers_have_other_names():
    decays = (5e-4, 1e-5, 3.16228e-4, 3.1622776601683794e-4, 0.0)
    assert len({cell_name(1, decay) for decay in decays}) == len(decays)
    assert cell_name(0.3333333, 0) != cell_name(1 / 3, 0)
    assert cell_name(1.0, 5e-4) == "width-1-decay-0.0005"
