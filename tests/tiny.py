"""A study so small that a stage of it runs in a second, for the tests that run stages."""

import contextlib
import copy
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ruamel.yaml import YAML

from hidden_structure.frame import artifacts

ROOT = Path(__file__).resolve().parent.parent
OVERRIDES = {
    "seeds": [0, 1],
    "tasks": {"workers": 1},  # so that tests see what a stage does, in their own process
    "network": {"name": "mlp", "depth": 2, "width": 32, "norm": "none"},
    "train": {"epochs": 12, "batch_size": 32, "snapshots": 3, "lr": 0.1, "crop": 1},
    "cluster": {"restarts": 2, "perplexity": 10.0},
    "memorised": {"train": None},
    "merges": {
        "train": None,
        "kinds": [{"method": "modulo", "classes": c, "groups": None, "seed": 0} for c in (5, 2)],
    },
    "split": {"train": None},
    "finetune": {
        "seeds": [0],
        "epoch": None,
        "train": None,
        "from_scratch": None,
        "alphas": [0.5],
        "coefficients": [1.0],
        "samples": 100,
        "repair_samples": 100,
    },
    "distill": {
        "seeds": [0],
        "teachers": [0],
        "network": {"name": "mlp", "depth": 1, "width": 8, "norm": "none"},
        "train": None,
        "methods": ["alone", "kd", "lelp", "oracle"],
        "subclasses": [2],
        "betas": [0.5],
        "softnesses": [0.1],
        "temperatures": [1.0, 4.0],
        "tuning": 2,
        "tuning_seeds": [7],
    },
    "unconstrained": {"classes": 3, "per_class": 3, "dimension": 4, "starts": 1, "ratios": [1, 100]},
    "spawn": {
        "seeds": [0, 1],
        "network": None,
        "train": None,
        "spawned": 1,
        "epochs": [0, 2],
        "widths": [0.5],
        "weight_decays": [],
    },
    "permute": {"restarts": 2, "samples": 200, "ste": {"epochs": 1, "batch_size": 50, "lr": 1e-3}},
    "interpolate": {
        "spawned_points": 3,
        "permuted_points": 5,
        "train_samples": 100,
        "repair_samples": 100,
        "plane_points": 3,
    },
    "linearity": {"alphas": [0.5], "samples": 100},
    "average": None,
    "report": {"points": 100},
}
INHERITED = {"train": "train", "network": "network", "merge": "merge", "from_scratch": "train"}
LEFT_OUT = {
    "sweep": {"seeds": [0], "train": None},
    "imbalance": {"seeds": [0], "train": None, "classes": None, "ratios": [1, 4], "least": 2},
}


class Killed(BaseException):
    """Raised in place of a kill, which no stage catches either."""


def study(**sections) -> dict:
    """The content of the default study, made tiny, with further sections' keys replaced.

    A part's train, network or merge that is None is the study's own.
    """
    content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    for overrides in (OVERRIDES, sections):
        for name, value in overrides.items():
            content[name] = (content[name] or LEFT_OUT.get(name, {})) | value if isinstance(value, dict) else value
    parts = ("memorised", "merges", "split", "sweep", "imbalance", "finetune", "distill", "spawn")
    for part in filter(None, map(content.get, parts)):
        part |= {
            name: copy.deepcopy(content[of]) for name, of in INHERITED.items() if name in part and part[name] is None
        }
    return content


def write_params(folder: Path, **sections) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(study(**sections), file)


def write_data(folder: Path, samples: int = 320) -> None:
    """Noisy images of ten classes whose means differ, in the layout that prepare-data and merge-labels write."""
    draw = np.random.default_rng(0)
    means = draw.integers(40, 215, (10, 8, 8, 1))
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        labels = np.arange(samples) % 10
        pixels = means[labels] + draw.normal(0, 30, (samples, 8, 8, 1))
        arrays |= {f"{split}_images": pixels.clip(0, 255).astype(np.uint8), f"{split}_labels": labels}
    names = np.array([f"class {label}" for label in range(10)])
    scaled = arrays["train_images"] / 255
    arrays |= {"class_names": names, "mean": scaled.mean((0, 1, 2)), "std": scaled.std((0, 1, 2))}
    artifacts.write_arrays(folder / "artifacts/data.npz", arrays)
    fine = {split: arrays[f"{split}_labels"] for split in ("train", "test")}
    coarse = {split: labels % 5 for split, labels in fine.items()}
    artifacts.write_arrays(folder / "artifacts/labels/fine.npz", fine | {"names": names})
    artifacts.write_arrays(
        folder / "artifacts/labels/coarse.npz", coarse | {"names": names[:5], "coarse_of": np.arange(10) % 5}
    )


def run_stage(folder: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, *launcher, str(ROOT / "stages" / arguments[0]), *arguments[1:]]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def in_process(folder: Path, script: str, *arguments: str) -> SimpleNamespace:
    """The stage in this process, which saves the seconds that another one takes to import everything.

    Gives returncode, stdout, and as stderr what it exits with.
    """
    code, message, before = 0, "", os.getcwd()
    try:
        os.chdir(folder)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
            patch.setattr("sys.argv", [script, *arguments])
            runpy.run_path(str(ROOT / "stages" / Path(script).name), run_name="__main__")
    except SystemExit as error:
        code, message = (error.code, "") if isinstance(error.code, int) else (1, str(error.code))
    finally:
        os.chdir(before)
    return SimpleNamespace(returncode=code, stderr=message, stdout=said.getvalue())
