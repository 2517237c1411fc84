"""The command `hidden-structure`: studies are chosen and kept without losing edits."""

import json
import subprocess
from pathlib import Path

import pytest
import tiny

from hidden_structure.cli.main import main
from hidden_structure.cli.schema import schema
from hidden_structure.frame import params, paths, studies, yaml_files
from hidden_structure.frame.locking import alone


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A folder with two studies, and no git."""
    (tmp_path / "studies").mkdir()
    for name in ("one", "two"):
        (tmp_path / f"studies/{name}.yaml").write_text(
            f"study: {name}\ndata: {{source: digits}}\nmerge: {{classes: 5}}\n"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def selected(name: str) -> params.Study:
    main(["select", name])
    return params.load()


def edit(old: str, new: str, file: str = "params.yaml") -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def test_a_chosen_study_takes_the_place_of_another_again_and_again():
    for name in ("one", "two", "two", "one"):
        assert selected(name).study == name


def test_an_edited_file_of_studies_is_selected_again():
    selected("one")
    edit("classes: 5", "classes: 2", "studies/one.yaml")
    assert selected("one").merge.classes == 2


def test_an_unknown_study_is_named_with_the_known_ones(repository):
    with pytest.raises(SystemExit, match=r"there is no studies/three\.yaml: choose one of one, two"):
        main(["select", "three"])
    assert not (repository / "params.yaml").exists()


def test_where_there_are_no_studies_it_is_said_where_to_be(repository, monkeypatch):
    (repository / "elsewhere").mkdir()
    monkeypatch.chdir(repository / "elsewhere")
    with pytest.raises(SystemExit, match=r"no studies/one\.yaml, nor any other: go to the repository's root"):
        main(["select", "one"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"study: [", b"[" * 10_000])
def test_what_was_selected_last_may_be_damaged(content):
    selected("one")
    paths.SELECTED.write_bytes(content)
    assert selected("two").study == "two"
    edit("lr: 0.2", "lr: 0.1")
    paths.SELECTED.write_bytes(content)
    with pytest.raises(SystemExit, match="holds edits"):
        main(["select", "one"])


def test_edits_are_not_lost_and_it_is_said_which_they_are_and_how_to_keep_them():
    selected("one")
    edit("lr: 0.2", "lr: 0.1")
    before = Path("params.yaml").read_text()
    with pytest.raises(SystemExit, match=r"holds edits .*\(train\.lr\): keep them by `hidden-structure keep NAME`"):
        main(["select", "two"])
    assert Path("params.yaml").read_text() == before


def test_edits_are_kept_as_a_study_that_says_no_more_than_they_do():
    selected("one")
    edit("lr: 0.2", "lr: 0.1")
    main(["keep", "fast"])
    whole = studies.read(studies.STUDIES / "fast.yaml")
    assert whole["train"]["lr"] == 0.1
    assert yaml_files.read(studies.STUDIES / "fast.yaml")["train"] == {"lr": 0.1}
    assert selected("two").train.lr == 0.2
    assert selected("fast").train.lr == 0.1
    with pytest.raises(SystemExit, match="is another study's"):
        main(["keep", "two"])


@pytest.mark.parametrize("name", ["../up", "A b", "x" * 65, ""])
def test_edits_are_kept_under_no_name_that_is_no_study_s(repository, name):
    selected("one")
    with pytest.raises(SystemExit, match="cannot name a study: use small letters, digits and hyphens") as told:
        main(["keep", name])
    assert "params.yaml" not in str(told.value.code)
    assert {path.name for path in repository.rglob("*.yaml")} == {
        "one.yaml",
        "two.yaml",
        "params.yaml",
        "selected.yaml",
    }


@pytest.mark.parametrize("command", [["select", "two"], ["keep", "three"]])
def test_no_study_is_selected_while_a_stage_runs(command, repository):
    selected("one")
    before = {path: path.read_bytes() for path in repository.rglob("*.yaml")}
    with alone("train@fine"), pytest.raises(SystemExit, match=r"error: train@fine runs by params\.yaml"):
        main(command)
    assert {path: path.read_bytes() for path in repository.rglob("*.yaml")} == before
    main(command)


def test_what_git_has_is_no_edit(repository):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@test"]
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

    selected("one")
    edit("lr: 0.2", "lr: 0.1")
    git("init", "--quiet")
    git("add", "params.yaml")
    git("commit", "--quiet", "--message", "edited")
    assert selected("two").train.lr == 0.2


@pytest.mark.parametrize("text", ["- 1", "study: [", "study: mine"])
def test_a_file_that_is_no_study_is_not_overwritten(repository, text):
    (repository / "params.yaml").write_text(text)
    with pytest.raises(SystemExit, match=r"params\.yaml.*`git checkout params\.yaml`$"):
        main(["select", "one"])
    assert (repository / "params.yaml").read_text() == text


@pytest.mark.parametrize("text", ["- 1", "preset: [cifar10-fast]", "preset: none-such", "study: ["])
def test_a_file_of_studies_that_is_none_is_not_written_over(text):
    selected("one")
    Path("studies/one.yaml").write_text(text)
    edit("lr: 0.2", "lr: 0.1")
    before = Path("params.yaml").read_text()
    with pytest.raises(SystemExit, match=r"^error: studies/one\.yaml"):
        main(["keep", "one"])
    assert Path("studies/one.yaml").read_text() == text
    assert Path("params.yaml").read_text() == before


def test_values_that_no_study_has_are_mended_by_keeping_it():
    selected("one")
    Path("studies/one.yaml").write_text("study: one\ntrain: 2020-01-01\nmerges: {kinds: [1]}\nmine: 1  # own\n")
    main(["keep", "one"])
    assert yaml_files.read(Path("studies/one.yaml")).keys() == {"study", "data", "merge", "train", "merges"}
    assert selected("one").merge.classes == 5


def test_the_schema_is_committed_as_it_is_printed(capsys):
    """An editor reads it; `hidden-structure schema > params.schema.json` brings it up to date."""
    main(["schema"])
    assert capsys.readouterr().out == (tiny.ROOT / "params.schema.json").read_text()


def test_the_schema_explains_every_key_and_asks_for_none():
    sections = [schema(), *schema()["$defs"].values()]
    for section in sections:
        assert "required" not in section
        assert all(entry.get("description") for entry in section["properties"].values()), section["title"]
    json.dumps(sections)


@pytest.mark.parametrize("arguments", [[], ["new"], ["select"], ["keep"], ["schema"]])
def test_help_is_given(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    assert "usage: hidden-structure" in capsys.readouterr().out
