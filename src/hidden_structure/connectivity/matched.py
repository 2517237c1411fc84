"""One pair of the study matched by every method: a task that reads its networks and writes its permutations itself."""

from pathlib import Path

from hidden_structure.connectivity.pairing import posed
from hidden_structure.connectivity.planted import planted
from hidden_structure.connectivity.spawning import Pair
from hidden_structure.frame import artifacts, paths
from hidden_structure.frame.params import Hardware, Permute
from hidden_structure.permutation.coverage import summary
from hidden_structure.permutation.matching import match
from hidden_structure.permutation.methods import METHODS
from hidden_structure.permutation.permuting import identity
from hidden_structure.permutation.weight_matching import objective


def files_of(pair: Pair, settings: Permute) -> list[Path]:
    """Of its permutations, below the folder of its task as among the artifacts."""
    return [paths.permutation(pair.id, method) for method in settings.methods]


def match_one(whom: str, pair: Pair, hardware: Hardware, settings: Permute, folder: Path) -> list[dict]:
    """The pair's networks, or its first with itself: tasks of one run, so that no core waits for the others."""
    return planted(pair, hardware, settings) if whom == "itself" else matched(pair, hardware, settings, folder)


def matched(pair: Pair, hardware: Hardware, settings: Permute, folder: Path) -> list[dict]:
    """Match the pair by every method: a row each, and the permutations in files below the folder."""
    problem = posed(pair, (pair.a, pair.b), hardware, settings)
    symmetry, (a, b) = problem.symmetry, problem.states
    print(f"{pair.id}: {summary(symmetry, a)}", flush=True)
    rows = []
    for method, found in match(problem).items():
        permutation = {name: entries.numpy() for name, entries in found.permutation.items()}
        artifacts.write_arrays(folder / paths.permutation(pair.id, method), permutation)
        before, after = (objective(symmetry, a, b, of) for of in (identity(symmetry), found.permutation))
        reached = {"before": found.before, "after": found.after, "weights_before": before, "weights_after": after}
        rows.append(pair.row(method) | {"objective": METHODS[method].maximises} | reached)
    return rows
