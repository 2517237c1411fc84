"""Layerwise linear feature connectivity (LLFC), and the two conditions that give it, of two networks on a line.

Zhou, Yang, Yang, Yan, Hu, NeurIPS 2023, arXiv 2307.08286. LLFC: for every layer l and every alpha the features of the
network at (1 - alpha) A + alpha B are c ((1 - alpha) f_l(A) + alpha f_l(B)) for some c > 0. It follows, with c = 1,
from weak additivity of every activation and commutativity at every layer with weights. Its rival weights the ends
exponentially (`exponential.py`).

All cosines are signed, and all distances are dist(x, y) = |x - y|^2 / (|x| |y|), sample by sample (our reading), at
most FAR. Of two features that are both 0 the cosine is 1 and the distance 0; if one is, they are 0 and FAR. Networks
compute in their own precision, mostly float32, so what is below 1e-6 is rounding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.functional import linear

from hidden_structure.connectivity.line import Repair, Split, State, batch_size_for, interpolate
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.progress import track
from hidden_structure.linearity.distribution import Distributions
from hidden_structure.linearity.exponential import depths, exponential_weights, weighted
from hidden_structure.linearity.formulas import FORMULAS, distance
from hidden_structure.linearity.in_step import InStep, first_argument, function_of
from hidden_structure.linearity.products import dots, with_sum
from hidden_structure.linearity.samples import FEW, Samples, samples_in
from hidden_structure.networks.weights import computed, copy_of, load_state, refuse_not_finite
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import Images, as_split

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
ACTIVATIONS = frozenset(  # names of modules and of functions, in lower case and without underscores
    """relu relu6 gelu silu sigmoid tanh elu selu celu leakyrelu rrelu hardtanh hardswish hardsigmoid mish softplus
    softsign logsigmoid threshold tanhshrink softshrink hardshrink""".split()
)
PASSING_ON = (nn.Identity, nn.Flatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)

ALONG = ("dissimilarity", "exponential", "coefficient", "additivity")  # quantities of every alpha
Key = tuple[str, str, int]  # layer, quantity, index of alpha
Found = dict[Key, tuple[np.ndarray, ...]]  # <x, y>, |x|^2 and |y|^2 of what is compared, float64 (n,)


def is_activation(module: nn.Module, node: fx.Node) -> bool:
    """Whether the operation is a nonlinearity, the same for every unit and without parameters."""
    if node.op == "call_module":
        return type(module.get_submodule(node.target)).__name__.lower() in ACTIVATIONS
    return node.op.startswith("call") and function_of(node) in ACTIVATIONS


def with_state(network: nn.Module, state: State) -> nn.Module:
    """A copy of the network, with that state. Raises InputError if it does not fit."""
    network = copy_of(network)
    load_state(network, state)
    return network


@torch.no_grad()
@np.errstate(over="ignore", invalid="ignore")  # what is not finite becomes an error
def measure(
    network: nn.Module, a: State, b: State, alphas: Sequence[float], split: Split, repair: Repair | None = None
) -> dict[str, Any]:
    """Everything of one pair, from one pass over the images.

    Args:
        network: of the architecture; left as it is.
        a, b: state dicts; b permuted towards a where the pair is aligned.
        repair: mends every network on the line, its ends included.

    Returns {"layers", "test_error"}. layers: one dict for every layer, in order of execution; each quantity is a
    summary of `distribution.py`, or a list of them, one an alpha:

        name and depth (layers with trained weights on the longest path up to it); of all: dissimilarity (1 - cos of
        the merged network's features and the interpolated ones, an alpha each), exponential (the same of exponentially
        weighted ones), coefficient (<merged, interpolated> / |interpolated|^2, an alpha each), baseline (1 - cos of
        the ends');
        of activations: additivity (dist of the activation of the interpolated input and the interpolated output);
        of linear and convolutional layers: commutativity (dist of W_A H_A + W_B H_B and W_A H_B + W_B H_A), weights
        (dist of the weights, one number) and inputs (dist of H_A and H_B).

    test_error: fractions of the images on which the ends err (a, b; either: at least one), and at every alpha the
    merged network, the interpolated logits, and (disagreement) on which these two decide differently.

    Raises InputError if torch.fx cannot trace the network, or not as it is, the states do not fit, a label is of no
    class, or a feature is not
    finite, or too large for its square to be.
    """
    split = as_split("the images", split)
    networks = []
    for alpha in (0.0, 1.0, *alphas):
        networks.append(with_state(network, interpolate(a, b, alpha)))
        if repair is not None:
            repair(networks[-1], alpha)
    images, labels = split
    in_step = InStep(networks, images.normalise(images.pixels[:2]))
    layers = _Layers(in_step, alphas, _noise(images))
    size = batch_size_for(networks[0], {"the images": split}, torch.float32, compared=True)
    rows: list[Key] = []
    distributions = decisions = None
    batches = zip(images.pixels.split(size), labels.split(size), strict=True)
    for pixels, targets in track(batches, "layers of a pair", -(-len(labels) // size)):
        found, logits = layers.of(images.normalise(pixels))
        if distributions is None:
            rows, distributions, decisions = list(found), Distributions(len(found)), _Decisions(alphas)
        values = np.empty((len(rows), len(targets)))
        for quantity, formula in FORMULAS.items():
            own = [index for index, row in enumerate(rows) if row[1] == quantity]
            if own:
                values[own] = formula(*np.stack([found[rows[index]] for index in own], 1))
        if not np.isfinite(values).all():
            refuse_not_finite(a, b)
            layer = rows[np.argwhere(~np.isfinite(values))[0, 0]][0]
            raise InputError(
                f"the features of layer {layer} are not finite on the line between the two: do the weights of one lie "
                "far beyond the other's? train with a norm or a lower rate"
            )
        distributions.add(torch.from_numpy(values))
        decisions.add(logits, targets)
    summaries = dict(zip(rows, distributions.summaries(), strict=True))
    return {"layers": layers.table(summaries), "test_error": decisions.errors()}


def _noise(images: Images) -> Tensor:
    shape = 2 * FEW, *images.pixels.shape[1:]
    drawn = torch.randint(256, shape, generator=torch_generator("samples"), dtype=torch.uint8)
    return images.normalise(drawn.to(images.pixels.device))


class _Layers:
    """What is measured at every layer on one batch. Networks: the ends A and B, then one an alpha."""

    def __init__(self, in_step: InStep, alphas: Sequence[float], noise: Tensor) -> None:
        """noise: images that tell where the samples are in what a layer puts out."""
        self.in_step, self.alphas = in_step, alphas
        self.compared = compared = [
            node for node in in_step.nodes if node in in_step.of_images and self._is_compared(node)
        ]
        read = [first_argument(node) for node in compared if isinstance(self._module(node), WEIGHTED)]
        few, twice = (in_step.outputs_of_first(images) for images in (noise[:FEW], noise))
        self.samples = {node: samples_in(few[node], twice[node], in_step.names[node]) for node in (*read, *compared)}
        ends = in_step.networks[:2]
        names = [name for name, module in ends[0].named_modules() if isinstance(module, WEIGHTED)]
        self.weights = {name: [computed(end.get_submodule(name), "weight") for end in ends] for name in names}
        self.differences = {name: a - b for name, (a, b) in self.weights.items()}
        counted = weighted(in_step.nodes, in_step.module, in_step.of_images)
        self.depths = {in_step.names[node]: depth for node, depth in depths(in_step.nodes, counted).items()}

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.in_step.module.get_submodule(node.target) if node.op == "call_module" else None

    def _is_compared(self, node: fx.Node) -> bool:
        module = self._module(node)
        passing = module is None or isinstance(module, PASSING_ON)
        return is_activation(self.in_step.module, node) or not passing

    def of(self, images: Tensor) -> tuple[Found, list[Tensor]]:
        """Every quantity of every layer, and the networks' logits."""
        found: Found = {}
        in_step, logits = self.in_step, []
        for node in in_step.start(images):
            name = in_step.names[node]
            if node not in in_step.of_images:  # such as a bias made of the positions in an image
                in_step.advance(node)
                continue
            activation, weighted = is_activation(in_step.module, node), isinstance(self._module(node), WEIGHTED)
            inputs = in_step.inputs(node)[:2] if activation or weighted else []
            additive = [in_step.on(node, torch.lerp(*inputs, alpha)) for alpha in self.alphas] if activation else []
            outputs = in_step.advance(node)
            if node.op == "output":
                logits = outputs
            elif node in self.compared and self.samples[node]:
                self._compare(found, name, self.samples[node], outputs, additive)
                if weighted:
                    self._commute(found, name, node, inputs, outputs[:2])
        return found, logits

    def _compare(
        self, found: Found, name: str, samples: Samples, outputs: list[Tensor], additive: list[Tensor]
    ) -> None:
        a, b, *others = _as_rows(samples, *outputs, *additive)
        with_ends = [(other, end) for other in others for end in (other, a, b)]
        squared_a, inner, squared_b, *products = dots((a, a), (a, b), (b, b), *with_ends)
        ends = a, b, squared_a, inner, squared_b
        found[name, "baseline", 0] = inner, squared_a, squared_b
        kinds = [("merged", index) for index in range(len(self.alphas))]
        kinds += [("additivity", index) for index in range(len(additive))]
        for place, ((kind, index), other) in enumerate(zip(kinds, others, strict=True)):
            alpha, own = self.alphas[index], products[3 * place : 3 * place + 3]
            linear = with_sum(1 - alpha, alpha, other, ends, own)
            if kind == "additivity":
                found[name, kind, index] = linear
                continue
            found[name, "dissimilarity", index] = found[name, "coefficient", index] = linear
            weights = exponential_weights(alpha, self.depths[name])
            found[name, "exponential", index] = with_sum(*weights, other, ends, own)

    def _commute(self, found: Found, name: str, node: fx.Node, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """(W_A - W_B)(H_A - H_B) is the difference of the two sides of commutativity."""
        target = node.target
        modules = [network.get_submodule(target) for network in self.in_step.networks[:2]]
        apart = inputs[0] - inputs[1]
        crossed, together = _linear_part(modules[0], apart, self.differences[target]), outputs[0] + outputs[1]
        if modules[0].bias is not None:
            ones = [1] * (self.differences[target].dim() - 2)
            together -= (modules[0].bias + modules[1].bias).view(-1, *ones)
        together, crossed = _as_rows(self.samples[node], together, crossed)
        one, other, square = dots((together, together), (together, crossed), (crossed, crossed))
        found[name, "commutativity", 0] = one - other, one, one - 2 * other + square
        read = self.samples[first_argument(node)]
        apart, a, b = dots(*((rows, rows) for rows in _as_rows(read, apart, *inputs)))
        found[name, "inputs", 0] = (a + b - apart) / 2, a, b

    def table(self, summaries: dict[Key, dict]) -> list[dict[str, Any]]:
        layers: dict[str, dict[str, Any]] = {}
        for (name, quantity, _), summary in summaries.items():
            layer = layers.setdefault(name, {"name": name, "depth": self.depths[name]})
            if quantity in ALONG:
                layer.setdefault(quantity, []).append(summary)
            else:
                layer[quantity] = summary
        for node, name in self.in_step.names.items():
            if "commutativity" in layers.get(name, ()):
                a, b = (weight.reshape(1, -1) for weight in self.weights[node.target])
                inner, *squared = dots((a, b), (a, a), (b, b))
                layers[name]["weights"] = distance(inner, *squared).item()
        return list(layers.values())


class _Decisions:
    """Counts of wrong and of differing decisions."""

    def __init__(self, alphas: Sequence[float]) -> None:
        self.alphas, self.count = alphas, 0
        self.wrong = dict.fromkeys(("a", "b", "either"), 0)
        self.along = {name: [0] * len(alphas) for name in ("merged", "interpolated", "disagreement")}

    def add(self, logits: list[Tensor], labels: Tensor) -> None:
        a, b, *merged = (values.argmax(1) for values in logits)
        self.count += len(labels)
        for name, wrong in {"a": a != labels, "b": b != labels, "either": (a != labels) | (b != labels)}.items():
            self.wrong[name] += int(wrong.sum())
        for index, (alpha, own) in enumerate(zip(self.alphas, merged, strict=True)):
            between = torch.lerp(logits[0], logits[1], alpha).argmax(1)
            for name, wrong in (("merged", own != labels), ("interpolated", between != labels)):
                self.along[name][index] += int(wrong.sum())
            self.along["disagreement"][index] += int((own != between).sum())

    def errors(self) -> dict[str, Any]:
        single = {name: count / self.count for name, count in self.wrong.items()}
        return single | {name: [count / self.count for count in counts] for name, counts in self.along.items()}


def _linear_part(module: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    """What a linear or convolutional layer with this weight and no bias gives."""
    bias = None if module.bias is None else torch.zeros_like(module.bias)
    return linear(inputs, weight, bias) if isinstance(module, nn.Linear) else module._conv_forward(inputs, weight, bias)


def _as_rows(samples: Samples, *values: Tensor) -> list[Tensor]:
    """Every sample as one row, mostly without a copy: entries in the order in which the first tensor holds them."""
    values = tuple(map(samples.first, values))
    order = sorted(range(1, values[0].dim()), key=lambda dim: -values[0].stride(dim))
    return [value.permute(0, *order).flatten(1) for value in values]
