"""The stages of dvc.yaml in one process and one folder, without DVC: for networks that are given."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hidden_structure.checks import problems
from hidden_structure.cli import foreseen
from hidden_structure.datasets.load import load
from hidden_structure.frame import artifacts, params, paths, studies
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.stages.check import TOLD
from hidden_structure.training.device import pick_device

NEEDED = ("dvc", "jinja2", "matplotlib", "openTSNE", "PIL", "torchvision")  # modules of hidden-structure[pipeline]
REPORT = ("report.html", "README.md", "claims.csv", "metrics.json", "curves", "figures", "paper", "tables")
AGAIN = "run the command again with a new --out, and if it says this again, report it as a fault of hidden-structure"
BY_DVC = re.compile(r"(delete [^:]* and )?(run )?`dvc (repro|checkout|status).*?(?= \(in |$)", re.M)  # how stages mend
BEGUN = ("prepare-data", "check")  # what `begin` does itself, in memory
STAGES = (  # as dvc.yaml names them, in an order in which each finds what it reads; the report follows
    *BEGUN,
    *("merge-labels", "train", "measure-collapse", "extract-features", "follow-recovery"),
    *("train-memorised", "cluster", "train-merges", "compare-merges", "split", "sweep", "imbalance"),
    *("finetune", "solve-unconstrained", "distill", "compare-students", "inspect-networks", "spawn"),
    *("permute", "interpolate", "linearity", "average-networks", "make-tables"),
)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in the folder, where stages look for params.yaml and artifacts/; modules beside the user are found still.

    A folder that was not there before does not stay if nothing is written into it.
    """
    before, folder = Path.cwd(), folder.absolute()
    made = [path for path in (folder / paths.ARTIFACTS, folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.append(str(before))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path.remove(str(before))
        for path in made:  # empty still where the work failed before anything was written
            with suppress(OSError):
                path.rmdir()


def refuse_without_extra() -> None:
    """Raises InputError if the library is installed alone, which neither reads images nor draws."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"{missing[0]} is not installed: pip install 'hidden-structure[pipeline]'")


def completed(short: Mapping[str, Any]) -> dict[str, Any]:
    """The complete study of a short one, which trains no network of its own.

    Raises InputError if it is none.
    """
    whole = studies.complete(dict(short))
    studies.check(whole, params.PARAMS)
    return whole


def begin(whole: dict[str, Any], refuse: Callable[[Sequence[str]], None]) -> None:
    """Read the data of a complete study, and once all that it asks for is known to be possible, write both here.

    refuse: raises InputError if these are not the classes that are meant.

    What is wrong is told as early as it can be, and until then an earlier report stays as it is, beside the params.yaml
    that it was made by; of other params it is removed then, before anything is computed.
    """
    study = Study.model_validate(whole)
    pick_device(study.hardware)
    if tree := foreseen.tree_of(study.data):
        refuse(tree.class_names)
        _refuse(foreseen.impossible(study, tree))
    arrays = load(study.data).arrays(study.data.normalise)
    refuse(arrays["class_names"].tolist())
    _refuse(problems(study, arrays))
    text = studies.dump(whole)
    if not params.PARAMS.is_file() or artifacts.read_text(params.PARAMS) != text:
        for name in REPORT:
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)
    artifacts.write_text(params.PARAMS, text)
    artifacts.write_arrays(paths.DATA, arrays)


def _refuse(found: Sequence[str]) -> None:
    """End with the problems, if there are any, as the stage `check` does."""
    if found:
        more = [f"and {len(found) - TOLD} more"] if len(found) > TOLD else []
        sys.exit("\n".join([*(f"error: {problem}" for problem in found[:TOLD]), *more]))


def finish(expected: Callable[[Study], str] | None = None) -> None:
    """Run what follows, and write the report here: report.html and README.md, figures/, tables/, paper/.

    expected: says, before any network computes, how long that may take.
    """
    for name in STAGES[len(BEGUN) :]:
        if name == "spawn" and expected is not None:
            print(expected(params.load()), file=sys.stderr, flush=True)
        if name == "train":
            for supervision in paths.SUPERVISIONS:
                _stage(name).publish(supervision, {}, {}, [], None)
        else:
            _stage(name).main()
    from hidden_structure.report import writing  # imports matplotlib

    study = params.load()
    writing.write(Path(), study, paths.TABLES, artifacts.read_text(params.PARAMS))
    shutil.rmtree("tables", ignore_errors=True)
    shutil.copytree(paths.TABLES, "tables")


def warnings() -> Iterator[str]:
    """What the report says first of given networks, if it has to."""
    from hidden_structure.report import reading
    from hidden_structure.report.connectivity import given
    from hidden_structure.report.inspection.chapter import by_table

    yield from given.warnings(reading.rows(paths.TABLES, "given"))
    yield from given.warnings(reading.rows(paths.TABLES, "inspected"), by_table(params.load()))


@contextmanager
def as_asked(options: Mapping[str, str]) -> Iterator[None]:
    """Speak of what is wrong by the options of the command line, not the keys of params.yaml that they became, and not
    of DVC, which does not run here."""
    keys = re.compile(
        rf"(?<![\w.])({'|'.join(map(re.escape, sorted(options, key=len, reverse=True)))})(?:\.\d+)?(?!\w)"
    )
    try:
        yield
    except InputError as error:
        raise InputError(_in_options(str(error), keys, options)) from error
    except SystemExit as ended:  # of a stage
        if not isinstance(ended.code, str):
            raise
        raise SystemExit(_in_options(ended.code, keys, options)) from ended


def _in_options(told: str, keys: re.Pattern, options: Mapping[str, str]) -> str:
    lines = keys.sub(lambda key: options[key[1]], BY_DVC.sub(AGAIN, told.replace("params.yaml: ", ""))).split("\n")
    return "\n".join(dict.fromkeys(lines))  # two keys may be one option


def _stage(name: str) -> Any:
    return import_module(f"hidden_structure.stages.{name.replace('-', '_')}")
