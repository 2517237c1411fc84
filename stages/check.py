"""Is everything that params.yaml asks for possible with the data at hand? All that is not is told at once.

What it writes never changes, so that nothing runs again because of it.
"""

import sys

from hidden_structure.checks import problems
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone

TOLD = 10  # problems


@one_line_errors
@alone("check")
def main() -> None:
    study, data = params.load(), artifacts.read_arrays(paths.DATA, paths.IMAGES | paths.CLASSES)
    if found := problems(study, data):
        more = [f"and {len(found) - TOLD} more"] if len(found) > TOLD else []
        sys.exit("\n".join([*(f"error: params.yaml: {problem}" for problem in found[:TOLD]), *more]))
    artifacts.write_text(paths.CHECKED, "params.yaml is possible with these data\n")


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
