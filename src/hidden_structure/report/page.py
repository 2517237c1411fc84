"""The report as a page that needs no script and no network, and the same as README.md for a code host.

Everything that comes from data or parameters is escaped by the templates' environments: a class may be
called `<script>`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hidden_structure.frame.params import Study
from hidden_structure.report import multiplicity, words
from hidden_structure.report.chapter import Chapter, Numbers
from hidden_structure.report.claim import VERDICTS

TEMPLATES = FileSystemLoader(Path(__file__).parent / "templates")
QUESTIONS = ("published", "ours")  # kinds of claims; the others say whether these can be asked
LONG, PIECE = 25, 16  # characters of a word from which on it may be broken, and into what
TEXT = 15  # pixels: how large the text of a figure is shown, whatever its size in print


@dataclass(frozen=True)
class Provenance:
    """What made a study. Rows are those of the tables of that name; without one there are none.

    trained: its networks, and what they cost.
    """

    params: str  # the text of its params.yaml
    classes: Sequence[Mapping[str, Any]] = ()
    hardware: Sequence[Mapping[str, Any]] = ()
    versions: Sequence[Mapping[str, Any]] = ()
    trained: Numbers | None = None


def html(study: Study, chapters: Sequence[Chapter], provenance: Provenance, sizes: Mapping[str, tuple]) -> str:
    """The page; sizes: figure -> its width and height in inches."""
    environment = _environment(autoescape=True)
    environment.filters |= {"soft": soft}
    scale = TEXT * 72 / study.report.style.size
    pixels = {name: [round(scale * side) for side in size] for name, size in sizes.items()}
    content = _content(study, chapters, provenance)
    return environment.get_template("page.html").render(content | {"pixels": pixels}).lstrip()


def markdown(study: Study, chapters: Sequence[Chapter], provenance: Provenance) -> str:
    environment = _environment(finalize=plain_markdown)
    return environment.get_template("README.md").render(_content(study, chapters, provenance)).lstrip()


def across(chapters: Sequence[Chapter], studies: Sequence[Mapping[str, Any]], left_out: Sequence[str]) -> str:
    """The page across studies, as Markdown.

    studies: `name` and, in words, `about`, in order; left_out: sentences on what could not be taken in.
    """
    environment = _environment(finalize=plain_markdown)
    content = _judged(chapters) | {"chapters": chapters, "studies": studies, "left_out": left_out}
    return environment.get_template("across.md").render(content).lstrip()


def soft(text: Any) -> Markup:
    """The text, escaped, with places at which a word that is longer than those of a language may be broken."""
    places = re.sub(rf"\S{{{LONG},}}", lambda word: "\0".join(re.findall(rf".{{1,{PIECE}}}", word[0])), str(text))
    return Markup("<wbr>").join(places.split("\0"))


def plain_markdown(value: Any) -> Any:
    """The text on one line, so that Markdown and the HTML inside of it set it as it is."""
    if isinstance(value, Markup):
        return value
    text = escape(" ".join(str(value).split()), quote=False)
    return Markup(re.sub(r"([\\`*_\[\]|~#$@!])", r"\\\1", text))


def _environment(**options: Any) -> Environment:
    layout = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = Environment(loader=TEMPLATES, undefined=StrictUndefined, **layout, **options)
    environment.filters |= {"cell": words.cell, "measured": words.measured}
    return environment


def _content(study: Study, chapters: Sequence[Chapter], provenance: Provenance) -> dict[str, Any]:
    columns = list(dict.fromkeys(column for row in provenance.hardware for column in row))
    judged = _judged(chapters)
    rows = [row for chapter in chapters for row in judged["rows"][chapter.idea]]
    return judged | {
        "study": study,
        "about": words.about(study, provenance.classes),
        "chapters": chapters,
        "tallies": {chapter.idea: _sum(words.tally(chapter.claims)) for chapter in chapters},
        "open": [
            row
            for row in words.in_order(rows)
            if row["verdict"] == "contradicted" or (row["verdict"] == "undecided" and row["kind"] in QUESTIONS)
        ],
        "provenance": provenance,
        "hardware": {"columns": columns, "rows": [[row.get(name) for name in columns] for row in provenance.hardware]},
    }


def _judged(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """What pages say of claims: rows by chapter, how many of which kind have which verdict, and the words for both."""
    return {
        "rows": {chapter.idea: words.in_order(claim.row() for claim in chapter.claims) for chapter in chapters},
        "tally": words.tally(claim for chapter in chapters for claim in chapter.claims),
        "counted": multiplicity.told([claim for chapter in chapters for claim in chapter.claims]),
        "verdicts": VERDICTS,
        "marks": words.MARKS,
        "groups": words.GROUPS,
        "kinds": words.KIND,
    }


def _sum(tally: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Of questions; controls and preconditions are none."""
    return {verdict: sum(tally[kind][verdict] for kind in QUESTIONS) for verdict in VERDICTS}
