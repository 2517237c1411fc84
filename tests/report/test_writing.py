import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic_chapters as synthetic

from hidden_structure.frame import tables
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Study
from hidden_structure.report import chapters, claim, multiplicity, writing
from hidden_structure.report.chapter import Chapter, Picture


def write(folder: Path, *made: Chapter, study: Study | None = None) -> set[str]:
    """The paths below the folder, then."""
    tables_folder = folder.parent / f"{folder.name}-tables"
    synthetic.write_tables(tables_folder)
    with pytest.MonkeyPatch.context() as patch:
        own = {each.idea: synthetic.module(each.idea, lambda read, each=each: read("lines") or each) for each in made}
        patch.setattr(chapters, "CHAPTERS", own)
        writing.write(folder, study or synthetic.study(formats=[]), tables_folder, synthetic.provenance().params)
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_report_is_its_page_its_figures_and_what_a_paper_takes(tmp_path: Path):
    found = write(tmp_path / "report", synthetic.chapter(), study=synthetic.study(formats=["pdf", "svg", "png"]))
    figures = ("recovery-curves", "recovery-bars")
    assert found == {
        *("README.md", "claims.csv", "metrics.json", "params.yaml", "report.html"),
        *(
            f"curves/{name}-{supervision}.csv"
            for name in ("nc1", "test-accuracy")
            for supervision in ("fine", "coarse")
        ),
        *(f"figures/{name}.png" for name in figures),
        *(f"paper/figures/{name}.{suffix}" for name in figures for suffix in ("pdf", "svg", "png", "csv")),
        *(
            f"paper/tables/{name}.{suffix}"
            for name in ("claims", "recovery-table", "trained")
            for suffix in ("csv", "tex")
        ),
    }
    shown, printed = (tmp_path / f"report/{folder}/recovery-curves.png" for folder in ("figures", "paper/figures"))
    assert [int.from_bytes(path.read_bytes()[16:20]) for path in (shown, printed)] == [
        int(5.5 * dots) for dots in (writing.SHOWN, 300)
    ]
    assert (tmp_path / "report/params.yaml").read_text() == synthetic.provenance().params


def test_the_same_chapters_give_the_same_bytes_and_the_new_ones_replace_the_old(tmp_path: Path):
    study = synthetic.study(formats=["pdf"])
    write(tmp_path / "a", synthetic.chapter(), study=study)
    write(tmp_path / "b", synthetic.chapter("collapse"), study=study)
    (tmp_path / "b/tables").mkdir()
    (tmp_path / "b/tables/kept.csv").write_text("a\n")
    write(tmp_path / "b", synthetic.chapter(), study=study)
    found = hashes(tmp_path / "b")
    assert found.pop("tables/kept.csv")
    assert found == hashes(tmp_path / "a")


def test_claims_are_a_table_in_the_order_of_the_chapters(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter("collapse"), synthetic.chapter())
    rows = tables.read(tmp_path / "report/claims.csv")
    assert tuple(rows[0]) == (*claim.COLUMNS, "holm")
    assert [row["id"] for row in rows] == [
        each.id for idea in ("collapse", "recovery") for each in synthetic.claims(idea)
    ]
    assert rows[0]["interval"] == pytest.approx([0.260317, 0.359683])
    with (tmp_path / "report/paper/tables/claims.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + len(rows)


def test_a_figures_points_lie_beside_it(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter())
    rows = tables.read(tmp_path / "report/paper/figures/recovery-bars.csv")
    assert [(row["x"], row["x_low"], row["y_name"]) for row in rows] == [
        (pytest.approx(value, abs=1e-5), pytest.approx(value - 0.05, abs=1e-5), name)
        for value, name in zip((0.2, 0.433333, 0.666667, 0.9), synthetic.CLASSES, strict=True)
    ]


def test_numbers_are_a_table_as_they_were_measured(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter())
    (first, *_) = tables.read(tmp_path / "report/paper/tables/recovery-table.csv")
    assert first == {
        **{"class": "cat", "training (%)": 99.5, "test (%)": 88.4322, "standard error": 0.3},
        **{"difference": -1.25, "seeds": 3, "interval": None},
    }


def test_curves_are_means_over_seeds_in_columns_that_dvc_plots(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter())
    curves = tmp_path / "report/curves"
    assert tables.read(curves / "test-accuracy-fine.csv") == [
        *({"epoch": 0, "test_accuracy": 0.1}, {"epoch": 5, "test_accuracy": 0.85}),
    ]
    assert tables.read(curves / "nc1-coarse.csv")[-1] == {"epoch": 5, "nc1": 1.5}


def test_claims_are_had_without_drawing(tmp_path: Path, monkeypatch):
    synthetic.write_tables(tmp_path / "tables")
    undrawable = replace(synthetic.chapter(), pictures=[Picture("other", "a", "b", "c", lambda: {}["column"])])
    monkeypatch.setattr(chapters, "CHAPTERS", {"recovery": synthetic.module("recovery", lambda read: undrawable)})
    assert writing.claims(synthetic.STUDY, tmp_path) == multiplicity.rows(synthetic.claims())
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_the_headline_is_short_and_gives_every_chapter_its_first_numbers(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter())
    assert json.loads((tmp_path / "report/metrics.json").read_text()) == {
        "recovery": {"gain": 0.31, "accuracy": 0.884322}
    }
    many = [
        replace(synthetic.chapter(f"idea{place}"), headline={f"n{index}": float(index) for index in range(count)})
        for place, count in enumerate((4, 4, 4, 4, 4, 4, 4, 4, 1, 0))
    ]
    found = writing.headline(many)
    assert sum(map(len, found.values())) <= writing.HEADLINES
    assert [list(names) for names in found.values()] == [["n0", "n1", "n2"]] * 8 + [["n0"]]
    assert writing.headline([]) == {}


def test_a_figure_that_cannot_be_drawn_leaves_the_report_as_it_was_and_names_the_tables(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter())
    before = hashes(tmp_path / "report")
    broken = replace(synthetic.chapter(), pictures=[Picture("other", "a", "b", "c", lambda: {}["column"])])
    with pytest.raises(InputError, match=r"lines\.csv.*column"):
        write(tmp_path / "report", synthetic.chapter("collapse"), broken)
    assert hashes(tmp_path / "report") == before
    assert {path.name for path in (tmp_path / "report").iterdir()} == {name.split("/")[0] for name in before}


def test_a_style_that_cannot_be_had_leaves_the_report_as_it_was(tmp_path: Path):
    write(tmp_path / "report", synthetic.chapter())
    before, drawn = hashes(tmp_path / "report"), []
    other = replace(synthetic.chapter(), pictures=[Picture("other", "a", "b", "c", lambda: drawn.append(1))])
    study = synthetic.study(mplstyle=str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"report\.style\.mplstyle"):
        write(tmp_path / "report", other, study=study)
    assert not drawn
    assert hashes(tmp_path / "report") == before


def test_what_a_killed_run_left_is_removed(tmp_path: Path):
    (tmp_path / "report/.writing-abc/new").mkdir(parents=True)
    (tmp_path / "report/.writing-abc/new/report.html").write_text("half")
    assert not any(".writing" in name for name in write(tmp_path / "report", synthetic.chapter()))
    assert not list((tmp_path / "report").glob(".writing*"))


def test_two_figures_or_tables_of_one_name_are_a_fault(tmp_path: Path):
    for kind, other in (("figures", {"numbers": []}), ("tables", {"pictures": []})):
        with pytest.raises(ValueError, match=f"two {kind} share the name recovery"):
            write(tmp_path / "report", synthetic.chapter(), replace(synthetic.chapter(), idea="merges", **other))
    assert not (tmp_path / "report").exists()


def test_a_study_without_chapters_has_a_report(tmp_path: Path):
    found = write(tmp_path / "report")
    assert {"report.html", "README.md", "claims.csv", "metrics.json"} <= found
    assert tables.read(tmp_path / "report/claims.csv") == []
