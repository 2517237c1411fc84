import pytest
import tiny

from hidden_structure import claims
from hidden_structure.artifacts import read_json

README = (tiny.ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", sorted((tiny.ROOT / "reports").glob("*/claims.json")), ids=lambda p: p.parent.name)
def test_the_readme_shows_the_committed_claims(path):
    assert claims.insert(README, path.parent.name, read_json(path)) == README, "run `make readme`"


def test_every_picture_and_file_that_the_readme_names_is_there():
    import re

    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (tiny.ROOT / target).exists(), target
