"""Everything about params.yaml that only the data can tell, asked before anything is trained.

Each question is put to the function that would refuse later, so that no rule stands in two places; here its answer gets
the full path of the key, for a rule holds for several sections.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from hidden_structure.connectivity.spawning import cells, check_partings
from hidden_structure.datasets.labels import Merge, merge, tables
from hidden_structure.distillation.methods import check_room, check_samples
from hidden_structure.finetuning.classes import samples_of, tasks_of
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError, about, by_key
from hidden_structure.frame.given import Inspect
from hidden_structure.frame.spawn import replaced
from hidden_structure.merges import imbalance
from hidden_structure.merges.price import affordable, as_many_steps
from hidden_structure.merges.split import draw
from hidden_structure.networks import checkpoints
from hidden_structure.networks.build import initialise
from hidden_structure.networks.features import PENULTIMATE, extract
from hidden_structure.permutation.symmetry import derive
from hidden_structure.recovery.clustering import TSNE_SAMPLES
from hidden_structure.rehearsal import READ, rehearse, rehearse_matching, rehearse_reading, rehearse_style
from hidden_structure.seeding import numpy_generator
from hidden_structure.training.device import pick_device
from hidden_structure.training.inputs import built_for
from hidden_structure.training.loop import check_batch, check_sizes, snapshot_epochs
from hidden_structure.unconstrained.model import LOSSES, Problem, closed_form

SIZES = frozenset({"batch_size", "crop", "epochs", "averaging", "averaging_every"})  # of a recipe, asked by check_sizes
FEW = 5  # images, of which an axis that holds something else is hardly as long

COARSER = "if it tells fewer apart, write inspect.labels: coarse and merge them"
MATCH_NONE = "write an empty list of methods"  # compare says it by its option


def problems(study: params.Study, data: Mapping[str, np.ndarray]) -> list[str]:
    """What is impossible with these data, one line a problem, each with the full path of its key.

    data: the arrays as prepare-data writes them.
    """
    told: list[str] = []
    _ask(told, pick_device, study.hardware)
    if study.tasks.address and find_spec("ray") is None:
        told.append("tasks.address: needs Ray: pip install 'hidden-structure[ray]', or set it to null")
    _own_networks(told, study, data)
    _other_labels(told, study, data)
    if study.distill:
        _distillation(told, study, study.distill, data)
    if study.inspect:
        _inspection(told, study, study.inspect, data)
    if study.spawn:
        _connectivity(told, study, data)
    if study.unconstrained:
        _free_features(told, study.unconstrained)
    _ask(told, rehearse_style, study.report.style)
    return list(dict.fromkeys(told))


def _ask(told: list[str], function: Callable[..., Any], *arguments: Any, rename: tuple[str, str] = ("", "")) -> Any:
    """What the function answers; None if it raises InputError, and then its message is told.

    rename: ("merge", "distill.merge") makes distill.merge.classes of merge.classes in it.
    """
    name, key = rename
    try:
        return function(*arguments)
    except InputError as error:
        told.append(re.sub(rf"(?<![\w.]){name}\.", f"{key}.", str(error)) if name else str(error))
        return None


def _own_networks(told: list[str], study: params.Study, data: Mapping[str, np.ndarray]) -> None:
    names, shape = data["class_names"].tolist(), data["train_images"].shape
    merged = _ask(told, merge, study.merge, names, tables(data))
    network = _ask(told, _runnable, study.network, shape[1:], len(names))
    if study.train:
        _ask(told, check_sizes, study.train, shape, 1, "train")
        if network:
            _ask(told, check_batch, study.train, network, shape, 1, "train")
            _ask(told, _run, network, shape[1:], study.features.layers)
        if merged:
            _clusterable(told, study.cluster.reducers, merged, data["train_labels"], "merge")


def _other_labels(told: list[str], study: params.Study, data: Mapping[str, np.ndarray]) -> None:
    names, labels = data["class_names"].tolist(), data["train_labels"]
    if study.memorised:
        _recipe(told, study, study.memorised.train, "memorised.train", data)
    if study.merges:
        _recipe(told, study, study.merges.train, "merges.train", data)
        for index, kind in enumerate(study.merges.kinds):
            key = f"merges.kinds.{index}"
            if merged := _ask(told, merge, kind, names, tables(data), rename=("merge", key)):
                _clusterable(told, study.cluster.reducers[:1], merged, labels, key)
                if study.merges.priced and study.merges.train.batch_size <= len(labels):
                    bought = study.merges.train, len(labels), affordable(labels, merged.coarse_of), "merges.train"
                    _ask(told, as_many_steps, *bought)
    if study.split:
        _recipe(told, study, study.split.train, "split.train", data)
        _ask(told, draw, labels, len(names), study.split.classes, study.split.parts, numpy_generator("check"))
    if study.sweep:
        _recipe(told, study, study.sweep.train, "sweep.train", data)
    if study.imbalance:
        _imbalance(told, study, study.imbalance, data)
    if study.finetune:
        _finetuned(told, study, study.finetune, data)


def _imbalance(
    told: list[str], study: params.Study, settings: params.Imbalance, data: Mapping[str, np.ndarray]
) -> None:
    labels, shape = data["train_labels"], data["train_images"].shape
    _recipe(told, study, settings.train, "imbalance.train", data)
    if majority := _ask(told, imbalance.majority_of, settings, len(data["class_names"])):
        own = labels, majority, max(settings.ratios), settings.least, numpy_generator("check")
        kept = _ask(told, imbalance.draw, *own)
        if kept is not None and settings.train.batch_size <= len(labels):
            _ask(told, check_sizes, settings.train, (len(kept), *shape[1:]), 1, "imbalance.train")


def _finetuned(told: list[str], study: params.Study, settings: params.Finetune, data: Mapping[str, np.ndarray]) -> None:
    labels, shape = data["train_labels"], data["train_images"].shape
    kept = snapshot_epochs(study.train.epochs, study.train.snapshots)[1:]
    if settings.epoch is not None and settings.epoch not in kept:
        told.append(
            f"finetune.epoch: train.snapshots keeps no weights after {settings.epoch} epochs: give one of {kept}"
        )
    if _ask([], _runnable, study.network, shape[1:], len(data["class_names"])):  # else that is told already
        _ask(told, _rehearsed, "finetune, network", study.network, shape[1:], len(data["class_names"]), False)
    tasks = _ask(told, tasks_of, settings, data["class_names"].tolist()) or {}
    recipes = {"finetune.train": settings.train, "finetune.from_scratch": settings.from_scratch}
    for key, recipe in recipes.items():
        _recipe(told, study, recipe, key, data)
        if recipe.batch_size <= len(labels):
            fewest = min((len(samples_of(labels, classes)) for classes in tasks.values()), default=len(labels))
            _ask(told, check_sizes, recipe, (fewest, *shape[1:]), 1, key)


def _runnable(network: params.Network, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """The network, which has put out logits and penultimate features of images of that shape."""
    made = initialise(network, image_shape, classes, "check")
    _run(made, image_shape, [PENULTIMATE])
    again = initialise(network, image_shape, classes, "check again")
    rehearse_reading(network, made, again, image_shape)
    return made


def _run(network: nn.Module, image_shape: tuple[int, ...], layers: Sequence[str]) -> None:
    height, width, channels = image_shape
    extract(network, [torch.zeros(FEW, channels, height, width)], layers, FEW)


def _recipe(
    told: list[str], study: params.Study, train: params.Train, key: str, data: Mapping[str, np.ndarray]
) -> None:
    """Nothing is told of what the study's own recipe asks as well."""
    shape = data["train_images"].shape
    if study.train is None or any(getattr(train, name) != getattr(study.train, name) for name in SIZES):
        _ask(told, check_sizes, train, shape, 1, key)
        if network := _ask(
            [], _runnable, study.network, shape[1:], len(data["class_names"])
        ):  # else that is told already
            _ask(told, check_batch, train, network, shape, 1, key)


def _clusterable(told: list[str], reducers: Sequence[str], merged: Merge, labels: np.ndarray, key: str) -> None:
    counts, classes = np.bincount(merged.coarse_of[labels]), np.bincount(merged.coarse_of)
    for name, samples, clusters in zip(merged.coarse_names, counts, classes, strict=True):
        if samples < clusters:
            told.append(f"{key}: {name} merges {clusters} classes of {samples} training samples: merge fewer")
        elif "tsne" in reducers and samples < TSNE_SAMPLES:
            told.append(
                f"cluster.reducers: tsne needs {TSNE_SAMPLES} training samples, {name} of {key} has {samples}: drop it"
            )


def _distillation(
    told: list[str], study: params.Study, settings: params.Distill, data: Mapping[str, np.ndarray]
) -> None:
    names, labels, shape = data["class_names"].tolist(), data["train_labels"], data["train_images"].shape
    kept = len(labels) - settings.held_out(len(labels))
    _ask(told, check_sizes, settings.train, (kept, *shape[1:]), 1, "distill.train")
    if study.train and study.train.batch_size <= len(labels):  # else that is told already
        _ask(told, check_sizes, study.train, (kept, *shape[1:]), 1, "train")
    merged = _ask(told, merge, settings.merge, names, tables(data), rename=("merge", "distill.merge"))
    if merged is None:
        return
    classes = len(merged.coarse_names)
    student = _ask(told, _runnable, settings.network, shape[1:], classes, rename=("network", "distill.network"))
    if student:
        _ask(told, check_batch, settings.train, student, shape, 1, "distill.train")
    if teacher := _ask(told, _runnable, study.network, shape[1:], classes):
        _ask(told, by_key("null_space", "distill.lelp.null_space")(check_room), settings, teacher)
    _ask(told, check_samples, settings, merged.coarse_of[labels])


def _inspection(told: list[str], study: params.Study, settings: Inspect, data: Mapping[str, np.ndarray]) -> None:
    names, shape, classes = data["class_names"].tolist(), data["train_images"].shape, len(data["class_names"])
    if settings.labels == "coarse":
        merged = _ask([], merge, study.merge, names, tables(data))  # what is wrong with it is told already
        if merged is None:
            return
        classes = len(merged.coarse_names)
        _clusterable(told, study.cluster.reducers[:1], merged, data["train_labels"], "merge")
    elif "tsne" in study.cluster.reducers[:1] and (fewest := np.bincount(data["train_labels"]).min()) < TSNE_SAMPLES:
        told.append(
            f"cluster.reducers: tsne needs {TSNE_SAMPLES} training samples of each class, one has {fewest}: drop it"
        )
    built = built_for(shape[1:], classes) + ("" if settings.labels == "coarse" else f"; {COARSER}")
    if network := _ask(told, _runnable, study.network, shape[1:], classes):
        for file in settings.checkpoints:
            _ask(told, _fits, "inspect.checkpoints", file, network, built)


def _connectivity(told: list[str], study: params.Study, data: Mapping[str, np.ndarray]) -> None:
    shape, classes = data["train_images"].shape, len(data["class_names"])
    if not study.spawn.checkpoints:
        _recipe(told, study, study.spawn.train, "spawn.train", data)
        for name in ("recipes", "children"):
            for index, changed in enumerate(getattr(study.spawn, name)):
                if changed.keys() & SIZES:
                    _recipe(told, study, replaced(study.spawn.train, changed), f"spawn.{name}.{index}", data)
    every = _ask(told, cells, study) or ()
    if every and not study.spawn.checkpoints:
        _ask(told, check_partings, study, shape[0])
    for cell in {cell.width: cell for cell in every if not cell.recipe}.values():
        network = _ask(told, _runnable, cell.network, shape[1:], classes, rename=("network", "spawn.network"))
        if network and cell.width == 1:
            _comparable(told, study, cell.network, shape, classes)
        for file in study.spawn.checkpoints if network else ():
            _ask(told, _fits, "spawn.checkpoints", file, network, built_for(shape[1:], classes))
    batch, matched = study.permute.ste.batch_size, min(study.permute.samples, shape[0])
    if "ste" in study.permute.methods and batch > matched:
        told.append(f"permute.ste.batch_size: {batch} is more than the {matched} images: lower it")
    told += [
        f"{name}.repair_samples: a single image has no variance: raise it"
        for name in ("interpolate", "linearity")
        if getattr(study, name).repair_samples == 1
    ]


def _comparable(
    told: list[str], study: params.Study, network: params.Network, shape: tuple[int, ...], classes: int
) -> None:
    """shape: (N, H, W, channels)."""
    before = len(told)
    _ask(told, _rehearsed, "spawn.network", network, shape[1:], classes, True)
    if len(told) > before:  # what cannot be traced is not matched either
        return
    if study.permute.methods:
        read = [method for method in study.permute.methods if method in READ]
        _ask(told, _matchable, "permute.methods", MATCH_NONE, network, shape, classes, read)
    elif study.average:
        _ask(told, _matchable, "average", "set it to null", network, shape, classes, [])


def _rehearsed(key: str, network: params.Network, image_shape: tuple[int, ...], classes: int, rescaled: bool) -> None:
    with about(f"{key}: features cannot be followed along lines"):
        rehearse(network, image_shape, classes, rescaled)


def _fits(key: str, file: str, network: nn.Module, built: str) -> None:
    with about(key):
        checkpoints.read(file, network, built)


def _matchable(
    key: str, mend: str, network: params.Network, shape: tuple[int, ...], classes: int, read: Sequence[str]
) -> None:
    """read: methods of matching that read activations."""
    made = initialise(network, shape[1:], classes, "check")
    with about(f"{key}: the units of spawn.network cannot be matched, so {mend}"):
        symmetry = derive(made, torch.zeros(2, shape[3], *shape[1:3]))
    if read:
        with about(f"{key}: leave {' and '.join(read)} out"):
            rehearse_matching(network, shape[1:], classes, symmetry)


def _free_features(told: list[str], settings: params.Unconstrained) -> None:
    decays = settings.weight_decay, settings.feature_decay, settings.bias_decay
    for loss in LOSSES:
        for bias in (False, True):
            problem = Problem((settings.per_class,) * settings.classes, settings.dimension, loss, bias, *decays)
            optimum = _ask(told, by_key("dimension", "unconstrained.dimension")(closed_form), problem)
            if optimum and optimum.cosine is None:
                told.append(
                    f"unconstrained.weight_decay: {settings.classes} classes of {settings.per_class} samples end at"
                    " zero, where no angle is: lower it or feature_decay"
                )
