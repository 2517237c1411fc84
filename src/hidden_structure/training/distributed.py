"""Data-parallel training under torchrun or `accelerate launch`: both set the same environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hidden_structure.frame.errors import InputError


@contextmanager
def process_group(device: torch.device) -> Iterator[tuple[int, int]]:
    """Join the launcher's processes, if there are any; gives (rank, processes)."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def share() -> tuple[int, int]:
    """This process's rank, and how many processes train together: (0, 1) where there is but one."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, or its wrapper that averages gradients over the processes.

    On GPUs BatchNorm takes the statistics of the global batch; PyTorch has no such BatchNorm for CPUs, where each
    process normalises by its own share.
    """
    if not dist.is_initialized():
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return nn.parallel.DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)


def check_same(value: int, what: str) -> None:
    """Raises InputError, in every process, if the value differs between them."""
    if dist.is_initialized():
        values: list[int] = [0] * dist.get_world_size()
        dist.all_gather_object(values, value)
        if len(set(values)) > 1:
            raise InputError(f"the processes have different {what} (found {values})")


def average(values: Tensor) -> Tensor:
    """The mean of values over the processes."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values
