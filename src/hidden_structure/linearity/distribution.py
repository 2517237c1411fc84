"""Mean, spread and quantiles of values that come in parts, in memory that does not grow with their number."""

import math

import torch
from torch import Tensor

LEAST, MOST, PER_DECADE = 1e-7, 1e3, 230  # bins of magnitudes, each 1 % above the last
QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}


def _bins() -> tuple[Tensor, Tensor]:
    """Edges (2 n,), and the centres (2 n + 1,) of what they part; 0 and 1 are centres.

    Coefficients of linear layers are 1 up to rounding: at an edge, rounding alone would choose the bin.
    """
    places = range(round(PER_DECADE * math.log10(LEAST)), round(PER_DECADE * math.log10(MOST)) + 1)
    centres, edges = (
        torch.tensor([10 ** ((place - below) / PER_DECADE) for place in places], dtype=torch.float64)
        for below in (0, 0.5)
    )
    return torch.cat([-edges.flip(0), edges]), torch.cat([-centres.flip(0), torch.zeros(1).double(), centres])


class Distributions:
    """Of `rows` quantities at once: moments in float64, and a histogram of magnitudes with their signs.

    Quantiles are within 1 % for magnitudes from 1e-7 to 1e3; what is smaller counts as 0.
    """

    def __init__(self, rows: int) -> None:
        self.edges, self.centres = _bins()
        self.counts = torch.zeros(rows, len(self.centres), dtype=torch.int64)
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
        return self.centres[reached.int().argmax(1)]

    def summaries(self) -> list[dict[str, float]]:
        """{"mean", "spread" (sample standard deviation), and the QUANTILES} of every quantity, to six digits."""
        spread = (self.scatter / max(self.count - 1, 1)).sqrt()
        columns = {"mean": self.mean, "spread": spread}
        columns |= {name: self.quantile(share) for name, share in QUANTILES.items()}
        rows = torch.stack([*columns.values()], 1).tolist()
        return [dict(zip(columns, (float(f"{value:.6g}") for value in row), strict=True)) for row in rows]
