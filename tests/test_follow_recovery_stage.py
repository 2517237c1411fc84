"""The stage on networks of a second's training: by however many workers, and a study that follows nothing."""

import pytest
import tiny

from hidden_structure.frame import artifacts, paths


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    tiny.write_params(folder)
    tiny.write_data(folder)
    done = tiny.in_process(folder, "train.py", "coarse")
    assert done.returncode == 0, done.stderr
    return folder


def followed(folder, **sections) -> list[dict]:
    tiny.write_params(folder, **sections)
    done = tiny.in_process(folder, "follow_recovery.py")
    assert done.returncode == 0, done.stderr
    return artifacts.read_json(folder / paths.results("follow-recovery"))


def test_every_kept_epoch_of_every_network_has_a_row_whatever_the_number_of_workers(study):
    rows = followed(study)
    assert [(row["seed"], row["epoch"]) for row in rows] == [(s, e) for s in (0, 1) for e in (0, 3, 12)]
    assert rows == followed(study, tasks={"workers": 2})
    assert all(row["labels"] > 0.5 for row in rows if row["epoch"] == 12)  # chance is 0.1
    assert {row["reducer"] for row in rows} == {"pca"}


def test_the_reducer_is_a_choice_and_so_is_following_none(study):
    assert followed(study, cluster=tiny.OVERRIDES["cluster"] | {"followed": None}) == []
    rows = followed(study, seeds=[0], cluster=tiny.OVERRIDES["cluster"] | {"followed": "raw"})
    assert [row["reducer"] for row in rows] == ["raw"] * 3
