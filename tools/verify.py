"""Do the committed results of every study belong to the committed params and code?

Every result must have the hash that its study's dvc.lock records, and README.md must show its claims. Then each study's
params.yaml and dvc.lock are put in place in a temporary copy without data or cache, and DVC is asked what it would run
again. For the study of params.yaml any answer is a failure. The other studies take hours, so for them a changed
parameter or result is a failure, while code changed since is listed in reports/<study>/code-changed-since.json;
`--write` brings those lists up to date. Studies that are not under version control are left out.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from hidden_structure.frame import params, paths
from hidden_structure.frame.artifacts import read_json, write_json
from hidden_structure.frame.errors import InputError, one_line_errors
from hidden_structure.report.recovery import claims

STUDIES, REPORTS, README = Path("studies"), Path("reports"), Path("README.md")
ABSENT = ("deleted", "not in cache")  # of artifacts, which the copy leaves out
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "artifacts", "data", "cache", "tmp", "__pycache__", "*.egg-info")
OURS = ("dvc.lock", "code-changed-since.json")  # files of a report that tools write, and no stage


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="bring code-changed-since.json up to date")
    write = parser.parse_args().write
    chosen = params.load().study
    studies, own = sort_studies(chosen)
    default = chosen if chosen in studies and chosen not in own else None
    if own:
        print(f"not checked, for they are not committed: {', '.join(own)}")
    failures = default_failures(chosen, default)
    for study in studies:
        failures += check(STUDIES / f"{study}.yaml", default, write)
    failures += compare_readme(README, [REPORTS / study / "claims.json" for study in studies])
    print("\n".join(failures) or "every committed study belongs to the committed params and code")
    sys.exit(bool(failures))


def git(*arguments: str) -> list[str] | None:
    """What git prints, by line; None where there is no git, or the folder is no repository, as in a tarball."""
    if not Path(".git").exists():  # git would take the repository of a folder above
        return None
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout.splitlines()


def sort_studies(chosen: str) -> tuple[list[str], list[str]]:
    """Names of the committed studies, and of a user's own, among these that of params.yaml where it holds edits.

    Without git all studies of studies/ count as committed.
    """
    files, folders = ([path.stem for path in STUDIES.glob("*.yaml")], [path.name for path in REPORTS.glob("*/")])
    tracked = git("ls-files", str(STUDIES))
    committed = [name for name in files if tracked is None or f"{STUDIES}/{name}.yaml" in tracked]
    own = {*files, *folders} - {*committed}
    file = STUDIES / f"{chosen}.yaml"
    if chosen not in committed or file.read_bytes() != Path("params.yaml").read_bytes():
        own.add(chosen)
    return sorted(committed), sorted(own)


def default_failures(chosen: str, default: str | None) -> list[str]:
    """params.yaml as it is committed must be that of a committed study; a user's edits of it are a user's affair."""
    if default is not None or git("diff", "--name-only", "HEAD", "--", "params.yaml") != []:
        return []
    return [f"the committed params.yaml is not {STUDIES}/{chosen}.yaml: save it there, and commit both"]


def check(path: Path, default: str | None, write: bool) -> list[str]:
    """One line a failure of one study; a study without results has none, unless it is the default one."""
    study, results = path.stem, paths.report(path.stem)
    remedy = "run `make reproduce`" if study == default else f"run `make reproduce STUDY={study}`"
    if not results.is_dir() and study != default:
        print(f"{study}: no committed results")
        return []
    for name, original in {"params.yaml": path, "dvc.lock": Path("dvc.lock") if study == default else None}.items():
        kept = results / name
        if not kept.is_file():
            return [f"{study}: {kept} is missing: {remedy}"]
        if original and (not original.is_file() or kept.read_bytes() != original.read_bytes()):
            return [f"{study}: {kept} differs from {original}: {remedy}"]
    if changed := git("status", "--porcelain", "--", str(results)):
        print(f"{study}: {len(changed)} files of {results} are not as committed: `git diff --stat {results}`")
    recorded = recorded_results(results / "dvc.lock")
    altered = [file for file, digest in recorded.items() if md5(Path(file)) != digest]
    failures = [f"{study}: {file} is not what {results}/dvc.lock records: {remedy}" for file in altered]
    failures += [f"{study}: {file} belongs to no stage: delete it" for file in strays(results, recorded)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(".", Path(folder) / "copy", ignore=LEFT_OUT))
        (copy / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
        for name in ("params.yaml", "dvc.lock"):
            shutil.copyfile(results / name, copy / name)
        changes = json.loads(dvc(copy, "status", "--json").stdout)
        again = dvc(copy, "repro", "--allow-missing", "--dry", check=False)
    code, other = sort_changes(changes, altered)
    failures += [f"{study}: {change}: {remedy}" for change in other]
    failures += compare(study, results / "code-changed-since.json", code, write)
    if study == default:
        failures += [f"{study}: {stage} was made by another {file}" for stage, files in code.items() for file in files]
    rerun = again.returncode or "Running stage" in again.stdout  # it fails where a stage to run lacks its inputs
    if rerun and not code and not failures:
        failures.append(f"{study}: stages would run again: {' '.join((again.stdout + again.stderr).split())}")
    return failures


def recorded_results(lock: Path) -> dict[str, str]:
    """Files and folders of reports/ that the stages of a dvc.lock made -> their hashes."""
    try:
        stages = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8"))["stages"]
        outputs = [output for stage in stages.values() for output in stage.get("outs", [])]
        return {output["path"]: output["md5"] for output in outputs if output["path"].startswith(f"{REPORTS}/")}
    except (YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{lock} is damaged ({error}): `git checkout {lock}`") from error


def md5(path: Path) -> str | None:
    """As DVC computes it: of a folder that of the list of its files' hashes; None of what is not there."""
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
        listed = [{"md5": md5(files[name]), "relpath": name} for name in sorted(files)]
        return f"{hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else None


def strays(results: Path, recorded: Collection[str]) -> list[Path]:
    """Files of a study's report that neither a stage nor a tool has made."""
    known = {Path(file) for file in recorded} | {results / name for name in OURS}
    files = sorted(file for file in results.rglob("*") if not file.is_dir())
    return [file for file in files if not known & {file, *file.parents}]


def compare_readme(readme: Path, files: list[Path]) -> list[str]:
    """Whether the README shows these claims, and whether what it links to is there."""
    if not readme.is_file():
        return []
    text = readme.read_text(encoding="utf-8")

    def shows(path: Path) -> bool:
        try:
            return claims.insert(text, path.parent.name, read_json(path)) == text
        except (InputError, LookupError, TypeError, AttributeError):  # the markers are missing, or these are no claims
            return False

    failures = [
        f"{readme} does not show the claims of {path}: run `make readme`"
        for path in files
        if path.is_file() and not shows(path)
    ]
    targets = dict.fromkeys(re.findall(r"\]\((?!http)([^)#]+)\)", text))
    return failures + [f"{readme} names {target}, which is missing" for target in targets if not Path(target).exists()]


def dvc(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise InputError(f"`dvc {' '.join(arguments)}` failed: {done.stderr or done.stdout}")
    return done


def sort_changes(status: dict, told: Collection[str] = ()) -> tuple[dict[str, list[str]], list[str]]:
    """What `dvc status` reports, as code changed by stage, and all else.

    Left out are files of which one is told already, and that artifacts are absent, which is as expected.
    """
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
                    elif file not in told and not (file.startswith("artifacts/") and change in ABSENT):
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
