"""Which networks the connectivity study trains, in which order, and which of them are compared."""

from collections import Counter

import pytest
import tiny
from ruamel.yaml import YAML

from hidden_structure.connectivity.spawning import TRUNK, cells, forks, pairs, runs, waves
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
    for place, run in enumerate(runs(plan)):
        assert (run.fork is None) == (run.name == TRUNK)
        if run.fork is not None:
            assert run.fork in plan.spawn.epochs
            assert (run.cell.name, run.seed, TRUNK) in order[:place]
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
    try:
        names = [cell.name for cell in cells(study(**spawn))]
    except (InputError, ValueError):  # a refusal is as good
        return
    assert len(set(names)) == len(names)


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
