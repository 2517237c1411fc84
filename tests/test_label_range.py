"""Labels that the network has no class for are refused in one line, wherever a function judges by labels."""

import pytest
import tiny
import torch
from torch import nn

from hidden_structure import seeding
from hidden_structure.connectivity.line import along_line, over_plane, plane
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity.layers import measure
from hidden_structure.linearity.stitching import stitch
from hidden_structure.permutation.matching import Problem, match
from hidden_structure.permutation.symmetry import derive
from hidden_structure.training.batches import Images
from hidden_structure.training.loop import evaluate, fit, start

FLOAT32 = torch.float32
RECIPE = {"epochs": 1, "batch_size": 4, "lr": 1e-3}
TRAIN = params.Train(**tiny.study()["train"] | {"epochs": 1, "batch_size": 4, "snapshots": 2})
STE = params.Permute(methods=["ste"], restarts=1, samples=8, ste=RECIPE)


def network_of(seed):
    with seeding.global_seed("initialisation", seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 3))


def states():
    return [network_of(seed).state_dict() for seed in range(3)]


def split_of(labels):
    pixels = torch.randint(256, (8, 4, 4, 3), generator=seeding.torch_generator("pixels"), dtype=torch.uint8)
    return Images(pixels, torch.full((3,), 1 / 64), torch.full((3,), -2.0)), torch.tensor(labels)


def by_straight_through(split):
    networks = network_of(0), network_of(1)
    return match(Problem(derive(networks[0], torch.zeros(2, 3, 4, 4)), networks, *split, STE, FLOAT32, ("labels",)))


JUDGED = {
    "line": lambda split: along_line(network_of(3), *states()[:2], [0, 1], {"the images": split}, FLOAT32),
    "plane": lambda split: over_plane(network_of(3), plane(*states(), [*states()[0]], 2), split, FLOAT32),
    "layers": lambda split: measure(network_of(3), *states()[:2], [0.5], split),
    "stitched": lambda split: stitch(network_of(3), *states()[:2], split),
    "loss": lambda split: evaluate(network_of(3), *split, FLOAT32),
    "training": lambda split: fit(start(network_of(3), TRAIN, torch.device("cpu")), *split, TRAIN, 0, FLOAT32),
    "straight-through": by_straight_through,
}


@pytest.mark.parametrize("judged", JUDGED.values(), ids=JUDGED)
def test_a_label_of_no_class_is_refused_and_others_are_not(judged):
    judged(split_of([0, 1, 2, 0, 1, 1, 0, 1]))
    judged(split_of([0, 1, 1, 0, 1, 1, 0, 1]))  # a class that no image is of
    with pytest.raises(InputError, match=r"^the images: labels reach 3, but the network tells 3 classes apart: give"):
        judged(split_of([0, 1, 2, 0, 1, 1, 0, 3]))
    for negative in (-1, -100):
        with pytest.raises(InputError, match=rf"^the images: a label is {negative}, classes are 0 or more"):
            judged(split_of([0, 1, 2, 0, 1, 1, 0, negative]))
