"""What the default study costs from nothing: seconds of processors and of the clock, stage by stage.

`dvc repro` runs in a new clone of this repository's last commit, with params.yaml as committed or of a study that is
named. What DVC takes itself is the rest of the whole. Run it with nothing else running:
`python benchmarks/default_study.py [STUDY] [--keep FOLDER]`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
LOG = "DEFAULT_STUDY_LOG"  # where the stages' times go, a line each


def timed(command: list[str]) -> dict:
    """Run it to its end: its status, seconds of the clock, and of the processors with all that it starts."""
    start = perf_counter()
    status = subprocess.run(command, check=False).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"status": status, "clock": perf_counter() - start, "processors": used.ru_utime + used.ru_stime}


def in_place_of_python(folder: Path) -> None:
    """A `python` that dvc.yaml's commands find first: it runs them, and notes what they took."""
    shim = folder / "python"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{Path(__file__).resolve()}" --stage "$@"\n')
    shim.chmod(0o755)


def stage(arguments: list[str]) -> int:
    """Run a stage's command and add a line to the log."""
    found = timed([sys.executable, *arguments])
    with open(os.environ[LOG], "a", encoding="utf-8") as log:
        log.write(json.dumps({"stage": " ".join(arguments).removeprefix("stages/")} | found) + "\n")
    return found["status"]


def study(folder: Path, name: str | None, kept: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(kept)], check=True)
    in_place_of_python(folder)
    log = folder / "log"
    os.environ |= {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", LOG: str(log)}
    os.chdir(kept)
    if name:
        select = "from hidden_structure.cli.main import main; main()"
        environment = os.environ | {"PYTHONPATH": "src"}
        subprocess.run([sys.executable, "-c", select, "select", name], check=True, env=environment)
    whole = timed([sys.executable, "-m", "dvc", "repro", "-q"])
    if whole["status"]:
        sys.exit(whole["status"])
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    dvc = {key: whole[key] - sum(row[key] for row in rows) for key in ("clock", "processors")}
    print("| stage | s of processors | share | s of the clock | share |\n|---|---|---|---|---|")
    for row in [*rows, {"stage": "DVC itself"} | dvc, {"stage": "**whole**"} | whole]:
        cells = [f"{row[key]:.1f} | {row[key] / whole[key]:.1%}" for key in ("processors", "clock")]
        print(f"| {row['stage'].replace('.py', '')} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        sys.exit(stage(sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", help="of studies/; otherwise params.yaml as committed")
    parser.add_argument("--keep", type=Path, help="where the clone goes, and stays; it must not exist")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        study(Path(temporary), asked.study, (asked.keep or Path(temporary) / "clone").resolve())
