"""The report across studies: what it consists of, as files, and whether those that git keeps are these."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from hidden_structure.frame import artifacts, params, studies, tables
from hidden_structure.frame.style import Style
from hidden_structure.report import multiplicity, page, plotting, reading
from hidden_structure.report.across.chapters import chapters
from hidden_structure.report.fitting import fit
from hidden_structure.report.plotted import data_of
from hidden_structure.report.words import about
from hidden_structure.report.writing import SHOWN

FOLDER = Path("reports/across")
COMMAND = "make across"
Agree = Callable[[list[dict], list[dict]], bool]


@dataclass(frozen=True)
class Across:
    """texts: file below the folder -> its text, tables among them; figures: name -> drawn and laid out."""

    texts: Mapping[str, str]
    figures: Mapping[str, Figure]


def make(reports: Mapping[str, Path]) -> Across:
    """reports: study -> the folder that git keeps of it. To be called inside of `style`.

    Raises InputError if a table or params.yaml is damaged.
    """
    kept = [(params.load(folder / "params.yaml"), reading.tables_of(folder / "tables")) for folder in reports.values()]
    made, left_out = chapters(kept)
    listed = [{"name": study.study, "about": about(study, own("classes"))} for study, own in kept]
    texts = {
        "README.md": page.across(made, listed, left_out),
        "claims.csv": tables.text(multiplicity.rows([claim for chapter in made for claim in chapter.claims])),
    }
    figures = {}
    for picture in (picture for chapter in made for picture in chapter.pictures):
        figure = figures[picture.name] = picture.draw()
        plotting.add_letters(figure)
        fit(figure)
        texts[f"figures/{picture.name}.csv"] = tables.text(data_of(figure))
    return Across(texts, figures)


def style() -> Callable:
    """That of a study which says nothing of it."""
    return plotting.style(Style.model_validate(studies.defaults()["report"]["style"]))


def write(reports: Mapping[str, Path], folder: Path = FOLDER) -> None:
    """Raises what `make` does; the folder is then as it was."""
    with style():
        made = make(reports)
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in made.texts.items():
            artifacts.write_text(folder / name, text)
        for name, figure in made.figures.items():
            plotting.save(figure, folder / "figures" / f"{name}.png", SHOWN)


def differences(reports: Mapping[str, Path], agree: Agree, folder: Path = FOLDER) -> list[str]:
    """One line a file of the folder that is not what the tables give; agree: whether rows of two tables do.

    Of figures the points are compared: pixels are another processor's.
    """
    with style():
        made = make(reports)
    found = []
    for name, text in made.texts.items():
        file = folder / name
        if not file.is_file():
            found.append(f"{file} is missing: run `{COMMAND}`")
        elif not (agree(tables.read(file), tables.parse(text)) if file.suffix == ".csv" else _same(file, text)):
            found.append(f"{file} is not what the tables of the studies give: run `{COMMAND}`")
    lacking = [f"{folder}/figures/{name}.png" for name in made.figures]
    found += [f"{file} is missing: run `{COMMAND}`" for file in lacking if not Path(file).is_file()]
    known = {*made.texts, *(f"figures/{name}.png" for name in made.figures)}
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return found + [f"{folder}/{name} belongs to nothing: run `{COMMAND}`" for name in sorted(there - known)]


def _same(file: Path, text: str) -> bool:
    return artifacts.read_text(file) == text
