"""What the command `hidden-structure` understands."""

import argparse
import json
from pathlib import Path

from hidden_structure.cli import choose, schema
from hidden_structure.frame.errors import one_line_errors

DESCRIPTION = """\
Studies of what neural networks keep in their representations beyond their labels. A file of studies/ says what is a
study's own; src/hidden_structure/frame/defaults.yaml says what every key means, its default, and why.
Run it from the repository's root.
"""
EXAMPLES = """\
examples:
  hidden-structure new birds --data data/birds   look at a folder of images, and write studies/birds.yaml
  make reproduce STUDY=birds                     run it, and say where the report is
  hidden-structure select digits                 write the complete params.yaml of studies/digits.yaml
  dvc exp run -S train.lr=0.05                   try another value
  hidden-structure keep fast                     keep the edits of params.yaml as studies/fast.yaml
  hidden-structure schema > params.schema.json   what editors check and explain studies/*.yaml by
"""


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    if asked.command == "new":
        from hidden_structure.cli.new import begin  # imports torch, which takes seconds

        print(begin(asked.name, asked.data, asked.classes, asked.size))
    elif asked.command == "select":
        choose.select(asked.name)
    elif asked.command == "keep":
        print(f"{choose.keep(asked.name)} holds what differs from the defaults; params.yaml is completed from it")
    else:
        print(json.dumps(schema.schema(), indent=2))


def _parser() -> argparse.ArgumentParser:
    layout = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser("hidden-structure", description=DESCRIPTION, epilog=EXAMPLES, **layout)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    new = commands.add_parser("new", help="begin a study of a folder of images")
    new.add_argument("name", help="of the study: small letters, digits and hyphens")
    new.add_argument("--data", type=Path, required=True, help="folder with <class>/*, or train/ and test/ of such")
    new.add_argument("--classes", type=int, help="coarse classes that the classes are merged into (default: half)")
    new.add_argument("--size", type=int, help="side in pixels that images are resized to (default: at most 32)")

    select = commands.add_parser("select", help="write the complete params.yaml of a file of studies/")
    select.add_argument("name", help="of the study, as studies/<name>.yaml")

    keep = commands.add_parser("keep", help="keep the edits of params.yaml as a file of studies/")
    keep.add_argument("name", help="of the study that they become")

    commands.add_parser("schema", help="print the JSON schema of studies/*.yaml and params.yaml")
    return parser


if __name__ == "__main__":
    main()
