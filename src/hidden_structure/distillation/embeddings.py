"""What a teacher makes of the training images, and what classes are split by: maps, true pieces, probes of these."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hidden_structure.frame import artifacts, params
from hidden_structure.recovery import probing
from hidden_structure.recovery.clustering import reduce_within

PROBE_L2 = 1e-4  # in units of features; not cluster.l2, of which no student is to be taught again


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A teacher's embeddings of the training images, and what else classes may be split by.

    values: (N, d). labels: int64 (N,). weight: (C, d), of the teacher's last layer. fine: int64 (N,), the classes
    before the merge, which only oracles see. teacher: its seed, which random draws are named after: those of another
    teacher are others. folder: where is kept what takes long; None: nowhere.
    """

    values: Tensor
    labels: Tensor
    weight: Tensor
    fine: Tensor
    cluster: params.Cluster
    teacher: int = 0
    folder: Path | None = None

    @property
    def classes(self) -> int:
        return len(self.weight)

    @cached_property
    def tsne(self) -> np.ndarray:
        """(N, 2), every class by itself."""
        values, labels, cluster = self.values.cpu().numpy(), self.labels.cpu().numpy(), self.cluster
        own = values, labels, "tsne", cluster.perplexity, cluster.components, "distill", self.teacher
        return self._kept("map", {"points": ("f", 2)}, lambda: {"points": reduce_within(*own)})["points"]

    @cached_property
    def true_pieces(self) -> np.ndarray:
        """int64 (N,): the classes before the merge, numbered 0, 1, ... inside each class."""
        fine, labels = self.fine.cpu().numpy(), self.labels.cpu().numpy()
        pieces = np.empty_like(fine)
        for label in np.unique(labels):
            inside = labels == label
            pieces[inside] = np.unique(fine[inside], return_inverse=True)[1]
        return pieces

    @cached_property
    def probe(self) -> tuple[Tensor, Tensor]:
        """Weights (C, S, d) and biases (C, S) of a linear softmax layer a class, trained on its true pieces; of pieces
        that a class has not the bias is minus infinity.

        Raises InputError as `probing.fit` does.
        """
        found = self._kept("probe", {"weight": ("f", 3), "bias": ("f", 2), "pieces": ("i", 1)}, self._fit_probe)
        weight, bias, pieces = (torch.from_numpy(found[name]) for name in ("weight", "bias", "pieces"))
        lacking = torch.arange(bias.shape[1]) >= pieces[:, None]
        return weight.to(self.values), bias.masked_fill(lacking, -torch.inf).to(self.values)

    def _fit_probe(self) -> dict[str, np.ndarray]:
        values, labels, true = self.values.cpu(), self.labels.cpu().numpy(), torch.from_numpy(self.true_pieces)
        pieces = np.array([int(true[labels == label].max()) + 1 for label in range(self.classes)])
        weight = np.zeros((self.classes, pieces.max(), values.shape[1]))
        bias = np.zeros(weight.shape[:2])
        for label, count in enumerate(pieces):
            inside = labels == label
            found = probing.fit(values[inside], true[inside], int(count), PROBE_L2)
            weight[label, :count], bias[label, :count] = found.weight, found.bias
        return {"weight": weight, "bias": bias, "pieces": pieces}

    def _kept(
        self, name: str, kinds: dict[str, tuple[str, int]], make: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Read where it is there already, else made and written."""
        if self.folder is None:
            return make()
        if not (file := self.folder / f"{name}.npz").is_file():
            artifacts.write_arrays(file, make())
        return artifacts.read_arrays(file, kinds)
