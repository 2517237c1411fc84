"""The report as one HTML page that needs nothing but itself: no script, no network, images inside.

Everything that comes from data or parameters passes through `html.escape`: a class may be called `<script>`.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from hidden_structure.frame.params import Study
from hidden_structure.report.connectivity import figures as connectivity_figures
from hidden_structure.report.distillation import figures as distill_figures
from hidden_structure.report.distillation.measure import NAMES
from hidden_structure.report.linearity import figures as linearity_figures
from hidden_structure.report.linearity.measure import DIRECTIONS, OVER_CUTS
from hidden_structure.report.merges import figures as merges_figures
from hidden_structure.report.plotting import METHODS
from hidden_structure.report.recovery import claims
from hidden_structure.report.split import figures as split_figures
from hidden_structure.report.sweep import figures as sweep_figures
from hidden_structure.report.unconstrained import figures as unconstrained_figures
from hidden_structure.report.words import in_words, percent, value

SECTION = {  # figure -> title, how to read it, how it was made
    "learning-curves": (
        "Learning curves",
        "Left accuracy, right cross-entropy, each on the labels that the network was trained on; lines are means over "
        "seeds, bands one standard deviation to either side.",
        "Training figures are averages over the batches of an epoch while the weights moved, with augmentation; test "
        "figures come from the snapshots, without augmentation.",
    ),
    "collapse": (
        "Neural collapse over training",
        "Every quantity falls to 0 as the network collapses: features to their class means (NC1), means and the last "
        "layer's rows to equal lengths and equal angles (NC2) and to one another (NC3), decisions to the nearest class "
        "mean (NC4). Epoch 0 is the initialisation; the epoch axis is logarithmic from epoch 1 on.",
        "Measured on the whole training set, in evaluation mode and without augmentation, at each snapshot; classes "
        "are the labels that the network was trained on, so the coarse network's are the super-classes.",
    ),
    "angles": (
        "The angle of two classes",
        "The mean cosine of two centred class means (solid) and of two rows of the last layer (dotted) tends to "
        "-1/(C-1), the angle of a simplex (black dashes). The means reach it as soon as their lengths agree, because "
        "they sum to zero; how far the single angles are from it is the panel on |cos + 1/(C-1)| above.",
        "From the same measurement as the figure above.",
    ),
    "maps": (
        "Inside each super-class",
        "One panel a super-class, one dot a training sample, coloured by the original class that the network never "
        "saw. Separate colours mean that the network kept the classes apart although nothing asked it to. Only "
        "neighbourhoods inside one panel mean something, not distances between far groups.",
        "Penultimate features of the coarse network (first seed) on the training set, reduced to two dimensions "
        "within each super-class; a random sample of them is drawn.",
    ),
    "distances": (
        "Distances between original classes",
        "Each cell is the mean squared distance between features of two original classes, on the diagonal between two "
        "samples of one class. Boxes frame the super-classes: inside them distances are small, for the classes were "
        "merged, but larger off the diagonal than on it where the classes stay apart.",
        "Penultimate training features of the coarse network, mean over seeds.",
    ),
    "recovery": (
        "Accuracy on the original classes",
        "Bars are means over seeds with a standard deviation, dots single seeds. The recovered labels should come near "
        "the network trained on the original labels, and the controls should not. To the left of the dashed line lies "
        "what coarse labels alone can reach, with a guess among the merged classes.",
        "Clusters found inside each super-class of the training set are named by the best one-to-one assignment on "
        "the training set; a linear layer is fitted to the coarse network's features with these labels and scored on "
        "the original test labels, which enter nothing else. Controls cluster the pixels, or the features before "
        "training, and fit the same layer.",
    ),
    "agreement": (
        "Recovered labels, super-class by super-class",
        "Share of training samples whose recovered label is the original one; bars are one standard deviation over "
        "seeds, the upright strokes what naming at random gives.",
        "The first reduction of the parameters, k-means with as many clusters as the super-class has classes.",
    ),
}
REQUIRED = tuple(SECTION)  # figures that every study has
SECTION |= merges_figures.SECTION | split_figures.SECTION | sweep_figures.SECTION | unconstrained_figures.SECTION
SECTION |= connectivity_figures.SECTION | linearity_figures.SECTION | distill_figures.SECTION

MERGED = ("super-class", "original classes", "training samples", "test samples")
CUTS = tuple(f"{direction}, {over}" for direction in DIRECTIONS.values() for over in OVER_CUTS)
TABLES = {  # table -> title, what it holds, its columns
    "networks": (
        "Networks of the connectivity study",
        "The ends of the lines above, trained on the original labels; means over seeds, each with its spread.",
        ("width", "weight decay", "network", "seeds", "training accuracy", "test accuracy", "test loss"),
    ),
    "objectives": (
        "What the permutations gained",
        "What each method maximises, and the sum of inner products of weights that weight matching maximises, without "
        "and with the permutation; means over pairs, each with its spread.",
        ("width", "weight decay", "method", "maximises", "before", "after", "weights before", "weights after"),
    ),
    "stitched": (
        "What stitching costs",
        "Test error of two networks A and B, and of the lower layers of one below the upper layers of the other: the "
        "least, the mean and the most over all cuts; means over pairs, each with its spread.",
        ("width", "weight decay", "networks", "pairs", "A", "B", *CUTS),
    ),
    "distilled": (
        "Students by method",
        "Test accuracy on the teacher's classes, in the order of the seeds and as their mean with its spread; mean "
        "difference to KD with the same seed in percentage points, with its 95 % confidence interval (Student's t over "
        "seeds). S: pieces of each class; beta and tau: temperature of pieces and of classes; outputs of the network.",
        ("method", "S", "beta", "tau", "outputs", "each seed (%)", "test accuracy", "difference to KD"),
    ),
}
COUNTED = {"processes": "process", "threads": "thread"}

STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --paper: #ffffff; --line: #c8c8c8; --yes: #00684a; --no: #a33b00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --paper: #16181c; --line: #4a4f57; --yes: #4cc9a0; --no: #ff9a5c; }
}
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
       color: var(--text); background: var(--paper); overflow-wrap: anywhere; }
a { color: inherit; }
figure { margin: 1.5rem 0 2.5rem; }
figure img { max-width: 100%; background: #ffffff; padding: 8px; box-sizing: border-box; }
figcaption, table { font-size: 0.9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
#claims td, #claims th { overflow-wrap: normal; }
#claims td:first-child, #claims td:nth-child(n+4) { white-space: nowrap; }
#claims td:nth-child(2) { min-width: 20rem; }
#claims td:nth-child(3) { min-width: 8rem; }
tr.yes td:last-child { color: var(--yes); font-weight: 600; }
tr.no td:last-child { color: var(--no); font-weight: 600; }
pre { border: 1px solid var(--line); padding: 0.8rem; overflow-x: auto; font-size: 0.8rem; }
"""


def render(
    study: Study,
    parameters: str,
    summary: Mapping,
    rows: Sequence[dict],
    labels: Mapping,
    versions: Mapping[str, str],
    hardware: Mapping[str, Mapping],
    accuracies: Sequence[Mapping],
    objectives: Sequence[Mapping],
    stitched: Sequence[Mapping],
    students: Sequence[Mapping],
    pictures: Mapping[str, bytes],
) -> str:
    """The page as text.

    Args:
        parameters: the text of the study's params.yaml.
        summary: the content of metrics.json.
        rows: the claims.
        labels: the label metrics.
        versions: library -> version.
        hardware: supervision, or another part -> what trained its networks, the content of its hardware metrics.
        accuracies, objectives: of connectivity_summary; stitched: of linearity_summary.stitching; students: of
            distill_summary.table; tables of nothing are left out.
        pictures: figure -> PNG, of figures of SECTION; those of REQUIRED must be there.
    """
    described = {"networks": (_network, accuracies), "objectives": (_objective, objectives)}
    described |= {"stitched": (_stitched, stitched), "distilled": (_student, students)}
    of_connectivity = ", ".join(map(str, study.spawn.seeds)) if study.spawn else "none, for it is left out"
    title = f"{escape(study.study)}: structure hidden under coarse labels"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{"".join(f"<p>{escape(sentence)}</p>" for sentence in in_words(study, summary, labels))}
<h2>Claims</h2>
<p>Each claim states the criterion that decides whether it holds. Accuracies and shares are fractions of 1;
spread is the sample standard deviation over seeds, or over pairs of networks; 0-1 is the pair of seeds 0 and 1.</p>
<div class="scroll"><table id="claims">
<thead><tr>{_cells("th", claims.HEADER)}</tr></thead>
<tbody>
{claims.html_rows(rows)}
</tbody></table></div>
<h2>Merged classes</h2>
{_table("merge", MERGED, _merged(labels))}
{"".join(_figure(name, pictures[name]) for name in SECTION if name in pictures or name in REQUIRED)}
{"".join(_titled(name, list(map(cells, found))) for name, (cells, found) in described.items())}
<h2>Provenance</h2>
<p>Seeds {escape(", ".join(map(str, study.seeds)))}; of the connectivity study {escape(of_connectivity)}.
{escape(" ".join(_trained_on(*item) for item in hardware.items()))}
<a href="dvc.lock">dvc.lock</a> holds the hashes of all code and data; <a href="code-changed-since.json">what has
changed in the code since</a> is listed where a change did not make the study anew.</p>
<p>This report was made with:</p>
<table id="versions"><tbody>
{"".join(f"<tr>{_cells('td', item)}</tr>" for item in versions.items())}
</tbody></table>
<p>The parameters, params.yaml:</p>
<pre>{escape(parameters)}</pre>
</body>
</html>
"""


def _trained_on(supervision: str, hardware: Mapping) -> str:
    count = {name: f"{hardware[name]} {name if hardware[name] > 1 else singular}" for name, singular in COUNTED.items()}
    what = "; ".join(hardware[key] for key in ("processor", "instructions") if key in hardware)  # one in older files
    return (
        f"The {supervision} networks were trained on {hardware['device']} ({what}) in "
        f"{hardware['precision']}, by {count['processes']} of {count['threads']}, with PyTorch {hardware['torch']}."
    )


def _merged(labels: Mapping) -> list[tuple[str, ...]]:
    members: dict[str, list[str]] = {name: [] for name in labels["coarse"]["train_counts"]}
    for fine, coarse in labels["coarse_of"].items():
        members[coarse].append(fine)
    counts = [labels["coarse"][f"{split}_counts"] for split in ("train", "test")]
    return [(name, ", ".join(own), *(str(count[name]) for count in counts)) for name, own in members.items()]


def _network(numbers: Mapping) -> list[str]:
    """The name of a child is the epoch at which it left the trunk, and its letter."""
    epoch, _, letter = numbers["name"].partition("-")
    name = f"child {letter}, parted after epoch {int(epoch)}" if letter else numbers["name"]
    percents = [percent(numbers, f"{split}_accuracy") for split in ("train", "test")]
    return [*_cell_of(numbers), name, str(numbers["seeds"]), *percents, value(numbers, "test_loss")]


def _objective(numbers: Mapping) -> list[str]:
    values = [value(numbers, name) for name in ("before", "after", "weights_before", "weights_after")]
    return [*_cell_of(numbers), METHODS[numbers["method"]], numbers["objective"], *values]


def _stitched(numbers: Mapping) -> list[str]:
    independent = numbers["k"] is None
    networks = f"independent, {METHODS[numbers['method']]}" if independent else f"parted after epoch {numbers['k']}"
    columns = "error_a", "error_b", *(f"{direction}_{over}" for direction in DIRECTIONS for over in OVER_CUTS)
    return [*_cell_of(numbers), networks, str(numbers["pairs"]), *(percent(numbers, name) for name in columns)]


def _student(numbers: Mapping) -> list[str]:
    settings = ["" if numbers[name] is None else f"{numbers[name]:g}" for name in ("subclasses", "beta", "temperature")]
    seeds = ", ".join(f"{100 * accuracy:.1f}" for accuracy in numbers["accuracies"])
    gain = "" if numbers["gain"] is None else f"{100 * numbers['gain']:+.2f}"
    if numbers["interval"]:
        gain += " ({:+.2f} to {:+.2f})".format(*(100 * end for end in numbers["interval"]))
    return [NAMES[numbers["method"]], *settings, str(numbers["outputs"]), seeds, percent(numbers, "accuracy"), gain]


def _cell_of(numbers: Mapping) -> list[str]:
    return [f"{numbers['width']:g}", f"{numbers['weight_decay']:g}"]


def _titled(name: str, lines: Sequence[Sequence[str]]) -> str:
    title, holding, header = TABLES[name]
    return f"<h2>{title}</h2>\n<p>{holding}</p>\n{_table(name, header, lines)}\n" if lines else ""


def _table(name: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    body = "\n".join(f"<tr>{_cells('td', line)}</tr>" for line in lines)
    return f"""<div class="scroll"><table id="{name}">
<thead><tr>{_cells("th", header)}</tr></thead>
<tbody>
{body}
</tbody></table></div>"""


def _figure(name: str, picture: bytes) -> str:
    title, reading, making = SECTION[name]
    source = "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
    return f"""<h2>{escape(title)}</h2>
<figure id="{name}">
<img src="{source}" alt="{escape(title)}">
<figcaption><strong>How to read it.</strong> {escape(reading)} <strong>How it was made.</strong> {escape(making)}
<a href="figures/{name}.pdf">As PDF</a>.</figcaption>
</figure>
"""


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
