"""Symmetries of small networks of the kinds that people have: as large as the document says, and none that is wrong."""

from pathlib import Path

import pytest
from architectures import HEADER, NETWORKS, make, row
from test_symmetry import check

DOCUMENT = Path(__file__).parents[2] / "docs" / "symmetries.md"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_document_says_what_is_derived(name):
    network, example = make(name)
    symmetry = check(network, example)
    assert row(name, symmetry, network) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_the_document_lists_these_networks():
    _, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(HEADER)
    lines = rest.strip().split("\n\n")[0].splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == list(NETWORKS)
