"""After `dvc repro`: keep the study's dvc.lock, which ties results to code and data, beside its report."""

from pathlib import Path

from hidden_structure.frame import params, paths
from hidden_structure.frame.artifacts import copy, write_json
from hidden_structure.frame.errors import one_line_errors


@one_line_errors
def main() -> None:
    folder = paths.report(params.load().study)
    copy(Path("dvc.lock"), folder / "dvc.lock")
    write_json(folder / "code-changed-since.json", {})  # for everything has just been made by the code at hand
    print(f"The report: {folder / 'report.html'}")


if __name__ == "__main__":
    main()
