"""Draw and write the report of a study from its tables alone: no data, cache or network is needed."""

import argparse
import shutil
from pathlib import Path

from hidden_structure.frame import artifacts, params, paths
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.report import writing


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", help="make the one in reports/STUDY again, from its tables (else: of params.yaml)")
    name = parser.parse_args().study
    with alone("report"):
        write_again(name) if name is not None else write()


def write() -> None:
    """All into artifacts/report, and what branches are compared by into the study's folder, too."""
    study = params.load()
    writing.write(paths.REPORT, study, paths.TABLES, artifacts.read_text(params.PARAMS))
    kept = paths.report(study.study)
    for folder in ("figures", "curves"):
        shutil.rmtree(kept / folder, ignore_errors=True)
        shutil.copytree(paths.REPORT / folder, kept / folder)
    artifacts.copy(paths.REPORT / "metrics.json", kept / "metrics.json")


def write_again(name: str) -> None:
    """In place."""
    folder = paths.report(name)
    if not (folder / "params.yaml").is_file():
        known = sorted(path.parent.name for path in Path("reports").glob("*/params.yaml"))
        raise InputError(f"{folder}/params.yaml is missing: studies with a report are {', '.join(known) or 'none yet'}")
    study = params.load(folder / "params.yaml")
    if name != study.study:
        raise InputError(f"{folder}/params.yaml is of the study {study.study}: its folder must have that name")
    writing.write(folder, study, folder / "tables", artifacts.read_text(folder / "params.yaml"))


if __name__ == "__main__":
    main()
