"""From a file of studies/ to params.yaml and back, without losing edits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from hidden_structure.cli.rewrite import rewritten
from hidden_structure.frame import git, locking, paths, studies, yaml_files
from hidden_structure.frame.artifacts import write_text
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import PARAMS, load

SHOWN = 5  # edited keys that are named


def select(name: str) -> None:
    """Write the completion of studies/<name>.yaml to params.yaml.

    Raises InputError if there is no such file or it makes no study; or if params.yaml holds edits: values that are
    neither what a file of studies/ gives, nor what was selected last, nor what git has; or a stage runs.
    """
    _nothing_runs()
    names = [file.stem for file in sorted(studies.STUDIES.glob("*.yaml"))]
    if name not in names:
        mend = f": choose one of {', '.join(names)}" if names else ", nor any other: go to the repository's root"
        raise InputError(f"there is no {studies.STUDIES}/{name}.yaml{mend}")
    whole = studies.read(studies.STUDIES / f"{name}.yaml")
    if PARAMS.is_file() and _edited(current := _selected()):
        own = current.get("study") if isinstance(current, dict) else None
        before = _if_possible(studies.read, studies.STUDIES / f"{own}.yaml") or whole
        raise InputError(
            f"{PARAMS} holds edits that no file of {studies.STUDIES}/ gives ({_listed(before, current)}): keep them"
            f" by `hidden-structure keep NAME`, write them there yourself, or drop them by `git checkout {PARAMS}`"
        )
    _write(whole)


def keep(name: str) -> Path:
    """Write what params.yaml says beyond the defaults, and the file's preset, to studies/<name>.yaml, and select it.

    A file that is there is changed where it says something else, and keeps its comments.

    Raises InputError if the name is no study's, params.yaml is no valid study, the file is another study's, or a stage
    runs.
    """
    studies.check_name(name)
    _nothing_runs()
    load()
    current, file = yaml_files.read(PARAMS), studies.STUDIES / f"{name}.yaml"
    studies.check(current | {"study": name}, PARAMS)
    if file.exists() and current["study"] != name:
        raise InputError(f"{file} is another study's: choose another name, or remove it first")
    before = yaml_files.read(file) if file.is_file() else {}
    studies.check_short(before, file)
    short = studies.shorten(current | {"study": name}, before.get("preset"))
    write_text(file, rewritten(file, short) if before else studies.dump(short, brief=True))
    _write(studies.read(file))
    return file


def _nothing_runs() -> None:
    if running := locking.running():
        raise InputError(f"{running[0]} runs by {PARAMS}: let it finish, or end it, before another study is selected")


def _write(whole: dict[str, Any]) -> None:
    written = studies.text(whole)
    write_text(PARAMS, written)
    write_text(paths.SELECTED, written)  # so that another version of the same file can take its place


def _selected() -> Any:
    try:
        return yaml_files.read(PARAMS)
    except InputError as error:
        raise InputError(f"{error}; mend it, or drop it by `git checkout {PARAMS}`") from error


def _edited(current: Any) -> bool:
    known = [
        _parsed("\n".join(git.lines("show", f"HEAD:{PARAMS}") or [])),
        _if_possible(yaml_files.read, paths.SELECTED),
    ]
    return current not in known + [_if_possible(studies.read, file) for file in studies.STUDIES.glob("*.yaml")]


def _parsed(text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return None


def _if_possible(read: Callable[[Path], Any], file: Path) -> Any:
    """None if the file is not there, damaged or no study."""
    try:
        return read(file)
    except InputError:
        return None


def _listed(before: Any, now: Any) -> str:
    differing = list(_differences(before, now))
    more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    return ", ".join(differing[:SHOWN]) + more


def _differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before | now:
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield key or "all of it"
