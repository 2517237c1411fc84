from types import SimpleNamespace

import pytest
import synthetic_chapters as synthetic

from hidden_structure.report import words
from hidden_structure.report.claim import KINDS, VERDICTS

MINUS = "\N{MINUS SIGN}"


def test_numbers_have_four_digits_a_true_minus_and_no_needless_exponent():
    numbers = (0.123456, -1.25, 0.0, 3, 12345.678, 1e-05, -1e-7, 1e12, 100.0)
    assert [words.number(value) for value in numbers] == [
        *("0.1235", f"{MINUS}1.25", "0", "3", "12346", "1e-05", f"{MINUS}1e-07", "1e+12", "100"),
    ]


def test_a_cell_is_nothing_text_a_number_or_several():
    assert [words.cell(value) for value in (None, "from -1 to 1-2", 0.5, [1, -0.25], ("a", None), True)] == [
        *("", f"from {MINUS}1 to 1-2", "0.5", f"1, {MINUS}0.25", "a, ", "True"),
    ]


def test_a_hyphen_is_a_minus_sign_only_before_a_number_of_its_own():
    for text in ("x-1", "1e-05", "0-1", "class--5", "2024-11-05", "(a)-1", "resnet-20", "-", "- 1"):
        assert words.true_minus(text) == text
    assert words.true_minus("-1, (-.5) to -0.3") == f"{MINUS}1, ({MINUS}.5) to {MINUS}0.3"


def test_a_measured_claim_tells_mean_error_number_and_interval():
    rows = [synthetic.claim("x", values).row() for values in ([0.31, 0.29, 0.33], [0.4], [])]
    assert [words.measured(row) for row in rows] == [
        ("0.31 ± 0.012", "n = 3, 95 % interval 0.26 to 0.36"),
        ("0.4", "n = 1"),
        ("", ""),
    ]


def test_claims_are_listed_by_verdict_and_then_by_kind():
    rows = words.in_order(claim.row() for claim in synthetic.claims())
    places = [(VERDICTS.index(row["verdict"]), KINDS.index(row["kind"])) for row in rows]
    assert places == sorted(places)
    assert rows[0]["verdict"] == "contradicted"


def test_every_claim_is_counted_once_in_its_kind():
    counts = words.tally(synthetic.claims())
    assert sum(map(sum, (kind.values() for kind in counts.values()))) == len(synthetic.claims())
    assert counts["control"] == {"contradicted": 1, "undecided": 0, "supported": 0, "not assessable": 0}
    assert counts["published"]["supported"] == counts["precondition"]["supported"] == 1
    assert counts["ours"] == {"contradicted": 0, "undecided": 2, "supported": 0, "not assessable": 2}


def test_a_study_is_told_in_a_sentence_with_or_without_its_classes():
    told = words.about(synthetic.STUDY, synthetic.provenance().classes)
    assert told == (
        "scikit-learn's digits: 4 classes, merged into 2 (modulo 5). "
        "MLP, depth 3, width 256, batch norm; 60 epochs; seeds 0, 1, 2."
    )
    single = synthetic.STUDY.model_copy(update={"seeds": [7]})
    assert words.about(single, []).endswith("seed 7.")
    bare = synthetic.STUDY.network.model_copy(update={"norm": "none"})
    assert "width 256; 60 epochs" in words.about(synthetic.STUDY.model_copy(update={"network": bare}), [])


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("spawn", "speedrun, width 32, batch norm; 8 epochs; seeds 4, 5."),
        ("imbalance", "MLP, depth 3, width 256, batch norm; 1 epoch; seed 4."),
    ],
)
def test_a_study_without_merged_classes_is_told_by_the_networks_that_it_trains(part, told):
    bare = synthetic.STUDY.model_copy(update={"train": None, "spawn": None, "imbalance": None})
    network = synthetic.STUDY.network.model_copy(update={"name": "speedrun", "depth": None, "width": 32})
    trained = {
        "spawn": SimpleNamespace(network=network, train=SimpleNamespace(epochs=8), seeds=[4, 5], checkpoints=[]),
        "imbalance": SimpleNamespace(train=SimpleNamespace(epochs=1), seeds=[4]),
    }
    study = bare.model_copy(update={part: trained[part]})
    four = synthetic.provenance().classes
    assert words.about(study, four) == f"scikit-learn's digits: 4 classes. {told}"
    assert words.about(study, []) == f"scikit-learn's digits. {told}"
