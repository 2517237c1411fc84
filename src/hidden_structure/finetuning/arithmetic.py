"""Task arithmetic: what finetuning adds to a network's weights, its task vectors, added up.

Ilharco, Ribeiro, Wortsman, Schmidt, Gururangan, Hajishirzi, Farhadi, "Editing models with task arithmetic", ICLR 2023,
arXiv 2212.04089: the network theta_0 + lambda (tau_1 + tau_2), tau_i = theta_i - theta_0, does both tasks.
"""

from collections.abc import Sequence

import torch

from hidden_structure.connectivity.line import State
from hidden_structure.networks.weights import as_state


def task_vector(end: State, origin: State) -> State:
    """What learning a task added to a network: end - origin, of every floating tensor."""
    return {name: tensor - origin[name] for name, tensor in end.items() if tensor.is_floating_point()}


@torch.no_grad()
def add(origin: State, vectors: Sequence[State], coefficient: float) -> State:
    """origin + coefficient times the sum of the task vectors; tensors that they lack, which count, are the origin's.

    Coefficient 0 gives the origin exactly. BatchNorm's running statistics are added up like weights; variances, which
    may come out negative, are cut off at 0.
    """
    found = {name: tensor.clone() for name, tensor in origin.items()}
    for name, target in found.items():
        for vector in vectors:
            if name in vector:
                target.add_(vector[name], alpha=coefficient)
        if name.endswith("running_var"):
            target.clamp_(min=0)
    return as_state(found, origin)
