"""The tables of mode connectivity and LLFC: one row a line, one spelling of a pair, and nothing that is not shown."""

import pytest
import synthetic_connectivity as made
import synthetic_results

from hidden_structure.connectivity.spawning import pairs
from hidden_structure.frame import tables
from hidden_structure.tables import connectivity, linearity


@pytest.fixture(scope="module")
def plan():
    return made.study(network=made.RESNET)


@pytest.fixture(scope="module")
def results(plan):
    return made.results(plan, synthetic_results.RESNET)


@pytest.fixture(scope="module")
def found(plan, results):
    return made.tabulated(plan, results)


def test_a_pair_has_one_id_in_every_table(plan, found):
    ids = {pair.id for pair in pairs(plan)}
    for name in ("lines", "features", "stitching"):
        assert {row["pair"] for row in found[name]} == ids


def test_every_line_has_one_row(found, results):
    for name, of in (("lines", "interpolate"), ("features", "linearity"), ("stitching", "stitch")):
        keys = [(row["pair"], row["method"], row.get("repaired")) for row in found[name]]
        assert len(keys) == len(set(keys)) == len(results[of])


def test_what_is_written_is_read_back(tmp_path, found):
    for name, rows in found.items():
        tables.write(tmp_path / f"{name}.csv", rows)
        again = tables.read(tmp_path / f"{name}.csv")
        assert len(again) == len(rows) > 0
        for row, kept in zip(again, rows, strict=True):
            assert {column for column in kept if kept[column] not in (None, {})} <= row.keys()


def test_aligned_lines_name_their_method_and_its_source(found):
    for row in found["lines"]:
        assert row["label"]
        assert bool(row["source"]) == (row["method"] != "none")


def test_only_lines_of_the_plain_network_keep_their_curves(plan, found):
    decay = plan.spawn.train.weight_decay
    for name, column in (("lines", "alphas"), ("features", "layers"), ("stitching", "cuts")):
        for row in found[name]:
            assert (column in row) == ((row["width"], row["weight_decay"]) == (1, decay))


def test_results_without_temperatures_give_the_tables_that_they_gave(plan, results, found):
    drawn = ("temperature", "test_calibrated_loss")
    lines = []
    for row in results["interpolate"]:
        heights = {height: {n: v for n, v in row[height].items() if "calibrated" not in n} for height in ("barrier",)}
        lines.append({name: row[name] for name in row if name not in drawn} | heights)
    earlier = connectivity.tabulate(plan, (results | {"interpolate": lines}).get)
    for kept, row in zip(earlier["lines"], found["lines"], strict=True):
        less = {name: value for name, value in row["barrier"].items() if name != "test_calibrated_loss"}
        assert kept == {name: row[name] for name in row if name not in drawn} | {"barrier": less}
        assert (set(drawn) <= row.keys()) == ("alphas" in row)
        assert len(less) < len(row["barrier"])


def test_forks_are_steps_and_shares_of_training(plan, found):
    recipe = plan.spawn.train
    for row in found["forks"]:
        assert row["steps"] == row["k"] * (1437 // recipe.batch_size), "an incomplete batch is no step"
        assert row["share"] == pytest.approx(row["k"] / recipe.epochs)


def test_the_networks_of_the_plane_have_the_loss_at_the_ends_of_their_lines(found, results):
    lines = {(tuple(r["seeds"]), r["method"], r["width"], r["weight_decay"]): r for r in results["interpolate"]}
    first = results["interpolate"][0]
    bare = lines[(0, 1), "none", 1, first["weight_decay"]]["train_loss"]
    assert len(found["plane"]) == len(results["plane"]["y"])
    for row in found["plane"]:
        assert (row["a"][2], row["b"][2]) == (bare[0], bare[-1])
        assert len(row["train_loss"]) == len(row["x"])


def test_lists_over_layers_belong_to_the_layers_that_have_them(found):
    activations = [layer["layer"] for layer in found["layers"] if layer["activation"]]
    weighted = [layer["layer"] for layer in found["layers"] if layer["weighted"]]
    assert [layer["layer"] for layer in found["layers"]] == list(range(1, len(found["layers"]) + 1))
    for row in found["features"]:
        if "layers" in row:
            kept = row["layers"]
            assert len(kept["dissimilarity"]) == len(kept["ends"]) == len(found["layers"])
            assert ("additivity" in kept) == (not row["repaired"])
            if not row["repaired"]:
                assert (len(kept["additivity"]), len(kept["commutativity"])) == (len(activations), len(weighted))
    assert all(row["cuts"]["layer"] == activations for row in found["stitching"] if "cuts" in row)


@pytest.mark.parametrize(
    ("names", "blocks"),
    [
        (synthetic_results.MLP, [1, 1, 2, 2, 3, 3, 4]),
        (["conv", "norm", "relu", "stages.0.0.conv1", "stages.0.0.relu2", "stages.0.1.conv1", "pool", "head"], None),
    ],
)
def test_blocks_are_numbered_in_order_of_execution(plan, names, blocks):
    found = linearity.tabulate(plan, made.results(plan, names).get)["layers"]
    assert [layer["block"] for layer in found] == (blocks or [1, 1, 1, 2, 2, 3, 4, 4])


@pytest.mark.parametrize(
    ("names", "blocks"),
    [
        (["first", "relu", "second", "relu_1", "head"], [1, 1, 1, 1, 1]),
        (["conv1", "relu:0", "conv2", "relu:1", "head"], [1, 1, 2, 2, 3]),
        (["hidden.linear1", "hidden.relu1", "hidden.linear2", "hidden.relu2", "head"], [1, 1, 2, 2, 3]),
        (["stages.0.1.conv", "relu_3", "stages.0.2.conv", "relu_4", "pool", "head"], [1, 1, 2, 2, 3, 3]),
        (["fc1", "relu", "fc2", "relu_1", "fc3"], [1, 1, 2, 2, 3]),
    ],
)
def test_an_activation_that_is_a_function_stands_in_the_block_of_what_it_follows(names, blocks):
    """torch.fx calls the second of them relu_1, wherever that is."""
    layers = [{"name": name} | ({"additivity": 0} if "relu" in name else {"commutativity": 0}) for name in names]
    assert [layer["block"] for layer in linearity.in_order(layers)] == blocks


def test_a_line_is_as_bent_as_its_worst_layer_at_its_worst_alpha(plan, results):
    bent = {"interpolate": results["interpolate"], "stitch": results["stitch"], "linearity": results["linearity"]}
    row = bent["linearity"][0]
    layer = row["layers"][4] | {"baseline": {"mean": 0.01}}
    stats = [{"mean": 0.001}, {"mean": 0.002}, {"mean": 0.5}]
    changed = row | {"layers": [*row["layers"][:4], layer | {"dissimilarity": stats}, *row["layers"][5:]]}
    found = linearity.tabulate(plan, (bent | {"linearity": [changed]}).get)["features"][0]
    assert found["bend"] == pytest.approx(50)


def test_laws_are_compared_where_they_differ_only(plan, results):
    """Behind the first weights and not halfway, each at its own worst layer and alpha."""

    def stats(*means):
        return [{"mean": mean} for mean in means]

    row = results["linearity"][0]
    layers = [
        layer | {"dissimilarity": stats(0.1, 0.1, 0.1), "exponential": stats(0.1, 0.1, 0.1), "baseline": {"mean": 0.5}}
        for layer in row["layers"]
    ]
    layers[0] |= {"dissimilarity": stats(9, 9, 9), "exponential": stats(9, 9, 9)}
    layers[5] |= {"dissimilarity": stats(0.2, 7, 0.1), "exponential": stats(0.1, 7, 0.4)}
    assert (layers[0]["depth"], layers[5]["depth"]) == (1, 2)

    def tabulated(row):
        return linearity.tabulate(plan, (results | {"linearity": [row]}).get)["features"][0]

    found = tabulated(row | {"layers": layers})
    assert found["laws"] == pytest.approx({"linear": 0.4, "exponential": 0.8})
    assert found["layers"]["linear"][5] == pytest.approx(0.15)
    assert found["layers"]["exponential"][5] == pytest.approx(0.25)
    halfway = [
        {name: own[1:2] if isinstance(own, list) else own for name, own in layer.items()} for layer in row["layers"]
    ]
    errors = {name: own[1:2] if isinstance(own, list) else own for name, own in row["test_error"].items()}
    assert "laws" not in tabulated(row | {"layers": halfway, "alphas": [0.5], "test_error": errors})


def test_layers_that_both_ends_compute_alike_bend_nothing(plan, results):
    row = results["linearity"][0]
    alike = [
        layer | {"baseline": {"mean": 1e-8}, "dissimilarity": [{"mean": 3e-8}] * 3, "coefficient": [{"mean": 1.0}] * 3}
        for layer in row["layers"]
    ]
    found = linearity.tabulate(plan, (results | {"linearity": [row | {"layers": alike}]}).get)["features"][0]
    assert found["bend"] < 0.1


@pytest.mark.parametrize("nothing", [None, []])
def test_a_study_without_connectivity_has_no_tables(plan, nothing):
    assert connectivity.tabulate(plan, lambda name: nothing) == linearity.tabulate(plan, lambda name: nothing) == {}
