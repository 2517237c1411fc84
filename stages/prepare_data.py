"""Read the study's data set, whatever its source, into one file of arrays; nothing downstream knows the source."""

from hidden_structure.datasets.load import load
from hidden_structure.frame import artifacts, command, params, paths
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.locking import alone
from hidden_structure.frame.section import Section
from hidden_structure.frame.sections import Data


class Reads(Section):
    data: Data


@one_line_errors
@alone("prepare-data")
def main() -> None:
    data = params.load(reads=Reads).data
    artifacts.write_arrays(paths.DATA, load(data).arrays(data.normalise))


if __name__ == "__main__":
    command.arguments(__doc__)
    main()
