"""Gradients of convolutions' weights as matrix products, on CPUs with matrix units for bfloat16 (AMX).

oneDNN adds each image's part to all the weights' gradients in memory, which takes longer than the products do where
weights are many and images small. Here pixels are rows of one matrix, and each place of a filter is one product.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d
from torch.overrides import TorchFunctionMode

# Where it is the faster (benchmarks/README.md). Filters are one for each input and output.
FEWEST_FILTERS, FILTERS_A_PIXEL, MOST_PIXELS = 128 * 128, 512, 64


@contextmanager
def weight_gradients(network: nn.Module, device: torch.device, precision: torch.dtype) -> Iterator[None]:
    """Within it convolutions leave their weights' gradients to matrix products, where that is the faster."""
    amx = torch.cpu.get_capabilities().get("amx_bf16")
    if device.type == "cpu" and precision == torch.bfloat16 and amx and any(map(_many_filters, network.modules())):
        with ByProducts():
            yield
    else:
        yield


class ByProducts(TorchFunctionMode):
    """Outputs are those of conv2d to the byte; gradients of weights differ in the order of their sums."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function is conv2d and torch.is_autocast_enabled("cpu") and _suits(*args, **(kwargs or {})):
            return _by_products(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _many_filters(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.weight.shape[:2].numel() >= FEWEST_FILTERS


def _suits(
    input: Tensor,  # conv2d's names
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    if not (torch.is_grad_enabled() and weight.requires_grad and input.ndim == weight.ndim == 4):
        return False
    side, filters, pixels = weight.shape[2], weight.shape[:2].numel(), input.shape[2:].numel()
    return (
        weight.shape[2:] == (side, side)
        and side % 2 == 1
        and side > 1
        and _pair(padding) == (side // 2, side // 2)
        and _pair(stride) == _pair(dilation) == (1, 1)
        and groups == 1
        and filters >= max(FEWEST_FILTERS, FILTERS_A_PIXEL * pixels)
        and pixels <= MOST_PIXELS
    )


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else tuple(value)


def _by_products(input: Tensor, weight: Tensor, bias: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        given = (None if one is None else one.to(dtype) for one in (input, weight, bias))
        return _Convolution.apply(*given)


class _Convolution(torch.autograd.Function):
    """A convolution by an odd number of pixels a side, with stride 1, that keeps the size of images."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(images, weight)
        return conv2d(images, weight, bias, padding=weight.shape[2] // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        images, weight = ctx.saved_tensors
        side, (asked, _, bias_asked) = weight.shape[2], ctx.needs_input_grad
        of_images = nn.grad.conv2d_input(images.shape, weight, gradient, padding=side // 2) if asked else None
        return of_images, weight_gradient(images, gradient, side), gradient.sum((0, 2, 3)) if bias_asked else None


def weight_gradient(images: Tensor, gradient: Tensor, side: int) -> Tensor:
    """images (n, inputs, h, w), gradient of the outputs (n, outputs, h, w) -> (outputs, inputs, side, side).

    Every pixel is a row. As many rows of zeros follow each line and each image as a filter reaches, so that what lies
    beside a pixel is always the same number of rows away, and what lies beyond the image is zero.
    """
    reach = side // 2
    line = images.shape[3] + reach
    margin = reach * line + reach
    pixels = _rows(images, reach, margin)
    outputs = _rows(gradient, reach, 0).T.contiguous()
    found = images.new_empty(side, side, gradient.shape[1], images.shape[1])
    for down in range(side):
        for right in range(side):
            first = margin + (down - reach) * line + right - reach
            torch.mm(outputs, pixels[first : first + outputs.shape[1]], out=found[down, right])
    return found.permute(2, 3, 0, 1)


def _rows(images: Tensor, reach: int, margin: int) -> Tensor:
    count, channels, height, width = images.shape
    lines, line = height + reach, width + reach
    rows = images.new_zeros(count * lines * line + 2 * margin, channels)
    placed = rows[margin : len(rows) - margin].view(count, lines, line, channels)
    placed[:, :height, :width] = images.permute(0, 2, 3, 1)
    return rows
