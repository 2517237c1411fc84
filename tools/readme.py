"""Put the claims of every study that README.md has markers for between these markers."""

from pathlib import Path

from hidden_structure.frame.artifacts import read_json, write_text
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.report.recovery import claims

README = Path("README.md")


@one_line_errors
def main() -> None:
    text = README.read_text(encoding="utf-8")
    for path in sorted(Path("reports").glob("*/claims.json")):
        if f"<!-- claims: {path.parent.name} -->" in text:  # a user's own study need not be shown
            text = claims.insert(text, path.parent.name, read_json(path))
    write_text(README, text)


if __name__ == "__main__":
    main()
