import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import synthetic_results as synthetic
import synthetic_students

from hidden_structure.frame import params
from hidden_structure.report import page, summary
from hidden_structure.report.connectivity import claims as connectivity_claims
from hidden_structure.report.connectivity import measure as connectivity_summary
from hidden_structure.report.distillation import claims as distill_claims
from hidden_structure.report.distillation import figures as distill_figures
from hidden_structure.report.distillation import measure as distill_summary
from hidden_structure.report.linearity import claims as linearity_claims
from hidden_structure.report.linearity import measure as linearity
from hidden_structure.report.recovery import claims

TABLES = ("networks", "objectives", "stitched")
HOSTILE = ["<script>alert(1)</script>", "</td><b>", "a&b", '" onload="x', "{name}", "%s"]
STUDY = params.load(Path(__file__).parent.parent / "studies/digits.yaml")


HARDWARE = {
    "fine": {
        "device": "cpu",
        "processor": "<x86>",
        "precision": "bfloat16",
        "threads": 2,
        "processes": 1,
        "torch": "2.1",
    },
    "coarse": {
        "device": "cuda",
        "processor": "H200",
        "instructions": "9.0",  # which files made before lack
        "precision": "float32",
        "threads": 1,
        "processes": 8,
        "torch": "2.2",
    },
}


def render(
    seeds: list[int] | None = None,
    parameters: str = "study: digits\n",
    pictures: dict[str, bytes] | None = None,
    distilled: bool = True,
) -> str:
    study = STUDY.model_copy(update={"seeds": seeds or [0, 1]})
    study = synthetic_students.studied(study, seeds=study.seeds if distilled else [])
    study = synthetic.connected(study, seeds=[0, 1] if seeds == [0] else [0, 1, 2], spawned=len(study.seeds))
    coarse_of, coarse_names = [0, 1, 0, 1, 0, 1], ["<i>x", "y"]
    training = {supervision: synthetic.training(supervision, study.seeds) for supervision in ("fine", "coarse")}
    collapse = synthetic.collapse({"fine": 6, "coarse": 2}, study.seeds)
    cluster = synthetic.cluster(coarse_of, HOSTILE, coarse_names, study.seeds)
    labels = synthetic.labels(coarse_of, HOSTILE, coarse_names)
    measured = summary.measure(training, collapse, cluster, study.seeds, synthetic.REDUCERS)
    connected = connectivity_summary.measure(synthetic.interpolate(study), study)
    stitched = synthetic.stitch(study)
    linear = linearity.measure(synthetic.linearity(study), stitched, study)
    taught = synthetic_students.distill(study) if distilled else None
    students = distill_summary.measure(taught, synthetic_students.students(study), study) if taught else {}
    numbers = summary.summarise(measured | connected | linear | students, labels)
    rows = claims.table(study, measured, 6, 2) + connectivity_claims.table(study, connected)
    rows += linearity_claims.table(study, linear) + (distill_claims.table(study, students, 2) if taught else [])
    ends = connectivity_summary.accuracies(synthetic.spawn(study))
    gained = connectivity_summary.objectives(synthetic.permute(study))
    tables = ends, gained, linearity.stitching(stitched), distill_summary.table(taught, study)
    pictures = pictures or dict.fromkeys(page.SECTION, b"png")
    return page.render(study, parameters, numbers, rows, labels, {"torch": "<1>"}, HARDWARE, *tables, pictures)


class Structure(HTMLParser):
    """Collects the tags, the text, and every address that a browser would follow; checks that tags close."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        self.loaded += [value for name, value in attributes if name == "src"]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parse(text: str) -> Structure:
    structure = Structure()
    structure.feed(text)
    structure.close()
    assert structure.open == []
    return structure


def test_hostile_class_names_stay_text():
    structure = parse(render(parameters="x: '</pre><script>'\n"))
    assert not {"script", "b", "i", "iframe"} & set(structure.tags)
    for name in [*HOSTILE, "<i>x", "<1>", "</pre><script>"]:
        assert name in structure.text


def test_the_page_loads_nothing_but_what_it_holds():
    text = render()
    structure = parse(text)
    assert len(structure.loaded) == len(page.SECTION)
    assert all(address.startswith("data:image/png;base64,") for address in structure.loaded)
    assert "link" not in structure.tags
    assert not re.search(r"https?://|@import|url\(", text)


def test_every_claim_and_figure_is_there():
    text = render()
    structure = parse(text)
    assert structure.tags.count("figure") == structure.tags.count("img") == len(page.SECTION)
    for name in ("collapse.nc1", "recovery.control.untrained", "spawn.barrier.k5", "permute.ste.barrier.repaired"):
        assert f"<td>{name}</td>" in text
    for name in ("llfc.spawned", "llfc.permuted.repaired", "llfc.bound", "stitch.spawned"):
        assert f"<td>{name}</td>" in text
    for name in ("spawning", "lines", "widths", "plane", "linearity", "conditions", "together", "stitching"):
        assert f'<figure id="{name}">' in text


@pytest.mark.parametrize("name", sorted(page.SECTION.keys() - set(page.REQUIRED)))
def test_a_figure_that_a_study_need_not_have_may_be_missing(name: str):
    text = render(pictures={other: b"png" for other in page.SECTION if other != name})
    assert f'<figure id="{name}">' not in text
    assert parse(text).tags.count("figure") == len(page.SECTION) - 1


def test_every_network_and_permutation_has_a_line():
    text = render()
    networks, objectives, stitched = (
        re.search(f'<table id="{name}">.*?</table>', text, re.DOTALL)[0] for name in TABLES
    )
    assert networks.count("<tr>") == 1 + 2 * 3 + 3  # header; a trunk for each width and decay; a child b for each k
    assert "child b, parted after epoch 5" in networks
    assert "95.0 %" in render([0])
    assert objectives.count("<tr>") == 1 + 2 * 3 * len(STUDY.permute.methods)
    assert "inner product of &lt;weights&gt;" in objectives
    assert stitched.count("<tr>") == 1 + 3 + 2 * 3 * (1 + len(STUDY.permute.methods))  # each k; each cell and method
    assert "parted after epoch 5" in stitched
    assert "independent, weight matching" in stitched


def test_features_and_stitching_are_told_in_words():
    paragraph = next(text for text in parse(render()).text.split("\n") if "Layerwise linear" in text)
    for who in ("networks that part after epoch 5", "independent networks, not aligned", "after weight matching"):
        assert paragraph.count(who) == 2  # features, and stitching
    assert "with REPAIR" in paragraph


def test_every_method_of_distillation_has_a_line():
    table = re.search('<table id="distilled">.*?</table>', render(), re.DOTALL)[0]
    lines = {line[0]: line for line in (re.findall("<td>(.*?)</td>", row) for row in table.split("<tr>")) if line}
    assert list(lines) == list(distill_summary.NAMES.values())
    assert lines["student alone"][1:5] == ["", "", "", "2"]
    assert lines["LELP"][1:5] == ["5", "0.5", "4", "10"]
    assert re.fullmatch(r"8\d\.\d, 8\d\.\d", lines["LELP"][5])
    assert re.fullmatch(r"8\d\.\d ± \d\.\d %", lines["LELP"][6])
    assert re.fullmatch(r"\+7\.\d\d \([+-]\d+\.\d\d to \+\d+\.\d\d\)", lines["LELP"][7])
    assert lines["distillation (KD)"][7] == ""


def test_one_student_a_method_has_a_line_without_an_interval():
    table = re.search('<table id="distilled">.*?</table>', render([0]), re.DOTALL)[0]
    assert "±" not in table
    assert re.search(r"<td>[+-]\d\.\d\d</td>", table)
    assert not re.search(r"\d to ", table)


def test_distillation_is_told_in_words_claims_and_a_table_or_not_at_all():
    text = parse(render()).text
    assert "Distillation: a teacher of few classes gives 85.0 %" in text
    assert "LELP less KD with the same seed: 7." in text
    assert "distill.lelp_gain" in text
    undrawn = {name: b"png" for name in page.SECTION if name not in distill_figures.SECTION}
    without = render(distilled=False, pictures=undrawn)
    assert '<table id="distilled">' not in without
    assert "Distillation" not in without
    assert "distill." not in parse(without).text


def test_a_missing_figure_is_an_error():
    with pytest.raises(KeyError, match="maps"):
        render(pictures={name: b"png" for name in page.SECTION if name != "maps"})


def test_the_same_input_gives_the_same_page():
    assert render() == render()


def test_one_seed_is_said_to_have_no_spread():
    assert "±" in parse(render([0, 1])).text
    text, connectivity, _ = parse(render([0])).text.partition("Networks of the connectivity study")
    assert "±" not in text
    assert connectivity  # whose trunks are never fewer than two


def test_the_page_says_what_trained_the_networks():
    text = " ".join(parse(render()).text.split())
    assert (
        "The fine networks were trained on cpu (<x86>) in bfloat16, by 1 process of 2 threads, with PyTorch 2.1."
        in text
    )
    assert (
        "The coarse networks were trained on cuda (H200; 9.0) in float32, by 8 processes of 1 thread, with PyTorch 2.2."
        in text
    )
