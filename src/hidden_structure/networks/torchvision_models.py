"""torchvision's classification models, newly initialised, as `torchvision:<name>`."""

import difflib
from collections import OrderedDict

import torch
import torchvision
from torch import Tensor, nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import PENULTIMATE, activations, evaluation_mode


class RepeatChannel(nn.Module):
    """Grey images (B, 1, H, W) as the three equal channels that the models expect."""

    def forward(self, images: Tensor) -> Tensor:
        return images.expand(-1, 3, -1, -1)


def build(name: str, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """torchvision's model of that name, with its own initialisation: (B, channels, H, W) -> (B, classes).

    image_shape: (H, W, channels), with 1 or 3 channels. For one channel the model lies behind a RepeatChannel and its
    layers' names begin with "model.". Auxiliary classifiers are left out, since the loss is of one output.

    Raises InputError if torchvision has no such model, or the model cannot take images of this shape or does not end
    in a linear layer: one image is run through it to see.
    """
    height, width, channels = image_shape
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names[:5])}, ..."
        raise InputError(f"network.name: torchvision has no classification model {name!r}: {hint}")
    if channels not in (1, 3):
        raise InputError(f"network.name: torchvision:{name} takes images of 1 or 3 channels, these have {channels}")
    try:
        network = torchvision.models.get_model(name, weights=None, num_classes=classes, **_options(name, height, width))
        with torch.no_grad(), evaluation_mode(network):
            activations(network, torch.zeros(1, 3, height, width), [PENULTIMATE])
    except InputError:
        raise
    except Exception as error:  # each model fails in its own way on images that it cannot take
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"network.name: torchvision:{name} cannot take {height} x {width} images ({reason:.120}): "
            "choose another network or resize the images"
        ) from error
    return network if channels == 3 else nn.Sequential(OrderedDict(repeat=RepeatChannel(), model=network))


def _options(name: str, height: int, width: int) -> dict:
    """What a model must be told besides the number of classes."""
    if name.startswith("vit_"):
        return {"image_size": height}
    if name.startswith("maxvit_"):
        return {"input_size": (height, width)}
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}
    return {}
