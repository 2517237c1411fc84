"""What functions on networks are called with by hand: labels of either kind, and what is no state dict is one line."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from hidden_structure.connectivity.averaging import merge
from hidden_structure.connectivity.line import along_line, interpolate
from hidden_structure.connectivity.repair import repairer
from hidden_structure.frame.errors import InputError
from hidden_structure.linearity.layers import measure
from hidden_structure.linearity.stitching import stitch
from hidden_structure.permutation.many import match_together
from hidden_structure.permutation.permuting import apply, identity
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import match_weights
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import on_device

SAMPLES, CLASSES = 12, 4


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, CLASSES))


A, B = network(), network()
ZERO, ONE = (copy.deepcopy(own.state_dict()) for own in (A, B))
PIXELS = np.random.default_rng(0).integers(0, 256, (SAMPLES, 2, 2, 3)).astype(np.uint8)
IMAGES = on_device(PIXELS, [0.5] * 3, [0.5] * 3, torch.device("cpu"))
LABELS = torch.arange(SAMPLES) % CLASSES
SYMMETRY = derive(A, torch.zeros(2, 3, 2, 2))


def line(b=ONE, labels=LABELS, images=IMAGES, **others):
    return along_line(copy.deepcopy(A), ZERO, b, [0.0, 0.5, 1.0], {"test": (images, labels)}, torch.float32, **others)


OF_SPLITS = {
    "along_line": line,
    "measure": lambda b=ONE, labels=LABELS, images=IMAGES: measure(A, ZERO, b, [0.5], (images, labels)),
    "stitch": lambda b=ONE, labels=LABELS, images=IMAGES: stitch(A, ZERO, b, (images, labels)),
}
OF_STATES = {
    **OF_SPLITS,
    "interpolate": lambda b: interpolate(ZERO, b, 0.5),
    "match_weights": lambda b: match_weights(SYMMETRY, ZERO, b, torch_generator("match")),
    "match_together": lambda b: match_together(SYMMETRY, [ZERO, b], torch_generator("match")),
    "apply": lambda b: apply(SYMMETRY, identity(SYMMETRY), b),
    "repairer": lambda b: repairer(copy.deepcopy(A), ZERO, b, IMAGES, torch.float32),
}


@pytest.mark.parametrize("name", OF_SPLITS)
def test_labels_may_be_arrays_of_any_whole_numbers(name):
    wanted = OF_SPLITS[name]()
    for labels in (LABELS.numpy(), LABELS.numpy().astype(np.uint8), LABELS.int()):
        assert OF_SPLITS[name](labels=labels) == wanted


@pytest.mark.parametrize("name", OF_SPLITS)
@pytest.mark.parametrize(
    "labels",
    [torch.eye(CLASSES)[LABELS], LABELS.double(), LABELS[:, None], LABELS.numpy().astype(str), LABELS > 1],
    ids=["one-hot", "floats", "a column", "strings", "bools"],
)
def test_labels_that_are_none_are_named(name, labels):
    with pytest.raises(InputError, match="labels must be"):
        OF_SPLITS[name](labels=labels)


@pytest.mark.parametrize("name", OF_SPLITS)
@pytest.mark.parametrize("images", [PIXELS, torch.zeros(SAMPLES, 3, 2, 2)], ids=["pixels", "tensor"])
def test_images_are_told_how_they_are_made(name, images):
    with pytest.raises(InputError, match=r"images must be Images, got .*on_device"):
        OF_SPLITS[name](images=images)


@pytest.mark.parametrize("name", OF_STATES)
def test_a_network_is_no_state_dict(name):
    with pytest.raises(InputError, match=r"a state dict is asked for, got Sequential: give network.state_dict\(\)"):
        OF_STATES[name](B)


@pytest.mark.parametrize("name", sorted(OF_STATES.keys() - {"repairer", "stitch"}))  # which load_state_dict tells of
def test_a_state_dict_of_arrays_is_none(name):
    with pytest.raises(InputError, match=r"a state dict holds tensors, but 1\.weight is ndarray"):
        OF_STATES[name]({key: tensor.numpy() for key, tensor in ONE.items()})


@pytest.mark.parametrize("name", OF_SPLITS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named_and_no_precision_is_blamed(name, bad):
    broken = copy.deepcopy(ONE)
    broken["3.weight"][0, 0] = bad
    if name == "stitch" and bad == np.inf:
        broken["3.bias"][0] = np.nan  # infinity alone still decides
    with pytest.raises(InputError, match=r"3\.weight of the networks holds NaN or infinity") as caught:
        OF_SPLITS[name](broken)
    assert "float32" not in str(caught.value)


def test_a_temperature_is_fitted_to_a_split_that_is_there():
    with pytest.raises(InputError, match="fitted_on: there is no split 'train'"):
        line(fitted_on="train")


def test_splits_have_names():
    with pytest.raises(InputError, match="give a split or more by name"):
        along_line(copy.deepcopy(A), ZERO, ONE, [0, 1], (IMAGES, LABELS), torch.float32)


def test_a_matching_is_no_permutation_yet():
    with pytest.raises(InputError, match="a permutation is asked for, got Matched: give its permutation"):
        apply(SYMMETRY, match_weights(SYMMETRY, ZERO, ONE, torch_generator("match")), ONE)


def test_symmetries_are_those_of_a_network_and_images_of_either_kind():
    assert derive(A, np.zeros((2, 3, 2, 2), np.float32)).layouts == SYMMETRY.layouts
    with pytest.raises(InputError, match=r"derived of a torch\.nn\.Module, got OrderedDict"):
        derive(ZERO, torch.zeros(2, 3, 2, 2))
    with pytest.raises(InputError, match="images must be an array or a tensor of numbers, got Images"):
        derive(A, IMAGES)


def test_networks_are_merged_not_their_states():
    with pytest.raises(InputError, match=r"derived of a torch\.nn\.Module, got OrderedDict"):
        merge([ZERO, ONE], IMAGES, torch_generator("merge"))
    with pytest.raises(InputError, match="images must be Images, got ndarray"):
        merge([A, B], PIXELS, torch_generator("merge"))


def test_pixels_that_are_no_numbers_are_named():
    with pytest.raises(InputError, match="pixels must be an array"):
        on_device(PIXELS.astype(str), [0.5] * 3, [0.5] * 3, torch.device("cpu"))
    with pytest.raises(InputError, match="mean must be an array"):
        on_device(PIXELS, ["a"] * 3, [0.5] * 3, torch.device("cpu"))
