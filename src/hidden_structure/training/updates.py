"""SGD and Adam as PyTorch's own functions compute them, step for step and bit for bit, without its optimizer objects.

The first of those in a process imports a compiler, which takes longer than many a training here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import adam as adam_module
from torch.optim import sgd as sgd_module

SECOND, SMALL = 0.999, 1e-8  # Adam's: the decay of squares, and what is added to their root

Slots = dict[Tensor, dict[str, Tensor]]  # parameter -> what is kept of it from step to step


@dataclass(eq=False)
class Optimizer:
    """What `training.loop` needs of one: the same attributes as `torch.optim.Optimizer` has.

    update: changes parameters that have a gradient, given as a list, by their slots and the settings of their group,
    and keeps in the slots what the next step needs.
    """

    param_groups: list[dict[str, Any]]
    update: Callable[[list[Tensor], Slots, dict[str, Any]], None]
    state: Slots = field(default_factory=dict)

    def zero_grad(self) -> None:
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            if learning := [parameter for parameter in group["params"] if parameter.grad is not None]:
                self.update(learning, self.state, group)

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of a parameter: its slots}, "param_groups": the groups, with numbers for parameters}."""
        number = {parameter: index for index, parameter in enumerate(self._parameters())}
        groups = [group | {"params": [number[one] for one in group["params"]]} for group in self.param_groups]
        return {"state": {number[one]: dict(slots) for one, slots in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy the slots onto the devices of the parameters; groups stay as they are."""
        parameters = self._parameters()
        self.state = {
            parameters[index]: {name: slot.to(parameters[index].device, copy=True) for name, slot in slots.items()}
            for index, slots in state["state"].items()
        }

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def sgd(
    groups: list[dict], lr: float, weight_decay: float, momentum: float, nesterov: bool, fused: bool = False
) -> Optimizer:
    """groups: {"params": tensors} and what is of that group alone, as `weight_decay`. fused: in one kernel."""
    update = partial(_sgd, momentum=momentum, nesterov=nesterov, fused=fused)
    return Optimizer([{"lr": lr, "weight_decay": weight_decay} | group for group in groups], update)


def adam(
    groups: list[dict], lr: float, weight_decay: float = 0.0, first: float = 0.9, fused: bool = False
) -> Optimizer:
    """first: the decay of the mean of gradients. Otherwise as `sgd`."""
    update = partial(_adam, first=first, fused=fused)
    return Optimizer([{"lr": lr, "weight_decay": weight_decay} | group for group in groups], update)


def _sgd(learning: list[Tensor], state: Slots, group: dict, momentum: float, nesterov: bool, fused: bool) -> None:
    new = [one for one in learning if one not in state]  # fused, a kernel takes none or all of the momenta to be there
    for part in filter(None, (new, [one for one in learning if one in state])):
        buffers = [state.get(one, {}).get("momentum_buffer") for one in part]
        sgd_module.sgd(
            part,
            [one.grad for one in part],
            buffers,
            fused=fused,
            weight_decay=group["weight_decay"],
            momentum=momentum,
            lr=group["lr"],
            dampening=0,
            nesterov=nesterov,
            maximize=False,
        )
        if momentum:
            for one, buffer in zip(part, buffers, strict=True):
                state.setdefault(one, {})["momentum_buffer"] = buffer


def _adam(learning: list[Tensor], state: Slots, group: dict, first: float, fused: bool) -> None:
    for one in learning:
        if one not in state:
            step = torch.zeros((), device=one.device if fused else None)
            state[one] = {"step": step, "exp_avg": torch.zeros_like(one), "exp_avg_sq": torch.zeros_like(one)}
    steps, means, squares = ([state[one][slot] for one in learning] for slot in ("step", "exp_avg", "exp_avg_sq"))
    adam_module.adam(
        learning,
        [one.grad for one in learning],
        means,
        squares,
        [],
        steps,
        fused=fused,
        amsgrad=False,
        beta1=first,
        beta2=SECOND,
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=SMALL,
        maximize=False,
    )
