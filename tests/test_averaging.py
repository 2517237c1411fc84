"""Means of several networks: what they are compared with, what pairs lose in cycles, and the stage average-networks."""

import itertools
import re

import pytest
import tiny
import torch
from pydantic import ValidationError
from torch import nn

from hidden_structure.connectivity.averaging import groups, lost_in_cycles, match_pairs, mean_state, merge
from hidden_structure.connectivity.repair import recompute_batch_norm, repair_mean, repairer
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import initialise
from hidden_structure.permutation.permuting import apply, compose, draw, identity, invert
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import on_device

SPAWN = {"seeds": [0, 1, 2, 4, 5, 7], "spawned": 1, "epochs": [0], "widths": [0.5]}
AVERAGE = {"counts": [2, 3, 5], "widths": [1, 0.5], "restarts": 1}
SECTIONS = {
    "train": {"epochs": 3, "batch_size": 80},
    "network": {"norm": "none", "width": 16},
    "spawn": tiny.OVERRIDES["spawn"] | SPAWN,
    "average": AVERAGE,
}


def description(norm="none"):
    return params.Network(name="mlp", depth=2, width=12, norm=norm)


def networks(count, norm="none"):
    return [initialise(description(norm), (8, 8, 1), 10, seed).eval() for seed in range(count)]


def images_of(count=100):
    pixels = torch.randint(256, (count, 8, 8, 1), generator=torch_generator("pixels"), dtype=torch.uint8).numpy()
    return on_device(pixels, torch.tensor([0.5]).numpy(), torch.tensor([0.25]).numpy(), torch.device("cpu"))


def copies(count, norm="none"):
    """A network, its symmetry, and states of it with permutations of their own."""
    (network,) = networks(1, norm)
    symmetry = derive(network, torch.zeros(2, 1, 8, 8))
    drawn = [draw(symmetry, torch_generator("copy", index)) for index in range(count)]
    return network, symmetry, [apply(symmetry, own, network.state_dict()) for own in drawn], drawn


def outputs(network, images):
    with torch.no_grad():
        return network(images.normalise(images.pixels))


def test_a_mean_is_of_floating_tensors_and_counts_are_the_firsts():
    states = [{"weight": torch.tensor([1.0, 5.0]), "num_batches_tracked": torch.tensor(3)}]
    states += [{"weight": torch.tensor([2.0, -5.0]), "num_batches_tracked": torch.tensor(9)}] * 2
    found = mean_state(states)
    torch.testing.assert_close(found["weight"], torch.tensor([5 / 3, -5 / 3]))
    assert found["num_batches_tracked"] == 3
    assert states[0]["weight"].tolist() == [1, 5]


def test_a_mean_is_of_complex_tensors_and_tables_must_be_alike():
    states = [{"weight": torch.tensor([value]), "mask": torch.tensor([True, False])} for value in (1 + 2j, 3 - 4j)]
    assert mean_state(states)["weight"].tolist() == [2 - 1j]
    states[1]["mask"] = ~states[1]["mask"]
    with pytest.raises(InputError, match=r"^mask differs between the networks and cannot be interpolated"):
        mean_state(states)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_permuted_copies_of_a_network_merge_to_a_network_of_its_function(norm):
    network, _, states, _ = copies(4, norm)
    images, own = images_of(), networks(4, norm)
    if norm == "batch":
        recompute_batch_norm(network, [images.normalise(images.pixels)])
    for one, state in zip(own, states, strict=True):
        one.load_state_dict(state)
    merged = merge(own, images, torch_generator("merge"))
    torch.testing.assert_close(outputs(merged, images), outputs(network, images), rtol=1e-3, atol=1e-4)
    assert all(
        torch.equal(one.state_dict()[name], state[name])
        for one, state in zip(own, states, strict=True)
        for name in state
    )


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_repair_of_a_mean_of_two_is_that_of_the_middle_of_their_line(norm):
    (network, *ends), images = networks(3, norm), images_of()
    states = [{name: tensor.clone() for name, tensor in end.state_dict().items()} for end in ends]
    repair = repairer(network, *states, images, torch.float32)
    network.load_state_dict(mean_state(states))
    before = outputs(network, images)
    repair(network, 0.5)
    expected = outputs(network, images)
    assert not torch.allclose(expected, before, atol=1e-2)
    repair_mean(network, mean_state(states), states, images, torch.float32)
    torch.testing.assert_close(outputs(network, images), expected, rtol=1e-4, atol=1e-5)


def test_what_pairs_lose_in_cycles():
    _, symmetry, states, drawn = copies(4)
    consistent = {  # by an order of units that all share
        (i, j): compose(symmetry, invert(symmetry, drawn[j]), drawn[i]) for i, j in itertools.permutations(range(4), 2)
    }
    assert lost_in_cycles(symmetry, consistent, 4) == 0
    assert lost_in_cycles(symmetry, match_pairs(symmetry, states, 1, 0), 4) == 0  # copies are matched as they were made
    random = {pair: draw(symmetry, torch_generator("pair", *pair)) for pair in consistent}
    assert lost_in_cycles(symmetry, random, 4) > 0.5
    assert lost_in_cycles(symmetry, random, 2) is None
    own = match_pairs(symmetry, [one.state_dict() for one in networks(3)], 1, 0)
    assert 0 < lost_in_cycles(symmetry, own, 3) < 1
    assert all(torch.equal(invert(symmetry, own[0, 1])[name], entries) for name, entries in own[1, 0].items())


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, tokens):
        return self.head(self.layer(tokens, tokens, tokens, need_weights=False)[0].mean(1))


def test_units_of_a_head_that_moves_move_with_it():
    symmetry = derive(Heads(), torch.randn(3, 4, 8))
    (heads,) = (name for name, group in symmetry.groups.items() if group.parent is None and group.size == 2)
    inside = [name for name, group in symmetry.groups.items() if group.parent == heads]
    stay = identity(symmetry)
    swapped = stay | {heads: torch.tensor([1, 0])}
    pairwise = dict.fromkeys(itertools.permutations(range(3), 2), stay) | {(0, 1): swapped}
    others = sum(group.size for name, group in symmetry.groups.items() if name not in (heads, *inside))
    moved = sum(stay[name].numel() for name in inside)
    assert lost_in_cycles(symmetry, pairwise, 3) == moved / (moved + others)


def test_groups_of_one_size_share_no_network():
    study = params.Study.model_validate(tiny.study(**SECTIONS))
    found = groups(study)
    seeds = [group.seeds for group in found if group.cell.width == 1]
    assert seeds == [(0, 1), (2, 4), (5, 7), (0, 1, 2), (4, 5, 7), (0, 1, 2, 4, 5)]
    assert [group.seeds for group in found if group.cell.width == 0.5] == seeds
    assert len({group.id for group in found}) == len(found)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"average": AVERAGE | {"counts": [2, 7]}}, "average.counts: there are only 6 networks in spawn: lower 7"),
        ({"average": AVERAGE | {"widths": [0.25]}}, "average.widths: 0.25 is neither 1 nor one of spawn.widths"),
        (dict.fromkeys(("spawn", "permute", "interpolate", "linearity")), "average: is of the networks of spawn"),
        ({"average": AVERAGE | {"counts": [3, 2]}}, "must be in ascending order"),
    ],
)
def test_what_cannot_be_averaged_is_refused_before_anything_is_trained(sections, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        params.Study.model_validate(tiny.study(**(SECTIONS | sections)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    tiny.write_params(folder, **SECTIONS)
    tiny.write_data(folder)
    for script in ("spawn.py", "average_networks.py"):
        done = tiny.in_process(folder, script)
        assert done.returncode == 0, done.stderr
    return folder


def rows(folder):
    return artifacts.read_json(folder / paths.results("average"))


def test_matching_all_together_has_the_largest_products_and_none_the_least(folder):
    for row in rows(folder):
        by = {(mean["matching"], mean["reference"]): mean["objective"] for mean in row["means"]}
        pairs = [value for (matching, _), value in by.items() if matching == "pairwise"]
        assert len(pairs) == len(row["seeds"])
        assert by["none", None] < min(pairs)
        assert max(pairs) <= by["together", None] * (1 + 1e-6)
        assert len(row["means"]) == 2 * len(by)


def test_what_means_are_compared_with_is_of_the_networks_themselves(folder):
    trained = {
        (row["width"], row["seed"]): row
        for row in artifacts.read_json(folder / paths.results("spawn"))
        if row["name"] == "trunk"
    }
    for row in rows(folder):
        for seed, own in zip(row["seeds"], row["networks"], strict=True):
            for name, value in own.items():
                assert value == pytest.approx(trained[row["width"], seed][name], rel=1e-4)
        losses = [own["test_loss"] for own in row["networks"]]
        # the logarithm is concave, and the mean of logits cannot be worse than the mean loss either
        assert all(kind["test_loss"] <= sum(losses) / len(losses) + 1e-9 for kind in row["ensembles"].values())
        assert (row["lost_in_cycles"] is None) == (len(row["seeds"]) == 2)


def test_bytes_depend_neither_on_workers_nor_on_the_run(folder):
    file = folder / paths.results("average")
    before = file.read_bytes()
    file.unlink()
    tiny.write_params(folder, **SECTIONS, tasks={"workers": 2})
    done = tiny.in_process(folder, "average_networks.py")
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == before
