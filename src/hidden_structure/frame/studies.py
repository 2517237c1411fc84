"""Short studies, which say what is their own, and the complete ones that params.yaml holds.

defaults.yaml beside this module is the reference of all keys, and of how a short study is completed.
"""

import copy
import io
import re
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from hidden_structure.frame import yaml_files
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.frame.problems import first_problem

DEFAULTS = Path(__file__).with_name("defaults.yaml")
PRESETS = Path(__file__).with_name("presets.yaml")
STUDIES = Path("studies")
CHOSEN_BY = {"network": "name", "merge": "method"}  # a section of another name or method inherits nothing
INHERITED = {name: name for name in ("train", "network", "merge")} | {
    "from_scratch": "train"
}  # of a part -> of the study
OF_SPAWN = ("permute", "interpolate", "linearity")  # measured on the networks of spawn
PARTS = [name for name, field in Study.model_fields.items() if type(None) in get_args(field.annotation)]

HEADER = """\
# A complete study, as DVC reads it. Written from studies/{}.yaml by `hidden-structure select {}`;
# src/hidden_structure/frame/defaults.yaml says what each key means, and why it has its default.
"""


@cache
def _defaults() -> dict[str, Any]:
    return yaml_files.read(DEFAULTS)


def defaults() -> dict[str, Any]:
    """Section -> its default, in the order of params.yaml; `train`, `network` and `merge` of a part are what differs
    from the study's."""
    return copy.deepcopy(_defaults())


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Name -> network and recipe that belong together, which a study begins with that says `preset: name`."""
    return yaml_files.read(PRESETS)


@cache
def comments() -> dict[str, str]:
    """Key, dotted -> what defaults.yaml says of it."""
    found, above = {}, []
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"( *)(\w+):.*?(?:  # (.*))?$", line):
            above[len(match[1]) // 2 :] = [match[2]]
            found[".".join(above)] = match[3] or ""
    return found


def read(path: Path) -> dict[str, Any]:
    """The complete study that a file of studies/ describes.

    Raises InputError, in one line that names the file or the key, if the file cannot be read or makes no study.
    """
    short = yaml_files.read(path, "give the file of a study")
    check_short(short, path)
    whole = complete(short)
    check(whole, path)
    if whole["study"] != path.stem:
        raise InputError(f"{path}: study is {whole['study']}: give it the name of its file, {path.stem}")
    return whole


def check_short(short: Any, path: Path) -> None:
    """Raises InputError if that has no sections, or there is no such preset."""
    if not isinstance(short, dict):
        raise InputError(f"{path} must map section names to sections")
    if short.get("preset") is not None and _preset(short) is None:
        raise InputError(
            f"{path}: preset: there is no {short['preset']}: choose {', '.join(presets())}, or leave it out"
        )


def _preset(short: dict[str, Any]) -> dict[str, Any] | None:
    name = short.get("preset")
    return presets().get(name) if isinstance(name, str) else None


def check_name(name: str) -> None:
    """Raises InputError if that names no study."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name):
        raise InputError(
            f"{name!r} cannot name a study: use small letters, digits and hyphens, 64 at most, the first no hyphen"
        )


def check(whole: dict[str, Any], path: Path) -> None:
    """Raises InputError, in one line that names the file and the key, if that is no study."""
    try:
        Study.model_validate(whole)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, Study)}") from error


def complete(short: dict[str, Any]) -> dict[str, Any]:
    """Every key of a study, of one that gives only what differs from defaults.yaml, or from its preset.

    Nothing is checked here: values of a wrong kind, and unknown keys, are passed on for Study to name them.
    """
    if (preset := _preset(short)) is not None:
        own = {name: value for name, value in short.items() if name != "preset"}
        short = _over({name: value for name, value in preset.items() if _adds_to(name, own)}, own)
    whole: dict[str, Any] = {}
    for name, default in defaults().items():
        if name not in short and _left_out(name, short):
            whole[name] = None
        elif isinstance(default, dict):
            whole[name] = _part(default, short.get(name, {}), whole)
        else:
            whole[name] = short.get(name, default)
    return whole | {name: value for name, value in short.items() if name not in whole}


def _adds_to(name: str, own: dict[str, Any]) -> bool:
    """Whether the preset's section still holds beside the study's own, which may be of another network."""
    section = own.get(name)
    return not (name in CHOSEN_BY and isinstance(section, dict) and CHOSEN_BY[name] in section)


def _left_out(name: str, short: dict[str, Any]) -> bool:
    if name in OF_SPAWN:
        return short.get("spawn") is None
    return name in PARTS and name != "train"


def _part(default: dict[str, Any], own: Any, study: dict[str, Any]) -> Any:
    """The section with what is its own; study: the sections before it, which its own ones are inherited from."""
    if not isinstance(own, dict):
        return own
    base = {name: _inherited(name, value, own.get(name), study) for name, value in default.items()}
    part = _over(base, own)
    if isinstance(part.get("kinds"), list):
        part["kinds"] = [_over(defaults()["merge"], kind) for kind in part["kinds"]]
    return part


def _inherited(name: str, default: Any, own: Any, study: dict[str, Any]) -> Any:
    if name not in INHERITED:
        return default
    if name in CHOSEN_BY and isinstance(own, dict) and CHOSEN_BY[name] in own:
        return defaults()[name]
    whole = INHERITED[name]
    return _over(copy.deepcopy(study[whole]) or defaults()[whole], default)


def _over(base: Any, own: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return base | {name: _over(base.get(name), value) for name, value in own.items()}


def shorten(whole: dict[str, Any], preset: str | None = None) -> dict[str, Any]:
    """The short study that `complete` makes this one of, without a key that could go; preset: which it begins with."""
    short: dict[str, Any] = {"preset": preset} if preset else {}
    for name, value in whole.items():
        before = complete(short)[name]  # if no more were said
        base = complete(short | {name: {}})[name] if isinstance(value, dict) else before
        if before != value:
            short[name] = _differing(base, value)
    return short


def _differing(base: Any, value: Any) -> Any:
    """What must be said of value over base."""
    if not isinstance(base, dict) or not isinstance(value, dict):
        return value
    own = {}
    for name, one in value.items():
        key = CHOSEN_BY.get(name)
        if name == "kinds":
            own[name] = [{"method": kind["method"]} | _differing(defaults()["merge"], kind) for kind in one]
        elif key and one[key] != base[name][key]:
            own[name] = {key: one[key]} | _differing(defaults()[name], one)
        elif name not in base or base[name] != one:
            own[name] = _differing(base.get(name), one)
    return own


def text(whole: dict[str, Any]) -> str:
    """params.yaml: every section with its comment. A list is written item by item, as `dvc exp run -S` does."""
    name = whole["study"]
    sections = [HEADER.format(name, name)]
    for section, value in whole.items():
        said = comments().get(section)
        sections.append((f"# {said}\n" if said else "") + dump({section: value}))
    return "".join(sections)


def dump(content: dict[str, Any], brief: bool = False) -> str:
    """YAML in block style; brief: with lists, and mappings in them, in one line each."""
    return written(_in_lines(content) if brief else content)


def written(content: dict[str, Any]) -> str:
    """YAML in block style but where the content is laid out otherwise, with the comments that it may have."""
    writer, stream = YAML(), io.StringIO()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 120
    writer.representer.add_representer(
        type(None), lambda made, _: made.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    writer.representer.ignore_aliases = lambda _: True
    writer.dump(content, stream)
    return stream.getvalue()


def _in_lines(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _in_lines(value) for name, value in content.items()}
    if not isinstance(content, list):
        return content
    if not any(isinstance(entry, dict) for entry in content):
        return _flow(CommentedSeq(content))
    return [_flow(CommentedMap(entry)) if isinstance(entry, dict) else entry for entry in content]


def _flow(content: Any) -> Any:
    content.fa.set_flow_style()
    return content
