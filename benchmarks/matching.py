"""Weight matching against references that get the same weights: seconds, and the objective that was reached.

Two newly initialised networks, and a planted permutation (B is A with noise, permuted at random), which is to be found
exactly. Everyone stops when a whole sweep over the groups gains nothing. The objective is the sum of <A, pi(B)> over
the weights, i.e. the tensors of two or more dimensions. One ascent each; the last rows say what more of ours reach.

plain: Git Re-Basin's algorithm 1 as it is written (Ainsworth et al. 2023): groups in random order, all terms of a group
computed anew each time. It takes from us only which axes go together.
rebasin: the package of that name, which also counts biases and BatchNorm's parameters. Only its matching is timed, not
its tracing. It runs in a process of its own: `--peer-python` names an interpreter that has it and what this project
needs.

With --straight-through, instead, one epoch of the straight-through estimator on MLP 3 x 512 and random images, whose
weights are matched again after every step: from the last step's prices, and with every assignment from scratch.

Times are medians of seconds of the processor, which other programs hardly change; on one thread they are what a quiet
machine would take. Repeats alternate between ours and plain: `OMP_NUM_THREADS=1 python benchmarks/matching.py
--peer-python PATH`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from hidden_structure.frame import params, sections
from hidden_structure.networks.build import build
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation import weight_matching
from hidden_structure.permutation.families import assign, assign_again
from hidden_structure.permutation.group import Symmetry
from hidden_structure.permutation.permuting import Permutation, apply, draw, identity, invert
from hidden_structure.permutation.straight_through import match_straight_through
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import TOLERANCE, Ascent, match_weights, objective
from hidden_structure.seeding import global_seed, torch_generator
from hidden_structure.training.batches import on_device

CASES = {  # name -> network, image shape, repeats
    "MLP 3 x 512": (params.Network(name="mlp", depth=3, width=512, norm="none"), (28, 28, 1), 7),
    "ResNet-20": (params.Network(name="resnet", depth=20, width=16, norm="batch"), (32, 32, 3), 7),
    "ResNet-20 x4": (params.Network(name="resnet", depth=20, width=64, norm="batch"), (32, 32, 3), 5),
    "VGG-16": (params.Network(name="vgg", depth=16, width=64, norm="batch"), (32, 32, 3), 3),
}
CLASSES = 10
NOISE = 0.1  # of a planted B, in standard deviations of each tensor

State = Mapping[str, Tensor]


def network_of(case: str, seed: int) -> nn.Module:
    network, shape, _ = CASES[case]
    with global_seed("initialisation", seed):
        return build(network, shape, CLASSES)


def example(case: str) -> Tensor:
    height, width, channels = CASES[case][1]
    return torch.zeros(2, channels, height, width)


def timed(call: Callable[[], object]) -> tuple[float, object]:
    start = process_time()
    result = call()
    return process_time() - start, result


def groups_of_axes(symmetry: Symmetry) -> dict[str, list[str | None]]:
    """The group of every axis; in these networks an axis is one whole group, or nothing in it is permuted."""
    found: dict[str, list[str | None]] = {}
    for name, layouts in symmetry.layouts.items():
        factors = [[factor.group for segment in layout for factor in segment] for layout in layouts]
        groups = [[group for group in of if group in symmetry.groups] for of in factors]
        if any(inside and len(of) > 1 for inside, of in zip(groups, factors, strict=True)):
            raise SystemExit(f"{name} has an axis of several factors, which plain matching cannot do")
        found[name] = [inside[0] if inside else None for inside in groups]
    return found


def plain(symmetry: Symmetry, a: State, b: State, generator: torch.Generator) -> Permutation:
    """Algorithm 1 of Git Re-Basin; a gain counts from the same tolerance on as ours."""
    axes = {name: found for name, found in groups_of_axes(symmetry).items() if len(found) > 1}
    places = defaultdict(list)
    for name, groups in axes.items():
        for axis, group in enumerate(groups):
            if group is not None:
                places[group].append((name, axis))
    tolerance = TOLERANCE * sum((a[name].norm() * b[name].norm()).item() for name in axes)
    permutation, names = identity(symmetry), list(symmetry.groups)
    gained = True
    while gained:
        gained = False
        for index in torch.randperm(len(names), generator=generator).tolist():
            current, size = permutation[names[index]], symmetry.groups[names[index]].size
            scores = torch.zeros(size, size)
            for name, axis in places[names[index]]:
                weight = b[name]
                for other, group in enumerate(axes[name]):
                    if group is not None and other != axis:
                        weight = weight.index_select(other, permutation[group])
                scores += a[name].movedim(axis, 0).reshape(size, -1) @ weight.movedim(axis, 0).reshape(size, -1).T
            found = torch.from_numpy(linear_sum_assignment(scores.numpy(), maximize=True)[1])
            rows = torch.arange(size)
            if (scores[rows, found].double() - scores[rows, current].double()).sum().item() > tolerance:
                permutation[names[index]], gained = found, True
    return permutation


def planted(symmetry: Symmetry, a: State, case: str) -> tuple[State, Permutation]:
    """A with noise, permuted at random; and the permutation that undoes it."""
    noise, hidden = torch_generator("benchmark", "noise", case), draw(symmetry, torch_generator("benchmark", case))
    moved = {name: tensor.clone() for name, tensor in a.items()}
    for tensor in moved.values():
        if tensor.is_floating_point():
            tensor += NOISE * tensor.std(correction=0) * torch.randn(tensor.shape, generator=noise)
    return apply(symmetry, hidden, moved), invert(symmetry, hidden)


def weights(symmetry: Symmetry, state: State) -> State:
    return {name: state[name] for name in symmetry.layouts if state[name].dim() > 1}


def product(a: State, b: State) -> float:
    return sum((a[name].double() * b[name].double()).sum().item() for name in a)


def as_peer(folder: Path) -> None:
    """In the peer's process: match the weights of a folder with rebasin, and leave B as it was permuted there."""
    from rebasin import PermutationCoordinateDescent  # only the peer's interpreter has it

    job = json.loads((folder / "job.json").read_text())
    case, repeats = job["case"], job["repeats"]
    torch.set_num_threads(job["threads"])
    tracing, matching = [], []
    for repeat in range(repeats + 1 if repeats > 3 else repeats):
        networks = [network_of(case, 0) for _ in "ab"]
        for network, name in zip(networks, "ab", strict=True):
            load_state(network, load_file(folder / f"{name}.safetensors"))
        seconds, descent = timed(lambda pair=networks: PermutationCoordinateDescent(*pair, example(case)))
        tracing.append(seconds)
        with global_seed("benchmark", repeat):  # of its random order
            matching.append(timed(descent.calculate_permutations)[0])
    descent.apply_permutations()
    save_file({name: tensor.contiguous() for name, tensor in networks[1].state_dict().items()}, folder / "found")
    (folder / "times.json").write_text(json.dumps([tracing[-repeats:], matching[-repeats:]]))


def run_peer(python: str, case: str, a: State, b: State, repeats: int) -> tuple[float, float, State] | None:
    """Median seconds of tracing and of matching, and the permuted B; None if the interpreter has no rebasin."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for label, state in (("a", a), ("b", b)):
            save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / f"{label}.safetensors")
        job = {"case": case, "repeats": repeats, "threads": torch.get_num_threads()}
        (folder / "job.json").write_text(json.dumps(job))
        source = Path(__file__).resolve().parents[1] / "src"
        command = [python, __file__, "--as-peer", name]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(source)}, capture_output=True, text=True)
        if done.returncode:
            missing = "No module named 'rebasin'" in done.stderr
            reason = "not installed: give --peer-python" if missing else done.stderr.strip().splitlines()[-1]
            print(f"rebasin, {case}: {reason}", file=sys.stderr)
            return None
        tracing, matching = map(median, json.loads((folder / "times.json").read_text()))
        return tracing, matching, load_file(folder / "found")


def show(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


Column = dict[str, str]  # row of a table -> what it says of one network


def measure(case: str, peer_python: str, quick: bool) -> tuple[Column, Column]:
    """Of one network: an independent pair, and a planted permutation."""
    repeats = 1 if quick else CASES[case][2]
    network = network_of(case, 0)
    derive(network, example(case))
    tracing, symmetry = timed(lambda: derive(network, example(case)))
    a, other = network.state_dict(), network_of(case, 1).state_dict()
    b_planted, solution = planted(symmetry, a, case)
    columns: list[Column] = []
    for b, truth in ((other, None), (b_planted, solution)):

        def matched(repeat: int, b: State = b) -> Permutation:
            return match_weights(symmetry, a, b, torch_generator("benchmark", repeat), restarts=1).permutation

        def reference(repeat: int, b: State = b) -> Permutation:
            return plain(symmetry, a, b, torch_generator("benchmark", repeat))

        seconds, objectives, right = defaultdict(list), defaultdict(list), defaultdict(list)
        warm = repeats > 3
        for repeat in range(repeats + warm):
            for label, match in (("ours", matched), ("plain", reference)):
                time, permutation = timed(lambda match=match, repeat=repeat: match(repeat))
                if repeat >= warm:
                    seconds[label].append(time)
                    objectives[label].append(objective(symmetry, a, b, permutation))
                    if truth is not None:
                        right[label].append(all(torch.equal(permutation[name], truth[name]) for name in truth))
        times = {label: median(values) for label, values in seconds.items()}
        reached = {label: median(values) for label, values in objectives.items()}
        exact = {label: all(values) for label, values in right.items()}
        column: Column = {"ours: deriving the symmetry, once": show(tracing)}
        peer = run_peer(peer_python, case, a, b, repeats if warm else 1)  # minutes, where nothing warms up
        if peer is not None:
            column["rebasin: tracing, once"] = show(peer[0])
            times["rebasin"], found = peer[1], weights(symmetry, peer[2])
            reached["rebasin"] = product(weights(symmetry, a), found)
            if truth is not None:
                aim = weights(symmetry, apply(symmetry, truth, b))
                exact["rebasin"] = all(torch.equal(found[name], aim[name]) for name in aim)
        for label in times:
            result = f"{reached[label]:.1f}" if truth is None else "exact" if exact[label] else "**wrong**"
            column[label] = f"{show(times[label])} / {result}"
        references = [label for label in times if label != "ours"]
        fastest, best = min(times[label] for label in references), max(reached[label] for label in references)
        column["**fastest reference over ours**"] = f"**{fastest / times['ours']:.2f}**"
        if truth is None:
            column["objective over the best reference's"] = f"{reached['ours'] / best:.3f}"
            column["objective unmatched"] = f"{product(weights(symmetry, a), weights(symmetry, b)):.1f}"
        columns.append(column)
    columns[0]["ours, without aligning layers first"] = unaligned(symmetry, a, other, repeats)
    for restarts, what in ((2, "two ascents, and one by a homotopy"), (6, "six, and one by a homotopy")):
        columns[0][f"ours, {what}"] = restarted(symmetry, a, other, restarts, min(repeats, 3))
    return columns[0], columns[1]


def unaligned(symmetry: Symmetry, a: State, b: State, repeats: int) -> str:
    """The exact ascent alone."""

    def climb() -> float:
        ascent = Ascent(symmetry, a, b)
        ascent.climb(ascent.families)
        return ascent.objective()

    runs = [timed(climb) for _ in range(repeats)]
    return f"{show(median(time for time, _ in runs))} / {runs[0][1]:.1f}"


def table(title: str, columns: Mapping[str, Column]) -> str:
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {row} | {' | '.join(column.get(row, '') for column in columns.values())} |" for row in rows]
    return "\n".join(lines)


def restarted(symmetry: Symmetry, a: State, b: State, restarts: int, repeats: int) -> str:
    """The best of several ascents."""
    generators = [torch_generator("benchmark", repeat) for repeat in range(repeats)]
    runs = [timed(lambda draws=draws: match_weights(symmetry, a, b, draws, restarts).after) for draws in generators]
    return f"{show(median(time for time, _ in runs))} / {median(reached for _, reached in runs):.1f}"


def straight_through(repeats: int) -> str:
    """Rows of a table: milliseconds a step and of its assignments, with prices and from scratch."""
    case = "MLP 3 x 512"
    networks = [network_of(case, seed) for seed in range(2)]
    a, b = (network.state_dict() for network in networks)
    symmetry, generator = derive(networks[0], example(case)), torch_generator("benchmark", "images")
    pixels = torch.randint(256, (3200, *CASES[case][1]), generator=generator, dtype=torch.uint8).numpy()
    images = on_device(pixels, np.full(1, 0.5), np.full(1, 0.25), torch.device("cpu"))
    recipe = sections.StraightThrough(epochs=1, batch_size=64, lr=1e-3)
    start = match_weights(symmetry, a, b, generator).permutation
    spent: list[float] = []

    def watched(assignment: Callable[..., tuple]) -> Callable[..., tuple]:
        def call(*arguments: object) -> tuple:
            seconds, found = timed(lambda: assignment(*arguments))
            spent.append(seconds)
            return found

        return call

    def from_scratch(scores: np.ndarray, prices: np.ndarray, tolerance: float) -> tuple:
        return assign(scores), prices

    found = {"prices": [], "from scratch": []}
    for repeat in range(repeats + 1):
        for label, assignment in zip(found, (assign_again, from_scratch), strict=True):
            spent.clear()
            with patch.object(weight_matching, "assign_again", watched(assignment)):
                labels = torch.arange(len(pixels)) % CLASSES
                data = images, labels, recipe, start, torch.float32, 0
                seconds, matched = timed(lambda: match_straight_through(symmetry, networks[0], a, b, *data))  # noqa: B023
            if repeat:
                found[label].append((seconds, sum(spent), matched.after))
    steps = len(pixels) // recipe.batch_size
    lines = ["| ms a step | whole step | its assignments | minus the loss reached |", "|---|---|---|---|"]
    for label, values in found.items():
        seconds, assigning, reached = map(median, zip(*values, strict=True))
        lines.append(f"| {label} | {1000 * seconds / steps:.1f} | {1000 * assigning / steps:.1f} | {reached:.5f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has rebasin (0.0.47)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="one run of each, without warming up")
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--straight-through", action="store_true", help="only the straight-through estimator")
    given = parser.parse_args()
    if given.straight_through:
        print(straight_through(1 if given.quick else 3))
        sys.exit()
    if given.as_peer is not None:
        as_peer(given.as_peer)
        sys.exit()
    found = {}
    for case in given.cases:
        found[case] = measure(case, given.peer_python, given.quick)
        print(f"{case} done", file=sys.stderr, flush=True)
    print(f"{torch.get_num_threads()} threads\n")
    titles = ("random pair: time / objective", "planted: time / found")
    for index, title in enumerate(titles):
        print(table(title, {case: columns[index] for case, columns in found.items()}), end="\n\n")
