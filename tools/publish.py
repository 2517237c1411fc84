"""After `dvc repro`: put the study's report where git keeps it, with the dvc.lock that ties it to code and data.

Of a study that git does not keep in reports/ yet the report stays in artifacts/report, unless `--new` asks for it.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from hidden_structure.frame import git, params, paths
from hidden_structure.frame.artifacts import WRITING, copy, write_json, write_text
from hidden_structure.frame.errors import InputError, one_line_errors

IGNORED, BULK = Path(".gitignore"), "/reports/*/paper/"
KEPT = ("README.md", "claims.csv", "report.html")  # of the report; its figures DVC has put into place already


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new", action="store_true", help="keep the report of a study that is not in git yet")
    new = parser.parse_args().new
    study = params.load()
    folder = paths.report(study.study)
    sources = sources_of(study)
    if not new and git.lines("ls-files", str(folder)) == []:
        print(f"The report: {paths.REPORT / 'report.html'} (`make publish` keeps it in {folder}, for git)")
        return
    put_into_place(folder, sources)
    if new:
        no_longer_ignored(folder)
    print(f"The report: {folder / 'report.html'}")


def sources_of(study: params.Study) -> dict[Path, Path]:
    """Place in the study's folder -> the file that goes there.

    Raises InputError if one is missing, or the report at hand was made by other params.
    """
    made_by = paths.REPORT / "params.yaml"
    sources = {Path(name): paths.REPORT / name for name in KEPT}
    sources |= {Path(name): Path(name) for name in ("params.yaml", "dvc.lock")}
    for file in (made_by, *sources.values(), paths.TABLES):
        if not file.exists():
            raise InputError(f"{file} is missing: run `make reproduce` first")
    made = params.load(made_by)
    if made.study != study.study:
        raise InputError(
            f"{paths.REPORT} is of study {made.study}, {params.PARAMS} is of {study.study}: run `make reproduce` first"
        )
    if odd := [name for name in params.Study.model_fields if getattr(made, name) != getattr(study, name)]:
        raise InputError(
            f"{paths.REPORT} was made by another {odd[0]} than {params.PARAMS} has: run `make reproduce` first"
        )
    return sources | {Path("tables") / table.name: table for table in sorted(paths.TABLES.iterdir())}


def put_into_place(folder: Path, sources: dict[Path, Path]) -> None:
    """All is copied beside its place first: what cannot be copied leaves the report there as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{WRITING}*/"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=WRITING, dir=folder) as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        for place, source in sources.items():
            copy(source, new / place)
        write_json(new / "code-changed-since.json", {})  # for everything has just been made by the code at hand
        old.mkdir()
        for made in sorted(new.iterdir()):
            if (folder / made.name).exists():
                (folder / made.name).rename(old / made.name)
            made.rename(folder / made.name)


def no_longer_ignored(folder: Path) -> None:
    """Let git see the folder, but for what is bulk."""
    lines = IGNORED.read_text(encoding="utf-8").splitlines()
    if (line := f"!/{folder}/") not in lines:
        lines.insert(lines.index(BULK), line)
        write_text(IGNORED, "".join(f"{each}\n" for each in lines))


if __name__ == "__main__":
    main()
