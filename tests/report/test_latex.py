import re
import shutil
import subprocess
from pathlib import Path

import pytest
import synthetic_chapters as synthetic

from hidden_structure.report import latex

DOCUMENT = r"""\documentclass{article}
\usepackage{amssymb, booktabs, longtable}
\begin{document}
\input{claims.tex}
\input{table.tex}
\end{document}
"""


def test_what_latex_would_take_for_its_own_is_escaped():
    for character in r"&%$#_{}":
        assert latex.escape(character) == "\\" + character
    assert latex.escape("a\\b~c^d") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"
    assert latex.escape("two\nlines\u200b") == "two lines "
    assert latex.escape("1--2 ''") == "1-{}-2 '{}'"
    assert latex.escape("a---b") == "a-{}-{}-b"
    assert latex.escape("x" + 3 * "'") == "x'{}'{}'"
    assert latex.escape("0.3 ± 0.1, \N{MINUS SIGN}1 ≤ λ") == r"0.3 $\pm$ 0.1, $-$1 $\le$ $\lambda$"


def test_a_table_has_a_line_a_row_and_a_cell_a_column():
    text = latex.table(("name", "test (%)"), [("a & b", 88.43217), ("[c]", None), ("*", -1)])
    assert r"\begin{tabular}{lr}" in text
    lines = [line for line in text.split("\n") if line.endswith(r"\\")]
    assert lines == [r"name & test (\%) \\", r"a \& b & 88.43 \\", r"{[}c] &  \\", r"{*} & $-$1 \\"]
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1


def test_long_texts_are_set_as_paragraphs():
    assert "{lp{0.25\\linewidth}}" in latex.table(("a", "b"), [("x", "y" * 100)])


def test_every_claim_has_a_line_of_five_cells_what_failed_first():
    rows = [claim.row() for claim in synthetic.claims()]
    lines = [line for line in latex.claims(rows).split("\n") if line.endswith(r"\\")][1:]
    assert len(lines) == len(rows)
    assert all(len(re.split(r"(?<!\\)&", line)) == 5 for line in lines)
    assert lines[0].startswith(r"$\times$ & Untrained features show no gain")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="LaTeX is not installed")
def test_latex_sets_hostile_names_as_they_are(tmp_path: Path):
    names = [*synthetic.HOSTILE[:-1], "[a", "*", "%s", "~", "^", "\\end{document}", "ß", "''"]
    rows = [synthetic.claim("x", [0.1, 0.2], statement=name, source=name).row() for name in names]
    (tmp_path / "claims.tex").write_text(latex.claims(rows))
    (tmp_path / "table.tex").write_text(latex.table(("name", "%"), [(name, 1.5) for name in names]))
    (tmp_path / "document.tex").write_text(DOCUMENT)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
