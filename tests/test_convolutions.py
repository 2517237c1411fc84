"""Gradients of convolutions' weights by matrix products, against those of PyTorch."""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from hidden_structure.training import convolutions
from hidden_structure.training.convolutions import ByProducts, weight_gradient, weight_gradients

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_filters_are_many(monkeypatch):
    monkeypatch.setattr(convolutions, "FEWEST_FILTERS", 1)
    monkeypatch.setattr(convolutions, "FILTERS_A_PIXEL", 0)


@pytest.fixture
def products(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of the images whose convolutions left their weights' gradients to matrix products."""
    seen = []

    def counted(images: Tensor, *rest) -> Tensor:
        seen.append(tuple(images.shape))
        return weight_gradient(images, *rest)

    monkeypatch.setattr(convolutions, "weight_gradient", counted)
    return seen


def gradients(network: nn.Module, images: Tensor, mode) -> tuple[Tensor, list[Tensor]]:
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), mode:
        outputs = network(images)
    outputs.float().square().sum().backward()
    found = [images.grad, *(parameter.grad.clone() for parameter in network.parameters())]
    network.zero_grad()
    return outputs.detach(), found


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (7, 7), (5, 4)])
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_gradient_is_that_of_the_weights(height, width, side, layout):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, height, width, generator=generator, dtype=torch.float64).to(memory_format=layout)
    gradient = torch.randn(4, 2, height, width, generator=generator, dtype=torch.float64).to(memory_format=layout)
    weight = torch.zeros(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    conv2d(images, weight, padding=side // 2).backward(gradient)
    torch.testing.assert_close(weight_gradient(images, gradient, side), weight.grad)


@pytest.mark.parametrize("bias", [False, True])
def test_outputs_are_the_same_bytes_and_gradients_as_close_as_bfloat16_is(products, bias):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(6, 8, 3, padding=1, bias=bias), nn.ReLU(), nn.Conv2d(8, 5, 3, padding=1, bias=bias)
    )
    network.to(memory_format=torch.channels_last)
    images = torch.randn(9, 6, 4, 4).to(memory_format=torch.channels_last)
    expected, wanted = gradients(network, images, nullcontext())
    outputs, found = gradients(network, images, ByProducts())
    assert torch.equal(outputs, expected)
    assert products == [(9, 8, 4, 4), (9, 6, 4, 4)]
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert (one - other).norm() <= 0.01 * other.norm()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, (3, 1), padding=(1, 0)),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, padding="valid"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    ],
    ids=str,
)
def test_other_convolutions_are_left_alone(products, layer):
    images = torch.randn(3, 4, 6, 6)
    expected, wanted = gradients(layer, images, nullcontext())
    outputs, found = gradients(layer, images, ByProducts())
    assert not products
    assert all(torch.equal(one, other) for one, other in zip([outputs, *found], [expected, *wanted], strict=True))


def test_large_images_few_filters_and_frozen_weights_are_left_alone(products, monkeypatch):
    layer = nn.Conv2d(4, 4, 3, padding=1)
    gradients(layer, torch.randn(2, 4, 9, 9), ByProducts())
    monkeypatch.setattr(convolutions, "FILTERS_A_PIXEL", 2)
    gradients(layer, torch.randn(2, 4, 3, 3), ByProducts())
    monkeypatch.setattr(convolutions, "FILTERS_A_PIXEL", 1)
    layer.weight.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16), ByProducts():
        layer(torch.randn(2, 4, 2, 2, requires_grad=True)).sum().backward()
    assert not products


def test_only_bfloat16_on_processors_with_matrix_units_takes_products(products, monkeypatch):
    layer, images = nn.Conv2d(4, 4, 3, padding=1), torch.randn(2, 4, 3, 3)
    for amx in (False, True):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda amx=amx: {"amx_bf16": amx})
        for precision in (torch.float32, torch.bfloat16):
            gradients(layer, images, weight_gradients(layer, CPU, precision))
            assert len(products) == (amx and precision == torch.bfloat16)
    conv2d(images, layer.weight).sum().backward()  # outside the block, and without autocast
    assert len(products) == 1
