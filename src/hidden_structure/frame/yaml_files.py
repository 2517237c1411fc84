"""YAML that a user wrote: read as plain values, within bounds of time and memory."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.events import AliasEvent

from hidden_structure.frame.errors import InputError

BYTES = 10**6  # at most: twice what a table of ImageNet-21k's classes takes


class _WithoutAliases(Composer):
    """A few lines of aliases of aliases would stand for billions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            line = self.parser.peek_event().start_mark.line + 1
            raise InputError(f"line {line} has an alias (*): write the value out instead")
        return super().compose_node(parent, index)


def read(path: Path, remedy: str = "correct the path") -> Any:
    """The content of a file in YAML 1.2; remedy is what to do where there is none.

    Raises InputError, in one line that names the file, if it is no regular file, cannot be read, is over 1 MB, not
    UTF-8, not valid YAML, or has aliases.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path} is {'not a regular file' if path.exists() else 'missing'}: {remedy}")
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > BYTES:
        raise InputError(f"{path} is larger than {BYTES:,} bytes: shorten it")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    reader = YAML(typ="safe", pure=True)
    reader.Composer = _WithoutAliases
    try:
        return reader.load(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # besides YAMLError the reader lets KeyError, IndexError, RecursionError ... through
        if isinstance(error, ValueError) and (digits := re.search(r"[\d_]{4000}", text)):  # Python reads no more
            line = text.count("\n", 0, digits.start()) + 1
            raise InputError(f"{path}: line {line} has an integer of thousands of digits: shorten it") from error
        raise InputError(f"{path} is not valid YAML: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Without the text itself, which the reader's own message shows under a name that is none of a file."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "context", None)
    if isinstance(error, DuplicateKeyError):
        said = f"{re.sub(r' with value .*', '', said, flags=re.DOTALL)}: keep one"  # of a list it shows none
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}" if mark and said else str(error)
