"""What the pipeline costs besides its work: `dvc repro` with nothing to do, and every stage's start.

A stage's start is Python importing what its script imports, measured in a fresh process each. Run it after `dvc repro`:
`python benchmarks/repro_overhead.py`.
"""

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

STARTS = {"prepare_data": 1, "merge_labels": 1, "train": 2, "measure_collapse": 1, "extract_features": 1}
STARTS |= {"cluster": 1, "report": 1}  # how often a study starts each script


def seconds(command: list[str], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(perf_counter() - start)
    return median(times)


def imports(script: Path) -> str:
    nodes = ast.parse(script.read_text()).body
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


if __name__ == "__main__":
    bare = seconds([sys.executable, "-c", ""])
    print(f"bare Python: {bare:.2f} s")
    total = 0.0
    for name, count in STARTS.items():
        start = seconds([sys.executable, "-c", imports(Path("stages") / f"{name}.py")])
        total += count * start
        print(f"{name:18} {start:5.2f} s x {count}")
    print(f"all stages' starts: {total:.1f} s")
    nothing = seconds([sys.executable, "-m", "dvc", "repro"])
    print(f"dvc repro with nothing to do: {nothing:.2f} s, {nothing / bare:.0f} times bare Python")
