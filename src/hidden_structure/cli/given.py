"""Networks that a user has trained elsewhere: compared with one another, from files and a folder of images alone."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hidden_structure.checks import COARSER, MATCH_NONE
from hidden_structure.cli import duration, pipeline
from hidden_structure.datasets.folder import groups_in
from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.locking import alone
from hidden_structure.frame.params import Study
from hidden_structure.frame.values import FAMILIES
from hidden_structure.networks.checkpoints import refuse_missing

SOURCES = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100")
STATISTICS = {  # of pixels in 0..1; one number is for all channels
    "data": None,  # the training images' own
    "none": ([0.0], [1.0]),
    "half": ([0.5], [0.5]),  # to -1..1
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}
LOCK = "given-networks"
SHAPE = ("depth", "width", "norm")  # of the families of networks/
OPTIONS = {
    "spawn.checkpoints": "checkpoints",
    **{f"{of}network.name": "--network" for of in ("", "spawn.")},
    **{f"{of}network.options": "--options" for of in ("", "spawn.")},
    **{f"{of}network.{key}": f"--options, {key}" for of in ("", "spawn.") for key in SHAPE},
    "spawn.network": "--network",
    "inspect.checkpoints": "checkpoints",
    "merge.groups": "--fine",
    "data.folder": "--data",
    "data.size": "--size",
    "data.normalise.mean": "--mean",
    "data.normalise.std": "--std",
    "data.normalise": "--mean and --std",
    "hardware.device": "--device",
    "permute.methods": "--methods",
    "cluster.reducers": "--reducer",
    "permute.ste.batch_size": "--samples",
    **dict.fromkeys(
        ("permute.samples", "interpolate.train_samples", "interpolate.test_samples", "spawn.train_samples"), "--samples"
    ),
    **{f"{of}.repair_samples": "--repair-samples" for of in ("interpolate", "linearity")},
    "linearity.samples": "--feature-samples",
    MATCH_NONE: "--methods none",
    COARSER: "if it tells fewer apart, say by --fine which of these each is made of",
    "interpolate.permuted_points": "--points",
    "interpolate.plane_points": "--plane",
    "the repository's root": "the folder that you are in",  # where modules of networks lie
}
WRITTEN = {"params.yaml", "artifacts", *pipeline.REPORT}  # in the folder of a report
FIRST = {paths.DOWNLOADS.name, paths.lock(LOCK).name}  # in artifacts/ before there is a params.yaml


def compare(asked: argparse.Namespace) -> str:
    """Compare every two of the networks, and write the report; where it is.

    Raises InputError, before anything takes long, if what is asked for cannot be.
    """
    if len(asked.checkpoints) < 2:
        raise InputError(f"one checkpoint, {asked.checkpoints[0]}, makes no pair: give two or more")
    if "none" in asked.methods and asked.methods != ["none"]:
        raise InputError(f"--methods {' '.join(asked.methods)}: none stands alone: leave it out, or all others")
    if asked.plane is not None and asked.methods == ["none"]:
        raise InputError(
            f"--plane {asked.plane}: one of its corners is a network matched: leave it out, or --methods none"
        )
    recipe, repair = {"crop": 0, "flip": False, "weight_decay": 0.0}, {"repair_samples": asked.repair_samples}
    study = _study(asked) | {
        "spawn": {"checkpoints": _files(asked.checkpoints), "train": recipe, "train_samples": asked.samples},
        "permute": {
            "methods": [] if asked.methods == ["none"] else asked.methods,
            "samples": asked.samples,
            "ste": {"batch_size": min(128, asked.samples)},
        },
        "interpolate": {
            **repair,
            "permuted_points": asked.points,
            "train_samples": asked.samples,
            "test_samples": asked.samples,
            "plane_points": asked.plane,
        },
        "linearity": {"samples": asked.feature_samples, **repair},
    }
    study["hardware"]["precision"] = asked.precision
    if len(asked.checkpoints) > 2 and study["permute"]["methods"]:
        study["average"] = {"counts": [len(asked.checkpoints)]}
    return _run(asked, study, duration.of_comparison)


def inspect(asked: argparse.Namespace) -> str:
    """Look into each network, and write the report; where it is.

    Raises InputError, before anything takes long, if what is asked for cannot be.
    """
    study = _study(asked) | {
        "inspect": {"checkpoints": _files(asked.checkpoints), "labels": "coarse" if asked.fine else "fine"},
        "cluster": {"reducers": [asked.reducer]},
    }
    if asked.fine:
        study["merge"] = {"method": "groups", "groups": groups_in(asked.fine, "--fine")}
    return _run(asked, study)


def _study(asked: argparse.Namespace) -> dict[str, Any]:
    """What both commands have in common, as a short study without networks of its own."""
    named = re.sub(r"[^a-z0-9]+", "-", asked.out.resolve().name.lower()).strip("-")[:64]
    data: dict[str, Any] = {"source": asked.data if asked.data in SOURCES else "folder", "normalise": _normalise(asked)}
    if data["source"] == "folder":
        if not asked.data:
            raise InputError(f"--data is empty: name a folder, or one of {', '.join(SOURCES)}")
        folder = Path(os.path.expanduser(asked.data)).resolve()  # Path.expanduser fails where there is no such home
        if not folder.is_dir():
            raise InputError(f"--data {asked.data} is not a folder, nor any of {', '.join(SOURCES)}: correct it")
        if asked.out.resolve().is_relative_to(folder):
            raise InputError(f"--out {asked.out} lies in the folder of --data: name one elsewhere")
        data |= {"folder": str(folder), "size": asked.size}
    elif asked.size is not None:
        raise InputError(
            f"--size {asked.size}: images of {asked.data} stay as they are: leave it out, or give a folder as --data"
        )
    return {
        "study": named or "networks",
        "seeds": [0],
        "hardware": {"precision": "float32", "device": asked.device},
        "data": data,
        "merge": {"method": "modulo", "classes": 2},  # which nothing asks for: no network is trained on labels of it
        "network": _network(asked.network, asked.options),
        "train": None,
    }


def _run(asked: argparse.Namespace, study: Mapping[str, Any], expected: Callable[[Study], str] | None = None) -> str:
    """expected: tells how long all may take, once it is known to be possible."""
    pipeline.refuse_without_extra()
    _refuse_others(asked.out)
    options = OPTIONS | _statistics(asked)
    groups = study["merge"].get("groups")

    def refuse_others(classes: Sequence[str]) -> None:
        known, where = (groups, asked.fine) if groups else (classes, asked.data)
        if asked.classes not in (None, len(known)):
            raise InputError(f"--classes {asked.classes}: {where} has {len(known)} classes: correct either")

    with pipeline.as_asked(options):
        whole = pipeline.completed(study)  # before anything is made, which a second attempt would take for others'
    with pipeline.inside(asked.out), alone(LOCK), pipeline.as_asked(options):
        pipeline.begin(whole, refuse_others)
        pipeline.finish(expected)
        for told in pipeline.warnings():
            print(f"warning: {told}", file=sys.stderr)
    return f"the report is {asked.out / 'report.html'}; its numbers are in {asked.out / 'tables'}"


def _refuse_others(out: Path) -> None:
    """Raises InputError if the folder holds anything but an earlier report, for what has these names is replaced."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file: name a folder that is new")
    found = [path.name for path in out.iterdir()] if out.exists() else []
    names = {name for name in found if not name.startswith(artifacts.WRITING)}
    stopped = names == {"artifacts"} and {path.name for path in (out / "artifacts").glob("*")} <= FIRST
    if names - WRITTEN or (names and "params.yaml" not in names and not stopped):
        raise InputError(f"--out {out} holds other things than a report of this command: name a folder that is new")


def _files(checkpoints: list[str]) -> list[str]:
    """Their absolute paths, for a stage works elsewhere."""
    for file in checkpoints:
        refuse_missing(file)
    files = [str(Path(os.path.expanduser(file)).absolute()) for file in checkpoints]
    if repeated := [file for file in files if files.count(file) > 1]:
        raise InputError(f"{repeated[0]} is given twice: give each checkpoint once")
    return files


def _network(name: str, options: str) -> dict[str, Any]:
    if ":" not in name and name not in FAMILIES:
        raise InputError(f"--network {name}: write {name}:Net for Net of {name}.py, or one of {', '.join(FAMILIES)}")
    try:
        given = json.loads(options)
    except ValueError as error:
        raise InputError(f"--options {options} is no JSON ({error}): write '{{\"layers\": 3}}'") from error
    if not isinstance(given, dict):
        raise InputError(f"--options {options} must be a mapping, as '{{\"layers\": 3}}'")
    shape = dict.fromkeys(SHAPE) if ":" in name else {key: given.pop(key, None) for key in SHAPE}
    return {"name": name} | shape | {"options": given}


def _statistics(asked: argparse.Namespace) -> dict[str, str]:
    """By which option the mean and deviation were given."""
    return {} if asked.mean else {f"data.normalise.{key}": f"--normalise {asked.normalise}" for key in ("mean", "std")}


def _normalise(asked: argparse.Namespace) -> dict[str, list[float]] | None:
    if (asked.mean is None) != (asked.std is None):
        raise InputError("--mean and --std go together: give both")
    if asked.mean is not None:
        if asked.normalise is not None:
            raise InputError(f"--normalise {asked.normalise}: --mean and --std stand instead of it: leave out either")
        return {"mean": asked.mean, "std": asked.std}
    named = STATISTICS[asked.normalise or "data"]
    return named and {"mean": named[0], "std": named[1]}
