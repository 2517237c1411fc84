"""What a stage that trains leaves in the report: its metrics, and what computed them."""

from typing import Any

from hidden_structure import artifacts, paths


def write(study: str, name: str, found: Any, hardware: dict | None) -> None:
    """metrics/<name>.json and metrics/hardware-<name>.json; hardware is None where nothing was trained."""
    artifacts.write_json(paths.metrics(study, name), found)
    artifacts.write_json(paths.metrics(study, f"hardware-{name}"), hardware)
