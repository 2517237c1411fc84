"""What training on one image costs in each of a study's networks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hidden_structure.connectivity.spawning import cells
from hidden_structure.frame import params
from hidden_structure.frame.params import Study
from hidden_structure.networks.build import initialise
from hidden_structure.networks.cost import training_flop

STUDY, STUDENT, SPAWN = "network", "distill.network", "spawn.network"  # where in params.yaml it is described


def tabulate(study: Study, results: Callable[[str], Any], image_shape: tuple[int, int, int]) -> dict[str, list[dict]]:
    """`flops`: one row a network and number of `outputs`, with the `flop` of training on an image.

    `network` is its key in params.yaml, `width` what its own is multiplied by. image_shape: (H, W, channels).
    """
    asked = dict.fromkeys(_networks(study, results))
    return {
        "flops": [
            {
                "network": name,
                "width": width,
                "outputs": outputs,
                "flop": _flop(study, name, width, outputs, image_shape),
            }
            for name, width, outputs in asked
        ]
    }


def _networks(study: Study, results: Callable[[str], Any]) -> Iterator[tuple[str, float, int]]:
    labels = results("labels")
    fine = labels["fine"]["classes"]
    if study.train:
        yield from ((STUDY, 1, count) for count in (fine, labels["coarse"]["classes"]))
    elif study.imbalance:
        yield STUDY, 1, fine
    yield from ((STUDY, 1, row["classes"]) for row in (results("merges") or {}).get("rows", ()))
    if study.split:
        split = min(fine, study.split.classes or fine)
        yield STUDY, 1, fine + split * (study.split.parts - 1)
    if found := results("distill"):
        yield from ((STUDY, 1, row["classes"]) for row in found["teachers"])
        yield from ((STUDENT, 1, row["outputs"]) for row in found["rows"])
    if study.spawn:
        yield from ((SPAWN, cell.width, fine) for cell in cells(study))


def _flop(study: Study, name: str, width: float, outputs: int, image_shape: tuple[int, int, int]) -> int:
    own: Mapping[tuple[str, float], params.Network] = {(STUDY, 1): study.network}
    if study.distill:
        own |= {(STUDENT, 1): study.distill.network}
    if study.spawn:
        own |= {(SPAWN, cell.width): cell.network for cell in cells(study)}
    return training_flop(initialise(own[name, width], image_shape, outputs, "flops"), image_shape)
