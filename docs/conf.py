"""The site that `make docs` builds: the pages of this folder, and the library's docstrings.

Docstrings are prose: marks of reStructuredText mean nothing in them, and what stands in backticks is a reference where
it names something of the library, or else code. Sphinx is told to warn of every reference that leads nowhere.
"""

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import hidden_structure

project, author, copyright = "hidden-structure", "hidden-structure", "its authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.apidoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_site"]
html_theme, html_show_copyright, html_show_sourcelink = "alabaster", False, False
html_theme_options = {"page_width": "1100px", "sidebar_width": "260px"}
myst_heading_anchors = 3

PACKAGE = Path(hidden_structure.__file__).parent
apidoc_modules = [
    {
        "path": PACKAGE,
        "destination": "_api",
        "exclude_patterns": [f"{PACKAGE}/{left_out}" for left_out in ("stages", "cli", "report", "tables")],
        "separate_modules": True,
        "include_private": False,
        "max_depth": 2,
        "automodule_options": {"members", "undoc-members"},
    }
]
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_use_param = False
add_module_names = False
nitpicky = True
# What other libraries define is documented elsewhere, and machines without a network are to build this, too.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!hidden_structure\.).*"),
    (r"py:class", r".*\.(progress\.Item|params\.R)"),
]  # types' variables

CODE = re.compile(r"(``?)([^`]+?)\1")
MARKS = re.compile(r"[\\*|]|_(?!\w)")


def _named(words: str, module: Any, within: Any) -> str | None:
    """The full name of what these words name, seen from a class or function of the module."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*", words):
        return None
    first, *rest = words.split(".")
    for scope in (within, module):
        found = getattr(scope, first, None)
        for name in rest:
            found = getattr(found, name, None)
        if inspect.isclass(found) or inspect.isfunction(found):
            home, name = found.__module__, found.__qualname__
            private = any(part.startswith("_") for part in name.split("."))
            return f"{home}.{name}" if home.startswith("hidden_structure.") and not private else None
    return None


def _prose(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Escape marks, and make references of what names something."""
    module = of if inspect.ismodule(of) else importlib.import_module(getattr(of, "__module__", None) or "builtins")

    def written(match: re.Match) -> str:
        target = _named(match[2], module, of)
        return f":py:obj:`{match[2]} <{target}>`" if target else f"``{match[2]}``"

    text, done = "\n".join(lines), []
    place = 0
    for match in CODE.finditer(text):
        done += [MARKS.sub(r"\\\g<0>", text[place : match.start()]), written(match)]
        place = match.end()
    lines[:] = "".join([*done, MARKS.sub(r"\\\g<0>", text[place:])]).split("\n")


def _function(app: Any, env: Any, node: Any, contents: Any) -> Any:
    """What checks a value, in the annotation of a field, is a function, which Sphinx looks for among classes."""
    if node.get("reftype") != "class":
        return None
    domain, target = env.domains["py"], node["reftarget"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, "func", target, node, contents)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _prose, priority=100)  # before napoleon reads sections
    app.connect("missing-reference", _function)
