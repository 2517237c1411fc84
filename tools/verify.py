"""Do the committed results of every study belong to the committed params and code?

Puts each study's params.yaml and dvc.lock in place in a temporary copy without data or cache and asks DVC what it
would run again. For the default study any answer is a failure. The other studies take hours, so for them a changed
parameter or result is a failure, while code changed since is listed in reports/<study>/code-changed-since.json;
`--write` brings those lists up to date.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hidden_structure import params
from hidden_structure.artifacts import read_json, write_json
from hidden_structure.errors import InputError, one_line_errors

ABSENT = ("deleted", "not in cache")  # of artifacts, which the copy leaves out
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "artifacts", "data", "cache", "tmp", "__pycache__", "*.egg-info")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="bring code-changed-since.json up to date")
    write = parser.parse_args().write
    default = params.load().study
    if not Path(f"studies/{default}.yaml").is_file():
        raise InputError(f"params.yaml holds study {default}, which has no file in studies/: save it there")
    failures = [failure for path in sorted(Path("studies").glob("*.yaml")) for failure in check(path, default, write)]
    print("\n".join(failures) or "every committed study belongs to the committed params and code")
    sys.exit(bool(failures))


def check(path: Path, default: str, write: bool) -> list[str]:
    """One line a failure of one study; a study without results has none, unless it is the default one."""
    study, results = path.stem, Path("reports") / path.stem
    remedy = "run `make reproduce`" if study == default else f"run `make reproduce STUDY={study}`"
    if not results.is_dir() and study != default:
        print(f"{study}: no committed results")
        return []
    for name, original in {"params.yaml": path, "dvc.lock": Path("dvc.lock") if study == default else None}.items():
        kept = results / name
        if not kept.is_file():
            return [f"{study}: {kept} is missing: {remedy}"]
        if original and kept.read_bytes() != original.read_bytes():
            return [f"{study}: {kept} differs from {original}: {remedy}"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(".", Path(folder) / "copy", ignore=LEFT_OUT))
        (copy / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
        for name in ("params.yaml", "dvc.lock"):
            shutil.copyfile(results / name, copy / name)
        changes = json.loads(dvc(copy, "status", "--json").stdout)
        again = dvc(copy, "repro", "--allow-missing", "--dry", check=False)
    code, other = sort_changes(changes)
    failures = [f"{study}: {change}: {remedy}" for change in other]
    failures += compare(study, results / "code-changed-since.json", code, write)
    if study == default:
        failures += [f"{study}: {stage} was made by another {file}" for stage, files in code.items() for file in files]
    rerun = again.returncode or "Running stage" in again.stdout  # it fails where a stage to run lacks its inputs
    if rerun and not code and not other:
        failures.append(f"{study}: stages would run again: {' '.join((again.stdout + again.stderr).split())}")
    return failures


def dvc(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise InputError(f"`dvc {' '.join(arguments)}` failed: {done.stderr or done.stdout}")
    return done


def sort_changes(status: dict) -> tuple[dict[str, list[str]], list[str]]:
    """What `dvc status` reports, as code changed by stage, and all else; that artifacts are absent is as expected."""
    code: dict[str, list[str]] = {}
    other = []
    for stage, entries in status.items():
        for entry in entries:
            if entry == "changed command":
                code.setdefault(stage, []).append("dvc.yaml")
                continue
            for kind, changed in entry.items():
                for file, change in changed.items():
                    if file.startswith(("src/", "stages/")):
                        code.setdefault(stage, []).append(file)
                    elif not (file.startswith("artifacts/") and change in ABSENT):
                        other.append(f"{stage}, {kind}: {file} {change}")
    return code, other


def compare(study: str, path: Path, code: dict[str, list[str]], write: bool) -> list[str]:
    if write:
        write_json(path, code)
    listed = read_json(path) if path.is_file() else {}
    for stage, files in code.items():
        print(f"{study}: {stage} was made before a change of {', '.join(files)}")
    return [] if listed == code else [f"{study}: {path} is not up to date: run `make provenance`"]


if __name__ == "__main__":
    main()
