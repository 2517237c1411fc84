"""A network of the user's own, named by where Python finds what builds it: `package.module:build`.

DVC does not see that file by itself: list it in dvc.yaml among the `deps` of the stages that train and read networks.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hidden_structure.frame.errors import InputError
from hidden_structure.networks.features import LOGITS, PENULTIMATE, activations, evaluation_mode

OTHERWISE = (
    "if it takes other arguments than the images' shape and the number of classes, give all of them by network.options"
)


def build(
    name: str, image_shape: tuple[int, int, int], classes: int, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """What `package.module:build` makes of (image_shape, classes, **options): (B, channels, H, W) -> (B, classes).

    image_shape: (H, W, channels). What does not take these two, as many a class of networks, is called with the options
    alone. The module may lie in the repository's root or be installed. It may use torch's
    global generator alone for its initial weights.

    Raises InputError, in one line, if it cannot be imported or called, or gives no nn.Module that ends in a linear
    layer with as many outputs as there are classes: one image is run through it to see.
    """
    where, function, options = f"network.name: {name}", _find(name), options or {}
    given = (image_shape, classes) if _takes(function, (image_shape, classes), options) else ()
    try:
        network = function(*given, **options)
    except (Exception, SystemExit) as error:  # the user's code fails in its own way
        called = ", ".join([*map(str, given), *(f"{key}={value!r}" for key, value in options.items())])
        mend = f": {OTHERWISE}" if isinstance(error, TypeError) else ""
        raise InputError(f"{where} fails when called with ({called:.200}): {_told(error)}{mend}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{where} gives {type(network).__name__}: it must return a torch.nn.Module")
    height, width, channels = image_shape
    try:
        with torch.no_grad(), evaluation_mode(network):
            found = activations(network, torch.zeros(2, channels, height, width), [LOGITS, PENULTIMATE])[LOGITS]
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{where} gives a network that cannot take {height} x {width} images: {_told(error)}"
        ) from error
    if found.shape != (2, classes):
        raise InputError(
            f"{where} gives outputs {tuple(found.shape)} for 2 images: it must give {classes} numbers an image"
        )
    return network


def _find(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    try:
        with _root_importable():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if module_name.endswith(".py"):
            module = module_name.removesuffix(".py")
            raise InputError(f"network.name: {name} is of a file: write {module}:{attribute}, as for import") from error
        missing = f"there is no module {error.name}"
        raise InputError(
            f"network.name: {name}: {missing}: put it into the repository's root, or install it"
        ) from error
    except SystemExit as error:
        guard = 'guard what it runs by `if __name__ == "__main__":`'
        raise InputError(f"network.name: {name}: importing {module_name} ends the program: {guard}") from error
    except Exception as error:
        raise InputError(f"network.name: {name}: importing {module_name} fails: {_told(error)}") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        reason = "has no such name" if found is None else f"is {type(found).__name__}, not a function or a class"
        raise InputError(f"network.name: {name}: {module_name if found is None else attribute} {reason}")
    return found


def _takes(function: Callable[..., Any], given: tuple, options: Mapping[str, Any]) -> bool:
    """False if the options alone are what it takes."""
    try:
        signature = inspect.signature(function)
        signature.bind(**options)
    except (TypeError, ValueError):  # it wants more, or does not say what
        return True
    try:
        signature.bind(*given, **options)
    except TypeError:
        return False
    return True


@contextmanager
def _root_importable() -> Iterator[None]:
    """Stages are scripts in a folder of their own, where Python looks instead of where they are started."""
    root = str(Path.cwd())
    sys.path.append(root)
    try:
        yield
    finally:
        sys.path.remove(root)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
