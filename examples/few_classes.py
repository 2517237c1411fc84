"""What the examples of few classes share: the command line, and what they write of students by every method.

Teachers, students and the choice of hyper-parameters are the pipeline's (`distillation/comparison.py`), and so are the
tables and claims on them. What is written: CSV files of students, teachers, methods, tuning and claims.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from hidden_structure.distillation.comparison import Samples, compare
from hidden_structure.frame import params, studies, tables
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.report.chapter import Chapter
from hidden_structure.report.distillation.chapter import chapter
from hidden_structure.report.distillation.replications import of_method
from hidden_structure.report.findings import signed
from hidden_structure.tables.distillation import tabulate

Data = tuple[Mapping[str, Samples], Sequence[int]]  # train and test, and the class of each original one


@one_line_errors
def run(description: str, study: Path, load: Callable[[Path], Data]) -> None:
    """Compare all methods on what `load` reads from the folder that the command line names.

    study: a short study; another one may be given by --study.

    Ends in one line if a file or the study cannot be used.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the files lie that the command above fetched")
    parser.add_argument("--study", type=Path, default=study, help="networks, recipes, methods and seeds; %(default)s")
    parser.add_argument("--out", type=Path, help="for the tables; default: results/ and the study's name")
    parser.add_argument("--work", type=Path, default=Path("distilling"), help="for training, which goes on from there")
    given = parser.parse_args()
    own = params.Study.model_validate(studies.read(given.study))
    samples, coarse_of = load(given.folder)
    found = tabulate(own, compare(samples, coarse_of, own, given.work).__getitem__)
    tested = {"classes": [{"test": len(samples["test"].labels)}]}  # enough for what claims ask, or too few
    said = chapter(own, lambda name: (found | tested).get(name, []))
    out = given.out or Path("results") / own.study
    for name, rows in {**found, "claims": [claim.row() for claim in said.claims]}.items():
        tables.write(out / f"{name}.csv", rows)
    known = (f"{100 * row['test_accuracy']:.1f}" for row in found["teacher"])
    print(f"teachers know {', '.join(known)} % of the test samples")
    print("\n".join(summary(found, said)))
    for claim in said.claims:
        print(f"{claim.verdict}: {claim.statement}")
    print(f"tables: {out}")


def summary(found: Mapping[str, Sequence[Mapping]], said: Chapter) -> Iterator[str]:
    """Lines of a table of means by method: accuracies and differences in % of the samples, the latter with their
    intervals; and what a linear layer on students' features that is told the hidden classes knows of them in the test.
    """
    numbers, probes = said.numbers[0], of_method(found["students"], lambda row: row["probe"])
    yield "| method | training | test | test, less KD's | 95 % interval | hidden classes |"
    yield "|---|---|---|---|---|---|"
    for row, own in zip(numbers.rows, (probes[row["method"]] for row in found["distilled"]), strict=True):
        cell = dict(zip(numbers.columns, row, strict=True))
        gain = "" if cell["difference to KD"] is None else signed(cell["difference to KD"])
        accuracies = f"{cell['training']:.1f} | {cell['test']:.1f} | {gain} | {cell['interval'] or ''}"
        yield f"| {cell['method']} | {accuracies} | {100 * fmean(own):.1f} |"


def apart(inputs: np.ndarray, labels: np.ndarray, train: np.ndarray) -> dict[str, Samples]:
    """Both splits of samples (N, d) with original classes int64 (N,); train: bool (N,)."""
    return {name: Samples(inputs[own], labels[own]) for name, own in {"train": train, "test": ~train}.items()}
