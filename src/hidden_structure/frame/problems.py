"""What is wrong with a file of parameters, in one line that names the key."""

import difflib
from typing import get_args

from pydantic import BaseModel, ValidationError

from hidden_structure.frame.values import ALONE, FAMILIES, LINE, LIST, NAME, NETWORKS

WORDS = {  # in place of regular expressions
    LINE: "must be one line of text, not empty",
    NAME: "must be small letters, digits and hyphens, the first no hyphen",
}
OF_KEY = "[key]"  # where pydantic means the key itself, not its value
LONG = 80  # characters: nobody reads on


def first_problem(error: ValidationError, whole: type[BaseModel]) -> str:
    """The first problem in one line; an unknown key before a missing one, since it is mostly the same one misspelt."""
    problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(_shown(part) or "''" for part in problem["loc"] if part not in (ALONE, LIST, OF_KEY)) or "the file"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(_shown(problem["loc"][-1]), _keys_beside(problem["loc"], whole), n=1)
        return f"unknown key {key}" + (f": did you mean {close[0]}?" if close else ": remove it")
    if problem["type"] == "missing":
        return f"key {key} is missing: add it (null where it has no meaning)"
    if problem.get("ctx", {}).get("pattern") == NETWORKS:
        return f"{key}: {_no_network(problem['input'])}"
    message = WORDS.get(problem.get("ctx", {}).get("pattern"), problem["msg"].removeprefix("Value error, "))
    if not problem["loc"]:  # of the whole, so the message names its key itself
        return message
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):  # of a section: likewise
        return f"{key}.{message}"
    return f"{key}: {message[0].lower() + message[1:]}, got {_shown(problem['input'], quoted=True)}"


def _shown(value: object, quoted: bool = False) -> str:
    """A key or value in one short line, whatever it is."""
    if isinstance(value, str) and not quoted and value.isprintable():
        return value if len(value) <= LONG else f"{value[:LONG]}..."
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "something with thousands of digits"
    return text if len(text) <= LONG else f"{text[:LONG]}..."


def _no_network(name: str) -> str:
    close = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.7)
    known = f"did you mean {close[0]}?" if close else f"take {', '.join(FAMILIES)}, torchvision:NAME or timm:NAME,"
    return f"there is no network {_shown(name)}: {known} or write my_nets:build for build of your own my_nets.py"


def _keys_beside(location: tuple, section: type[BaseModel]) -> list[str]:
    for name in location[:-1]:
        annotation = section.model_fields[name].annotation if name in section.model_fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        if not (found := [kind for kind in kinds if issubclass(kind, BaseModel)]):
            return []
        section = found[0]
    return list(section.model_fields)
