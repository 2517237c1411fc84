"""The network that learns CIFAR-10 in minutes: its whitening, its shapes, its symmetries."""

import pytest
import torch

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.networks.speedrun import Speedrun
from hidden_structure.permutation.permuting import apply, draw
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import global_seed, torch_generator


def network(width: int = 8, norm: str = "batch", activation: str = "relu") -> Speedrun:
    with global_seed("initialisation", 0):
        return Speedrun(3, 10, width, norm, activation)


def smooth_images(count: int = 200) -> torch.Tensor:
    """Whose neighbouring pixels are alike, as those of photographs are."""
    noise = torch.randn(count, 3, 18, 18, generator=torch_generator("images"))
    return 3 * torch.nn.functional.avg_pool2d(noise, 3, 1)


def test_the_first_layer_whitens_what_it_was_shown():
    model, images = network(), smooth_images()
    model.whiten(images)
    outputs = model.whitening(images).transpose(0, 1).flatten(1)
    covariance = torch.cov(outputs[:12])
    torch.testing.assert_close(covariance, torch.eye(12), rtol=0, atol=0.03)
    torch.testing.assert_close(outputs[:12], -outputs[12:])
    patches = torch.nn.functional.unfold(images, 2).transpose(0, 1).flatten(1)
    assert not torch.allclose(torch.cov(patches), torch.eye(12), rtol=0, atol=0.3)


def test_whitening_is_the_same_for_images_in_another_memory_format():
    """And on another processor, whose eigenvectors may have other signs, for their signs are fixed."""
    first, second, images = network(), network(), smooth_images()
    first.whiten(images)
    second.whiten(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(first.whitening.weight, second.whitening.weight)
    filters = first.whitening.weight[:12].flatten(1)
    assert (filters.gather(1, filters.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "none"])
@pytest.mark.parametrize("size", [9, 32])
def test_images_of_any_size_from_9_pixels_on_give_logits(norm, size):
    logits = network(norm=norm)(torch.randn(4, 3, size, size + 1, generator=torch_generator("images")))
    assert logits.shape == (4, 10)
    assert logits.isfinite().all()


def test_what_is_fixed_is_not_trained():
    trained = {name for name, parameter in network().named_parameters() if parameter.requires_grad}
    assert "whitening.weight" not in trained
    assert "whitening.bias" in trained
    assert not any("norm" in name and name.endswith("weight") for name in trained)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_permuted_network_computes_the_same(activation):
    model, images = network(activation=activation).double().eval(), smooth_images(4).double()
    symmetry = derive(model, images)
    assert len(symmetry.groups) == 7, "one a convolution"
    state = apply(symmetry, draw(symmetry, torch_generator("permutation")), model.state_dict())
    expected = model(images)
    assert any(not torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    model.load_state_dict(state)
    torch.testing.assert_close(model(images), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [({"depth": 8}, (32, 32, 3), "network.depth"), ({"norm": None}, (32, 32, 3), "norm"), ({}, (8, 8, 1), "9 pixels")],
)
def test_what_it_cannot_be_is_said_in_one_line(changes, shape, message):
    settings = {"name": "speedrun", "depth": None, "width": 8, "norm": "batch"} | changes
    with pytest.raises(InputError, match=message):
        build(params.Network(**settings), shape, 10)


@pytest.mark.parametrize("options", [{"activation": "tanh"}, {"activations": "gelu"}])
def test_options_that_it_does_not_take_are_refused(options):
    described = params.Network(name="speedrun", depth=None, width=8, norm="batch", options=options)
    with pytest.raises(InputError, match=r"^network\.options: speedrun takes activation, relu or gelu, got") as error:
        build(described, (32, 32, 3), 10)
    assert "\n" not in str(error.value)
