"""Tables as CSV: rows of named values, written the same on every machine and read back as they were.

Text is quoted, numbers, `true` and `false` are not, nothing is an empty cell, and a list of numbers is one cell,
`[0 0.25 0.5]`. Groups of values become columns with a dot: {"loss": {"train": 1}} is the column `loss.train`.
Numbers keep six significant digits, so that a remake elsewhere changes few lines.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hidden_structure.frame import artifacts

CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^,"\n]*))(,|\n)')


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The `text` of the rows, as a file. Raises what that does."""
    artifacts.write_text(path, text(rows))


def text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows may differ in their columns; what a row lacks is an empty cell.

    Raises TypeError at a value that is none of the above, ValueError at a number that is not finite or a dot in a name.
    """
    flat = [dict(_flatten(row)) for row in rows]
    columns = list(dict.fromkeys(column for row in flat for column in row))
    lines = [",".join(map(_quoted, columns)), *(",".join(_cell(row.get(column)) for column in columns) for row in flat)]
    return "".join(line + "\n" for line in lines)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows; an empty cell is None, and a group all of whose cells are empty is absent.

    A table of many rows may be an npz instead, an array a column.

    Raises InputError if the file is missing or damaged.
    """
    with artifacts.content_of([path]):
        if path.suffix != ".npz":
            return parse(artifacts.read_text(path))
        arrays = {name: array.tolist() for name, array in artifacts.read_arrays(path).items()}
        return [dict(zip(arrays, row, strict=True)) for row in zip(*arrays.values(), strict=True)]


def parse(content: str) -> list[dict[str, Any]]:
    """The rows of a table's text. Raises ValueError if it is none."""
    header, *lines = _lines(content)
    return [_grouped(dict(zip(map(str, header), line, strict=True))) for line in lines]


def _lines(text: str) -> Iterator[list[Any]]:
    line, place = [], 0
    while place < len(text):
        if not (match := CELL.match(text, place)):
            raise ValueError(f"no table: character {place}")
        quoted, plain, end = match.groups()
        line.append(_value(plain) if quoted is None else quoted.replace('""', '"'))
        place = match.end()
        if end == "\n":
            yield line
            line = []
    if line:
        raise ValueError("the last line is cut")


def _flatten(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if "." in name:
            raise ValueError(f"the column {name!r} has a dot")
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _grouped(row: Mapping[str, Any]) -> dict[str, Any]:
    grouped: dict[str, Any] = {}
    for column, value in row.items():
        *groups, name = column.split(".")
        if groups and value is None:
            continue
        place = grouped
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return grouped


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_number(item) for item in value) + "]"
    return _number(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} is no finite number")
        return f"{value:.6g}"
    raise TypeError(f"a table holds no {type(value).__name__}: {value!r}")


def _value(text: str) -> Any:
    if not text:
        return None
    if text.startswith("["):
        return [_scalar(item) for item in text[1:-1].split()]
    return _scalar(text)


def _scalar(text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
