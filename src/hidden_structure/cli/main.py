"""What the command `hidden-structure` understands."""

import argparse
import json
from pathlib import Path

from hidden_structure.cli import choose, schema
from hidden_structure.frame.errors import one_line_errors
from hidden_structure.frame.values import MATCHINGS

DESCRIPTION = """\
Studies of what neural networks keep in their representations beyond their labels. A file of studies/ says what is a
study's own; src/hidden_structure/frame/defaults.yaml says what every key means, its default, and why.
Run it from the repository's root; compare and inspect need no repository.
"""
EXAMPLES = """\
examples:
  hidden-structure new birds --data data/birds   look at a folder of images, and write studies/birds.yaml
  make reproduce STUDY=birds                     run it, and say where the report is
  hidden-structure select digits                 write the complete params.yaml of studies/digits.yaml
  dvc exp run -S train.lr=0.05                   try another value
  hidden-structure keep fast                     keep the edits of params.yaml as studies/fast.yaml
  hidden-structure compare a.pt b.pt --network my_nets:Net --data photos   (see compare --help)
  hidden-structure inspect a.pt --network my_nets:Net --data photos   (see inspect --help)
  hidden-structure schema > params.schema.json   what editors check and explain studies/*.yaml by
"""
COMPARE = """\
Compare every two of the networks in these files: the error on the straight line between them, as merged, with their
units matched, and with REPAIR; how linearly features change along it, layer by layer; and their stitching.
The defaults take minutes for a ResNet-18; how long it may take is told first. Test accuracy is of all test images.
"""
COMPARISONS = """\
examples:
  hidden-structure compare a.safetensors b.pt --network my_nets:Net --data photos
  hidden-structure compare a.pt b.pt c.pt --network torchvision:resnet18 --data cifar10 --normalise imagenet
  hidden-structure compare a.pt b.pt --network my_nets:Net --data photos --points 25 --samples 10000 --plane 15
  hidden-structure compare a.pt 'b.pt#ema' --network resnet --options '{"depth": 20, "width": 16, "norm": "batch"}' \\
    --data cifar10 --mean 0.4914 0.4822 0.4465 --std 0.247 0.243 0.262 --methods weights --out pair
"""
INSPECT = """\
Look into each of the networks in these files: how far its features collapsed (NC1 to NC4), how many clusters there are
inside each class that it knows, and how well they give finer classes back, if a table tells these.
"""
INSPECTIONS = """\
examples:
  hidden-structure inspect a.safetensors --network my_nets:Net --data photos
  hidden-structure inspect a.pt --network torchvision:resnet18 --data cifar10 --fine fine.yaml --reducer tsne
    (the network knows the classes of fine.yaml, which has, for instance, `animals: [cat, dog]`, in the order of its
    outputs; the folders of --data, or its classes, are the finer ones)
"""


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    if asked.command == "new":
        from hidden_structure.cli.new import begin  # imports torch, which takes seconds

        print(begin(asked.name, asked.data, asked.classes, asked.size))
    elif asked.command in ("compare", "inspect"):
        from hidden_structure.cli import given

        print(given.compare(asked) if asked.command == "compare" else given.inspect(asked))
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
    new.add_argument("--data", required=True, help="folder with <class>/*, or train/ and test/ of such")
    new.add_argument("--classes", type=int, help="coarse classes that the classes are merged into (default: half)")
    new.add_argument("--size", type=int, help="side in pixels that images are resized to (default: at most 32)")

    compare = commands.add_parser(
        "compare", help="compare networks that you have trained", description=COMPARE, epilog=COMPARISONS, **layout
    )
    counts = {
        "points": (11, "an odd number, on every line, the networks themselves among them"),
        "samples": (2000, "images of each split that lines are measured on, and units matched by"),
        "feature-samples": (500, "test images that features and stitched networks are measured on"),
        "repair-samples": (1000, "training images that REPAIR takes statistics from: a mean and a deviation a unit"),
    }
    for name, (default, meaning) in counts.items():
        compare.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} (default: %(default)s)")
    compare.add_argument(
        "--plane",
        type=int,
        metavar="POINTS",
        help="draw the plane through two networks and the second, matched, too: points of a side, each as dear as one "
        "of a line (default: no plane)",
    )
    compare.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "auto"),
        default="float32",
        help="of lines; bfloat16 takes half as long where the processor has it (default: %(default)s)",
    )
    compare.add_argument(
        "--methods",
        nargs="+",
        choices=(*MATCHINGS, "none"),
        default=["weights", "activations"],
        help="of matching units; none, which stands alone, matches none",
    )
    _add_given(compare, Path("compared"))

    inspect = commands.add_parser(
        "inspect", help="look into networks that you have trained", description=INSPECT, epilog=INSPECTIONS, **layout
    )
    inspect.add_argument("--fine", type=Path, metavar="TABLE", help="YAML: class that the network knows -> finer ones")
    reducers = {
        "choices": ("pca", "tsne", "raw"),
        "default": "pca",
        "help": "what features are reduced by (default: %(default)s)",
    }
    inspect.add_argument("--reducer", **reducers)
    _add_given(inspect, Path("inspected"))

    select = commands.add_parser("select", help="write the complete params.yaml of a file of studies/")
    select.add_argument("name", help="of the study, as studies/<name>.yaml")

    keep = commands.add_parser("keep", help="keep the edits of params.yaml as a file of studies/")
    keep.add_argument("name", help="of the study that they become")

    commands.add_parser("schema", help="print the JSON schema of studies/*.yaml and params.yaml")
    return parser


def _add_given(parser: argparse.ArgumentParser, out: Path) -> None:
    """What both commands on networks that the user has trained ask for."""
    parser.add_argument("checkpoints", nargs="+", help="safetensors or PyTorch files; FILE#KEY: one of several states")
    parser.add_argument(
        "--network",
        required=True,
        help="package.module:build, called with (height, width, channels) and the number of classes; or "
        "torchvision:NAME, timm:NAME, mlp, resnet, vgg, speedrun",
    )
    parser.add_argument(
        "--options",
        default="{}",
        metavar="JSON",
        help="further arguments of the network; or all of them, where these name one of the two",
    )
    parser.add_argument(
        "--data",
        required=True,
        help="folder with <class>/*, or train/ and test/ of such; or digits, mnist, fashion-mnist, cifar10, cifar100",
    )
    parser.add_argument("--classes", type=int, help="how many there must be")
    parser.add_argument("--size", type=int, help="side in pixels that a folder's images are resized to")
    parser.add_argument(
        "--normalise",
        choices=("data", "none", "half", "imagenet"),
        help="by the training images' own mean and deviation, not (0..1), to -1..1, or as is usual for ImageNet "
        "(default: data)",
    )
    parser.add_argument("--mean", type=float, nargs="+", help="instead: of pixels in 0..1, one a channel or one in all")
    parser.add_argument("--std", type=float, nargs="+", help="its deviation")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--out",
        type=Path,
        default=out,
        help="folder of the report, new or of an earlier one, which is then replaced (default: %(default)s)",
    )


if __name__ == "__main__":
    main()
