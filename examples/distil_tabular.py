"""Distil a table: pseudo-subclasses of a teacher's embeddings, without images, pipeline or download.

The wines of scikit-learn come from three cultivars. The teacher learns only whether a wine is of the last one, so its
class "other" hides two cultivars, and the pieces of that class may tell a student of them. Run it, once the project is
installed, by

    python examples/distil_tabular.py
"""

import torch
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hidden_structure.distillation.lelp import Splitter, lelp, loss, merge_logits, targets, whole
from hidden_structure.seeding import global_seed, numpy_generator, torch_generator

SUBCLASSES, BETA, TEMPERATURE, STUDENTS = 2, 0.5, 2.0, 5


def train(hidden: int, inputs: Tensor, wanted: Tensor, temperature: float, seed: int = 0) -> nn.Sequential:
    """A small network, fitted to probabilities (N, outputs) by full-batch Adam."""
    with global_seed("wine", "initialisation", hidden, seed):
        network = nn.Sequential(nn.Linear(inputs.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, wanted.shape[1]))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss(network(inputs), wanted, temperature).backward()
        optimizer.step()
    return network.requires_grad_(False)


def main() -> None:
    table, cultivars = (torch.from_numpy(array) for array in load_wine(return_X_y=True))
    order = torch.from_numpy(numpy_generator("wine", "split").permutation(len(table)))
    known, new = order[:90], order[90:]
    table = ((table - table[known].mean(0)) / table[known].std(0)).float()
    labels = (cultivars == 2).long()

    # Of a teacher, whatever it is, we need embeddings (N, d), logits (N, C) and its last layer's weight (C, d).
    teacher = train(32, table[known], one_hot(labels[known]).float(), 1.0)
    embeddings, logits, weight = teacher[:-1](table[known]), teacher(table[known]), teacher[-1].weight
    samples = torch.arange(len(known))

    def accuracy(network: nn.Module, temperature: float) -> float:
        return (merge_logits(network(table[new]), 2, temperature).argmax(1) == labels[new]).double().mean().item()

    def students(split: Splitter) -> float:
        """Mean test accuracy of small students, after merging their pieces."""
        wanted = targets(logits, split(embeddings, samples), TEMPERATURE)
        networks = [train(3, table[known], wanted, TEMPERATURE, seed) for seed in range(STUDENTS)]
        return sum(accuracy(network, TEMPERATURE) for network in networks) / STUDENTS

    projections = lelp(embeddings, labels[known], weight, SUBCLASSES, BETA, torch_generator("wine", "rotation"))
    print(f"test accuracy of the teacher: {accuracy(teacher, 1.0):.3f}")
    print(f"of {STUDENTS} students of its probabilities, on average: {students(whole(2)):.3f}")
    print(f"of {STUDENTS} students of its pieces by LELP, on average: {students(projections):.3f}")

    other = labels[known] == 0
    pieces, hidden = projections(embeddings, samples)[other, 0].argmax(1), cultivars[known][other]
    for cultivar in (0, 1):
        counts = torch.bincount(pieces[hidden == cultivar], minlength=SUBCLASSES).tolist()
        print(f"training samples of cultivar {cultivar} by their likeliest piece: {counts}")
    print(f"adjusted Rand index of pieces and cultivars: {adjusted_rand_score(hidden, pieces):.3f}")


if __name__ == "__main__":
    main()
