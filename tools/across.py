"""Make the report across studies, reports/across, from the tables of the studies that git keeps."""

from hidden_structure.frame import paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.report.across import writing
from hidden_structure.report.reading import kept_studies


@one_line_errors
def main() -> None:
    writing.write({study: paths.report(study) for study in kept_studies()})
    print(f"The report across studies: {writing.FOLDER / 'README.md'}")


if __name__ == "__main__":
    main()
