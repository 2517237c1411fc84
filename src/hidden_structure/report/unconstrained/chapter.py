"""The unconstrained features model: what optimisation alone does, without a network and without data."""

from collections.abc import Iterator, Mapping, Sequence

from hidden_structure.frame.params import Study
from hidden_structure.report.chapter import Chapter, Numbers, Picture, Tables
from hidden_structure.report.claim import Claim
from hidden_structure.report.findings import in_order
from hidden_structure.report.statistics import rounded
from hidden_structure.report.unconstrained import figures
from hidden_structure.report.unconstrained.claims import IDEA, claims, near_the_threshold


def chapter(study: Study, tables: Tables) -> Chapter | None:
    """None where the study leaves the model out."""
    ends, descents, saddles, imbalance = map(tables, ("unconstrained", "descents", "saddles", "imbalance"))
    if not ends:
        return None
    bounds = tables("bounds"), tables("bounds_imbalance")
    own = claims(ends, imbalance, *bounds)
    return Chapter(
        idea=IDEA,
        title="Collapse of free features",
        question="If features were free, and only the last layer and weight decay were left of a network: where would "
        "training end? Nothing here depends on the study's data or networks.",
        findings=in_order(_sentences(imbalance, own[:3], *bounds, own[3:])),
        claims=own,
        pictures=_pictures(study, ends, descents, imbalance, bounds[1]),
        numbers=[_saddles(saddles)],
    )


def _sentences(
    imbalance: Sequence[Mapping],
    own: Sequence[Claim],
    bounds: Sequence[Mapping],
    bounds_imbalance: Sequence[Mapping],
    of_bounds: Sequence[Claim],
) -> Iterator[tuple[Claim, str]]:
    size, shape, minority = own
    yield (
        size,
        f"From {len(size.values)} random starts descent ends at the closed form of the optimum, off by "
        f"{max(size.values):.1g} at most",
    )
    yield shape, f"Under cross-entropy it ends in a simplex, off by {max(shape.values):.1g} at most"
    yield minority, f"The mean cosine of the small classes' rows is {_transition(imbalance)}"
    if of_bounds:
        same, minority = of_bounds
        yield (
            same,
            f"With norms bounded instead of decayed, {len(bounds)} random starts end at the same closed form, off by "
            f"{max(same.values):.1g} at most",
        )
        yield minority, f"There the mean cosine of the small classes' rows is {_transition(bounds_imbalance)}"


def _transition(imbalance: Sequence[Mapping]) -> str:
    said = [f"{row['minority']['cosine']:.6f} at {row['ratio']:g}" for row in near_the_threshold(imbalance)]
    threshold = imbalance[0]["merging_ratio"]
    return (
        f"{', '.join(said) or 'not known near the threshold'} times as many samples in the large ones; the threshold "
        f"is {'beyond any data' if threshold is None else f'{threshold:.4g}'}"
    )


def _pictures(
    study: Study,
    ends: Sequence[Mapping],
    descents: Sequence[Mapping],
    imbalance: Sequence[Mapping],
    bounds_imbalance: Sequence[Mapping],
) -> list[Picture]:
    classes = study.unconstrained.classes
    weighed = {"weight decay": imbalance} | ({"bounded norms": bounds_imbalance} if bounds_imbalance else {})
    bounded = (
        " Below, norms are bounded instead of decayed, by those of the balanced optimum, the same for all ratios, and "
        "all classes weigh the same in the bound on features (the layer-peeled model)."
        if bounds_imbalance
        else ""
    )
    return [
        Picture(
            "descent",
            "Descent of free features",
            "A line for every random start; everything falls to 0, down to what rounding leaves, 1e-12. What lies at "
            "the end stands above each panel: a simplex, or for the squared error without bias an orthogonal frame, "
            "whose rows meet at right angles. NC2 and NC3, which are 0 of a simplex, are shown less their value "
            "there.",
            "The unconstrained features model under each loss, with and without bias, by L-BFGS and a last step or two "
            "of Newton's method. NC2: mean |cos + 1/(C\N{MINUS SIGN}1)| of rows; NC3: distance of the last layer from "
            "the centred class means, each over its norm.",
            lambda: figures.descent(descents, _optimum(ends, classes)),
        ),
        Picture(
            "minority",
            "Minority collapse",
            "Left the mean cosine of two rows of the last layer, right the mean norm of a row (no unit), against how "
            "many times as many samples a class of the majority has. From the dashed line on the rows of the "
            "minority are one, says the theory: the layer cannot tell these classes apart. A cosine is missing where "
            f"rows are zero.{bounded}",
            f"The unconstrained features model of {classes} classes under cross-entropy without bias, one random start "
            "a ratio; the majority is half of the classes.",
            lambda: figures.minority(weighed, classes),
        ),
    ]


def _optimum(ends: Sequence[Mapping], classes: int) -> dict[tuple[str, bool], str]:
    """What the closed form is: a simplex by its cosine, an orthogonal frame, or something between."""
    names = {}
    for row in ends:
        cosine = row["cosine"]["optimum"]
        simplex, frame = abs(cosine + 1 / (classes - 1)) < 1e-5, abs(cosine) < 1e-5
        names[row["loss"], row["bias"]] = (
            "simplex" if simplex else "orthogonal frame" if frame else f"frame of cosine {cosine:.2f}"
        )
    return names


def _saddles(rows: Sequence[Mapping]) -> Numbers:
    return Numbers(
        "saddles",
        "Saddles of the unconstrained features model",
        "Critical points that are no minimum: zero, and what is found in two dimensions less than there are classes. "
        "The Hessian's least eigenvalue there, the objective, and where descent ends that starts beside it.",
        ("loss", "bias", "saddle", "least eigenvalue", "objective", "after escape", "optimum"),
        [
            (
                row["loss"],
                "yes" if row["bias"] else "no",
                row["saddle"],
                *(rounded(row[name]) for name in ("least_eigenvalue", "objective", "escaped", "minimum")),
            )
            for row in rows
        ],
    )
