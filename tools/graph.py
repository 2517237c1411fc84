"""Draw the graph of the stages in CONTRIBUTING.md again, from `dvc dag --mermaid`: edges of one stage on a line."""

import re
import subprocess
from pathlib import Path

from hidden_structure.frame.artifacts import write_text
from hidden_structure.frame.errors import one_line_errors

DOCUMENT = Path("CONTRIBUTING.md")
BLOCK = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def folded(dag: str) -> str:
    """The block of CONTRIBUTING.md for what `dvc dag --mermaid` prints: a line for each stage, which names it once."""
    names = dict(re.findall(r'(node\d+)\["(.+?)"\]', dag))
    below: dict[str, list[str]] = {node: [] for node in names}
    for node, other in re.findall(r"(node\d+)-->(node\d+)", dag):
        below[node].append(other)
    nodes = list(names)  # as DVC numbers them
    lines = [f'  {node}["{names[node]}"]' + to(sorted(below[node], key=nodes.index)) for node in nodes]
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```", ""])


def to(nodes: list[str]) -> str:
    return f" --> {' & '.join(nodes)}" if nodes else ""


@one_line_errors
def main() -> None:
    dag = subprocess.run(["dvc", "dag", "--mermaid"], check=True, capture_output=True, text=True).stdout
    write_text(DOCUMENT, BLOCK.sub(lambda _: folded(dag), DOCUMENT.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
