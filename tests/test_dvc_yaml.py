"""dvc.yaml says of each stage what it really reads: the modules it imports, and the sections of params.yaml it uses."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tiny import ROOT

from hidden_structure.frame import params

PIPELINE = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
SOURCES = {path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")}


def script(stage: dict) -> Path:
    return ROOT / re.match(r"python (stages/\w+\.py)", stage["cmd"])[1]


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


def import_closure(file: Path) -> set[str]:
    found: set[Path] = set()
    left = modules_imported(file)
    while left:
        module = left.pop()
        found.add(module)
        packages = {parent / "__init__.py" for parent in module.parents} & SOURCES
        left |= (modules_imported(ROOT / "src" / module) | packages) - found
    return {f"src/{module}" for module in found}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_code_it_imports(name):
    stage = STAGES[name]
    declared = set()
    for dependency in stage["deps"]:
        if dependency.startswith("src/"):
            files = (ROOT / dependency).rglob("*.py") if (ROOT / dependency).is_dir() else [ROOT / dependency]
            declared |= {str(file.relative_to(ROOT)) for file in files}
    assert declared == import_closure(script(stage))
    assert str(script(stage).relative_to(ROOT)) in stage["deps"]


# Sections read by functions that take the whole study.
READ_BY = {
    "hidden_structure.connectivity.spawning": {"network", "train", "spawn"},
    "hidden_structure.distillation.school": {"seeds", "network", "train", "cluster", "distill"},
    "hidden_structure.connectivity.pairing": {"hardware", "network", "train", "spawn", "permute", "interpolate"},
}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_sections_it_uses(name):
    text = script(STAGES[name]).read_text()
    used = set(re.findall(r"\bstudy\.(\w+)|load\(\)\.(\w+)", text))
    used = {section for pair in used for section in pair if section in params.Study.model_fields}
    used |= {section for module, sections in READ_BY.items() if f"from {module} import" in text for section in sections}
    if "params.yaml" in STAGES[name]["deps"]:  # the whole file, because the stage keeps a copy of it
        assert "params" not in STAGES[name]
    else:
        assert used == set(STAGES[name]["params"])


def test_what_processor_computed_makes_no_other_stage_run_again():
    """Hardware is what stages write down, never what they depend on; only the report tells of it."""
    reads = {name for name, stage in STAGES.items() if any("/hardware-" in str(path) for path in stage["deps"])}
    assert reads == {"report"}


def outputs(stage: dict) -> dict[str, dict]:
    """Path -> options."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return {path: options for e in entries for path, options in ({e: {}} if isinstance(e, str) else e).items()}


@pytest.mark.parametrize("name", STAGES)
def test_dvc_deletes_no_output_before_its_stage_has_checked_params(name):
    """A stage all of whose outputs are in DVC's cache, at paths that no value is part of, loses nothing by it."""
    found = outputs(STAGES[name])
    restored = all(options.get("cache", True) and "${study}" not in path for path, options in found.items())
    assert restored or all(options.get("persist") for options in found.values())


def test_the_default_study_is_also_one_of_the_studies():
    study = params.load(ROOT / "params.yaml")
    assert (ROOT / "studies" / f"{study.study}.yaml").read_text() == (ROOT / "params.yaml").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_study_is_valid_and_named_after_its_file(path):
    assert params.load(path).study == path.stem
