"""tools/publish.py: what git keeps is a whole report of the study at hand, or stays as it is."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest
import tiny

from hidden_structure.frame import artifacts, params, paths

FILES = ("README.md", "claims.csv", "report.html", "dvc.lock", "code-changed-since.json", "tables/claims.csv")


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch):
    """After `dvc repro`, with an earlier report of the study in reports/; no git."""
    monkeypatch.chdir(tmp_path)
    tiny.write_params(tmp_path)
    for name in ("README.md", "claims.csv", "report.html"):
        artifacts.write_text(paths.REPORT / name, "new")
    artifacts.copy(params.PARAMS, paths.REPORT / "params.yaml")
    artifacts.write_text(paths.table("claims"), "new")
    artifacts.write_text(Path("dvc.lock"), "new")
    Path(".gitignore").write_text("/reports/*/\n/reports/*/paper/\n")
    for name in (*FILES, "tables/gone.csv", "figures/one.png"):
        artifacts.write_text(kept() / name, "old")
    return tmp_path


def kept() -> Path:
    return paths.report(params.load().study)


def publish(monkeypatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["publish.py", *options])
    runpy.run_path(str(tiny.ROOT / "tools/publish.py"), run_name="__main__")


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("options", [[], ["--new"]])
def test_the_report_takes_the_place_of_the_earlier_one(made, monkeypatch, options):
    publish(monkeypatch, *options)
    found = {str(path.relative_to(kept())): path.read_text() for path in kept().rglob("*") if path.is_file()}
    assert found.pop("params.yaml") == params.PARAMS.read_text()
    assert found.pop("figures/one.png") == "old"  # the stage has put it there
    assert found.pop("code-changed-since.json") == "{}\n"
    assert found == dict.fromkeys(set(FILES) - {"code-changed-since.json"}, "new")
    assert (f"!/{kept()}/" in Path(".gitignore").read_text()) == bool(options)


@pytest.mark.parametrize("options", [[], ["--new"]])
@pytest.mark.parametrize(
    "missing",
    ["artifacts", "artifacts/tables", "artifacts/report", "artifacts/report/params.yaml", "dvc.lock",
     "artifacts/report/claims.csv"],
)  # fmt: skip
def test_without_all_of_a_report_nothing_is_touched(made, monkeypatch, missing, options):
    path = Path(missing)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = everything(made)
    with pytest.raises(SystemExit, match=f"error: {missing}.* is missing: run `make reproduce` first"):
        publish(monkeypatch, *options)
    assert everything(made) == before


@pytest.mark.parametrize("options", [[], ["--new"]])
def test_a_report_of_another_study_is_not_kept_as_this_one_s(made, monkeypatch, options):
    edit(paths.REPORT / "params.yaml", "study: digits", "study: weird")
    before = everything(made)
    said = r"error: artifacts/report is of study weird, params\.yaml is of digits: run `make reproduce` first"
    with pytest.raises(SystemExit, match=said):
        publish(monkeypatch, *options)
    assert everything(made) == before


def test_a_report_of_other_values_is_not_kept_but_of_other_comments(made, monkeypatch):
    edit(params.PARAMS, "study: digits", "study: digits  # mine")
    publish(monkeypatch)
    before = everything(kept())
    edit(paths.REPORT / "params.yaml", "l2: ", "l2: 1")
    with pytest.raises(SystemExit, match=r"artifacts/report was made by another cluster than params\.yaml has"):
        publish(monkeypatch)
    assert everything(kept()) == before


def test_what_cannot_be_copied_leaves_the_earlier_report_whole(made, monkeypatch):
    paths.table("last").mkdir()  # a folder in the place of a table
    before = everything(made)
    with pytest.raises(SystemExit):
        publish(monkeypatch)
    assert everything(made) == before
