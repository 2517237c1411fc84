"""Mean, spread and quantiles of values that come in parts, in memory that does not grow with their number."""

import torch
from torch import Tensor

LEAST, MOST, PER_DECADE = 1e-7, 1e3, 230  # bins of magnitudes, each 1 % above the last
QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}


def _edges() -> Tensor:
    decades = torch.log10(torch.tensor([LEAST, MOST], dtype=torch.float64))
    steps = round(PER_DECADE * (decades[1] - decades[0]).item()) + 1
    magnitudes = torch.logspace(*decades.tolist(), steps, dtype=torch.float64)
    return torch.cat([-magnitudes.flip(0), magnitudes])


class Distributions:
    """Of `rows` quantities at once: moments in float64, and a histogram of magnitudes with their signs.

    Quantiles are within 1 % for magnitudes from 1e-7 to 1e3; what is smaller counts as 0.
    """

    def __init__(self, rows: int) -> None:
        self.edges = _edges()
        self.counts = torch.zeros(rows, len(self.edges) + 1, dtype=torch.int64)
        self.mean = torch.zeros(rows, dtype=torch.float64)
        self.scatter = torch.zeros(rows, dtype=torch.float64)  # sum of squared differences from the mean
        self.count = 0

    def add(self, values: Tensor) -> None:
        """values: float (rows, n) on the CPU, n more values of each quantity."""
        values = values.double().contiguous()
        own, mean = values.shape[1], values.mean(1)
        apart, total = mean - self.mean, self.count + own
        self.scatter += (values - mean[:, None]).square().sum(1) + apart.square() * (self.count * own / total)
        self.mean += apart * (own / total)
        self.count = total
        bins = torch.bucketize(values, self.edges)
        self.counts.scatter_add_(1, bins, torch.ones_like(bins))

    def quantile(self, share: float) -> Tensor:
        """float64 (rows,): the value that this share of the values does not exceed."""
        reached = self.counts.cumsum(1) >= share * self.count
        bins = reached.int().argmax(1)
        low, high = (self.edges[(bins + shift).clamp(0, len(self.edges) - 1)] for shift in (-1, 0))
        middle = len(self.edges) // 2
        return torch.where(bins == middle, 0.0, (low + high) / 2)

    def summaries(self) -> list[dict[str, float]]:
        """{"mean", "spread" (sample standard deviation), and the QUANTILES} of every quantity, to six digits."""
        spread = (self.scatter / max(self.count - 1, 1)).sqrt()
        columns = {"mean": self.mean, "spread": spread}
        columns |= {name: self.quantile(share) for name, share in QUANTILES.items()}
        rows = torch.stack([*columns.values()], 1).tolist()
        return [dict(zip(columns, (float(f"{value:.6g}") for value in row), strict=True)) for row in rows]
