"""A file of studies/ made to say another study, and else left as it is: its comments, its order, what it says twice."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from hidden_structure.frame import studies
from hidden_structure.frame.artifacts import read_text

FREE = ("groups", "options")  # their keys are the user's, and come in his order


def rewritten(file: Path, short: dict[str, Any]) -> str:
    """The text of the file, which is a study's, changed where it does not say what the short study does."""
    whole = studies.complete(short)
    for kept in (whole, {}):  # without what goes without saying, where a part would inherit something else by it
        content = _reader().load(text := read_text(file))
        if _same(studies.complete(_plain(text)), whole):
            return text
        _update(content, short, kept)
        if _same(studies.complete(_plain(text := studies.written(content))), whole):
            return text
    return studies.dump(short, brief=True)


def _reader() -> YAML:
    reader = YAML()
    reader.preserve_quotes = True
    return reader


def _plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _same(a: Any, b: Any) -> bool:
    """In their order, too: that of groups numbers the classes."""
    return _spelt(a) == _spelt(b)


def _spelt(value: Any) -> str:
    return json.dumps(value, default=str)  # YAML has dates, which no study has, but a file may


def _update(content: CommentedMap, short: dict[str, Any], whole: dict[str, Any]) -> None:
    """whole: what is kept although it goes without saying."""
    for name in [name for name in content if name not in short]:
        if name in whole:
            own = {} if isinstance(whole[name], dict) and name not in FREE else whole[name]
            _set(content, name, own, whole[name])
        else:
            del content[name]
    for name, value in short.items():
        _set(content, name, value, whole.get(name, {}))


def _set(content: CommentedMap, name: str, value: Any, whole: Any) -> None:
    old = content.get(name)
    if isinstance(old, dict) and isinstance(value, dict) and name not in FREE:
        _update(old, value, whole)
    elif name not in content or old != value or (name in FREE and not _same(old, value)):
        tail = _cut_tail(old if name in content else content)
        comment = content.ca.items.get(name, [None] * 4)[2]
        if comment is not None:  # as far from the value as before
            comment.column += len(_spelt(value)) - len(_spelt(old))
        content[name] = _laid_out(name, value)
        if tail:
            _hang(content, name, tail)


def _laid_out(name: str, value: Any) -> Any:
    """Lists in one line, as in a file that is new."""
    return _reader().load(studies.dump({name: value}, brief=True))[name]


def _cut_tail(content: Any) -> str:
    """The lines of comments below the section or list, which hang on its last value, and belong to what follows."""
    while _in_block(content):
        last = _last(content)
        if comment := content.ca.items.get(last, [None] * 4)[_place(content)]:
            head, _, tail = comment.value.partition("\n")
            comment.value = f"{head}\n"
            return tail
        content = content[last]
    return ""


def _hang(content: Any, key: Any, tail: str) -> None:
    while _in_block(content[key]):
        content, key = content[key], _last(content[key])
    hung = [None] * 4
    hung[_place(content)] = CommentToken(f"\n{tail}", CommentMark(0))
    content.ca.items[key] = hung


def _in_block(content: Any) -> bool:
    return isinstance(content, (CommentedMap, CommentedSeq)) and not content.fa.flow_style() and len(content) > 0


def _last(content: CommentedMap | CommentedSeq) -> Any:
    return len(content) - 1 if isinstance(content, CommentedSeq) else next(reversed(content))


def _place(content: CommentedMap | CommentedSeq) -> int:
    """Of the comment behind a value, among those that ruamel keeps of it."""
    return 0 if isinstance(content, CommentedSeq) else 2
