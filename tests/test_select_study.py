import runpy
import sys

import pytest
import tiny


@pytest.fixture
def choose(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    for name in ("one", "two"):
        (tmp_path / f"studies/{name}.yaml").write_text(f"study: {name}\n")
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> str:
        monkeypatch.setattr(sys, "argv", ["select_study.py", name])
        runpy.run_path(str(tiny.ROOT / "tools/select_study.py"), run_name="__main__")
        return (tmp_path / "params.yaml").read_text()

    return run


def test_a_chosen_study_takes_the_place_of_another(choose):
    assert choose("one") == "study: one\n"
    assert choose("two") == "study: two\n"


def test_an_unknown_study_is_named_with_the_known_ones(choose, tmp_path):
    with pytest.raises(SystemExit, match=r"there is no studies/three\.yaml: choose one of one, two"):
        choose("three")
    assert not (tmp_path / "params.yaml").exists()


def test_edits_are_not_lost(choose, tmp_path):
    (tmp_path / "params.yaml").write_text("study: mine\n")
    with pytest.raises(SystemExit, match="holds edits"):
        choose("one")
    assert (tmp_path / "params.yaml").read_text() == "study: mine\n"
