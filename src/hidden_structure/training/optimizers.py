"""What a step of training changes the weights by: SGD, Adam, or Muon for the matrices of hidden layers."""

from typing import Any

import torch
from torch import Tensor, nn

from hidden_structure.frame.params import Train
from hidden_structure.networks.features import head
from hidden_structure.training import updates
from hidden_structure.training.updates import Optimizer

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def optimizer(network: nn.Module, train: Train) -> "Optimizer | MuonAndSGD":
    """That of the recipe, for a network that is on its device already.

    Groups with a `scale` learn at that multiple of the rate (`set_rate`).
    """
    fused = next(network.parameters()).device.type != "mps"
    if train.optimizer == "muon":
        return MuonAndSGD(network, train, fused)
    groups = parameter_groups(network, train)
    if train.optimizer == "sgd":
        return _sgd(groups, train, fused)
    return updates.adam(groups, train.lr, train.weight_decay, train.momentum, fused)


def _sgd(groups: list, train: Train, fused: bool) -> Optimizer:
    return updates.sgd(groups, train.lr, train.weight_decay, train.momentum, train.nesterov, fused)


def set_rate(optimizer: "Optimizer | MuonAndSGD", rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def parameter_groups(network: nn.Module, train: Train) -> list[dict]:
    """The network's parameters as the optimizer takes them: in one group, or apart those with a rate or decay of their
    own: shifts of norms, and all other scales and biases."""
    if train.shift_rate == 1 and train.decay_vectors:
        return [{"params": list(network.parameters())}]
    norms = [module for module in network.modules() if isinstance(module, NORMS)]
    shifts = {norm.bias for norm in norms if norm.bias is not None} if train.shift_rate != 1 else set()
    others = [parameter for parameter in network.parameters() if parameter not in shifts]
    vectors = [parameter for parameter in others if parameter.ndim < 2 and not train.decay_vectors]
    tensors = [parameter for parameter in others if parameter.ndim >= 2 or train.decay_vectors]
    shifted = [parameter for parameter in network.parameters() if parameter in shifts]
    # What a decay takes away a step is rate times decay: a higher rate of learning is none of forgetting.
    decay = train.weight_decay / train.shift_rate if train.decay_vectors else 0.0
    groups = [
        {"params": tensors},
        {"params": vectors, "weight_decay": 0.0},
        {"params": shifted, "scale": train.shift_rate, "weight_decay": decay},
    ]
    return [group for group in groups if group["params"]]


class MuonAndSGD:
    """Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") for every tensor of two or
    more dimensions but the head's, a convolution's as a matrix with a row a filter; SGD for all else, at
    `train.others_rate` times the rate.

    Both decay weights by the rate times `train.weight_decay` a step; SGD's momentum multiplies that, as it does steps.
    """

    def __init__(self, network: nn.Module, train: Train, fused: bool) -> None:
        last = set(head(network).parameters())
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.tensors = [parameter for parameter in learning if parameter.ndim >= 2 and parameter not in last]
        self.matrices = [nn.Parameter(_matrix(tensor.detach())) for tensor in self.tensors]
        hidden = set(self.tensors)
        groups = [
            group if isinstance(group, dict) else {"params": [group]} for group in parameter_groups(network, train)
        ]
        kept = [group | {"params": [one for one in group["params"] if one not in hidden]} for group in groups]
        scaled = [group | {"scale": train.others_rate * group.get("scale", 1.0)} for group in kept if group["params"]]
        for group in scaled:  # as for shifts: what a decay takes away a step is rate times decay
            group["weight_decay"] = group.get("weight_decay", train.weight_decay) / train.others_rate
        self.optimizers: list[Optimizer | torch.optim.Optimizer] = [_sgd(scaled, train, fused)]
        if self.matrices:
            options = {"momentum": train.momentum, "nesterov": train.nesterov, "weight_decay": train.weight_decay}
            self.optimizers.append(torch.optim.Muon(self.matrices, lr=train.lr, **options))

    @property
    def param_groups(self) -> list[dict]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @property
    def state(self) -> dict[Tensor, Any]:
        return {key: slots for optimizer in self.optimizers for key, slots in optimizer.state.items()}

    def zero_grad(self) -> None:
        for parameter in self.tensors:
            parameter.grad = None
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        for tensor, matrix in zip(self.tensors, self.matrices, strict=True):
            matrix.grad = None if tensor.grad is None else _matrix(tensor.grad, like=tensor)
        # Of a tensor whose rows do not lie one after the other in memory the matrix is a copy.
        pairs = zip(self.tensors, self.matrices, strict=True)
        copies = [(tensor, matrix) for tensor, matrix in pairs if tensor.data_ptr() != matrix.data_ptr()]
        for tensor, matrix in copies:
            matrix.detach().copy_(_matrix(tensor.detach()))
        for optimizer in self.optimizers:
            optimizer.step()
        for tensor, matrix in copies:
            tensor.detach().copy_(matrix.detach().view_as(tensor))

    def state_dict(self) -> dict[str, Any]:
        """The state of both by one running number of parameters, as that of one optimizer."""
        state, first = {}, 0
        for optimizer in self.optimizers:
            own = optimizer.state_dict()
            state |= {first + index: slots for index, slots in own["state"].items()}
            first += sum(len(group["params"]) for group in own["param_groups"])
        return {"state": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        first = 0
        for optimizer in self.optimizers:
            own = optimizer.state_dict()
            count = sum(len(group["params"]) for group in own["param_groups"])
            mine = {index - first: slots for index, slots in state["state"].items() if first <= index < first + count}
            optimizer.load_state_dict({**own, "state": mine})
            first += count


def _matrix(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """A row an output; of a convolution in channels-last a view as well. like: whose order of columns it takes."""
    ordered = tensor if like is None else like
    last = (
        ordered.ndim == 4 and not ordered.is_contiguous() and ordered.is_contiguous(memory_format=torch.channels_last)
    )
    return (tensor.permute(0, 2, 3, 1) if last else tensor).flatten(1)
