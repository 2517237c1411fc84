"""What a report is made from: the tables of a study, and the chapters that they give."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hidden_structure.frame import artifacts, git, tables
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report import chapters
from hidden_structure.report.chapter import Chapter, Tables
from hidden_structure.report.page import Provenance
from hidden_structure.report.trained import trained

REPORTS = Path("reports")


def kept_studies() -> list[str]:
    """Names of the studies whose results git keeps; without git of all that there are."""
    listed = git.lines("ls-files", f"{REPORTS}/*/params.yaml")
    found = REPORTS.glob("*/params.yaml") if listed is None else map(Path, listed)
    return sorted(file.parent.name for file in found)


def tables_of(folder: Path) -> Tables:
    """Reads each table once."""
    return functools.cache(lambda name: rows(folder, name))


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Of one table; none where the study has no such table.

    Raises InputError if the file is damaged.
    """
    return tables.read(file) if (file := _file(folder, name)).is_file() else []


def read(study: Study, folder: Path, idea: str | None = None) -> Iterator[tuple[Chapter, list[Path]]]:
    """The chapters that the study has, in reading order, each with the tables that it was made from; idea: that alone.

    Raises InputError if the folder is missing, or what a table holds gives no chapter.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run `dvc repro`, which makes it")
    for module in chapters.CHAPTERS.values() if idea is None else [chapters.CHAPTERS[idea]]:
        files: list[Path] = []

        with artifacts.content_of(files):
            chapter = module.chapter(study, _recording(folder, files))
        if chapter:
            yield chapter, files


def provenance(study: Study, folder: Path, params: str) -> Provenance:
    """params: the text of the study's params.yaml.

    Raises InputError if a table is damaged.
    """
    files: list[Path] = []
    tables = _recording(folder, files)
    with artifacts.content_of(files):
        return Provenance(params, *map(tables, ("classes", "provenance", "versions")), trained(study, tables))


def _recording(folder: Path, files: list[Path]) -> Tables:
    """The tables of a folder; what is read of them is added to the files."""

    def tables(name: str) -> list[dict[str, Any]]:
        files.append(_file(folder, name))
        return rows(folder, name)

    return tables


def _file(folder: Path, name: str) -> Path:
    """Large tables are npz."""
    return file if (file := folder / f"{name}.npz").is_file() else folder / f"{name}.csv"
