"""Averages of weights over the steps of training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hidden_structure.frame.params import Train


@dataclass
class Average:
    """tensors: the average so far of every weight and floating-point buffer, by name."""

    tensors: dict[str, Tensor]

    @torch.no_grad()
    def update(self, network: nn.Module, decay: float, back: bool) -> None:
        """Keep that share of the average, and take the rest from the network; back: give the network the average."""
        for name, tensor in averaged(network).items():
            self.tensors[name].lerp_(tensor, 1 - decay)
            if back:
                tensor.copy_(self.tensors[name])


def averaged(network: nn.Module) -> dict[str, Tensor]:
    """The tensors themselves that are averaged: all but counts, each once where several layers share it."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if tensor.is_floating_point():
            found.setdefault(id(tensor), (name, tensor.detach()))
    return dict(found.values())


def start(network: nn.Module, train: Train) -> Average | None:
    """None if the recipe averages nothing."""
    if train.averaging == "none":
        return None
    return Average({name: tensor.clone() for name, tensor in averaged(network).items()})


def after_step(average: Average, network: nn.Module, train: Train, step: int, steps: int) -> None:
    """Do what the recipe does after that step, counted from 1, of so many in all.

    exponential: every so many steps the average takes up the weights; after the last step the network becomes the
    average. lookahead: the network goes on from the average each time, which keeps a share of itself that grows with
    the cube of progress (Jordan 2024, arXiv 2404.00498, section 3.4, after Zhang et al. 2019).
    """
    lookahead, decay = train.averaging == "lookahead", train.averaging_decay**train.averaging_every
    if step % train.averaging_every == 0:
        average.update(network, decay * (step / steps) ** 3 if lookahead else decay, back=lookahead)
    if step == steps:
        average.update(network, 1.0, back=True)
