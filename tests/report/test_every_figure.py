"""Every kind of figure can be read at the width of a page and of a column of two."""

from pathlib import Path

import overlaps
import pytest
from matplotlib.figure import Figure

from hidden_structure.frame import artifacts, params
from hidden_structure.report import plotting, reading
from hidden_structure.report.chapters import CHAPTERS
from hidden_structure.report.fitting import fit

REPORTS = Path(__file__).parents[2] / "reports"
STUDIES = {"sweep": "digits-grid", "imbalance": "cifar10-imbalance"}  # of what the study digits has not
IDEAS = [idea for idea in CHAPTERS if idea != "inspection"]  # which no committed study has


@pytest.mark.parametrize("width", [3.25, 5.5])
@pytest.mark.parametrize("idea", IDEAS)
def test_no_text_overlaps_leaves_the_figure_or_hides_data(idea: str, width: float):
    folder = REPORTS / STUDIES.get(idea, "digits")
    study = params.load(folder / "params.yaml")
    ((chapter, files),) = reading.read(study, folder / "tables", idea)
    with plotting.style(study.report.style.model_copy(update={"width": width})), artifacts.content_of(files):
        assert {picture.name: faults(picture.draw()) for picture in chapter.pictures} == {
            picture.name: [] for picture in chapter.pictures
        }


def faults(figure: Figure) -> list[str]:
    plotting.add_letters(figure)
    fit(figure)
    return overlaps.faults(figure)
