"""The ways of matching two networks that benchmarks/barrier.py compares; its docstring says what each is."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import torch
from barrier_networks import BATCH, KINDS, SAMPLES, TEST, checkpoint
from matching import plain
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hidden_structure.frame import artifacts, sections
from hidden_structure.networks.build import initialise
from hidden_structure.networks.features import evaluation_mode
from hidden_structure.networks.weights import load_state
from hidden_structure.permutation.activation_matching import PairedMoments, Reader, match_activations, paired_moments
from hidden_structure.permutation.families import best, families, places
from hidden_structure.permutation.joint_matching import match_jointly, votes_of_weights, with_scores
from hidden_structure.permutation.permuting import Permutation, identity
from hidden_structure.permutation.straight_through import match_straight_through
from hidden_structure.permutation.symmetry import derive
from hidden_structure.permutation.weight_matching import Ascent, match_weights
from hidden_structure.seeding import torch_generator
from hidden_structure.training.batches import evaluation_batches, on_device

State = Mapping[str, Tensor]


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """Layers with trained weights."""
    kinds = (nn.Linear, nn.Conv2d)
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, kinds) and module.weight.requires_grad
    }


def rows(values: Tensor) -> Tensor:
    """(b, channels, ...) as (samples and positions, channels)."""
    return values.movedim(1, -1).flatten(0, -2)


def root(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix.double())
    return ((vectors * values.clamp_min(1e-8 * values.max()) ** power) @ vectors.T).float()


class GradientReader(Reader):
    """Keeps the tensors themselves, of which gradients can be taken."""

    def run_node(self, node: torch.fx.Node) -> object:
        value = super(Reader, self).run_node(node)
        if node.name in self.wanted:
            self.kept[node.name] = value
        return value


class Pair:
    """Two trained networks, and what methods read of them."""

    def __init__(self, kind: str, seeds: tuple[int, int], arrays: Mapping[str, np.ndarray]) -> None:
        shape = arrays["train_images"].shape[1:]
        self.seeds = seeds
        self.networks = [initialise(KINDS[kind][1], shape, 10, seed) for seed in seeds]
        for network, seed in zip(self.networks, seeds, strict=True):
            load_state(network, artifacts.read_state(checkpoint(kind, seed), network))
        self.a, self.b = ({name: value.clone() for name, value in of.state_dict().items()} for of in self.networks)
        self.merged = initialise(KINDS[kind][1], shape, 10, 0)
        self.splits = {}
        for split, count in (("train", SAMPLES), ("test", TEST)):
            pixels = arrays[f"{split}_images"][:count]
            images = on_device(pixels, arrays["mean"], arrays["std"], torch.device("cpu"))
            self.splits[split] = images, torch.from_numpy(arrays[f"{split}_labels"][:count])
        self.images = self.splits["train"][0]
        self.symmetry = derive(self.networks[0], next(evaluation_batches(self.images, 2)))
        self.names = [name for name in self.symmetry.layouts if self.a[name].dim() > 1]
        self.still = identity(self.symmetry)
        self.ends: dict[bool, tuple[dict[str, float], dict[str, float]]] = {}  # by whether they are repaired

    def batches(self) -> list[Tensor]:
        return list(evaluation_batches(self.images, BATCH))

    def draws(self) -> torch.Generator:
        return torch_generator("barrier", *self.seeds)

    @cached_property
    def moments(self) -> dict:
        return paired_moments(self.symmetry, *self.networks, self.batches())

    @cached_property
    def gradients(self) -> dict:
        """As `moments`, of the gradients of one random direction of the logits."""
        moments = {
            reading: [(group, place, PairedMoments(place.entries)) for group, place in found]
            for reading in self.symmetry.readings
            if (found := places(self.symmetry, (reading.layout,)))
        }
        directions = torch_generator("barrier", "directions")
        with evaluation_mode(self.networks[0]), evaluation_mode(self.networks[1]), torch.enable_grad():
            readers = [GradientReader(network, self.symmetry) for network in self.networks]
            for images in self.batches():
                along, both = torch.randn(len(images), 10, generator=directions), []
                for reader in readers:
                    logits = reader.run(images.clone().requires_grad_())
                    kept = [reader.kept[reading.node] for reading in moments]
                    both.append(torch.autograd.grad((logits * (along - along.mean(1, keepdim=True))).sum(), kept))
                for index, (reading, found) in enumerate(moments.items()):
                    own = [values[index].movedim(reading.dimension, 0).flatten(1) for values in both]
                    for _, place, sums in found:
                        sums.add(*(place.units(values).T for values in own))
        return moments

    def correlations(self, *of: dict) -> dict[str, Tensor]:
        """Of each group, averaged over its readings, of activations, gradients or both."""
        found = defaultdict(list)
        for moments in of:
            for readings in moments.values():
                for group, _, sums in readings:
                    found[group].append(sums.scores(correlated=True))
        return {group: sum(values) / len(values) for group, values in found.items()}

    def assigned(self, scores: dict[str, Tensor]) -> Permutation:
        own = [best(family, {family.root: scores[family.root]}) for family in families(self.symmetry)]
        return {group: entries for found in own for group, entries in found.items()}

    @cached_property
    def second_moments(self) -> tuple[list[dict], list[dict]]:
        """Of both networks: covariances of each layer's inputs, and second moments (inputs', gradients')."""
        inputs, outputs = ([defaultdict(list) for _ in "ab"] for _ in range(2))
        draws = torch_generator("barrier", "labels")
        for network, into, out in zip(self.networks, inputs, outputs, strict=True):
            handles = []
            for name, module in layers(network).items():

                def hook(module, given, values, name=name, into=into, out=out):
                    into[name].append(rows(given[0].detach()))
                    values.register_hook(lambda gradient: out[name].append(rows(gradient)))

                handles.append(module.register_forward_hook(hook))
            with evaluation_mode(network), torch.enable_grad():
                for images in self.batches():
                    logits = network(images)
                    labels = torch.multinomial(logits.softmax(1).detach(), 1, generator=draws)[:, 0]
                    weights = [module.weight for module in layers(network).values()]
                    torch.autograd.grad(cross_entropy(logits, labels, reduction="sum"), weights)
            for handle in handles:
                handle.remove()

        def second(parts: list[Tensor]) -> Tensor:
            values = torch.cat(parts)
            return values.T @ values / SAMPLES

        def covariance(parts: list[Tensor]) -> Tensor:
            values = torch.cat(parts)
            return (values - values.mean(0)).T @ (values - values.mean(0)) / len(values)

        covariances = [{name: covariance(parts) for name, parts in into.items()} for into in inputs]
        both = [
            {name: (second(into[name]), second(out[name])) for name in into}
            for into, out in zip(inputs, outputs, strict=True)
        ]
        return covariances, both

    def in_metric(self, metric: str) -> list[dict[str, Tensor]]:
        """States whose weights are scaled by what the layers see, each tensor to norm 1."""
        found = []
        for index, state in enumerate((self.a, self.b)):
            own = dict(state)
            for name in layers(self.networks[0]):
                key = f"{name}.weight"
                if key not in self.names:
                    continue
                if metric == "data":
                    scaled = torch.einsum("oi...,ij->oj...", state[key], root(self.second_moments[0][index][name], 0.5))
                else:
                    inputs, gradients = self.second_moments[1][index][name]
                    scaled = torch.einsum("oi...,ij->oj...", state[key], root(inputs, 0.25))
                    scaled = torch.einsum("oi...,op->pi...", scaled, root(gradients, 0.25))
                own[key] = scaled / scaled.norm()
            found.append(own)
        return found

    @cached_property
    def metrics(self) -> dict[str, list[dict[str, Tensor]]]:
        return {metric: self.in_metric(metric) for metric in ("data", "Fisher")}


def spread(scores: Tensor) -> float:
    """Of scores off the diagonal, up to constants of rows and columns, which no assignment sees."""
    centred = scores - scores.mean(0) - scores.mean(1, keepdim=True) + scores.mean()
    return centred[~torch.eye(len(scores), dtype=bool)].std().item()


def joint(pair: Pair, scores: dict[str, Tensor], share: float = 1.0, restarts: int = 1) -> Permutation:
    votes = votes_of_weights(pair.symmetry, pair.a, pair.b)
    loud = {group: values * (share * votes[group] / len(values)) for group, values in scores.items()}
    extended = with_scores(pair.symmetry, pair.a, pair.b, loud)
    return match_weights(*extended, pair.draws(), restarts).permutation


def joint_by_spread(pair: Pair, scores: dict[str, Tensor]) -> Permutation:
    start, loud = pair.assigned(scores), {}
    ascent = Ascent(pair.symmetry, pair.a, pair.b)
    ascent.move(start)
    for family in ascent.families:
        own = ascent._scores(ascent.terms[family], 1.0)[family.root]
        values = scores[family.root]
        loud[family.root] = values * (spread(own) / spread(values[:, start[family.root]]))
    ascent = Ascent(*with_scores(pair.symmetry, pair.a, pair.b, loud))
    ascent.move(start)
    ascent.climb(ascent.families)
    return ascent.permutation


def weights(pair: Pair, restarts: int = 1, start: Permutation | None = None) -> Permutation:
    return match_weights(pair.symmetry, pair.a, pair.b, pair.draws(), restarts, start).permutation


def straight_through(pair: Pair) -> Permutation:
    ste = sections.StraightThrough(epochs=5, batch_size=100, lr=1e-3)
    images, labels = pair.splits["train"]
    networks = pair.symmetry, pair.networks[0], pair.a, pair.b
    start = weights(pair, 5)
    return match_straight_through(*networks, images, labels, ste, start, torch.float32, *pair.seeds).permutation


def library_joint(pair: Pair, restarts: int = 1) -> Permutation:
    return match_jointly(pair.symmetry, pair.a, pair.b, pair.moments, pair.draws(), restarts).permutation


METHODS: dict[str, Callable[[Pair], Permutation]] = {
    "none": lambda pair: pair.still,
    "weights": weights,
    "weights, 5 restarts": lambda pair: weights(pair, 5),
    "weights, algorithm 1": lambda pair: plain(pair.symmetry, pair.a, pair.b, pair.draws()),
    "activations": lambda pair: match_activations(pair.symmetry, pair.moments, "products").permutation,
    "correlations": lambda pair: match_activations(pair.symmetry, pair.moments, "correlations").permutation,
    "straight-through": straight_through,
    "joint": library_joint,
    "joint, 5 restarts": lambda pair: library_joint(pair, 5),
    "joint, share 0.3": lambda pair: joint(pair, pair.correlations(pair.moments), 0.3),
    "joint, share 3": lambda pair: joint(pair, pair.correlations(pair.moments), 3.0),
    "joint, spread": lambda pair: joint_by_spread(pair, pair.correlations(pair.moments)),
    "joint, gradients": lambda pair: joint(pair, pair.correlations(pair.moments, pair.gradients)),
    "joint, gradients, spread": lambda pair: joint_by_spread(pair, pair.correlations(pair.moments, pair.gradients)),
    "gradients": lambda pair: pair.assigned(pair.correlations(pair.gradients)),
    "both": lambda pair: pair.assigned(pair.correlations(pair.moments, pair.gradients)),
    "weights from correlations": lambda pair: weights(pair, 1, pair.assigned(pair.correlations(pair.moments))),
    "data metric": lambda pair: match_weights(pair.symmetry, *pair.in_metric("data"), pair.draws()).permutation,
    "Fisher metric": lambda pair: match_weights(pair.symmetry, *pair.in_metric("Fisher"), pair.draws()).permutation,
}
