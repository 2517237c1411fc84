"""Made-up results of networks of two tasks: pretraining makes features linear, and averages keep what was learnt."""

CLASSES = 10
LAYERS = {  # name -> depth, share of the ratio at the worst layer
    "hidden.linear0": (1, 0.0),
    "hidden.norm0": (1, 0.3),
    "hidden.relu0": (1, 0.5),
    "hidden.linear1": (2, 0.7),
    "hidden.relu1": (2, 1.0),
    "output": (3, 0.6),
}
ALPHAS, COEFFICIENTS = [0.25, 0.5, 0.75], [0.25, 0.5, 1.0]
RATIO = {"finetuned": 0.05, "same": 0.35, "independent": 0.5}  # of merged to the ends', at the worst layer
ENDS = {"finetuned": 0.1, "same": 1.5, "independent": 1.6}
BEFORE = {"finetuned": 0.7, "same": 0.2, "independent": 0.2}  # accuracy within a task of what networks began as
HALFWAY = {"finetuned": 0.88, "same": 0.6, "independent": 0.4}
OWN, OTHER = 0.9, 0.3


def result(seeds: tuple[int, ...] = (0, 1, 2), norm: bool = True) -> dict:
    names = [f"class {label}" for label in range(CLASSES)]
    begins = {"pretrained": ("first", "second"), "initial": ("first", "second"), "other": ("second",)}
    networks = [_network(begin, task, seed) for seed in seeds for begin, own in begins.items() for task in own]
    kinds = [(kind, repaired) for kind in RATIO for repaired in ((False, True) if norm else (False,))]
    pairs = [pair(kind, seed, repaired, norm) for seed in seeds for kind, repaired in kinds]
    return {"tasks": {"first": names[:5], "second": names[5:]}, "networks": networks, "pairs": pairs}


def _network(begins: str, task: str, seed: int) -> dict:
    accuracy = _accuracy(OWN if task == "first" else OTHER, OWN if task == "second" else OTHER)
    row = {"begins": begins, "task": task, "seed": seed, "classes": 5, "images": 500, "epochs": 10}
    return row | {"accuracy": accuracy}


def pair(kind: str, seed: int, repaired: bool, norm: bool = True) -> dict:
    ratio = RATIO[kind] * (1 + 0.02 * seed) * (0.8 if repaired else 1)
    middle, before = HALFWAY[kind] + 0.005 * seed, BEFORE[kind]
    line = {0.0: (OWN, OTHER), 0.25: (0.8, 0.5), 0.5: (middle, middle), 0.75: (0.5, 0.8), 1.0: (OTHER, OWN)}
    sums = [{"coefficient": 0.0, "accuracy": _accuracy(before, before)}]
    for coefficient in COEFFICIENTS:
        one = {"coefficient": coefficient, "accuracy": _accuracy(middle, middle)}
        told = coefficient != 0.5 and repaired == norm
        measured = {"layers": layers(kind, ratio * (0.5 + coefficient), [0.5])} if told else {}
        sums.append(one | measured)
    return {
        "kind": kind,
        "seed": seed,
        "repaired": repaired,
        "alphas": ALPHAS,
        "layers": layers(kind, ratio, ALPHAS),
        "line": [{"alpha": alpha, "accuracy": _accuracy(*both)} for alpha, both in line.items()],
        "sums": sums,
    }


def layers(kind: str, ratio: float, alphas: list[float]) -> list[dict]:
    found = []
    for name, (depth, share) in LAYERS.items():
        ends = ENDS[kind]
        row = {"name": name, "depth": depth, "baseline": {"mean": ends}}
        row["dissimilarity"] = [{"mean": share * ratio * ends * (1 - 0.1 * (alpha != 0.5))} for alpha in alphas]
        row["exponential"] = [{"mean": 2 * share * ratio * ends + 0.01} for _ in alphas]
        found.append(row | ({"additivity": []} if "relu" in name else {}))
    return found


def _accuracy(first: float, second: float) -> dict:
    places = {"first": first, "second": second, "both": (first + second) / 2}
    return {place: {"all": 0.9 * value, "within": value} for place, value in places.items()}
