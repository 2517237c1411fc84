# ruff: noqa: RUF001
"""Tables as LaTeX, to be read by \\input into a document that uses booktabs, and longtable for the claims."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hidden_structure.report.words import cell, in_order, measured

ESCAPED = {
    **{character: "\\" + character for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"{\char34}", "…": r"\dots{}"},
    **{"[": "{[}", "*": "{*}"},  # which the end of the line before would take for its own
}
SYMBOLS = {  # which LaTeX's own encoding of text lacks
    **{"\N{MINUS SIGN}": "-", "±": r"\pm", "×": r"\times", "≤": r"\le", "≥": r"\ge", "∞": r"\infty", "·": r"\cdot"},
    **{"α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "λ": r"\lambda", "μ": r"\mu", "ρ": r"\rho"},
    **{"σ": r"\sigma", "τ": r"\tau", "Δ": r"\Delta", "²": "^2", "√": r"\surd", "→": r"\to", "≈": r"\approx"},
}
SPECIAL = str.maketrans(ESCAPED | {character: f"${command}$" for character, command in SYMBOLS.items()})
VERDICT = {"supported": r"$\checkmark$", "contradicted": r"$\times$", "undecided": "?", "not assessable": "--"}
WIDE = 28  # characters; columns with longer texts are set as paragraphs


def escape(text: str) -> str:
    """The text so that LaTeX sets it as it is, on one line."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return re.sub("([-'])(?=\\1)", r"\1{}", printable.translate(SPECIAL))  # no ligatures


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A tabular; numbers stand to the right."""
    texts = [[cell(value) for value in row] for row in rows]
    layout = ""
    for place in range(len(columns)):
        is_text = any(isinstance(row[place], str) for row in rows)
        longest = max((len(line[place]) for line in texts), default=0)
        layout += "p{0.25\\linewidth}" if longest > WIDE else "l" if is_text else "r"
    lines = [_line(map(escape, columns)), r"\midrule", *(_line(map(escape, line)) for line in texts)]
    body = "\n".join([r"\toprule", *lines, r"\bottomrule"])
    return f"% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{layout}}}\n{body}\n\\end{{tabular}}\n"


def claims(rows: Sequence[Mapping[str, Any]]) -> str:
    """A longtable of claims as Claim.row gives them, what failed first."""
    header = _line(["", "claim", r"measured $\pm$ standard error", "criterion", "published"])
    lines = []
    for row in in_order(rows):
        mean, sure = map(escape, measured(row))
        claim, criterion, published = (escape(cell(row[name])) for name in ("claim", "criterion", "published"))
        mark, value = VERDICT[row["verdict"]], f"{mean} ({sure})" if mean else ""
        lines.append(_line([mark, claim, value, criterion, published]))
    layout = r"@{}lp{0.31\linewidth}p{0.17\linewidth}p{0.22\linewidth}p{0.13\linewidth}@{}"
    head = "\n".join([r"\toprule", header, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"])
    packages = "% \\usepackage{amssymb, booktabs, longtable}"
    return "\n".join([packages, f"\\begin{{longtable}}{{{layout}}}", head, *lines, r"\end{longtable}", ""])


def _line(cells: Any) -> str:
    return " & ".join(cells) + r" \\"
