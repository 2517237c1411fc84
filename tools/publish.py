"""After `dvc repro`: put the study's report where git keeps it, with the dvc.lock that ties it to code and data.

Of a study that git does not keep in reports/ yet the report stays in artifacts/report, unless `--new` asks for it.
"""

import argparse
import shutil
from pathlib import Path

from hidden_structure.frame import git, params, paths
from hidden_structure.frame.artifacts import copy, write_json, write_text
from hidden_structure.frame.errors import one_line_errors

IGNORED, BULK = Path(".gitignore"), "/reports/*/paper/"
KEPT = ("README.md", "claims.csv", "report.html")  # of the report; its figures DVC has put into place already


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--new", action="store_true", help="keep the report of a study that is not in git yet")
    new = parser.parse_args().new
    folder = paths.report(params.load().study)
    if not new and git.lines("ls-files", str(folder)) == []:
        print(f"The report: {paths.REPORT / 'report.html'} (`make publish` keeps it in {folder}, for git)")
        return
    if new:
        no_longer_ignored(folder)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    for table in sorted(paths.TABLES.iterdir()):
        copy(table, folder / "tables" / table.name)
    for name in KEPT:
        copy(paths.REPORT / name, folder / name)
    for name in ("params.yaml", "dvc.lock"):
        copy(Path(name), folder / name)
    write_json(folder / "code-changed-since.json", {})  # for everything has just been made by the code at hand
    print(f"The report: {folder / 'report.html'}")


def no_longer_ignored(folder: Path) -> None:
    """Let git see the folder, but for what is bulk."""
    lines = IGNORED.read_text(encoding="utf-8").splitlines()
    if (line := f"!/{folder}/") not in lines:
        lines.insert(lines.index(BULK), line)
        write_text(IGNORED, "".join(f"{each}\n" for each in lines))


if __name__ == "__main__":
    main()
