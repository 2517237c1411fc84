"""Whether anything but a module itself reads its tensors, as tied weights are: one change would be for both."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import evaluation_mode

Tensors = Callable[[nn.Module], Iterable[Tensor]]  # those of a module that must be its alone


def refuse_read_elsewhere(
    network: nn.Module, modules: Mapping[str, nn.Module], tensors: Tensors, images: Tensor
) -> None:
    """Raise InputError, naming the module, if the network reads these tensors of one outside of its calls.

    modules: by name; none may share its tensors with another. images: a few, float (b, channels, H, W).
    """
    if not is_read_elsewhere(network, modules.values(), tensors, images):
        return
    for name, module in modules.items():
        if is_read_elsewhere(network, [module], tensors, images):
            raise InputError(
                f"{name} is called, but one of its tensors is read elsewhere in the network as well, and REPAIR would "
                "change it for both: give each its own, or leave out their repair"
            )


@torch.no_grad()
def is_read_elsewhere(network: nn.Module, modules: Collection[nn.Module], tensors: Tensors, images: Tensor) -> bool:
    """Whether the network reads these tensors of any of the modules outside of its calls.

    Then logits become NaN when the tensors are NaN all the time but while their module runs. Values tell what a graph
    or gradients would not: what is read as data, without gradients, or before a hook.
    """
    kept: dict[Tensor, Tensor] = {}

    def hide(module: nn.Module, *_: object) -> None:
        for tensor in tensors(module):
            kept[tensor], tensor.data = tensor.data, torch.full_like(tensor, torch.nan)

    def show(module: nn.Module, *_: object) -> None:
        for tensor in tensors(module):
            tensor.data = kept.pop(tensor, tensor.data)

    def broken() -> bool:
        return bool(network(images.clone()).isnan().any())  # for networks that work in place

    with evaluation_mode(network):
        with ExitStack() as stack:
            for module in modules:
                stack.callback(show, module)
                hide(module)
                stack.callback(module.register_forward_pre_hook(show, prepend=True).remove)  # before a weight's own
                stack.callback(module.register_forward_hook(hide).remove)
            hidden = broken()
        return hidden and not broken()
