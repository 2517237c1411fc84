"""SGD and Adam without PyTorch's optimizer objects: the same bits, and no compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from hidden_structure.training import updates

SETTINGS = {
    "sgd": {},
    "sgd, momentum": {"momentum": 0.9},
    "sgd, nesterov, decay": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "adam": {},
    "adam, decay": {"weight_decay": 0.1, "first": 0.8},
}


def pair(name: str, groups: list[dict], copied: list[dict], fused: bool):
    """An optimizer of ours, and PyTorch's of the same settings."""
    options = {"momentum": 0.0, "nesterov": False} if name.startswith("sgd") else {}
    own = {"lr": 0.1, "weight_decay": 0.0, "fused": fused} | options | SETTINGS[name]
    theirs = dict(own)
    if "first" in theirs:
        theirs["betas"] = theirs.pop("first"), 0.999
    if name.startswith("sgd"):
        return updates.sgd(groups, **own), torch.optim.SGD(copied, **theirs)
    return updates.adam(groups, **own), torch.optim.Adam(copied, **theirs)


def networks() -> list[nn.Module]:
    drawn = [nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)) for _ in range(2)]
    drawn[1].load_state_dict(drawn[0].state_dict())
    return drawn


def grouped(network: nn.Module) -> list[dict]:
    first, last = network[0], network[2]
    return [
        {"params": list(first.parameters()), "weight_decay": 0.3},
        {"params": list(last.parameters()), "scale": 2.0},
    ]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_step_is_pytorchs_bit_for_bit_and_so_is_what_is_kept(name, fused):
    both = networks()
    optimizers = pair(name, *map(grouped, both), fused)
    for step in range(4):
        inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(step))
        for network, optimizer in zip(both, optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (1 + step)
            optimizer.zero_grad()
            network(inputs).square().sum().backward()
            network[2].bias.grad = None  # what has no gradient stays
            optimizer.step()
        assert all(torch.equal(*each) for each in zip(*(one.parameters() for one in both), strict=True))
    own, theirs = (optimizer.state_dict()["state"] for optimizer in optimizers)
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[one][slot], theirs[one][slot]) for one in own for slot in own[one])
    assert all(own[one].keys() >= {slot for slot, kept in theirs[one].items() if kept is not None} for one in own)


@pytest.mark.parametrize("name", ["sgd, momentum", "adam"])
def test_an_optimizer_that_takes_up_a_state_goes_on_as_the_other(name):
    both = networks()
    first, second = (pair(name, grouped(network), grouped(network), False)[0] for network in both)
    for step in range(4):
        if step == 2:
            both[1].load_state_dict(both[0].state_dict())
            second.load_state_dict(first.state_dict())
        for network, optimizer in zip(both, (first, second), strict=True):
            if optimizer is first or step >= 2:
                optimizer.zero_grad()
                network(torch.ones(2, 5)).square().sum().backward()
                optimizer.step()
    assert all(torch.equal(*each) for each in zip(*(one.parameters() for one in both), strict=True))


def test_a_step_imports_no_compiler():
    code = (
        "import sys, torch; from hidden_structure.training import updates\n"
        "weight = torch.ones(2, requires_grad=True)\n"
        "for optimizer in (updates.sgd([{'params': [weight]}], 0.1, 0.0, 0.9, False, True), "
        "updates.adam([{'params': [weight]}], 0.1, fused=True)):\n"
        "    optimizer.zero_grad(); weight.sum().backward(); optimizer.step()\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("fused", [False, True])
def test_a_parameter_may_get_its_first_gradient_after_others(fused):
    """As those of a branch do that is left out at random; its momentum then begins as PyTorch's does."""
    both = networks()
    theirs = torch.optim.SGD(both[1].parameters(), lr=0.1, momentum=0.9)  # whose fused form fails here
    optimizers = updates.sgd([{"params": list(both[0].parameters())}], 0.1, 0.0, 0.9, False, fused), theirs
    for step in range(4):
        inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(step))
        for network, optimizer in zip(both, optimizers, strict=True):
            optimizer.zero_grad()
            network(inputs).square().sum().backward()
            if step < 2:
                network[2].weight.grad = None
            optimizer.step()
    for ours, theirs in zip(both[0].parameters(), both[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
