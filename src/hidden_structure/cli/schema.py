"""The JSON schema of studies/*.yaml and of params.yaml, by which an editor checks, completes and explains keys."""

from typing import Any

from hidden_structure.frame import studies
from hidden_structure.frame.params import Study

URL = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """That of sections.py, without required keys, since studies are completed; with what defaults.yaml says of each."""
    found = Study.model_json_schema()
    definitions = found["$defs"]
    for section in (found, *definitions.values()):
        section.pop("required", None)
    for key, said in studies.comments().items():
        *above, name = key.split(".")
        section = found
        for step in above:
            section = definitions[_definition(section["properties"][step])]
        section["properties"][name].setdefault("description", said)
    return {"$schema": URL} | found | {"title": "A study: studies/*.yaml and params.yaml"}


def _definition(entry: dict[str, Any]) -> str:
    """The name of the section that an entry holds, be it one that can be left out or not."""
    options = [entry, *entry.get("anyOf", ())]
    return next(option["$ref"] for option in options if "$ref" in option).rpartition("/")[2]
