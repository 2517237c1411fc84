"""Do the committed results of every study belong to the committed params and code?

Of each study in reports/: its params.yaml must be what studies/<study>.yaml completes to, its tables must have the hash
that its dvc.lock records, and its claims must be what the code at hand makes of the tables. Then params.yaml and
dvc.lock are put in place in a temporary copy without data or cache, and DVC is asked what has changed since. For the
study of params.yaml any change is a failure. The other studies take hours, so for them changed code is listed in
reports/<study>/code-changed-since.json; `--write` brings those lists up to date. A study whose tables an earlier
version made has no dvc.lock, but provenance.json, which says so.

The report across studies must be what the tables of all give. It and README.md are compared with what is committed, so
that a tree in which studies have been made again passes. Studies that git does not keep are left out.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from hidden_structure.frame import git, params, paths, studies, tables, yaml_files
from hidden_structure.frame.artifacts import read_json, write_json
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.report import headlines, writing
from hidden_structure.report.across import writing as across
from hidden_structure.report.reading import REPORTS, kept_studies

STUDIES, README = Path("studies"), Path("README.md")
ABSENT = ("deleted", "not in cache")  # of artifacts, which the copy leaves out
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "artifacts", "data", "cache", "tmp", "__pycache__", "*.egg-info")
TOLERANCE = 1e-9  # numbers of a table are read, added and rounded again: the last digit may fall the other way


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="bring code-changed-since.json up to date")
    write = parser.parse_args().write
    default = params.load().study
    failures = []
    for study in kept_studies():
        failures += check(study, study == default, write)
    failures += check_across() + check_readme()
    print("\n".join(failures) or "every committed study belongs to the committed params and code")
    sys.exit(bool(failures))


def check(study: str, default: bool, write: bool) -> list[str]:
    """One line a failure."""
    results, file = paths.report(study), STUDIES / f"{study}.yaml"
    remedy = "run `make reproduce`" if default else f"run `make reproduce STUDY={study}`"
    kept = params.load(path=results / "params.yaml")
    failures, made_earlier = [], not (results / "dvc.lock").is_file()
    if not made_earlier and (not file.is_file() or studies.read(file) != yaml_files.read(results / "params.yaml")):
        failures.append(f"{study}: {results}/params.yaml is not what {file} completes to: {remedy}")
    if not claims_agree(tables.read(results / "claims.csv"), writing.claims(kept, results)):
        failures.append(f"{study}: {results}/claims.csv is not what its tables give: run `make report STUDY={study}`")
    if made_earlier:
        made = read_json(results / "provenance.json", dict)
        print(f"{study}: tables of {made['commit'][:7]}, not made again since ({made['note']})")
        return failures
    if table_hash(results / "dvc.lock") != md5(results / "tables"):
        failures.append(f"{study}: {results}/tables are not what {results}/dvc.lock records: {remedy}")
    code, other = changes_since(results)
    failures += [f"{study}: {change}: {remedy}" for change in other]
    if default:
        return failures + [
            f"{study}: {stage} was made by another {file}" for stage, files in code.items() for file in files
        ]
    return failures + compare(study, results / "code-changed-since.json", code, write)


def claims_agree(committed: list[dict], made: list[dict]) -> bool:
    """Text exactly, numbers up to rounding."""

    def same(one: object, other: object) -> bool:
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            return abs(one - other) <= TOLERANCE + 2e-6 * abs(one)
        return one == other

    rows = [[row.get(column) for column in row] for row in committed]
    return len(rows) == len(made) and all(
        same(one, [row.get(column) for column in of]) for one, row, of in zip(rows, made, committed, strict=True)
    )


def table_hash(lock: Path) -> str:
    """Of the tables, as a dvc.lock records it."""
    try:
        outputs = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8"))["stages"]["make-tables"]["outs"]
        return next(output["md5"] for output in outputs if output["path"] == str(paths.TABLES))
    except (YAMLError, UnicodeDecodeError, LookupError, TypeError, StopIteration) as error:
        raise InputError(f"{lock} is damaged ({error}): `git checkout {lock}`") from error


def md5(path: Path) -> str | None:
    """As DVC computes it: of a folder that of the list of its files' hashes; None of what is not there."""
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        listed = [{"md5": md5(files[name]), "relpath": name} for name in sorted(files)]
        return f"{hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else None


def changes_since(results: Path) -> tuple[dict[str, list[str]], list[str]]:
    """What differs from a study's dvc.lock: code by stage, and all else that matters."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(".", Path(folder) / "copy", ignore=LEFT_OUT))
        (copy / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
        for name in ("params.yaml", "dvc.lock"):
            shutil.copyfile(results / name, copy / name)
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "status", "--json"], cwd=copy, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InputError(f"`dvc status` failed: {done.stderr or done.stdout}")
        return sort_changes(json.loads(done.stdout))


def sort_changes(status: dict) -> tuple[dict[str, list[str]], list[str]]:
    """What `dvc status` reports, as code changed by stage, and all else.

    Left out is that artifacts are absent, which is as expected, and what the report stage made: it is drawn again from
    tables at any time, and compared by its claims.
    """
    code: dict[str, list[str]] = {}
    other = []
    for stage, entries in status.items():
        for entry in entries if stage != "report" else []:
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


def check_across() -> list[str]:
    """Whether the report across studies is what their tables give; not asked where studies have been made again."""
    changed = git.lines("diff", "--name-only", "HEAD", "--", f"{REPORTS}/*/tables") or []
    if again := sorted({Path(file).parts[1] for file in changed}):
        print(f"{across.FOLDER}: not compared, since tables of {', '.join(again)} are not those that git has")
        return []
    return across.differences({study: paths.report(study) for study in kept_studies()}, claims_agree)


def check_readme() -> list[str]:
    """Whether README.md shows the committed headline numbers, and whether what it links to is there."""
    if not README.is_file():
        return []
    text = README.read_text(encoding="utf-8")
    targets = dict.fromkeys(re.findall(r"\]\((?!http)([^)#]+)\)", text))
    failures = [f"{README} names {target}, which is missing" for target in targets if not Path(target).exists()]
    if headlines.insert(text, headlines.committed()) != text:
        failures.append(f"{README} does not show the committed claims: run `make readme`")
    return failures


if __name__ == "__main__":
    main()
