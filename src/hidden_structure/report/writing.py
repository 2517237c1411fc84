"""Everything that a report consists of, as files in the folder of its study."""

import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hidden_structure.frame import artifacts, machine, tables, tasks
from hidden_structure.frame.params import Study
from hidden_structure.report import latex, multiplicity, page, plotting, reading
from hidden_structure.report.chapter import Chapter, Numbers
from hidden_structure.report.fitting import fit
from hidden_structure.report.page import Provenance
from hidden_structure.report.plotted import data_of
from hidden_structure.report.statistics import over_training, rounded

CURVES = (  # table, its column of epochs, the quantity, and what the curve is called
    ("training", "snapshots", ("test", "accuracy"), "test_accuracy"),
    ("collapse", "epochs", ("nc1",), "nc1"),
)
SHOWN = 160  # dots per inch of the page's figures, which git keeps
HEADLINES = 30  # numbers of metrics.json at most, so that studies compare on a screen


def write(folder: Path, study: Study, tables_folder: Path, params: str) -> None:
    """Make the report of a study from its tables: draw and write all in a folder of its own, then put it into place.

    Into `figures/` go the figures as the page shows them, into `curves/` what DVC plots, into `paper/` what a paper
    takes: the figures in the formats of report.style, what each shows as CSV, claims and tables as CSV and LaTeX;
    beside them `claims.csv`, `metrics.json`, `report.html`, `README.md`, `params.yaml`.

    Args:
        folder: of the report; what is in it besides stays as it is.
        params: the text of the study's params.yaml.

    Raises InputError if a table is missing or damaged, a style cannot be had, or a figure cannot be drawn from what
    the tables hold; ValueError if two figures or two tables have one name. The folder is then as it was.
    """
    read = list(reading.read(study, tables_folder))
    chapters = [chapter for chapter, _ in read]
    provenance = reading.provenance(study, tables_folder, params)
    _check_names(chapters)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{artifacts.WRITING}*/"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=artifacts.WRITING, dir=folder) as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        for made in (old, new / "figures", new / "curves", new / "paper"):
            made.mkdir(parents=True)
        with plotting.style(study.report.style):
            _tell_of_glyphs(provenance.classes)
        ideas = sorted(chapters, key=lambda chapter: -len(chapter.pictures))  # those that take long first
        drawing = {f"figures of {chapter.idea}": (study, tables_folder, chapter.idea, new) for chapter in ideas}
        cores = machine.processors(study.hardware).model_copy(update={"threads": 1})
        drawn = tasks.run("figures", _draw, drawing, Path(temporary), study.tasks, cores)
        sizes = {name: tuple(size) for figures in drawn.values() for name, size in figures.items()}
        _write_curves(tables_folder, new / "curves")
        _write_tables(chapters, provenance, new)
        artifacts.write_json(new / "metrics.json", headline(chapters))
        artifacts.write_text(new / "params.yaml", params)
        artifacts.write_text(new / "report.html", page.html(study, chapters, provenance, sizes))
        artifacts.write_text(new / "README.md", page.markdown(study, chapters, provenance))
        for made in sorted(new.iterdir()):
            if (folder / made.name).exists():
                (folder / made.name).rename(old / made.name)
            made.rename(folder / made.name)


def claims(study: Study, folder: Path) -> list[dict]:
    """The rows of claims.csv, made from the tables in a study's folder; nothing is drawn or written."""
    return _claims([chapter for chapter, _ in reading.read(study, folder / "tables")])


def headline(chapters: Sequence[Chapter]) -> dict[str, dict[str, float]]:
    """Chapter -> its numbers, as many of the first of each as fit; what was not measured is left out."""
    measured = {
        chapter.idea: {name: rounded(value) for name, value in chapter.headline.items() if value is not None}
        for chapter in chapters
    }
    most = max(map(len, measured.values()), default=0)
    while sum(len(names) if len(names) < most else most for names in measured.values()) > HEADLINES:
        most -= 1
    return {idea: dict(list(names.items())[:most]) for idea, names in measured.items() if names}


def _draw(study: Study, tables_folder: Path, idea: str, folder: Path) -> dict[str, tuple[float, float]]:
    """The figures of one chapter. Gives their sizes in inches, by their names."""
    sizes = {}
    ((chapter, files),) = reading.read(study, tables_folder, idea)
    with plotting.style(study.report.style), artifacts.content_of(files):
        for picture in chapter.pictures:
            figure = picture.draw()
            plotting.add_letters(figure)
            fit(figure)
            plotting.save(figure, folder / "figures" / f"{picture.name}.png", SHOWN)
            for suffix in study.report.style.formats:
                plotting.save(figure, folder / "paper/figures" / f"{picture.name}.{suffix}")
            tables.write(folder / "paper/figures" / f"{picture.name}.csv", data_of(figure))
            sizes[picture.name] = tuple(map(float, figure.get_size_inches()))
    return sizes


def _tell_of_glyphs(classes: Sequence[Mapping]) -> None:
    names = [str(row[column]) for row in classes for column in ("class", "superclass") if column in row]
    if lacking := plotting.without_glyph(names):
        print(f"figures show {lacking} as code points: no font has them, install one such as Noto Sans CJK")


def _write_curves(tables_folder: Path, folder: Path) -> None:
    """Of each supervision the means over seeds of what branches are compared by; the last column is what DVC plots."""
    for table, epochs, groups, name in CURVES:
        found = reading.rows(tables_folder, table)
        for supervision in dict.fromkeys(row["supervision"] for row in found):
            own = [row for row in found if row["supervision"] == supervision]
            curves = [(row[epochs], functools.reduce(lambda group, key: group[key], groups, row)) for row in own]
            places, means, *_ = over_training(curves)
            rows = [{"epoch": int(x), name: float(y)} for x, y in zip(places, means, strict=True)]
            tables.write(folder / f"{name.replace('_', '-')}-{supervision}.csv", rows)


def _claims(chapters: Sequence[Chapter]) -> list[dict]:
    return multiplicity.rows([claim for chapter in chapters for claim in chapter.claims])


def _write_tables(chapters: Sequence[Chapter], provenance: Provenance, folder: Path) -> None:
    rows = _claims(chapters)
    for path in (folder / "claims.csv", folder / "paper/tables/claims.csv"):
        tables.write(path, rows)
    artifacts.write_text(folder / "paper/tables/claims.tex", latex.claims(rows))
    made = [provenance.trained] if provenance.trained else []
    for numbers in (*(numbers for chapter in chapters for numbers in chapter.numbers), *made):
        place = folder / "paper/tables" / numbers.name
        tables.write(place.with_suffix(".csv"), _rows(numbers))
        artifacts.write_text(place.with_suffix(".tex"), latex.table(numbers.columns, numbers.rows))


def _rows(numbers: Numbers) -> list[dict]:
    return [dict(zip(numbers.columns, row, strict=True)) for row in numbers.rows]


def _check_names(chapters: Sequence[Chapter]) -> None:
    for kind, names in (
        ("figures", [picture.name for chapter in chapters for picture in chapter.pictures]),
        ("tables", ["claims", "trained", *(numbers.name for chapter in chapters for numbers in chapter.numbers)]),
    ):
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two {kind} share the name {min(repeated)}")
