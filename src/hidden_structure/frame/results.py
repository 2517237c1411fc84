"""What a stage that trains leaves: what it measured, and what computed it."""

from typing import Any

from hidden_structure.frame import artifacts, paths


def write(name: str, found: Any, hardware: dict | None) -> None:
    """results/<name>.json and results/hardware-<name>.json; hardware is None where nothing was trained."""
    artifacts.write_json(paths.results(name), found)
    artifacts.write_json(paths.results(f"hardware-{name}"), hardware)
