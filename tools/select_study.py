"""Put studies/<name>.yaml in place of params.yaml, unless that would lose edits."""

import sys
from pathlib import Path

from hidden_structure.frame.artifacts import write_text
from hidden_structure.frame.errors import InputError, one_line_errors

STUDIES = Path("studies")


@one_line_errors
def main() -> None:
    chosen, current = STUDIES / f"{sys.argv[1]}.yaml", Path("params.yaml")
    studies = {path: path.read_text(encoding="utf-8") for path in sorted(STUDIES.glob("*.yaml"))}
    if chosen not in studies:
        raise InputError(f"there is no {chosen}: choose one of {', '.join(path.stem for path in studies)}")
    if current.is_file() and current.read_text(encoding="utf-8") not in studies.values():
        raise InputError(
            f"{current} holds edits that are in no file of {STUDIES}/: save it there under a new name first"
        )
    write_text(current, studies[chosen])


if __name__ == "__main__":
    main()
