"""Where a stage keeps what it has done so far: a folder named after all that it depends on, until it is finished.

So work that was cut short is gone on with, and never that of other params, code or data. What is finished may be kept
as well, for a study that is to have more networks of the same kind.
"""

import ast
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

import hidden_structure
from hidden_structure.frame import paths, yaml_files
from hidden_structure.frame.errors import Damaged, InputError

DIGITS = 16  # of the hash in its name
FINISHED = "finished.json"  # in a folder that is kept: the hash of each of its files


@contextmanager
def workplace(stage: str, described: dict, arrays: Iterable[np.ndarray], keep: bool = False) -> Iterator[Path]:
    """The folder where a stage keeps what it has done so far, removed once the block has ended without an error.

    Args:
        stage: as DVC names it, and for each item of a foreach: "spawn", "train@fine".
        described: JSON-able: all params that any one task's result depends on, and what computes (`device.describe`).
        arrays: the data that they depend on.
        keep: not to remove it until the stage is next finished, by params under which it has another name or without
            this. What only says which tasks there are must not be described then, and the tasks be named after it.

    Raises InputError if a file that was kept is damaged or missing.
    """

    def code() -> list[Path]:
        return [*code_of(stage), *code_of_networks(described)]

    folder = paths.RESUME / f"{stage}-{fingerprint(described | versions_of_networks(described), code(), arrays)}"
    first = int(os.environ.get("RANK", "0")) == 0  # of several processes
    if first:
        _take_up(folder)
    with unchanged(stage, code):
        yield folder
    if first:
        for other in paths.RESUME.glob(f"{stage}-{'[0-9a-f]' * DIGITS}"):
            if (other / FINISHED).is_file() and other != folder:
                _forget(other)
        if not keep:
            _forget(folder)
        elif folder.is_dir():
            _keep(folder)


@contextmanager
def unchanged(stage: str, code: Callable[[], Iterable[Path]] | None = None) -> Iterator[None]:
    """What the stage depends on is at the end of the block what it was when it began: DVC records what it is then.

    code: gives its files, as they are by then; None: those of `code_of`.

    Raises InputError, which names what is not, so that DVC records nothing; what the stage keeps is there still.
    """
    own = _entry(stage).get("params", [])
    keys = [key for key in own if isinstance(key, str)]
    files = code or partial(code_of, stage)
    before = _content(keys, files())
    yield
    after = _content(keys, files())
    if changed := [name for name in before | after if before.get(name) != after.get(name)]:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise InputError(
            f"{changed[0]}{more} changed while {stage} ran: what it computed is not of what is there now. Put it back"
            " and start again, which takes up what is computed; or start again as it is, which computes it anew"
        )


def _content(keys: Iterable[str], files: Iterable[Path]) -> dict[str, Any]:
    """Of each key its value in params.yaml, of each file its hash; None where there is none."""
    values = yaml_files.read(paths.PARAMS) if keys and paths.PARAMS.is_file() else None
    found: dict[str, Any] = {}
    for key in keys:
        value = values
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        found[f"{paths.PARAMS}: {key}"] = value
    hashes = {str(file): hashlib.sha256(file.read_bytes()).digest() if file.is_file() else None for file in files}
    return found | hashes


def _entry(stage: str, pipeline: Path = Path("dvc.yaml")) -> dict[str, Any]:
    """What dvc.yaml says of a stage; nothing where there is no such file."""
    if not pipeline.is_file():
        return {}
    entry = yaml_files.read(pipeline)["stages"].get(stage.partition("@")[0], {})
    return entry.get("do", entry)


def code_of(stage: str, pipeline: Path = Path("dvc.yaml")) -> list[Path]:
    """The Python files that the stage depends on, as dvc.yaml says; those of this whole package where it is not there,
    or not beside what it names.

    Half a run by other code would be no run of either, but code that the stage does not use may change meanwhile.
    """
    deps = _entry(stage, pipeline).get("deps", [])
    dependencies = [pipeline.parent / path.replace("${item}", stage.partition("@")[2]) for path in deps]
    if not dependencies or not all(path.exists() for path in dependencies):
        dependencies = [Path(hidden_structure.__file__).parent]
    inside = [file for path in dependencies if path.is_dir() for file in path.rglob("*.py")]
    return sorted({*inside, *(path for path in dependencies if path.suffix == ".py")})


def code_of_networks(described: object) -> list[Path]:
    """The Python files of networks of the user's own, which params name `module:build`, and those that they import from
    beside them; not of libraries that are installed."""
    found: set[Path] = set()
    for module in _modules_of_networks(described):
        top = PathFinder.find_spec(module.partition(".")[0], [*sys.path, str(Path.cwd())])
        if top is not None and (root := _folder_of(top)) is not None:
            found |= _imported(module, root)
    return sorted(found)


def versions_of_networks(described: object) -> dict[str, str]:
    """The versions of the installed libraries that params take networks from; nothing where they take none."""
    modules = {module.partition(".")[0] for module in _modules_of_networks(described)}
    owners = packages_distributions() if modules else {}
    names = sorted({name for module in modules for name in owners.get(module, [])})
    return {"libraries": " ".join(f"{name}=={version(name)}" for name in names)} if names else {}


def _modules_of_networks(described: object) -> list[str]:
    """That params name `module:build`."""
    names, waiting = set(), [described]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
            names |= {name for name in [part.get("name")] if isinstance(name, str) and ":" in name}
        elif isinstance(part, list | tuple):
            waiting += part
    return sorted({name.partition(":")[0] for name in names})


def _folder_of(top: ModuleSpec) -> Path | None:
    """Where a module lies; None if it is installed, or no file."""
    if top.submodule_search_locations:
        folder = Path(next(iter(top.submodule_search_locations))).resolve().parent
    elif top.origin and top.has_location:
        folder = Path(top.origin).resolve().parent
    else:
        return None
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return None if installed & {folder, *folder.parents} else folder


def _imported(module: str, root: Path) -> set[Path]:
    """The files of a module and of all that it imports, directly or not, as far as they lie below the folder."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        *above, last = waiting.pop().split(".")
        packages = [root.joinpath(*above[:depth], "__init__.py") for depth in range(1, len(above) + 1)]
        for file in (*packages, root.joinpath(*above, last, "__init__.py"), root.joinpath(*above, f"{last}.py")):
            if file.is_file() and file not in found:
                found.add(file)
                waiting += _imports(file, file.parent.relative_to(root).parts)
    return found


def _imports(file: Path, package: tuple[str, ...]) -> Iterator[str]:
    """Modules that a file of the package names in imports; what is imported from one may be a module as well."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):  # what builds the network says so
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: max(0, len(package) - node.level + 1)]] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from filter(None, [".".join(base), *(".".join([*base, alias.name]) for alias in node.names)])


def fingerprint(described: dict, code: Iterable[Path], arrays: Iterable[np.ndarray]) -> str:
    """DIGITS hexadecimal digits that depend on a JSON-able description, and on the content of files and arrays."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for file in code:
        digest.update(file.read_bytes())
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:DIGITS]


def _keep(folder: Path) -> None:
    from hidden_structure.frame.artifacts import write_json  # which imports this module

    write_json(folder / FINISHED, {name: _hash(file) for name, file in _files(folder).items()})


def _take_up(folder: Path) -> None:
    """Check what was kept, and call it unfinished: what is added to it is not to be removed before it is finished."""
    from hidden_structure.frame.artifacts import read_json

    if not (folder / FINISHED).is_file():
        return
    kept, files = read_json(folder / FINISHED, dict), _files(folder)
    for name, content in kept.items():
        if name not in files or _hash(files[name]) != content:
            raise Damaged(f"{folder / name} is missing or damaged: delete {folder}, and what it kept is computed anew")
    (folder / FINISHED).unlink()


def _files(folder: Path) -> dict[str, Path]:
    """All that it holds, by name."""
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _forget(folder: Path) -> None:
    """Remove a finished run; renamed first, so that a kill in between leaves nothing that could be taken up."""
    if folder.is_dir():
        finished = folder.with_name(f"finished-{folder.name}")
        shutil.rmtree(finished, ignore_errors=True)
        folder.rename(finished)
        shutil.rmtree(finished, ignore_errors=True)
