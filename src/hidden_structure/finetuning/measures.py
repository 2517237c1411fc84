"""Cross-task linearity: do features add up where the weights of networks of different tasks do?

Zhou, Chen, Chen, Zhang, Yan, "On the emergence of cross-task linearity in pretraining-finetuning paradigm", ICML 2024,
arXiv 2402.03660. Of networks finetuned on two tasks from one pretrained network the features of (1 - alpha) theta_1 +
alpha theta_2 are nearly those interpolated of both, layer by layer: LLFC across tasks, measured as in
`linearity/layers.py`. Of task vectors it follows that the features of theta_0 + lambda (tau_1 + tau_2) are the mean of
those of theta_0 + 2 lambda tau_1 and of theta_0 + 2 lambda tau_2: again LLFC, halfway between these two.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import nn

from hidden_structure.connectivity.line import Repair, State, interpolate
from hidden_structure.connectivity.repair import has_batch_norm, repairer
from hidden_structure.connectivity.repair_images import repair_images
from hidden_structure.finetuning.arithmetic import add, task_vector
from hidden_structure.finetuning.classes import samples_of, tasks_of
from hidden_structure.finetuning.networks import Pair, beginning, decide
from hidden_structure.frame import artifacts, params
from hidden_structure.linearity import layers
from hidden_structure.networks.weights import load_state
from hidden_structure.training.inputs import Inputs, read

HALF = 0.5
KEPT = ("name", "baseline", "dissimilarity")  # of the layers of networks that task vectors are added to


def measure_pair(
    pair: Pair,
    settings: params.Finetune,
    network: params.Network,
    hardware: params.Hardware,
    folder: Path,
) -> list[dict]:
    """A row as merged and, of networks with BatchNorm, one with its statistics reset; kind, seed and repaired, and:

    alphas and layers, as `linearity.layers` has them, on test images of both tasks. line: accuracies at 0, 1/2, 1 and
    these alphas. sums: a row a coefficient lambda, 0 the first: accuracies with the task vectors, each from its
    network's own beginning, added to the first's beginning; and layers, halfway between the networks with 2 lambda
    times either. These are measured neither at 0 nor at 1/2, where both are the line's, and with BatchNorm reset where
    there is any: its statistics, added up beyond both networks, are none.

    Raises InputError if a file is missing or damaged, or a feature is not finite.
    """
    inputs = read(hardware)
    tasks = tasks_of(settings, inputs.labels["names"].tolist())
    own = settings, network, inputs
    made = beginning(pair.a.begins, pair.a.seed, *own)
    origin = {name: tensor.cpu().clone() for name, tensor in made.state_dict().items()}
    other = {name: tensor.cpu() for name, tensor in beginning(pair.b.begins, pair.b.seed, *own).state_dict().items()}
    a, b = (artifacts.read_state(end.file(folder), made) for end in (pair.a, pair.b))
    vectors = task_vector(a, origin), task_vector(b, other)
    learnt, judged = (samples_of(inputs.labels[split], *tasks.values()) for split in ("train", "test"))
    split = inputs.some("test", settings.samples, "finetune", judged)
    train, _ = inputs.some("train", None, "finetune", learnt)
    images = repair_images(settings.train, train, settings.repair_samples)
    points, norm, rows = sorted({0.0, HALF, 1.0, *settings.alphas}), has_batch_norm(made), []
    for repaired in (False, True) if norm else (False,):
        repair = repairer(made, a, b, images, inputs.precision) if repaired else None
        row = {"kind": pair.kind, "seed": pair.a.seed, "repaired": repaired, "alphas": settings.alphas}
        row |= {"layers": layers.measure(made, a, b, settings.alphas, split, repair)["layers"]}
        deciding = made, inputs, tasks, repair
        row["line"] = [{"alpha": alpha, "accuracy": _decide(interpolate(a, b, alpha), *deciding)} for alpha in points]
        row["sums"] = []
        for coefficient in (0.0, *settings.coefficients):
            one = {"coefficient": coefficient, "accuracy": _decide(add(origin, vectors, coefficient), *deciding)}
            if coefficient not in (0, HALF) and repaired == norm:
                ends = (add(origin, [vector], 2 * coefficient) for vector in vectors)
                halfway = layers.measure(made, *ends, [HALF], split, repair)["layers"]
                one["layers"] = [{name: layer[name] for name in KEPT} for layer in halfway]
            row["sums"].append(one)
        rows.append(row)
    return rows


def _decide(
    state: State, network: nn.Module, inputs: Inputs, tasks: Mapping[str, np.ndarray], repair: Repair | None
) -> dict[str, dict[str, float]]:
    """Accuracies of the network with that state, which it keeps, repaired."""
    load_state(network, state)
    if repair is not None:
        repair(network, None)
    return decide(network, inputs, tasks)
