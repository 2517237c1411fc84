from pathlib import Path

import pytest

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.report.recovery import claims

STUDY = params.load(Path(__file__).parent.parent / "studies/digits.yaml")
IDS = [
    "collapse.nc1",
    "collapse.angle",
    "coarse.nc1",
    "coarse.angle",
    "fine.accuracy",
    "coarse.accuracy",
    "recovery.accuracy",
    "recovery.gap",
    "recovery.agreement",
    "recovery.control.pixels",
    "recovery.control.untrained",
]
QUANTITY = dict(
    zip(
        IDS,
        [
            "fine.nc1",
            "fine.angle_deviation",
            "coarse.nc1",
            "coarse.angle_deviation",
            "fine.test_accuracy",
            "coarse.test_accuracy",
            "recovery.accuracy",
            "recovery.gap",
            "recovery.agreement",
            "control.pixels.accuracy",
            "control.untrained.accuracy",
        ],
        strict=True,
    )
)
# With 10 classes merged into 5: the criterion's value, and the side on which the claim holds.
BOUND = {
    "collapse.nc1": (0.1, "below"),
    "collapse.angle": (0.1, "below"),
    "coarse.nc1": (0.1, "below"),
    "coarse.angle": (0.1, "below"),
    "fine.accuracy": (0.95, "above"),
    "coarse.accuracy": (0.95, "above"),
    "recovery.accuracy": (0.75, "above"),
    "recovery.gap": (0.03, "below"),
    "recovery.agreement": (0.9, "above"),
    "recovery.control.pixels": (0.89, "below"),
    "recovery.control.untrained": (0.89, "below"),
}
VALUES = {
    "fine.nc1": 0.01,
    "fine.angle_deviation": 0.02,
    "coarse.nc1": 0.01,
    "coarse.angle_deviation": 0.02,
    "fine.test_accuracy": 0.97,
    "coarse.test_accuracy": 0.98,
    "recovery.accuracy": 0.94,
    "recovery.gap": 0.02,
    "recovery.agreement": 0.95,
    "control.pixels.accuracy": 0.5,
    "control.untrained.accuracy": 0.6,
}


def table(study: params.Study = STUDY, fine: int = 10, coarse: int = 5, **changed: float) -> dict[str, dict]:
    values = VALUES | {name.replace("__", "."): value for name, value in changed.items()}
    rows = claims.table(study, {name: [value] * len(study.seeds) for name, value in values.items()}, fine, coarse)
    return {row["id"]: row for row in rows}


def changed(**sections: dict) -> params.Study:
    """The default study with other values in some sections."""
    content = STUDY.model_dump()
    for name, values in sections.items():
        content[name] = content[name] | values if isinstance(values, dict) else values
    return params.Study.model_validate(content)


def test_the_rows_and_their_keys():
    rows = table()
    assert list(rows) == IDS
    for row in rows.values():
        assert list(row) == ["id", "claim", "source", "published", "measured", "spread", "seeds", "holds"]
        assert row["holds"] is True
        assert row["spread"] == pytest.approx(0, abs=1e-12)
        assert row["seeds"] == STUDY.seeds
        assert row["claim"].endswith(".")


@pytest.mark.parametrize("name", IDS)
def test_a_claim_flips_where_its_sentence_says(name: str):
    bound, side = BOUND[name]
    assert f"{bound:g}" in table()[name]["claim"]
    for value in (bound - 1e-3, bound, bound + 1e-3):
        row = table(**{QUANTITY[name].replace(".", "__"): value})[name]
        assert row["measured"] == pytest.approx(value)
        assert row["holds"] is (value <= bound if side == "below" else value >= bound)


def test_a_control_must_lie_lower_by_the_spread_where_that_is_larger():
    study = changed(seeds=[0, 1])
    measured = {name: [value] * 2 for name, value in VALUES.items()} | {
        "recovery.accuracy": [0.7, 0.9],  # spread .141
        "control.pixels.accuracy": [0.7, 0.7],
        "control.untrained.accuracy": [0.6, 0.6],
    }
    rows = {row["id"]: row for row in claims.table(study, measured, 10, 5)}
    assert [rows[f"recovery.control.{name}"]["holds"] for name in ("pixels", "untrained")] == [False, True]


def test_one_seed_has_no_spread():
    assert {row["spread"] for row in table(changed(seeds=[3])).values()} == {None}


def test_published_figures_belong_to_their_dataset_alone():
    resnet = {"name": "resnet", "depth": 20, "width": 16, "norm": "batch"}
    cifar = table(changed(data={"source": "cifar10"}, network=resnet))
    assert cifar["recovery.accuracy"]["published"] == 0.93
    assert cifar["fine.accuracy"]["published"] == 0.9125
    without = changed(data={"source": "cifar10"}, network=resnet | {"norm": "group"})
    assert table(without)["fine.accuracy"]["published"] is None
    assert {row["published"] for row in table().values()} == {None}
    other = changed(data={"source": "cifar10"}, merge={"method": "random"})
    assert table(other)["recovery.accuracy"]["published"] is None


def test_two_and_a_hundred_classes():
    assert "-1/(2-1) = -1" in table(fine=2, coarse=2)["collapse.angle"]["claim"]
    assert "-0.0101" in table(fine=100, coarse=20)["collapse.angle"]["claim"]


def test_markdown_has_a_line_a_claim_and_nothing_breaks_its_cells():
    rows = list(table().values())
    rows[0]["claim"] = "a | b"
    lines = claims.markdown(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert {line.replace(r"\|", "").count("|") for line in lines} == {len(claims.HEADER) + 1}


def test_insert_replaces_what_stands_between_the_markers_and_nothing_else():
    rows = list(table().values())
    document = "head\n<!-- claims: digits -->\nstale\n<!-- end of claims -->\ntail <!-- end of claims -->\n"
    once = claims.insert(document, "digits", rows)
    assert claims.insert(once, "digits", rows) == once
    assert once.startswith("head\n")
    assert once.endswith("tail <!-- end of claims -->\n")
    assert "stale" not in once
    assert claims.markdown(rows) in once
    with pytest.raises(InputError, match="cifar10"):
        claims.insert(document, "cifar10", rows)


def test_html_escapes():
    rows = [table()["recovery.gap"] | {"claim": "<b>&"}]
    assert "<b>" not in claims.html_rows(rows)
    assert "&lt;b&gt;&amp;" in claims.html_rows(rows)
