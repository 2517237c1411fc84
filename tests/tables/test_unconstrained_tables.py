"""Tables of the unconstrained features model: every descent ends at the optimum of its own loss."""

import pytest
import synthetic_unconstrained as synthetic

from hidden_structure.frame import params, tables
from hidden_structure.tables.unconstrained import ROUNDING, at_the_optimum, tabulate

STUDY = params.load()
STUDY = STUDY.model_copy(update={"unconstrained": STUDY.unconstrained.model_copy(update={"classes": 4})})


def made(**changed) -> dict:
    return tabulate(STUDY, {"unconstrained": synthetic.result() | changed}.get)


def test_every_table_is_written_and_read_as_it_was(tmp_path):
    for name, rows in made().items():
        tables.write(tmp_path / f"{name}.csv", rows)
        assert len(tables.read(tmp_path / f"{name}.csv")) == len(rows) > 0


def test_results_of_an_earlier_version_have_no_bounds():
    assert {"bounds", "bounds_imbalance"} == made().keys() - made(bounds=None).keys()


def test_a_study_without_the_model_has_no_tables():
    assert tabulate(STUDY, {}.get) == {}


def test_all_measures_end_at_0_under_every_loss_and_do_not_begin_there():
    for row in made()["descents"]:
        for measure in ("nc1", "nc2", "nc3"):
            assert len(row[measure]) == len(row["step"])
            assert row[measure][-1] < 1e-7
        assert row["nc1"][0] > 0.1


def test_an_optimum_between_simplex_and_frame_has_its_own_nc2_and_nc3():
    row = synthetic.solved("mse", True, 0, bias_decay=0.3)
    cosine = row["optimum"]["cosine"]["closed_form"]
    assert -1 / 3 + 0.01 < cosine < -0.01
    angles, duality = at_the_optimum(cosine, 4)
    assert row["trajectory"][-1]["nc2_angle_rows"] == pytest.approx(angles, abs=1e-7)
    assert row["trajectory"][-1]["nc3"] == pytest.approx(duality, abs=1e-7)


def test_a_simplex_is_at_0():
    assert at_the_optimum(-1 / 3, 4) == pytest.approx((0, 0), abs=1e-7)


def test_what_is_furthest_off_is_kept_and_rounding_is_not():
    result = synthetic.result()
    assert all(ROUNDING <= row["size"] < 1e-7 for row in made()["unconstrained"])
    first = result["solutions"][0]
    for name, column in (("row_norm", "size"), ("duality", "shape")):
        worse = first["optimum"] | {name: first["optimum"][name] | {"difference": 0.5}}
        row = made(solutions=[first | {"optimum": worse}])["unconstrained"][0]
        assert row[column] == 0.5
