"""The network that params.yaml describes."""

from torch import nn

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks import imported, resnet, speedrun, vgg
from hidden_structure.networks.mlp import MLP
from hidden_structure.seeding import Name, global_seed

SHAPE_KEYS = ("depth", "width", "norm")


def build(network: params.Network, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A newly initialised network that maps float images (B, channels, H, W) to logits (B, classes).

    image_shape: (H, W, channels). All draws come from torch's global generator: where they matter, use `initialise`.

    Raises InputError, naming the key of params.yaml, where depth, width or norm is missing, meaningless or impossible.
    """
    height, width, channels = image_shape
    library, _, model = network.name.partition(":")
    fixed = library == "torchvision" or (not model and library != "speedrun")
    if network.options and fixed:
        raise InputError(f"network.options: {network.name} takes none: write {{}}, got {sorted(network.options)}")
    if ":" in network.name:
        for key in SHAPE_KEYS:
            if getattr(network, key) is not None:
                raise InputError(f"network.{key}: {network.name} fixes it, so write null, got {getattr(network, key)}")
        if library == "timm":
            from hidden_structure.networks import timm_models

            return timm_models.build(model, image_shape, classes, network.options)
        if library != "torchvision":
            return imported.build(network.name, image_shape, classes, network.options)
        from hidden_structure.networks import torchvision_models  # imports torchvision, which takes a second

        return torchvision_models.build(model, image_shape, classes)

    if network.name == "speedrun":
        return _speedrun(network, image_shape, classes)

    for key in SHAPE_KEYS:
        if getattr(network, key) is None:
            raise InputError(f"network.{key}: {network.name} needs it, so it must not be null" + _hint(key))
    depth, norm = network.depth, network.norm
    if network.name == "mlp":
        if norm == "group":
            raise InputError("network.norm: units of mlp form no groups: write batch, layer or none, got group")
        return MLP(height * width * channels, classes, depth, network.width, norm)
    if network.name == "resnet":
        if depth < 8 or depth % 6 != 2:
            raise InputError(f"network.depth: resnet has {resnet.DEPTHS} layers, got {depth}")
        return resnet.ResNet(channels, classes, depth, network.width, norm)
    if depth not in vgg.CONVOLUTIONS:
        raise InputError(f"network.depth: vgg has {', '.join(map(str, vgg.CONVOLUTIONS))} layers, got {depth}")
    return vgg.VGG(channels, min(height, width), classes, depth, network.width, norm)


def initialise(network: params.Network, image_shape: tuple[int, int, int], classes: int, seed: Name) -> nn.Module:
    """The same, with initial weights that depend on the seed alone."""
    with global_seed("initialisation", seed):
        return build(network, image_shape, classes)


def _speedrun(network: params.Network, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    if network.depth is not None:
        raise InputError(f"network.depth: speedrun has seven layers, so write null, got {network.depth}")
    for key in ("width", "norm"):
        if getattr(network, key) is None:
            raise InputError(f"network.{key}: speedrun needs it, so it must not be null" + _hint(key))
    if min(image_shape[:2]) < speedrun.SMALLEST:
        raise InputError(f"network.name: speedrun needs images of {speedrun.SMALLEST} pixels or more a side")
    activation = network.options.get("activation", "relu")
    if network.options.keys() - {"activation"} or activation not in speedrun.ACTIVATIONS:
        raise InputError(
            f"network.options: speedrun takes activation, {' or '.join(speedrun.ACTIVATIONS)}, got {network.options}"
        )
    return speedrun.Speedrun(image_shape[2], classes, network.width, network.norm, activation)


def _hint(key: str) -> str:
    return " (none stands for no norm)" if key == "norm" else ""
