"""The coarse network over a grid of recipes: where does the fine structure outlive collapse, and where not?

Yang, Steinhardt, Hu, ICML 2023, train with each of the learning rates 1e-1, 1e-2, 1e-3 and each of the weight decays
5e-3, 5e-4, 5e-5. A cell is one network of that grid, with all that is measured of it.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from hidden_structure.collapse import metrics
from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import Damaged, InputError
from hidden_structure.merges import variants
from hidden_structure.recovery.recovery import Merged, cluster_and_probe, probe_accuracy
from hidden_structure.training import inputs
from hidden_structure.unconstrained import bridge

SCORES = ("agreement", "nmi", "ari", "purity", "probe_accuracy")
BESIDE = ("gap", "gap_model", "wrong", "wrong_model")
MEASURES = (
    "train_accuracy",  # on coarse labels, as the next
    "test_accuracy",
    *(field.name for field in fields(metrics.Collapse)),  # of the training features, within coarse classes
    *BESIDE,  # of the unconstrained features model
    *SCORES,  # of the recovered labels
    "oracle_accuracy",  # of a linear layer trained on the original labels
)
TOLD = ("test_accuracy", "nc1", "probe_accuracy")


@dataclass(frozen=True)
class Cell:
    lr: float
    weight_decay: float
    seed: int

    @property
    def name(self) -> str:
        return f"lr {self.lr}, weight decay {self.weight_decay}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """The settings that all cells have in common; each replaces learning rate and weight decay of the recipe.

    folder: where training is kept, named after all of this. section: where in params.yaml the recipe stands.
    """

    folder: Path
    hardware: params.Hardware
    network: params.Network
    train: params.Train
    cluster: params.Cluster
    section: str = "train"


def grid(settings: params.Sweep) -> list[Cell]:
    """Every learning rate with every weight decay and seed."""
    return [Cell(lr, decay, seed) for lr in settings.lrs for decay in settings.weight_decays for seed in settings.seeds]


def compute(plan: Plan, cell: Cell) -> dict:
    """Train and measure one cell: its row {lr, weight_decay, seed, *MEASURES, error}.

    A recipe under which training diverges or features die is a finding: the error becomes the row's (else None), and
    what could not be measured is None. Killed and started again it goes on where its training was.

    Raises InputError if data or labels are missing.
    """
    read, fine = inputs.read(plan.hardware, "coarse"), artifacts.read_labels("fine")
    coarse = read.labels
    recipe = plan.train.model_copy(update={"lr": cell.lr, "weight_decay": cell.weight_decay})
    labels = {split: coarse[split] for split in ("train", "test")}
    name, classes = f"lr-{cell.lr}-wd-{cell.weight_decay}", len(coarse["names"])
    variant = variants.Variant(name, cell.seed, plan.network, recipe, labels, classes, plan.section)
    merged = Merged(fine["train"], coarse["train"], fine["test"], coarse["coarse_of"], coarse["names"].tolist())
    found: dict = dict.fromkeys(MEASURES)
    error = None
    try:
        (trained,) = variants.train(variant, read, plan.folder, [recipe.epochs])
        found |= {f"{split}_accuracy": trained[f"{split}_accuracy"] for split in labels}
        file = variants.features_file(plan.folder, name, cell.seed, recipe.epochs)
        tensors = artifacts.read_tensors(file, paths.FEATURES)
        train, test = tensors["train"], tensors["test"]
        head = train, torch.from_numpy(coarse["train"]), tensors["weight"], tensors.get("bias")
        beside = bridge.beside(*head, recipe)
        found |= asdict(metrics.measure(*head)) | {name: beside[name] for name in BESIDE}
        found["oracle_accuracy"] = probe_accuracy(merged.fine, train, test, merged, plan.cluster.l2)
        # Generators named as in the stage cluster, so that a cell with the study's own recipe is one of its networks.
        names = plan.cluster.reducers[0], "coarse", cell.seed
        recovered = cluster_and_probe(train.numpy(), train, test, merged, plan.cluster, *names)
        found |= {name: recovered.row[name] for name in SCORES}
    except Damaged:
        raise
    except InputError as raised:
        error = str(raised)
    measured = ", ".join(f"{name} {found[name]:.4g}" for name in TOLD if found[name] is not None)
    print(f"{cell.name}: {error or measured.replace('_', ' ')}", flush=True)
    return asdict(cell) | found | {"error": error}
