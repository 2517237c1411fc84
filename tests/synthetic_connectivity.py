"""Tables of a made-up connectivity study, as the report reads them."""

import json
from pathlib import Path

import synthetic_results as synthetic
import tiny

from hidden_structure.frame import params, tables
from hidden_structure.frame.params import Study
from hidden_structure.tables import connectivity, linearity

LABELS = {"fine": {"train_counts": {"0": 700, "1": 737}, "test_counts": {"0": 30, "1": 10, "2": 20}}}


def study(source: str = "digits", network: dict | None = None, **spawn: object) -> Study:
    """The default study with four trunks, and data and network of the connectivity study as told."""
    found = synthetic.connected(params.load(tiny.ROOT / "params.yaml"), **spawn)
    if network:
        known = {"depth": 3, "width": 512, "norm": "none"}
        changed = found.spawn.model_copy(update={"network": params.Network(**known | network)})
        found = found.model_copy(update={"spawn": changed})
    return found.model_copy(update={"data": found.data.model_copy(update={"source": source})})


RESNET = {"name": "resnet", "depth": 20, "width": 16, "norm": "batch"}


def results(plan: Study, layers: list[str] = synthetic.MLP) -> dict:
    found = {
        "labels": LABELS,
        "spawn": synthetic.spawn(plan),
        "permute": synthetic.permute(plan),
        "planted": synthetic.planted(plan),
        "interpolate": synthetic.interpolate(plan),
        "plane": synthetic.plane(),
        "linearity": synthetic.linearity(plan, layers),
        "stitch": synthetic.stitch(plan, layers),
    }
    for row in found["stitch"]:
        row["layers"] = [name for name in row["layers"] if "relu" in name]
        for order in ("a_below_b", "b_below_a"):
            row[order] = row[order][: len(row["layers"])]
    return json.loads(json.dumps(found))


def tabulated(plan: Study, found: dict) -> dict[str, list[dict]]:
    classes = [{"class": str(index), "superclass": str(index % 5), "train": 100, "test": 100} for index in range(10)]
    return connectivity.tabulate(plan, found.get) | linearity.tabulate(plan, found.get) | {"classes": classes}


def of_given(plan: Study, found: dict) -> tuple[Study, dict]:
    """The study and its tables, were its independent networks given as files."""
    spawn = plan.spawn.model_copy(update={"checkpoints": ["a.pt", "b.pt"]})
    rows = {name: [row for row in found[name] if row["k"] is None] for name in ("lines", "features", "stitching")}
    seeds = {seed for row in rows["lines"] for seed in row["seeds"]}
    scores = {"train_accuracy": 0.9, "test_accuracy": 0.9, "test_loss": 0.3, "reordered": 0.9, "chance": 0.2}
    given = [{"network": seed, "file": f"{seed}.pt", "guess": 0.1, "notes": ""} | scores for seed in seeds]
    return plan.model_copy(update={"spawn": spawn}), found | rows | {"given": given, "planted": []}


def read(folder: Path, plan: Study, found: dict):
    """Name -> rows, written and read back as the report does."""
    for name, rows in tabulated(plan, found).items():
        tables.write(folder / f"{name}.csv", rows)
    return lambda name: tables.read(folder / f"{name}.csv")
