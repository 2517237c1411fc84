import itertools
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import matplotlib
import numpy as np
import overlaps
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.lines import Line2D

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.style import Style
from hidden_structure.report import plotting
from hidden_structure.report.arranging import em, labels
from hidden_structure.report.fitting import fit
from hidden_structure.report.plotted import data_of
from hidden_structure.report.plotting import COLUMN, PAGE, add_letters, new_figure, plain, save, style, without_glyph

HOSTILE = [
    *("$x", "a$b$", "_hidden", "two\nlines", r"\frac{", "$\\undefined$", "{}", "%s", "x" * 300, "", "<script>", "a&b"),
]
UNKNOWN = ["\U00012000\U00012001 x", "\U00012003"]  # cuneiform, of which no font of the list has glyphs


def settings(**others) -> Style:
    defaults = {"width": 5.5, "font": "sans-serif", "size": 8.0, "formats": ["pdf"], "dpi": 300, "mplstyle": None}
    return Style.model_validate(defaults | others)


def drawn() -> Figure:
    """With an image, a band, a minus sign and a legend."""
    figure = new_figure(PAGE, 2.4)
    left, right = figure.subplots(1, 2)
    left.plot([-1, 0, 1], [-1, 0, 1], label="coarse")
    left.fill_between([-1, 0, 1], [-2, -1, 0], [0, 1, 2], alpha=0.2)
    left.legend(title="labels")
    left.set(xlabel="alpha", ylabel="loss", title="gap -0.71 of 1-2")
    right.imshow(np.arange(4.0).reshape(2, 2))
    return figure


def test_a_figure_is_as_wide_as_the_settings_say_and_its_height_follows_as_far_as_its_text_can():
    for width, size in ((5.5, 8.0), (7.0, 8.0), (3.0, 4.0)):
        with style(settings(width=width, size=size)):
            assert new_figure(PAGE, 2.1).get_size_inches().tolist() == pytest.approx([width, 2.1 * width / 7])
            assert new_figure(COLUMN, 1).get_size_inches()[0] == pytest.approx(width * 3.4 / 7)
    for width in (3.0, 2.0):  # the text needs what it needs on a wide page
        with style(settings(width=width)):
            assert new_figure(PAGE, 2.1).get_size_inches().tolist() == pytest.approx([width, 2.1 * 5.5 / 7])
            assert new_figure(COLUMN, 1).get_size_inches()[0] == pytest.approx(min(width, 5.5 * 3.4 / 7))


def test_text_is_of_the_size_and_font_that_the_settings_say():
    with style(settings(size=11.0, font="serif")):
        figure = drawn()
        axes = figure.axes[0]
        figure.draw_without_rendering()
        texts = [axes.title, axes.xaxis.label, *axes.get_xticklabels(), axes.get_legend().get_title()]
        assert {text.get_fontsize() for text in texts[:-1]} == {11.0}
        assert "STIX" in findfont(axes.title.get_fontproperties())
        assert axes.get_legend().texts[0].get_fontsize() == pytest.approx(11 * 0.833)
    with style(settings(font="DejaVu Sans Mono")):
        assert findfont(drawn().axes[0].title.get_fontproperties()).endswith("DejaVuSansMono.ttf")


def test_style_ends_with_its_block_and_heeds_no_matplotlibrc():
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}), style(settings()):
        assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["axes.facecolor"] == "white"
    assert dict(matplotlib.rcParams) == before


def test_a_file_of_settings_changes_the_look_and_nothing_that_the_study_says(tmp_path: Path):
    file = tmp_path / "journal.mplstyle"
    file.write_text(
        "# of a journal\nlines.linewidth : 3.0\naxes.edgecolor: ff0000 # red\nbackend: svg\n"
        "font.size: 30\nfigure.figsize: 1, 1\npdf.fonttype: 3\nsvg.hashsalt: other\ntext.usetex: True\n"
    )
    with style(settings(mplstyle=str(file))):
        assert drawn().axes[0].lines[0].get_linewidth() == 3
        assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert not matplotlib.rcParams["text.usetex"]
        assert new_figure(PAGE, 1).get_size_inches()[0] == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lines.linewith: 3\n", "no setting lines.linewith"),
        ("lines.linewidth: thick\n", "thick"),
        ("lines.linewidth 3\n", "no setting lines.linewidth 3"),
        ("font.family serif\n", "no setting font.family serif"),
        (b"\xff\xfe\x00\x01", "decode"),
        (None, "No such file"),
    ],
)
def test_a_bad_file_of_settings_is_one_line_that_names_the_key_and_the_file(tmp_path: Path, content, said, caplog):
    file = tmp_path / "bad.mplstyle"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"report\.style\.mplstyle") as told, style(settings(mplstyle=str(file))):
        pytest.fail("it was taken")
    assert said in str(told.value)
    assert str(file) in str(told.value)
    assert not caplog.records


def test_an_unknown_font_and_a_missing_latex_are_told_before_anything_is_drawn(monkeypatch):
    with (
        pytest.raises(InputError, match=r"report\.style\.font.*did you mean DejaVu Sans"),
        style(settings(font="DejaVu San")),
    ):
        pytest.fail("it was taken")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with (
        pytest.raises(InputError, match=r"report\.style\.formats.*xelatex.*: install it, or take pdf$"),
        style(settings(formats=["pgf"])),
    ):
        pytest.fail("it was taken")


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_same_figure_gives_the_same_bytes_without_a_date_or_version(tmp_path: Path, suffix: str):
    with style(settings(font="serif")):
        contents = {save(drawn(), tmp_path / f"{run}.{suffix}") for run in range(2)}
    (content,) = contents
    assert content == (tmp_path / f"0.{suffix}").read_bytes()
    for word in (b"CreationDate", b"<dc:date>", b"Matplotlib v", b"matplotlib.org"):
        assert word not in content


def test_a_pdf_embeds_its_fonts_and_holds_no_coarse_image(tmp_path: Path):
    with style(settings(dpi=72, font="serif")):
        content = save(drawn(), tmp_path / "figure.pdf")
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    streams = b" ".join(
        zlib.decompress(part)
        for part in re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    )
    pixels = int(re.search(rb"/Width (\d+)", content)[1])
    inches = max(float(width) for width in re.findall(rb"([\d.]+) 0 0 -?[\d.]+ [\d.]+ [\d.]+ cm", streams)) / 72
    assert pixels / inches >= plotting.SHARP - 2


def test_a_picture_has_as_many_pixels_as_the_settings_say(tmp_path: Path):
    for dpi in (72, 400):
        with style(settings(dpi=dpi)):
            content = save(drawn(), tmp_path / "figure.png")
        assert int.from_bytes(content[16:20]) == int(5.5 * dpi)


def shown(figure: Figure, path: Path, monkeypatch) -> list[str]:
    """The texts of the figure while it is written."""
    texts: list[str] = []

    def savefig(path: Path, **others) -> None:
        figure.draw_without_rendering()
        texts.extend(text.get_text() for text in figure.findobj(matplotlib.text.Text))
        path.write_bytes(b"")

    monkeypatch.setattr(figure, "savefig", savefig)
    save(figure, path)
    return texts


def test_hyphens_before_numbers_are_written_as_minus_signs_and_the_figure_stays_as_it_is(tmp_path: Path, monkeypatch):
    with style(settings()):
        figure = drawn()
        left = figure.axes[0]
        left.set_xticks([-1, 0, 1], ["-1", "a-1", "+1"])
        texts = shown(figure, tmp_path / "figure.png", monkeypatch)
        assert {"gap \N{MINUS SIGN}0.71 of 1-2", "\N{MINUS SIGN}1", "a-1"} <= set(texts)
        assert left.get_title() == "gap -0.71 of 1-2"
        assert [tick.get_text() for tick in left.get_xticklabels()] == ["-1", "a-1", "+1"]


def test_in_pgf_names_are_no_latex(tmp_path: Path, monkeypatch):
    with style(settings()):
        figure = new_figure(PAGE, 2)
        axes = figure.subplots()
        axes.set_xticks([0, 1], [plain("\\input{x}"), plain("a&b")])
        axes.set_title(f"{plain('$5_')} of $W_A$, 50 %")
        texts = shown(figure, tmp_path / "figure.pgf", monkeypatch)
    for text in (r"\textbackslash{}input\{x\}", r"a\&b", r"\textdollar{}5\_ of $W_A$, 50 \%"):
        assert text in texts


@pytest.mark.skipif(not shutil.which("xelatex"), reason="LaTeX is not installed")
def test_a_pgf_file_is_set_by_latex_whatever_the_names(tmp_path: Path):
    with style(settings(formats=["pgf"])):
        figure = drawn()
        figure.axes[0].plot([0], [0], label="\\end{document}")
        figure.axes[0].set_yscale("symlog")
        figure.axes[0].set_xticks(range(len(HOSTILE)), [plain(name) for name in HOSTILE])
        save(figure, tmp_path / "figure.png")
        save(figure, tmp_path / "figure.pgf")
    (tmp_path / "document.tex").write_text(
        "\\documentclass{article}\n\\usepackage{pgf}\n\\begin{document}\n\\input{figure.pgf}\n\\end{document}\n"
    )
    command = ["xelatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_panels_have_letters_where_there_are_several():
    figure = drawn()
    figure.colorbar(figure.axes[1].images[0])
    add_letters(figure)
    assert figure.axes[0].get_title() == "(a) gap -0.71 of 1-2"
    assert figure.axes[1].get_title("left") == "(b)"
    assert not figure.axes[2].get_title()
    single = new_figure(COLUMN, 2)
    single.subplots().plot([1], [2])
    add_letters(single)
    assert not single.axes[0].get_title("left")
    assert plotting.letters(28)[-3:] == ["(z)", "(aa)", "(ab)"]


def crowded() -> Figure:
    figure = new_figure(PAGE, 3)
    for axes in figure.subplots(1, 3):
        axes.plot([0, 1], [0, 1], label="a series of a long name, as measured")
        axes.plot([0, 1], [1, 0], label="another series of a long name")
        axes.set_title(r"straight-through estimator of $W_A W_B$")
        axes.set(xlabel="samples in a majority class / in a minority class", ylabel="error" + " of a long label" * 3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    add_letters(figure)
    return figure


def beyond(figure: Figure) -> list[str]:
    """Titles, labels and legends that leave the figure, and titles that run into one another."""
    figure.draw_without_rendering()
    texts = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    whole = figure.bbox.padded(2)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    boxes += [("legend", legend.get_window_extent()) for legend in figure.legends]
    outside = [name for name, box in boxes if not (whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1)]
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    return outside + ["titles" for a, b in itertools.pairwise(titles) if a.overlaps(b)]


@pytest.mark.parametrize("width", [5.5, 7.0])
def test_long_titles_labels_and_legends_are_broken_to_fit(width: float):
    with style(settings(width=width)):
        figure = crowded()
        assert beyond(figure)
        before = [axes.get_title() for axes in figure.axes]
        fit(figure)
        assert not beyond(figure)
        for title, old in zip((axes.get_title() for axes in figure.axes), before, strict=True):
            assert "".join(title.split()) == "".join(old.split())
            assert "$W_A W_B$" in title
            assert re.match(r"\([a-c]\) straight-", title)


def row_of_panels() -> Figure:
    """Four panels that share both axes and are told what these are at the edge alone."""
    figure = new_figure(PAGE, 2.2)
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    for place, axes in enumerate(panels):
        axes.errorbar([0, 1], [0, 1], yerr=0.1, fmt="o", label=f"points of the panel of number {place}")
        axes.set_title(f"panel {place}")
        axes.set_xlabel("alpha")
    panels[0].set_ylabel("loss")
    handles = [axes.get_legend_handles_labels()[0][0] for axes in panels]
    figure.legend(handles, [handle.get_label() for handle in handles], loc="outside lower center", ncols=4)
    add_letters(figure)
    fit(figure)
    return figure


@pytest.mark.parametrize(("width", "columns"), [(9.0, 4), (3.25, 2)])
def test_panels_are_in_as_many_columns_as_leave_them_room_and_each_edge_says_what_it_is(width: float, columns: int):
    with style(settings(width=width)):
        figure = row_of_panels()
        figure.draw_without_rendering()
        edges = [round(axes.get_position().x0, 3) for axes in figure.axes]
        assert len(set(edges)) == columns
        assert [axes.get_title()[:3] for axes in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
        for place, axes in enumerate(figure.axes):
            first, lowest = place % columns == 0, place >= 4 - columns
            assert (axes.get_ylabel(), bool(axes.get_xlabel())) == ("loss" if first else "", lowest)
            assert bool(labels(axes.yaxis)) == first
            assert bool(labels(axes.xaxis)) == lowest
            assert axes.get_window_extent().height > 7 * em(figure)
        assert not overlaps.faults(figure)


def test_a_legend_in_fewer_columns_keeps_the_marks_of_error_bars():
    with style(settings(width=3.25)):
        (legend,) = row_of_panels().legends
        assert legend._ncols < 4
        assert {line.get_marker() for line in legend.findobj(Line2D)} >= {"o"}


def test_long_names_beside_an_axis_are_broken_stand_apart_and_are_published_whole():
    names = ["network trained on the original labels", "large_man-made_outdoor_things", "straight-through estimator"]
    with style(settings(width=3.25)):
        figure = new_figure(PAGE, 0.8)
        axes = figure.subplots()
        axes.plot([0, 1, 2], [0, 1, 2], "o")
        axes.set_yticks([0, 1, 2], names)
        fit(figure)
        assert not overlaps.faults(figure)
        assert all("\n" in label.get_text() for label in labels(axes.yaxis))
        assert axes.get_window_extent().width > figure.bbox.width / 2
        assert [row["y_name"] for row in data_of(figure)] == names


def test_small_numbers_of_ticks_are_powers_of_ten():
    assert [plotting.written(value) for value in (0, 0.5, 1e-4, 20.0)] == ["0", "0.5", "0.0001", "20"]
    assert plotting.written(1e-6) == r"$\mathdefault{10^{-6}}$"
    assert plotting.written(2e-5) == r"$\mathdefault{2\times10^{-5}}$"


def test_what_fits_is_left_as_it_is():
    with style(settings()):
        figure = drawn()
        left = figure.axes[0]
        fit(figure)
        assert (left.get_title(), left.get_xlabel(), left.get_ylabel()) == ("gap -0.71 of 1-2", "alpha", "loss")


def test_a_plain_name_is_one_short_line():
    for name in HOSTILE:
        assert plain(name).isprintable()
        assert len(plain(name).replace("\\$", "$")) <= 19
        assert not plain(name).startswith("_")


@pytest.mark.parametrize("font", ["serif", "sans-serif"])
@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_hostile_names_and_unknown_glyphs_are_drawn_without_a_warning(tmp_path: Path, font: str, suffix: str):
    with style(settings(font=font)):
        figure = new_figure(PAGE, 4)
        axes = figure.subplots()
        names = [*HOSTILE, *UNKNOWN, "Волк", "café"]
        axes.set_xticks(range(len(names)), [plain(name) for name in names])
        for name in names:
            axes.plot([0], [0], label=plain(name))
        axes.legend()
        save(figure, tmp_path / f"figure.{suffix}")


@pytest.mark.parametrize("font", ["serif", "sans-serif"])
def test_what_no_font_can_draw_is_shown_by_its_code_points(font: str):
    with style(settings(font=font)):
        assert [plain(name) for name in [*UNKNOWN, "c"]] == ["U+12000.12001 x", "U+12003", "c"]
        assert without_glyph([*UNKNOWN, "c"]) == "\U00012000\U00012001\U00012003"
        assert not without_glyph(["cat", "cafe\u0301 …", "Волк", *HOSTILE])


FALLBACK = """
import hashlib, sys
from dataclasses import replace
from pathlib import Path
from matplotlib.font_manager import fontManager
if len(sys.argv) > 1:  # a font with more glyphs, under the name of one that is looked for
    kinds = {(entry.name, entry.style, entry.weight): entry for entry in fontManager.ttflist}
    known = kinds["STIXGeneral", "normal", 400]
    fontManager.ttflist.append(replace(known, name="Noto Sans CJK JP"))
from hidden_structure.frame.style import Style
from hidden_structure.report.plotting import new_figure, plain, save, style

def draw(name, path):
    figure = new_figure(2, 1)
    figure.subplots().set_title(plain(name))
    print(hashlib.sha256(save(figure, path)).hexdigest())

with style(Style(width=5.5, font="sans-serif", size=8.0, formats=[], dpi=100, mplstyle=None)):
    for suffix in ("png", "pdf"):
        draw("cat, café", Path(f"figure.{suffix}"))
        draw("\\u1d81", Path(f"figure.{suffix}"))
    print(ascii(plain("\\u1d81")))
"""


def test_a_further_font_is_used_where_it_is_needed_and_changes_no_other_figure(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": str(Path(plotting.__file__).parents[2])}

    def said(*arguments: str) -> list[str]:
        command = [sys.executable, "-W", "error", "-c", FALLBACK, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    without, further = said(), said("further")
    assert without[0:4:2] == further[0:4:2]
    assert without[1] != further[1]
    assert without[3] != further[3]
    assert (without[4], further[4]) == ("'U+1D81'", r"'\u1d81'")


def test_labels_longer_than_their_panels_are_broken_at_spaces_and_nothing_is_cut():
    with style(settings(width=5.5)):
        figure = new_figure(PAGE, 2)
        for axes in figure.subplots(1, 4):
            axes.set(title="a title of many words, longer than its panel", ylabel="a label of about as many words")
            axes.set_xlabel("unbroken")
        fit(figure)
        figure.canvas.draw()
        for axes in figure.axes:
            assert axes.get_xlabel() == "unbroken"
            for text in (axes.title, axes.yaxis.label):
                assert "\n" in text.get_text()
                extent = text.get_window_extent()
                assert extent.y0 >= 0
                assert extent.x1 <= figure.bbox.width
