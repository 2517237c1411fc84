"""Layers that whiten their inputs (`networks.speedrun`) see some training images before anything is trained."""

import torch
from torch import nn

from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import Images

SEEN = 5000  # images whose patches the first layer whitens; as Jordan 2024


def whiten(network: nn.Module, images: Images) -> None:
    """Let such layers of the network, if it has any, see some of the images: the same in every network."""
    for module in network.modules():
        if hasattr(module, "whiten"):
            chosen = torch.randperm(len(images.pixels), generator=torch_generator("whitening"))[:SEEN]
            module.whiten(images.normalise(images.pixels[chosen.to(images.pixels.device)]))
