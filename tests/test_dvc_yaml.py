"""dvc.yaml says of each stage what it really reads: the code that computes its numbers, and the keys of params.yaml."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tiny import ROOT

from hidden_structure.frame import params

SRC = ROOT / "src"
FRAME = Path("hidden_structure/frame")
PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
SOURCES = {path.relative_to(SRC) for path in SRC.rglob("*.py")}


def script(stage: dict) -> Path:
    return ROOT / re.search(r"stages/\w+\.py", stage["cmd"])[0]


def modules_imported(file: Path) -> set[Path]:
    """The project's modules that a file imports, wherever in it, relative to src."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {Path(*name.split(".")) for name in names}
    return {path for name in files for path in (name.with_suffix(".py"), name / "__init__.py") if path in SOURCES}


def import_closure(file: Path) -> set[Path]:
    """Modules that compute: neither of the frame nor a package's docstring."""
    closure: set[Path] = set()
    left = modules_imported(file)
    while left:
        module = left.pop()
        closure.add(module)
        left |= modules_imported(SRC / module) - closure
    return {module for module in closure if FRAME not in module.parents and module.name != "__init__.py"}


def declared(stage: dict) -> dict[str, set[Path]]:
    """Source dependency -> the modules it stands for."""
    sources = [dependency for dependency in stage["deps"] if dependency.startswith("src/")]
    return {
        source: {
            file.relative_to(SRC)
            for file in ((ROOT / source).rglob("*.py") if (ROOT / source).is_dir() else [ROOT / source])
        }
        for source in sources
    }


@pytest.mark.parametrize("name", sorted(STAGES.keys() - {"check"}))
def test_a_stage_depends_on_the_rooms_whose_code_it_runs(name):
    closure, rooms = import_closure(script(STAGES[name])), declared(STAGES[name])
    assert closure <= set().union(*rooms.values(), set())
    for room, modules in rooms.items():
        assert modules & closure, f"{name} imports nothing of {room}"
        assert (ROOT / room).is_file() or 2 * len(modules & closure) >= len(modules & SOURCES) - 1, (
            f"name its files: {room}"
        )
    assert str(script(STAGES[name]).relative_to(ROOT)) in STAGES[name]["deps"]


def test_the_frame_imports_only_itself():
    """Or what it imports would change numbers without rerunning anything."""
    for module in (SRC / FRAME).glob("*.py"):
        outside = {other for other in modules_imported(module) if FRAME not in other.parents}
        assert outside <= {Path("hidden_structure/__init__.py")}, module


def reads(stage: dict) -> set[str]:
    """The keys that the script's `Reads` declares: `cluster.l2` where it names single keys of a section."""
    specification = importlib.util.spec_from_file_location(script(stage).stem, script(stage))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return params.keys(module.Reads)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_keys_it_reads(name):
    if "params.yaml" in STAGES[name]["deps"]:
        assert "params" not in STAGES[name]
    else:
        assert reads(STAGES[name]) - {"tasks"} == set(STAGES[name]["params"])


def test_where_tasks_run_makes_no_stage_run_again():
    """Only `check`, which everything waits for and whose output is constant, depends on all of params.yaml."""
    assert not any("tasks" in stage.get("params", []) for stage in STAGES.values())


def test_what_processor_computed_makes_no_other_stage_run_again():
    """Hardware is what stages write down, never what they depend on; only the tables tell of it."""
    hardware = Path("artifacts/results/hardware-fine.json")
    readers = {name for name, stage in STAGES.items() if any(map(hardware.is_relative_to, stage["deps"]))}
    assert readers == {"make-tables"}
    assert not any("/hardware-" in str(path) for stage in STAGES.values() for path in stage["deps"])


def outputs(stage: dict) -> dict[str, tuple[str, dict]]:
    """Path -> kind, options."""
    entries = [(kind, entry) for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    pairs = [(kind, {entry: {}} if isinstance(entry, str) else entry) for kind, entry in entries]
    return {path: (kind, options) for kind, entry in pairs for path, options in entry.items()}


@pytest.mark.parametrize("name", STAGES)
def test_dvc_remembers_what_every_stage_has_made(name):
    """Its run cache leaves out stages with an output that persists, or is kept from its cache and no metric or plot."""
    for path, (kind, options) in outputs(STAGES[name]).items():
        assert not options.get("persist"), path
        assert options.get("cache", True) or kind in ("metrics", "plots"), path


def test_everything_that_takes_time_waits_for_the_check():
    """By what it depends on, directly or through what others make."""
    made = {path: name for name, stage in STAGES.items() for path in outputs(stage)}

    def upstream(name: str) -> set[str]:
        makers = {
            maker
            for dependency in STAGES[name]["deps"]
            for path, maker in made.items()
            if Path(path).is_relative_to(dependency) or Path(dependency).is_relative_to(path)
        } - {name}
        return makers | {further for maker in makers for further in upstream(maker)}

    for name in STAGES.keys() - {"prepare-data", "check"}:
        assert "check" in upstream(name), name
