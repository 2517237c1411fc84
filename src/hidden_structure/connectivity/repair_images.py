"""The training images that repaired statistics come from."""

from dataclasses import replace

import torch

from hidden_structure.frame.params import Train
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import Images, augmented


def repair_images(recipe: Train, train: Images, samples: int | None) -> Images:
    """So many of them, or all, augmented as in training, borders included."""
    chosen = torch.randperm(len(train.pixels), generator=torch_generator("interpolate"))
    chosen = chosen[:samples].to(train.pixels.device)
    chosen_images = replace(train, pixels=train.pixels[chosen])
    return augmented(chosen_images, torch_generator("repair"), recipe.crop, recipe.flip, recipe.padding)
