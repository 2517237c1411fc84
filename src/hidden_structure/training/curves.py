"""Tables of a quantity over training: mean and spread over seeds."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev


def mean_and_spread(rows: Sequence[Mapping], columns: Iterable[str]) -> str:
    """CSV text with one line an epoch: for each column the mean over the rows of that epoch, and its spread.

    Args:
        rows: one an epoch and seed, each holding "epoch" and the columns.

    The spread, `<column>_spread`, is the sample standard deviation over seeds; it is empty where there is one seed.
    """
    columns = list(columns)
    lines = [",".join(["epoch", *(name for column in columns for name in (column, f"{column}_spread"))])]
    for epoch in sorted({row["epoch"] for row in rows}):
        cells = [str(epoch)]
        for column in columns:
            values = [row[column] for row in rows if row["epoch"] == epoch]
            cells += [f"{fmean(values):.6g}", f"{stdev(values):.6g}" if len(values) > 1 else ""]
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"
