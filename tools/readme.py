"""Put the claims of every committed study into README.md, between the study's markers."""

from pathlib import Path

from hidden_structure import claims
from hidden_structure.artifacts import read_json, write_text
from hidden_structure.errors import one_line_errors

README = Path("README.md")


@one_line_errors
def main() -> None:
    text = README.read_text(encoding="utf-8")
    for path in sorted(Path("reports").glob("*/claims.json")):
        text = claims.insert(text, path.parent.name, read_json(path))
    write_text(README, text)


if __name__ == "__main__":
    main()
