"""The results of a study: what a stage that trains leaves, with what computed it, and what the report reads."""

from typing import Any

from hidden_structure.frame import artifacts, paths

OBJECTS = ("labels", "cluster", "merges", "unconstrained", "plane", "distill", "students")  # others hold lists of rows


def write(name: str, found: Any, hardware: dict | None) -> None:
    """results/<name>.json and results/hardware-<name>.json; hardware is None where nothing was trained."""
    artifacts.write_json(paths.results(name), found)
    artifacts.write_json(paths.results(f"hardware-{name}"), hardware)


def read(name: str) -> Any:
    """results/<name>.json: rows, an object, or None where nothing was computed.

    Raises InputError if it holds anything else, is missing or damaged.
    """
    objects = name in OBJECTS or name.startswith("hardware-")
    return artifacts.read_json(paths.results(name), (dict, type(None)) if objects else list)
