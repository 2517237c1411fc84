"""Put the headline table of the committed studies into README.md, as their claims.csv say now."""

from pathlib import Path

from hidden_structure.frame import paths, tables
from hidden_structure.frame.artifacts import write_text
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.report import headlines

README = Path("README.md")


@one_line_errors
def main() -> None:
    files = {study: paths.report(study) / "claims.csv" for study in headlines.STUDIES}
    claims = {study: tables.read(file) for study, file in files.items() if file.is_file()}
    write_text(README, headlines.insert(README.read_text(encoding="utf-8"), claims))


if __name__ == "__main__":
    main()
