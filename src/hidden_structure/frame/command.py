"""What every script of stages/ answers to `--help`, without running."""

import argparse
from collections.abc import Sequence


def arguments(description: str | None, **choices: Sequence[str]) -> argparse.Namespace:
    """Read the command line of a script that runs in the repository's root and takes its parameters from params.yaml.

    choices: positional arguments, name -> what each may be. Unknown arguments end the script with exit status 2.
    """
    note = "Run it from the repository's root; its parameters stand in params.yaml. `dvc repro` runs what is needed."
    parser = argparse.ArgumentParser(
        description=description, epilog=note, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, values in choices.items():
        parser.add_argument(name, choices=values)
    return parser.parse_args()
