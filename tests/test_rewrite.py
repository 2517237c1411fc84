"""A study that is kept under its own name: its file says what has changed, and keeps what its author wrote beside."""

import json
import re

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hidden_structure.cli.main import main
from hidden_structure.cli.rewrite import rewritten
from hidden_structure.frame import artifacts, params, studies, yaml_files

COMMENTED = """\
# yaml-language-server: $schema=../params.schema.json
# Four classes
study: birds
seeds: [0]  # one
data:
  source: folder
  folder: 'a "b": c'
  size: null  # as they are
  test_fraction: 0.2  # held out
merge:
  method: groups
  groups: {two: [a, b], one: ["c"]}  # by eye

# what is trained
network:
  # the smallest
  depth: 8  # then 20
  width: 16
# how
train:
  epochs: 12  # for a first report
  milestones:
    - 0.5  # half
    # then
    - 0.75
# what follows
cluster:
  reducers: [pca]  # quick
  perplexity: 10.0  # a third

# Further parts, once the first report is there:
# merges: {}
# spawn: {}  # a dozen more
"""
EDITS = {
    "seeds": [[0], [0, 1, 2]],
    "data.size": [None, 32],
    "data.test_fraction": [0.2, 0.3],
    "merge.groups": [{"two": ["a", "b"], "one": ["c"]}, {"one": ["c"], "two": ["a", "b"]}],
    "network.depth": [8, 20],
    "network.norm": ["batch", "none"],
    "train.epochs": [12, 100],
    "train.lr": [0.2, 0.125],
    "train.momentum": [0.9, 0.0],
    "train.milestones": [[0.5, 0.75], [0.25]],
    "cluster.perplexity": [10.0, 12.5],
    "cluster.restarts": [10, 3],
    "features.layers": [[], ["head"]],
    "report.points": [1000, 10],
    "split": [None, {}],
    "distill": [None, {"network": {"name": "mlp", "depth": 1, "width": 8, "norm": "none"}}],
}


def comments(text: str) -> list[str]:
    return [line.strip() for line in re.findall(r"(?:^|(?<= ))#.*", text, re.MULTILINE)]


def completed(text: str) -> dict:
    return studies.complete(YAML(typ="safe", pure=True).load(text))


def rewrite(folder, text: str, short: dict) -> str:
    (folder / "birds.yaml").write_text(text)
    return rewritten(folder / "birds.yaml", short)


def edited(text: str, edits: dict) -> dict:
    """The complete study of the text, changed."""
    short = YAML(typ="safe", pure=True).load(text)
    for key, value in edits.items():
        section, _, name = key.partition(".")
        if name:
            short.setdefault(section, {})[name] = value
        else:
            short[section] = value
    return studies.complete(short)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rewritten")


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in EDITS.items()}))
def test_whatever_is_edited_the_file_says_so_and_all_its_comments(folder, edits):
    whole = edited(COMMENTED, edits)
    text = rewrite(folder, COMMENTED, studies.shorten(whole))
    assert json.dumps(completed(text)) == json.dumps(whole)
    replaced = {"# half", "# then"} if whole["train"]["milestones"] != [0.5, 0.75] else set()
    assert comments(text) == [line for line in comments(COMMENTED) if line not in replaced]
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in COMMENTED.splitlines() if line.startswith("#")
    ]
    if whole == completed(COMMENTED):
        assert text == COMMENTED


@pytest.mark.parametrize(("key", "line"), [("train.lr", "  lr: 0.1"), ("cluster.l2", "  l2: 0.1")])
def test_a_new_key_stands_before_the_comment_on_what_follows(folder, key, line):
    lines = rewrite(folder, COMMENTED, studies.shorten(edited(COMMENTED, {key: 0.1}))).splitlines()
    place = lines.index(line)
    assert [own for own in lines if own != line] == COMMENTED.splitlines()
    assert any(following.startswith("#") for following in lines[place + 1 : place + 3])


@pytest.mark.parametrize("file", sorted((tiny.ROOT / "studies").glob("*.yaml")), ids=lambda file: file.stem)
@pytest.mark.parametrize(
    "edits", [{}, {"cluster.l2": 0.5, "data.test_fraction": 0.25, "report.points": 7}, {"spawn": None}]
)
def test_every_study_of_the_repository_keeps_its_comments(folder, file, edits):
    text = file.read_text()
    whole = edited(text, edits) | ({} if edits.get("spawn", 1) else dict.fromkeys((*studies.OF_SPAWN, "average")))
    studies.check(whole, file)
    again = rewrite(folder, text, studies.shorten(whole, yaml_files.read(file).get("preset")))
    assert completed(again) == whole
    assert again == text or edits
    if "spawn" not in edits:  # which is removed with what is said of it
        assert comments(again) == comments(text)


def test_keeping_one_s_own_study_keeps_its_comments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    artifacts.write_text(studies.STUDIES / "birds.yaml", COMMENTED)
    main(["select", "birds"])
    text = params.PARAMS.read_text()
    params.PARAMS.write_text(text.replace("  epochs: 12\n", "  epochs: 60\n"))
    main(["keep", "birds"])
    assert (studies.STUDIES / "birds.yaml").read_text() == COMMENTED.replace("epochs: 12", "epochs: 60")
    assert params.load().train.epochs == 60
