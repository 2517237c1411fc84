"""Loss barriers between small vision transformers, aligned by permutations and by orthogonal and invertible maps.

Independent pairs of networks trained on scikit-learn's digits, between whose blocks stands RMSNorm or LayerNorm. Prints
the barrier of the test loss (nats) by how the second network was aligned, with the 95 % t interval over disjoint pairs;
and how far from each network its copy ends whose units a random element of the larger group has mapped.

    PYTHONPATH=src python benchmarks/beyond_permutations.py [pairs] [epochs] [RMSNorm | LayerNorm]
"""

import sys
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call

from hidden_structure.permutation import linear_maps, permuting
from hidden_structure.permutation.linear_maps import LinearMaps
from hidden_structure.permutation.linear_matching import balanced, match_maps
from hidden_structure.permutation.linear_symmetry import derive_maps
from hidden_structure.permutation.weight_matching import match_weights
from hidden_structure.seeding import global_seed, torch_generator

WIDTH, HEADS, ALPHAS = 32, 4, torch.linspace(0, 1, 25).tolist()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = norm(WIDTH), Attention(), norm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """On 16 patches of 2 by 2 pixels."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.embed, self.positions = nn.Conv2d(1, WIDTH, 2, 2), nn.Parameter(0.02 * torch.randn(1, 16, WIDTH))
        self.blocks = nn.Sequential(Block(norm), Block(norm))
        self.norm, self.head = norm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(x).flatten(2).transpose(1, 2) + self.positions)).mean(1))


def trained(norm: type[nn.Module], seed: int, images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    with global_seed("beyond permutations", seed):
        network = Transformer(norm)
    generator, steps = torch_generator("order", seed), epochs * (len(images) // 64)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64)[: len(images) // 64]:
            optimizer.zero_grad()
            F.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def barrier(network: nn.Module, a: Mapping[str, Tensor], b: Mapping[str, Tensor], data: tuple[Tensor, Tensor]) -> float:
    losses = []
    for alpha in ALPHAS:
        state = {name: ((1 - alpha) * a[name].double() + alpha * b[name].double()).float() for name in a}
        losses.append(F.cross_entropy(functional_call(network, state, data[0]), data[1]).item())
    return max(loss - (1 - at) * losses[0] - at * losses[-1] for loss, at in zip(losses, ALPHAS, strict=True))


def distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Relative to the first one's size."""
    parts = [((a[name].double() - b[name].double()).square().sum(), a[name].double().square().sum()) for name in a]
    return (sum(apart for apart, _ in parts) / sum(own for _, own in parts)).sqrt().item()


def measured(maps: LinearMaps, a: nn.Module, b: nn.Module, data: tuple[Tensor, Tensor], seed: int) -> dict[str, float]:
    """Barriers of one pair by how it is aligned, and how well what is planted in a copy of the first one is found."""
    states, generator = (a.state_dict(), b.state_dict()), torch_generator("match", seed)
    permutation = match_weights(maps.symmetry, *states, generator, 2).permutation
    aligned = match_maps(maps, *states, generator, 2)
    formed = [balanced(maps, state) for state in states]
    found = {
        "as trained": barrier(a, *states, data),
        "permuted": barrier(a, states[0], permuting.apply(maps.symmetry, permutation, states[1]), data),
    }
    inside = match_weights(maps.symmetry, *formed, generator, 2).permutation
    found["balanced"] = barrier(a, *formed, data)
    found["balanced, permuted"] = barrier(a, formed[0], permuting.apply(maps.symmetry, inside, formed[1]), data)
    found["balanced, mapped"] = barrier(a, aligned.a, aligned.b, data)
    planted = linear_maps.apply(maps, linear_maps.draw(maps, generator), linear_maps.fold(maps, states[0]))
    recovered = match_maps(maps, states[0], planted, generator)
    other = match_weights(maps.symmetry, recovered.a, balanced(maps, planted), generator, 2).permutation
    permuted = permuting.apply(maps.symmetry, other, balanced(maps, planted))
    found["planted, distance left by permutations"] = distance(recovered.a, permuted)
    return found | {"planted, distance left by maps": distance(recovered.a, recovered.b)}


def main() -> None:
    pairs, epochs, *norms = (*sys.argv[1:], *["6", "20", "RMSNorm", "LayerNorm"][len(sys.argv) - 1 :])
    pairs, epochs = int(pairs), int(epochs)
    digits = load_digits()
    images, labels = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1, torch.tensor(digits.target)
    order = torch.randperm(len(images), generator=torch_generator("split"))
    train, test = order[:1297], order[1297:]
    for norm in (getattr(nn, name) for name in norms):
        rows = []
        for pair in range(pairs):
            a, b = (trained(norm, 2 * pair + end, images[train], labels[train], epochs) for end in range(2))
            maps = derive_maps(a, images[:2])
            data = images[test], labels[test]
            right = [(network(data[0]).argmax(1) == data[1]).float().mean().item() for network in (a, b)]
            with torch.no_grad():
                rows.append(measured(maps, a, b, data, pair) | {"test accuracy": sum(right) / 2})
            rows[-1]["mapped less permuted"] = rows[-1]["balanced, mapped"] - rows[-1]["permuted"]
            print(f"\n{norm.__name__}, {pair + 1} pairs, {epochs} epochs")
            for name in rows[0]:
                values = np.array([row[name] for row in rows])
                half = stats.t.ppf(0.975, pair) * values.std(ddof=1) / len(rows) ** 0.5 if pair else np.nan
                print(f"{name:42s} {values.mean():10.3g} +- {half:.2g}", flush=True)


if __name__ == "__main__":
    main()
