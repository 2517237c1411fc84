import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic_chapters as synthetic
import tiny

from hidden_structure.frame import artifacts, tables
from hidden_structure.report import chapters


def of_classes(idea: str, table: str) -> SimpleNamespace:
    """A chapter of the classes of that table; without rows there is none."""

    def make(read: Callable):
        rows = read(table)
        return synthetic.chapter(idea, [row["class"] for row in rows]) if rows else None

    return synthetic.module(idea, make)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A checkout with what git keeps of one study."""
    own = {"collapse": of_classes("collapse", "absent"), "recovery": of_classes("recovery", "classes")}
    monkeypatch.setattr(chapters, "CHAPTERS", own)
    (tmp_path / "reports/digits").mkdir(parents=True)
    tiny.write_params(tmp_path)
    (tmp_path / "params.yaml").rename(tmp_path / "reports/digits/params.yaml")
    synthetic.write_tables(tmp_path / "reports/digits/tables")
    return tmp_path


def run(folder: Path, *arguments: str) -> SimpleNamespace:
    return tiny.in_process(folder, "report.py", *arguments)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_is_made_from_its_folder_alone(folder: Path):
    done = run(folder, "--study", "digits")
    assert done.returncode == 0, done.stderr
    made = files(folder)
    assert {"reports/digits/report.html", "reports/digits/figures/recovery-bars.png"} <= made.keys()
    page = made["reports/digits/report.html"].decode()
    for words in ("cat", "&lt;x86&gt;", "torch", "4 classes, merged into 2"):
        assert words in page
    assert 'id="collapse"' not in page
    assert all(name.startswith("reports/digits/") for name in made)


def test_without_a_name_the_study_of_params_is_made_beside_the_artifacts_to_the_same_bytes(folder: Path):
    run(folder, "--study", "digits")
    again = files(folder / "reports/digits")
    (folder / "artifacts").mkdir(exist_ok=True)
    (folder / "reports/digits/tables").rename(folder / "artifacts/tables")
    shutil.move(folder / "reports/digits/params.yaml", folder)
    shutil.rmtree(folder / "reports")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    whole = {name: content for name, content in again.items() if not name.startswith("tables")}
    assert files(folder / "artifacts/report") == whole
    compared = ("figures/", "curves/", "metrics.json")
    assert files(folder / "reports/digits") == {
        name: content for name, content in whole.items() if name.startswith(compared)
    }


def test_figures_that_a_study_no_longer_has_go(folder: Path, monkeypatch):
    shutil.copy(folder / "reports/digits/params.yaml", folder)
    shutil.copytree(folder / "reports/digits/tables", folder / "artifacts/tables")
    run(folder)
    monkeypatch.setattr(chapters, "CHAPTERS", {"collapse": of_classes("collapse", "classes")})
    run(folder)
    for place in ("artifacts/report", "reports/digits"):
        assert {path.name for path in (folder / place / "figures").iterdir()} == {
            *("collapse-bars.png", "collapse-curves.png"),
        }


def test_help_writes_nothing(folder: Path, capsys):
    before = files(folder)
    done = run(folder, "--help")
    assert done.returncode == 0
    assert "--study" in done.stdout
    assert files(folder) == before
    assert not (folder / "artifacts").exists()


@pytest.mark.parametrize("name", ["other", "../x", ""])
def test_a_study_without_a_report_is_one_line_that_names_those_with_one(folder: Path, name: str):
    done = run(folder, "--study", name)
    assert done.returncode == 1
    assert done.stderr.startswith("error: reports")
    assert "digits" in done.stderr


def test_a_folder_of_another_studys_name_is_refused(folder: Path):
    (folder / "reports/digits").rename(folder / "reports/mine")
    done = run(folder, "--study", "mine")
    assert "is of the study digits" in done.stderr


def test_missing_tables_are_one_line(folder: Path):
    shutil.rmtree(folder / "reports/digits/tables")
    done = run(folder, "--study", "digits")
    assert done.returncode == 1
    assert done.stderr == "error: reports/digits/tables is missing: run `dvc repro`, which makes it"


@pytest.mark.parametrize(
    "content", [b"", b'"class","superclass"\n"cat"\n', b'"class"\n"ca', b"\xff\xfe", b'"other"\n"cat"\n']
)
def test_a_damaged_table_is_one_line_that_names_it_and_leaves_the_report_as_it_was(folder: Path, content: bytes):
    run(folder, "--study", "digits")
    (folder / "reports/digits/tables/classes.csv").write_bytes(content)
    before = files(folder)
    done = run(folder, "--study", "digits")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "reports/digits/tables/classes.csv" in done.stderr
    assert "\n" not in done.stderr
    assert files(folder) == before


def test_a_large_table_may_be_an_npz(folder: Path):
    (folder / "reports/digits/tables/classes.csv").unlink()
    columns = {"class": np.array(["cat", "dog"]), "superclass": np.array(["a", "a"]), "train": np.array([9, 9])}
    artifacts.write_arrays(folder / "reports/digits/tables/classes.npz", columns)
    assert run(folder, "--study", "digits").returncode == 0
    assert "2 classes, merged into 1" in (folder / "reports/digits/README.md").read_text()


def test_class_names_that_no_font_can_draw_are_told(folder: Path):
    rows = [{"class": name, "superclass": "a", "train": 9} for name in ("\U00012000", "b")]
    tables.write(folder / "reports/digits/tables/classes.csv", rows)
    done = run(folder, "--study", "digits")
    assert "figures show \U00012000 as code points" in done.stdout
