"""Lines and planes between networks: exact at the networks themselves, and the stage that walks them."""

import math
import runpy
from functools import partial

import numpy as np
import pytest
import tiny
import torch

from hidden_structure import seeding
from hidden_structure.connectivity import line as connectivity
from hidden_structure.connectivity import walks
from hidden_structure.connectivity.heights import barrier, heights, instability
from hidden_structure.connectivity.repair import repairer
from hidden_structure.connectivity.spawning import runs
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.permutation.permuting import apply
from hidden_structure.permutation.symmetry import derive
from hidden_structure.training import loop
from hidden_structure.training.batches import Images

MLP = {"name": "mlp", "depth": 2, "width": 12, "norm": "none"}
RESNET = {"name": "resnet", "depth": 8, "width": 4, "norm": "batch"}


def network_of(seed, name="mlp", depth=2, width=12, norm="batch"):
    """With running statistics that are not 0 and 1."""
    with seeding.global_seed("initialisation", seed):
        network = build(params.Network(name=name, depth=depth, width=width, norm=norm), (8, 8, 3), 10)
        network(torch.randn(16, 3, 8, 8))
    return network.eval()


def split_of(count, name="images"):
    generator = seeding.torch_generator(name)
    pixels = torch.randint(256, (count, 8, 8, 3), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.full((3,), 1 / 64), torch.full((3,), -2.0)), torch.arange(count) % 10


def test_alphas_are_even_and_end_exactly():
    for points in (3, 25, 30):
        alphas = connectivity.alphas(points)
        assert (alphas[0], alphas[-1], len(alphas)) == (0.0, 1.0, points)
        np.testing.assert_allclose(np.diff(alphas), 1 / (points - 1))
    assert 0.5 in connectivity.alphas(25)


def with_table(seed, table):
    """A network of complex numbers, with a counter and a table that is not interpolated."""
    generator = seeding.torch_generator("table", seed)
    return {
        "weight": torch.randn(4, generator=generator, dtype=torch.complex64),
        "norm.num_batches_tracked": torch.tensor(seed),
        "n_averaged": torch.tensor(seed),
        "table": table,
    }


def test_complex_tensors_are_interpolated_and_counts_are_the_firsts():
    a, b, c = (with_table(seed, torch.tensor([True, False])) for seed in range(3))
    for alpha, weight in ((0, a["weight"]), (0.25, 0.75 * a["weight"] + 0.25 * b["weight"]), (1, b["weight"])):
        found = connectivity.interpolate(a, b, alpha)
        torch.testing.assert_close(found["weight"], weight)
        assert found["norm.num_batches_tracked"] == found["n_averaged"] == 0
    plane = connectivity.plane(a, b, c, ["weight"], 3)
    for state, place in zip((a, b, c), plane.networks.tolist(), strict=True):
        torch.testing.assert_close(plane.state(*place)["weight"], state["weight"])
    apart = (a["weight"] - b["weight"]).norm().item()
    assert math.dist(*plane.networks[:2]) == pytest.approx(apart, rel=1e-6)


@pytest.mark.parametrize("tables", [([True, False], [True, True]), ([1, 2], [2, 1])])
def test_tables_that_differ_are_refused_by_name(tables):
    a, b = (with_table(seed, torch.tensor(table)) for seed, table in enumerate(tables))
    c = with_table(2, a["table"])
    plane = connectivity.plane(a, b, c, ["weight"], 3)
    for ask in (partial(connectivity.interpolate, a, b, 1), partial(plane.state, 0, 0)):
        with pytest.raises(InputError, match=r"^table differs between the networks and cannot be interpolated"):
            ask()


def test_a_parabola_has_its_known_height():
    alphas = connectivity.alphas(5)
    values = [4 * alpha * (1 - alpha) + 2 * alpha for alpha in alphas]  # a bow of height 1 over a line from 0 to 2
    assert barrier(alphas, values) == 1.0
    assert instability(alphas, values) == max(values) - 1.0 == 1.25  # 2.25 at 3/4, less the mean end


def test_a_slope_has_no_barrier_but_an_instability_and_a_valley_neither():
    alphas = connectivity.alphas(4)
    assert barrier(alphas, alphas) == pytest.approx(0, abs=1e-15)
    assert instability(alphas, alphas) == 0.5
    valley = [(2 * alpha - 1) ** 2 for alpha in alphas]
    assert barrier(alphas, valley) == instability(alphas, valley) == 0.0


@pytest.mark.parametrize("height", [barrier, instability])
@pytest.mark.parametrize(
    ("alphas", "values", "said"),
    [
        ([0.25, 0.5, 0.75], [1.25, 1.5, 1.75], "^alphas must rise from 0 to 1"),  # a straight line, not all of it
        ([1, 0.5, 0], [1, 1.5, 2], "^alphas must rise"),
        ([0, 1, 0.5], [1, 2, 1.5], "^alphas must rise"),
        ([0], [1], "^alphas must rise"),
        ([0, 1], [1, 2, 3], "^alphas and values must be as many"),
        ([0, 0.5, 1], [1, float("nan"), 2], "^values hold NaN"),
        ([0, 1], ["a", "b"], "^values must be an array"),
    ],
)
def test_what_is_no_walk_from_end_to_end_has_no_height(height, alphas, values, said):
    with pytest.raises(InputError, match=said):
        height(alphas, values)


@pytest.mark.parametrize("points", [-1, 0, 1, 2.5])
def test_a_line_has_two_ends(points):
    with pytest.raises(InputError, match="two ends"):
        connectivity.alphas(points)


def test_heights_are_of_losses_and_of_errors():
    line = {"alphas": [0, 0.5, 1], "test_loss": [1, 4, 3], "test_accuracy": [0.9, 0.2, 0.8]}
    assert heights(line) == {
        "barrier": {"test_loss": 2.0, "test_error": pytest.approx(0.65)},
        "instability": {"test_loss": 2.0, "test_error": pytest.approx(0.65)},
    }


def test_the_ends_of_a_line_are_the_networks():
    a, b = network_of(0).state_dict(), network_of(1).state_dict()
    b["hidden.norm1.num_batches_tracked"] += 5
    integers = {name for name in a if name.endswith("num_batches_tracked")}
    for alpha, expected in ((0.0, a), (1.0, b)):
        for into in (None, network_of(2).state_dict()):
            found = connectivity.interpolate(a, b, alpha, into)
            assert found.keys() == a.keys()
            assert integers
            for name in a:
                assert torch.equal(found[name], a[name] if name in integers else expected[name]), name
    middle = connectivity.interpolate(a, b, 0.25)["hidden.norm1.running_mean"]
    ends = (state["hidden.norm1.running_mean"] for state in (a, b))
    torch.testing.assert_close(middle, 0.75 * next(ends) + 0.25 * next(ends))


@pytest.mark.parametrize("other", [{"width": 8}, {"norm": "none"}, {"depth": 3}])
def test_networks_that_do_not_fit_are_refused(other):
    with pytest.raises(InputError, match="one architecture"):
        connectivity.interpolate(network_of(0).state_dict(), network_of(0, **other).state_dict(), 0.5)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_network_and_itself_have_no_barrier_and_measure_as_evaluate_does(norm):
    network, splits = network_of(0, norm=norm), {"train": split_of(60), "test": split_of(30, "test")}
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    expected = loop.evaluate(network, *splits["test"], torch.float32)
    line = connectivity.along_line(
        network_of(1, norm=norm), state, state, connectivity.alphas(4), splits, torch.float32, batch_size=25
    )
    for loss, accuracy in zip(line["test_loss"], line["test_accuracy"], strict=True):
        assert (loss, accuracy) == pytest.approx(expected, rel=1e-6)
    assert all(value == 0 for found in heights(line).values() for value in found.values())


def test_a_network_may_lie_at_the_end_of_its_own_line():
    network, other, splits = network_of(0), network_of(1).state_dict(), {"test": split_of(30)}
    expected = loop.evaluate(network, *splits["test"], torch.float32)[0]
    line = connectivity.along_line(network, other, network.state_dict(), [0, 0.5, 1], splits, torch.float32)
    assert line["test_loss"][-1] == expected != line["test_loss"][0]


def test_repair_sees_the_interpolated_network_at_every_alpha_ends_included():
    a, b, network = network_of(0).state_dict(), network_of(1).state_dict(), network_of(2)
    seen = []

    def repair(network, alpha):
        expected = connectivity.interpolate(a, b, alpha)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
        seen.append(alpha)
        network.head.weight.data.zero_()
        network.head.bias.data.zero_()

    line = connectivity.along_line(network, a, b, [0, 0.3, 1], {"test": split_of(20)}, torch.float32, repair)
    assert seen == [0, 0.3, 1]
    assert line["test_loss"] == pytest.approx([math.log(10)] * 3)


def test_what_is_known_of_a_line_is_not_measured_again():
    network, a, b = network_of(2), network_of(0).state_dict(), network_of(1).state_dict()
    splits, seen = {"train": split_of(30)}, []
    options = {"repair": lambda network, alpha: seen.append(alpha), "fitted_on": "train"}
    measure = partial(connectivity.along_line, network, a, b, [0, 0.5, 1], splits, torch.float32, **options)
    whole = measure()
    known = {place: {name: whole[name][2 * place] for name in whole if name != "alphas"} for place in (0, 1)}
    assert measure(known=known) == whole
    assert seen == [0, 0.5, 1, 0.5]


def test_a_loss_that_is_not_finite_says_where():
    a = network_of(0, norm="none").state_dict()
    b = {name: torch.full_like(tensor, 1e30) for name, tensor in a.items()}
    with pytest.raises(InputError, match=r"at alpha 0\.5, test"):
        connectivity.along_line(network_of(0, norm="none"), a, b, [0, 0.5, 1], {"test": split_of(9)}, torch.float32)


def plane_of(network, *states, points=4):
    return connectivity.plane(*states, [name for name, _ in network.named_parameters()], points)


def test_a_plane_holds_its_networks_at_their_distances():
    networks = [network_of(seed) for seed in range(3)]
    states = [network.state_dict() for network in networks]
    thetas = [torch.cat([p.detach().double().flatten() for p in network.parameters()]) for network in networks]
    plane = plane_of(networks[0], *states)
    for i in range(3):
        for into in (None, network_of(3).state_dict()):
            found = plane.state(*plane.networks[i], into)
            for name in found:
                assert torch.equal(found[name], states[0 if name.endswith("tracked") else i][name]), name
        for j in range(i):
            distance = np.linalg.norm(plane.networks[i] - plane.networks[j])
            assert distance == pytest.approx((thetas[i] - thetas[j]).norm().item(), rel=1e-12)
    # And so are any other points of the plane, by their distance from a network.
    found = plane.state(*(plane.networks[1] + [3, 4]))
    theta = torch.cat([found[name].double().flatten() for name, _ in networks[0].named_parameters()])
    assert (theta - thetas[1]).norm().item() == pytest.approx(5, rel=1e-5)


def test_the_grid_is_square_and_covers_the_networks_with_a_border():
    network = network_of(0)
    plane = plane_of(network, *(network_of(seed).state_dict() for seed in range(3)))
    sides = [plane.x[-1] - plane.x[0], plane.y[-1] - plane.y[0]]
    assert sides[0] == pytest.approx(sides[1])
    assert (len(plane.x), len(plane.y)) == (4, 4)
    for along, places in zip(plane.networks.T, (plane.x, plane.y), strict=True):
        assert places[0] < along.min() - 0.1 * sides[0]
        assert places[-1] > along.max() + 0.1 * sides[0]


def test_running_variances_are_never_negative_far_out():
    plane = plane_of(network_of(0), *(network_of(seed).state_dict() for seed in range(3)))
    state = plane.state(*(-100 * plane.networks[2]))
    assert all((tensor >= 0).all() for name, tensor in state.items() if name.endswith("running_var"))
    assert any((tensor < 0).any() for name, tensor in state.items() if name.endswith("weight"))


def test_three_networks_on_a_line_have_no_plane():
    a, b = network_of(0).state_dict(), network_of(1).state_dict()
    for c in (a, b, connectivity.interpolate(a, b, 0.3)):
        with pytest.raises(InputError, match="one line"):
            plane_of(network_of(0), a, b, c)
    with pytest.raises(InputError, match="one line"):
        plane_of(network_of(0), a, a, b)


def test_the_loss_over_a_plane_has_a_row_for_each_y():
    network, split = network_of(0), split_of(40)
    plane = plane_of(network, *(network_of(seed).state_dict() for seed in range(3)), points=3)
    losses = connectivity.over_plane(network, plane, split, torch.float32)
    other = network_of(1)
    other.load_state_dict(plane.state(plane.x[2], plane.y[0]))
    assert losses[0][2] == pytest.approx(loop.evaluate(other, *split, torch.float32)[0], rel=1e-5)
    assert (len(losses), {len(row) for row in losses}) == (3, {3})
    repair = repairer(network, *plane.states[:2], split[0], torch.float32)
    assert connectivity.over_plane(network, plane, split, torch.float32, repair) != losses


def prepare(folder, network, methods):
    """A study of untrained networks, the second of each independent pair a permuted copy of the first."""
    spawn = {"network": network, "seeds": [0, 1], "spawned": 1, "epochs": [0, 5], "widths": [], "weight_decays": []}
    interpolate = {"spawned_points": 3, "permuted_points": 5, "plane_points": 3, "train_samples": 100}
    tiny.write_params(
        folder, spawn=spawn, permute={"methods": methods}, interpolate=interpolate | {"repair_samples": 200}
    )
    tiny.write_data(folder)
    study = params.load(folder / "params.yaml")
    for run in runs(study):
        with seeding.global_seed("initialisation", run.seed, run.name):
            built = build(run.cell.network, (8, 8, 1), 10)
            built(torch.randn(16, 1, 8, 8))
        state = built.state_dict()
        if (run.seed, run.name) == (0, "trunk"):
            first = state
        if run.seed == 1 and methods:
            symmetry = derive(built.eval(), torch.randn(2, 1, 8, 8))
            generator = seeding.torch_generator("planted")
            planted = {name: torch.randperm(group.size, generator=generator) for name, group in symmetry.groups.items()}
            state = apply(symmetry, planted, first)
            inverse = {name: permutation.argsort().numpy() for name, permutation in planted.items()}
            wrong = inverse | {name: inverse[name][::-1].copy() for name in list(inverse)[:1]}
            for method in methods:
                found = wrong if method == methods[0] else inverse
                artifacts.write_arrays(folder / paths.permutation(f"{run.cell.name}-seeds-0-1", method), found)
        artifacts.write_tensors(folder / paths.spawned(run.cell.name, run.seed, run.name), state)


def interpolated(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["interpolate.py"])
    runpy.run_path(str(tiny.ROOT / "stages/interpolate.py"), run_name="__main__")
    return [(folder / paths.results(name)).read_bytes() for name in ("interpolate", "plane")]


@pytest.mark.parametrize("network", [MLP, RESNET])
def test_the_stage_measures_every_pair_plain_and_repaired(tmp_path, monkeypatch, network):
    prepare(tmp_path, network, [])
    written = interpolated(tmp_path, monkeypatch)
    assert written == interpolated(tmp_path, monkeypatch)
    assert artifacts.read_json(tmp_path / paths.results("plane")) is None
    rows = artifacts.read_json(tmp_path / paths.results("interpolate"))
    expected = [("spawned", 0), ("spawned", 0), ("spawned", 5), ("spawned", 5), ("independent", None)]
    assert [(row["kind"], row["k"]) for row in rows][:5] == expected
    assert [row["repaired"] for row in rows] == [False, True] * 3
    for row in rows:
        assert len(row["alphas"]) == (3 if row["k"] is not None else 5)
        assert (row["width"], row["method"]) == (1.0, "none")
        measured = [
            f"{split}_{name}" for split in ("train", "test") for name in ("loss", "accuracy", "calibrated_loss")
        ]
        for name in (*measured, "temperature"):
            assert len(row[name]) == len(row["alphas"])
            assert all(math.isfinite(value) for value in row[name])
        for height in ("barrier", "instability"):
            assert set(row[height]) == {name.replace("accuracy", "error") for name in measured}
        assert min(row["barrier"].values()) >= 0
    assert rows[0]["seeds"] == [0, 0]
    assert rows[4]["seeds"] == [0, 1]


@pytest.mark.parametrize("network", [MLP, RESNET])
def test_the_stage_permutes_by_the_saved_files(tmp_path, monkeypatch, network):
    """The right permutation makes the second network the first, and the line flat; without it, it is not."""
    prepare(tmp_path, network, ["weights", "ste"])
    interpolated(tmp_path, monkeypatch)
    rows = artifacts.read_json(tmp_path / paths.results("interpolate"))
    rows = {(row["method"], row["repaired"]): row for row in rows if row["kind"] == "independent"}
    assert len(rows) == 6
    for (method, _), row in rows.items():
        spread = max(row["test_loss"]) - min(row["test_loss"])
        assert spread < 1e-5 if method == "ste" else spread > 1e-4
    plane = artifacts.read_json(tmp_path / paths.results("plane"))
    assert (plane["seeds"], plane["method"], plane["repaired"]) == ([0, 1], "weights", network is RESNET)
    assert np.shape(plane["train_loss"]) == (len(plane["y"]), len(plane["x"])) == (3, 3)
    assert np.shape(plane["networks"]) == (3, 2)
    assert np.isfinite(plane["train_loss"]).all()


def test_a_file_whose_numbers_are_no_permutation_is_named(tmp_path):
    prepare(tmp_path, MLP, ["weights"])
    file = tmp_path / paths.permutation("width-1-decay-0.0005-seeds-0-1", "weights")
    with np.load(file) as found:
        np.savez(file, **{name: np.zeros_like(array) for name, array in found.items()})
    done = tiny.run_stage(tmp_path, "interpolate.py")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(file.relative_to(tmp_path)) in done.stderr
    assert "permutation" in done.stderr.partition(":")[2]


def test_the_stage_says_which_network_is_missing(tmp_path):
    prepare(tmp_path, MLP, [])
    (tmp_path / paths.spawned("width-1-decay-0.0005", 1, "trunk")).unlink()
    done = tiny.run_stage(tmp_path, "interpolate.py")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "1/trunk.safetensors is missing" in done.stderr
    assert not (tmp_path / paths.results("interpolate")).exists()


@pytest.mark.parametrize(
    ("labels", "said"),
    [(slice(0, 0), "got 0 labels of 9 images"), (slice(0, 4), "got 4 labels of 9 images"), (None, "a label is -100")],
)
def test_what_is_measured_along_a_line_has_a_label_for_each_image(labels, said):
    network, (images, own) = network_of(0), split_of(9)
    split = images, own[labels] if labels else own - 100
    with pytest.raises(InputError, match=f"test: {said}"):
        connectivity.along_line(
            network, network.state_dict(), network.state_dict(), [0, 0.5, 1], {"test": split}, torch.float32
        )


def test_a_line_along_which_nothing_is_measured_is_refused():
    network = network_of(0)
    with pytest.raises(InputError, match="give a split or more"):
        connectivity.along_line(network, network.state_dict(), network.state_dict(), [0, 1], {}, torch.float32)


def test_labels_beyond_the_classes_are_refused():
    network, (images, labels) = network_of(0), split_of(9)
    splits = {"train": (images, labels), "test": (images, labels + 4)}
    state = network.state_dict()
    for size in (None, 4):
        with pytest.raises(InputError, match=r"^test: labels reach 12, but the network tells 10 classes apart"):
            connectivity.along_line(network, state, state, [0, 1], splits, torch.float32, batch_size=size)


@pytest.mark.parametrize("order", ["aab", "aba", "abb"])
def test_two_networks_have_no_plane(order, monkeypatch):
    network, kept = network_of(0), {"a": network_of(0).state_dict(), "b": network_of(1).state_dict()}
    a, b, c = (kept[letter] for letter in order)
    monkeypatch.setattr(walks, "aligned", lambda pair, method, inputs: (network, a, b if method == "none" else c))
    assert walks._plane(None, "weights", None, None) is None
