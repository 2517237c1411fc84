"""Every artifact's path, in one place, relative to the repository's root (where DVC runs each stage).

`supervision` is the labels that a network was trained on: fine or coarse.
"""

import re
from pathlib import Path

PARAMS = Path("params.yaml")
ARTIFACTS = Path("artifacts")
DATA = ARTIFACTS / "data.npz"
DOWNLOADS = ARTIFACTS / "downloads"  # raw files a source fetched; not an output, so that a rerun fetches nothing
RESUME = ARTIFACTS / "resume"  # training under way; outside every output, so that DVC does not delete it
PERMUTATIONS = ARTIFACTS / "permutations"
MERGES = ARTIFACTS / "merges"
MEMORISED = ARTIFACTS / "memorised"
STUDENTS = ARTIFACTS / "students"
CLUSTERS = ARTIFACTS / "clusters"
SPAWNED = ARTIFACTS / "spawned"
EXTRACTED = ARTIFACTS / "features"
RESULTS = ARTIFACTS / "results"
INSPECTED = ARTIFACTS / "inspected"
TABLES = ARTIFACTS / "tables"
REPORT = ARTIFACTS / "report"
CHECKED = ARTIFACTS / "checked"
SELECTED = ARTIFACTS / "selected.yaml"  # what params.yaml was when a study was selected; not an output
SUPERVISIONS = ("fine", "coarse")

# What readers ask of a file: of arrays the kind of dtype (as numpy's letters say) and the number of axes.
IMAGES = {f"{split}_images": ("u", 4) for split in ("train", "test")} | {"mean": ("f", 1), "std": ("f", 1)}
CLASSES = {"train_labels": ("i", 1), "test_labels": ("i", 1), "class_names": ("U", 1)}
LABELS = {"train": ("i", 1), "test": ("i", 1), "names": ("U", 1)}
COARSE_LABELS = LABELS | {"coarse_of": ("i", 1)}
FEATURES = {"train": None, "test": None, "weight": None}  # penultimate features, and the last layer


def lock(stage: str) -> Path:
    """Held by the process that runs the stage."""
    return ARTIFACTS / f"{stage}.lock"


LABELLED = ARTIFACTS / "labels"


def labels(supervision: str) -> Path:
    """Two files, so that another merge leaves what was trained on fine labels as it is."""
    return LABELLED / f"{supervision}.npz"


def models(supervision: str) -> Path:
    return ARTIFACTS / "models" / supervision


def model(supervision: str, seed: int) -> Path:
    return models(supervision) / f"{seed}.safetensors"


def snapshots(supervision: str) -> Path:
    return ARTIFACTS / "snapshots" / supervision


def snapshot(supervision: str, seed: int, epoch: int) -> Path:
    """Weights after that many epochs; epoch 0 is the initialisation."""
    return snapshots(supervision) / str(seed) / f"{epoch:05d}.safetensors"


def features(network: str, seed: int) -> Path:
    """network: fine, coarse or untrained."""
    return EXTRACTED / network / f"{seed}.safetensors"


def clusters(seed: int) -> Path:
    return CLUSTERS / f"{seed}.npz"


def slug(words: str) -> str:
    """Words as a part of a path or an id: "lr 0.05, flip false" as "lr-0.05-flip-false"."""
    return re.sub(r"[^\w.]+", "-", words).strip("-")


def spawned(cell: str, seed: int, name: str) -> Path:
    """Weights of one network of the connectivity study; cell names its width, weight decay and recipe."""
    return SPAWNED / cell / str(seed) / f"{name}.safetensors"


def memorised_features(seed: int) -> Path:
    """Penultimate features of the network that memorised shuffled coarse labels, and its last layer."""
    return MEMORISED / f"{seed}.safetensors"


def merged_features(name: str, seed: int) -> Path:
    """Penultimate features of the network trained on the labels of another merge."""
    return MERGES / name / f"{seed}.safetensors"


def student(method: str, teacher: int, seed: int) -> Path:
    """Penultimate features of a student, its last layer, and the piece of each training image that it was taught."""
    return STUDENTS / method / str(teacher) / f"{seed}.safetensors"


def permutation(pair: str, method: str) -> Path:
    """What permutes the second network of the pair of that id towards the first."""
    return PERMUTATIONS / pair / f"{method}.npz"


def inspected(place: int) -> Path:
    """The map of the samples inside each class of a given network, by its place among them."""
    return INSPECTED / f"{place}.npz"


def results(name: str) -> Path:
    """What a stage has measured: rows, an object, or null where the study leaves the part out."""
    return RESULTS / f"{name}.json"


def table(name: str) -> Path:
    return TABLES / f"{name}.csv"


def report(study: str) -> Path:
    """What git keeps of a study."""
    return Path("reports") / study
