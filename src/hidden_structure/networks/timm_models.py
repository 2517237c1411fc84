"""timm's image models, newly initialised, as `timm:<name>`; its weights are never fetched."""

import difflib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import PENULTIMATE, activations, evaluation_mode


def build(name: str, image_shape: tuple[int, int, int], classes: int, options: Mapping[str, Any]) -> nn.Module:
    """timm's model of that name, with its own initialisation: (B, channels, H, W) -> (B, classes).

    image_shape: (H, W, channels). options: further arguments of timm.create_model. A model for images of one size is
    built for the size of these, unless options say `img_size`.

    Raises InputError if timm is not installed or has no such model, or the model cannot take images of this shape or
    does not end in a linear layer: one image is run through it to see.
    """
    try:
        import timm
    except ImportError as error:
        raise InputError(f"network.name: timm:{name} needs timm: pip install 'hidden-structure[timm]'") from error
    height, width, channels = image_shape
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() lists them"
        raise InputError(f"network.name: timm has no model {name!r}: {hint}")
    if fixed := {"pretrained", "num_classes", "in_chans"} & options.keys():
        raise InputError(f"network.options: timm:{name} gets {min(fixed)} from the study: leave it out")
    known = timm.models.get_pretrained_cfg(name)
    sized = {"img_size": (height, width)} if known is not None and known.fixed_input_size else {}
    given = {"num_classes": classes, "in_chans": channels} | sized | dict(options)
    try:
        network = timm.create_model(name, pretrained=False, **given)
        with torch.no_grad(), evaluation_mode(network):
            activations(network, torch.zeros(1, channels, height, width), [PENULTIMATE])
    except InputError:
        raise
    except Exception as error:  # each model fails in its own way on images or options that it cannot take
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"network.name: timm:{name} cannot take {height} x {width} images or network.options ({reason:.120}): "
            "choose another network or other options, or resize the images"
        ) from error
    return network
