import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import synthetic_chapters as synthetic

from hidden_structure.report import page
from hidden_structure.report.chapter import Chapter


def chapters(names: Sequence[str] = synthetic.CLASSES) -> list[Chapter]:
    return [synthetic.chapter("collapse", names, "Collapse"), synthetic.chapter("recovery", names, "<i>Recovery")]


def render(names: Sequence[str] = synthetic.CLASSES, made: page.Provenance | None = None) -> str:
    shown = chapters(names)
    sizes = {picture.name: (5.5, 2.0) for chapter in shown for picture in chapter.pictures}
    return page.html(synthetic.STUDY, shown, made or synthetic.provenance(names), sizes)


def markdown(names: Sequence[str] = synthetic.CLASSES) -> str:
    return page.markdown(synthetic.STUDY, chapters(names), synthetic.provenance(names))


class Structure(HTMLParser):
    """Collects tags, text, ids and every address that a browser would follow; checks that tags close."""

    VOID = ("meta", "img", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append(tag)
        own = dict(attributes)
        self.loaded += [own["src"]] if "src" in own else []
        self.linked += [own["href"]] if "href" in own else []
        self.ids += [own["id"]] if "id" in own else []
        assert not any(name.startswith("on") for name in own)
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


def test_hostile_names_stay_text():
    structure = parse(render(synthetic.HOSTILE))
    assert not {"script", "b", "i", "iframe"} & set(structure.tags)
    for name in [*synthetic.HOSTILE, "<i>Recovery", "<x86>", "<2.15>", "</pre><script>"]:
        assert name in structure.text


def test_the_page_loads_its_figures_and_nothing_else():
    text = render()
    structure = parse(text)
    shown = [picture.name for chapter in chapters() for picture in chapter.pictures]
    assert structure.loaded == [f"figures/{name}.png" for name in shown]
    assert "link" not in structure.tags
    assert not re.search(r"https?://|@import|url\(|javascript:|<script", text)
    assert "default-src 'none'" in text


def test_every_link_leads_to_a_place_on_the_page_and_every_place_is_one():
    structure = parse(render())
    assert len(set(structure.ids)) == len(structure.ids)
    assert {address.removeprefix("#") for address in structure.linked} <= set(structure.ids)
    for chapter in chapters():
        assert chapter.idea in structure.ids
        assert {claim.id for claim in chapter.claims} <= set(structure.ids)
        assert {f"figure-{picture.name}" for picture in chapter.pictures} <= set(structure.ids)


def test_findings_and_counts_and_what_failed_stand_before_the_chapters():
    text = parse(render()).text
    first, _, rest = text.partition("What did not hold, or is open\nWhat")
    assert "Clusters agree with cat, dog" in first
    assert re.search(r"controls\s*2\s*0\s*0\s*0", first)
    assert "Contents" in first
    failed, _, _ = rest.partition("Which of cat")
    for name in ("collapse.control", "recovery.control", "recovery.undecided", "collapse.once"):
        assert name in failed
    for name in ("collapse.gain", "collapse.trained", "recovery.unmeasured"):
        assert name not in failed


def test_a_claims_row_tells_all_that_its_verdict_rests_on():
    rows = re.findall(r'<tr id="recovery\..*?</tr>', render(), re.DOTALL)
    texts = [" ".join(parse(row).text.split()) for row in rows]
    assert [text.split()[1] for text in texts] == [
        *("contradicted", "undecided", "undecided", "supported", "supported", "not", "not"),
    ]
    gain = next(text for text in texts if "recovery.gain" in text)
    for words in (
        *("0.31 ± 0.012", "n = 3, 95 % interval 0.26 to 0.36", "at least 0.1 (ours: twice the spread)"),
        *("0.52 (ResNet-20, 250 epochs, CIFAR-10)", "of the source", "Yang et al. 2023"),
    ):
        assert words in gain
    missing = next(text for text in texts if "recovery.missing" in text)
    assert "not assessable recovery.trained is undecided" in missing


def test_a_column_that_no_row_fills_is_left_out():
    text = render()
    failed = re.search(r'<section id="open">.*?</section>', text, re.DOTALL)[0]
    assert "<th>published</th>" not in failed
    assert "<th>published</th>" in text


def test_a_figure_has_both_its_texts_and_is_as_large_as_its_letters_need():
    text = render()
    for words in ("How to read it.", "How it was made.", "Curves of cat", "Lines are cat, dog, ship, truck."):
        assert words in text
    assert text.count(f'width="{round(5.5 * page.TEXT * 72 / synthetic.STUDY.report.style.size)}"') == 4


def test_a_word_is_broken_only_where_it_is_longer_than_words_are():
    assert page.soft("electroencephalographic") == "electroencephalographic"
    assert page.soft("<" * 32).split("<wbr>") == ["&lt;" * 16] * 2
    assert page.soft("a " + "b" * 40 + " c").split("<wbr>") == ["a " + "b" * 16, "b" * 16, "b" * 8 + " c"]


def test_a_study_of_which_little_is_known_has_a_page():
    text = parse(render(made=page.Provenance("study: digits\n"))).text
    assert "Hardware" not in text
    assert "Versions" not in text
    assert "classes, merged (modulo 5)" in text
    empty = page.html(synthetic.STUDY, [], page.Provenance(""), {})
    assert "How it was made" in parse(empty).text


def test_what_was_not_measured_is_left_out_where_it_is_no_number():
    structure = parse(render(made=synthetic.provenance()))
    assert "None" not in structure.text


def test_readme_holds_the_same_claims_findings_and_figures():
    text = markdown()
    for chapter in chapters():
        for claim in chapter.claims:
            assert claim.id in text
        for finding in chapter.findings[1:]:
            assert finding in text
        for picture in chapter.pictures:
            assert f"](figures/{picture.name}.png)" in text
    assert "| controls | 2 | 0 | 0 | 0 |" in text
    assert "None" not in text
    assert "python 3.11.7, torch" in text


def test_readmes_tables_have_a_cell_a_column_whatever_is_in_them():
    for names in (synthetic.CLASSES, synthetic.HOSTILE):
        width = 0
        for line in markdown(names).split("\n"):
            if not line.startswith("|"):
                width = 0
                continue
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert cells == (width or cells), line
            width = cells


@pytest.mark.parametrize("name", [*synthetic.HOSTILE, "![x](http://x)", "*a* _b_ `c` #1 @user", "two\nlines"])
def test_readme_sets_hostile_names_as_they_are(name: str):
    text = str(page.plain_markdown(name))
    assert "\n" not in text
    assert "<" not in text
    assert not re.search(r"(?<!\\)(?:\\\\)*[|*_`\[\]$#@!]", text)


def test_the_same_input_gives_the_same_page():
    assert render() == render()
    assert markdown() == markdown()


def test_both_pages_say_what_was_trained_and_at_what_cost():
    numbers = synthetic.provenance().trained
    for text in (render(), markdown()):
        place = text.index(numbers.title)
        assert text.index("How it was made") < place < text.index("PFLOP each") < text.index("&lt;fine&gt; labels")
    assert numbers.title not in render(made=replace(synthetic.provenance(), trained=None))
