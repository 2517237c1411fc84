"""Networks in half precision: computed as in float32 up to rounding where images are alike, and refused where not."""

from copy import deepcopy

import pytest
import tiny
import torch
from torch import nn

from hidden_structure import seeding
from hidden_structure.connectivity.line import along_line, over_plane, plane
from hidden_structure.connectivity.repair import recompute_batch_norm, repairer, rescale
from hidden_structure.connectivity.unit_statistics import unit_statistics
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity.layers import measure
from hidden_structure.linearity.stitching import stitch
from hidden_structure.networks.build import build
from hidden_structure.networks.features import extract
from hidden_structure.networks.weights import check_precision
from hidden_structure.permutation.activation_matching import match_activations, paired_moments
from hidden_structure.permutation.matching import Problem, match
from hidden_structure.permutation.planted import plant
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights
from hidden_structure.training.batches import Images
from hidden_structure.training.loop import evaluate, fit, start

HALVES = [torch.float16, torch.bfloat16]
RECIPE = {"epochs": 1, "batch_size": 8, "lr": 1e-3}


def images_of(count):
    pixels = torch.randint(256, (count, 8, 8, 3), generator=seeding.torch_generator("pixels"), dtype=torch.uint8)
    return Images(pixels, torch.full((3,), 1 / 64), torch.full((3,), -2.0))


def network_of(seed, dtype, name="mlp", norm="none"):
    with seeding.global_seed("initialisation", seed):
        made = build(params.Network(name=name, depth=8 if name == "resnet" else 2, width=8, norm=norm), (8, 8, 3), 5)
    return made.to(dtype).eval()


IMAGES, LABELS = images_of(24), torch.arange(24) % 5
BATCH = IMAGES.normalise(IMAGES.pixels)
SPLIT = IMAGES, LABELS


def copied(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def by_straight_through(a, b):
    settings = params.Permute(methods=["ste"], restarts=1, samples=24, ste=RECIPE)
    return match(Problem(derive(a, BATCH), (a, b), *SPLIT, settings, torch.float32, ("precision",)))


TRAIN = params.Train(**tiny.study()["train"] | {"batch_size": 8})
REFUSED = {
    "features": lambda a, b: extract(a, [BATCH], ["penultimate"], 24),
    "activations": lambda a, b: paired_moments(derive(a, BATCH), a, b, [BATCH]),
    "straight-through": by_straight_through,
    "line": lambda a, b: along_line(a, copied(a), copied(b), [0, 0.5, 1], {"test": SPLIT}, torch.float32),
    "plane": lambda a, b: over_plane(
        a,
        plane(copied(a), copied(b), copied(network_of(2, a.head.weight.dtype)), [*copied(a)], 2),
        SPLIT,
        torch.float32,
    ),
    "layers": lambda a, b: measure(a, copied(a), copied(b), [0.5], SPLIT),
    "stitched": lambda a, b: stitch(a, copied(a), copied(b), SPLIT),
    "repair": lambda a, b: repairer(a, copied(a), copied(b), IMAGES, torch.float32),
    "units": lambda a, b: unit_statistics(a, [BATCH]),
    "norms": lambda a, b: recompute_batch_norm(nn.Sequential(nn.BatchNorm2d(3), a), [BATCH]),
    "loss": lambda a, b: evaluate(a, *SPLIT, torch.float32),
    "training": lambda a, b: fit(start(a, TRAIN, torch.device("cpu")), *SPLIT, TRAIN, 0, torch.float32),
}


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
@pytest.mark.parametrize("what", REFUSED)
def test_images_of_another_precision_are_refused_in_a_line_that_names_both(what, dtype):
    networks = [network_of(seed, dtype) for seed in (0, 1)]
    with pytest.raises(
        InputError,
        match=rf"computes in {str(dtype)[6:]}, but its images are float32: give .* as network\.float\(\) does$",
    ):
        REFUSED[what](*networks)


def test_the_precision_is_that_of_most_entries():
    network = network_of(0, torch.float32, norm="batch")
    network.hidden.norm1.double()
    check_precision(network, torch.float32)
    kept = network_of(0, torch.float16, norm="batch")
    kept.hidden.norm1.float()
    with pytest.raises(InputError, match="computes in float16"):
        check_precision(kept, torch.float32)
    check_precision(kept, torch.int64)
    check_precision(nn.Flatten(), torch.float32)


@pytest.mark.parametrize("dtype", HALVES)
def test_units_are_matched_as_those_of_float32_networks(dtype):
    network = network_of(0, dtype)
    symmetry = derive(network, BATCH)
    assert symmetry.groups == derive(network_of(0, torch.float32), BATCH).groups
    other, _ = plant(symmetry, network, seeding.torch_generator("planted"))
    a, b = copied(network), copied(other)
    found = match_weights(symmetry, a, b, seeding.torch_generator("match"))
    assert found.after == pytest.approx(match_weights(symmetry, a, a, seeding.torch_generator("match")).after)
    moments = paired_moments(symmetry, network, other, [BATCH.to(dtype)])
    own = match_activations(symmetry, moments, "correlations")
    assert all(torch.equal(own.permutation[name], units) for name, units in found.permutation.items())


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("name", "norm"), [("mlp", "none"), ("resnet", "batch")])
def test_images_of_a_half_precision_give_features_and_repair_up_to_its_rounding(dtype, name, norm):
    half = network_of(0, dtype, name, norm)
    whole, batches = deepcopy(half).float(), BATCH.to(dtype).split(8)
    for network, images in ((half, batches), (whole, [batch.float() for batch in batches])):
        if norm == "batch":
            recompute_batch_norm(network, images)
        else:
            units = unit_statistics(network, images)
            rescale(network, images, units, {of: (mean + 1, std * 2) for of, (mean, std) in units.items()}, 0.5)
    found, expected = (
        extract(network, [images], ["logits"], 24)["logits"]
        for network, images in ((half, BATCH.to(dtype)), (whole, BATCH))
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.1 * expected.std().item())
