"""A study that leaves every part out: each stage writes that there is nothing, and reads no network."""

import tiny

from hidden_structure.frame import artifacts, params, paths, studies

EMPTY = {
    "train.py fine": ("train-fine", []),
    "train.py coarse": ("train-coarse", []),
    "measure_collapse.py": ("collapse", []),
    "extract_features.py": None,
    "train_memorised.py": ("memorised", []),
    "cluster.py": ("cluster", None),
    "follow_recovery.py": ("follow-recovery", []),
    "train_merges.py": ("train-merges", []),
    "compare_merges.py": ("merges", None),
    "split.py": ("split", []),
    "sweep.py": ("sweep", []),
    "imbalance.py": ("imbalance", None),
    "finetune.py": ("finetune", None),
    "solve_unconstrained.py": ("unconstrained", None),
    "distill.py": ("distill", None),
    "compare_students.py": ("students", None),
    "inspect_networks.py": ("inspect", []),
    "spawn.py": ("spawn", []),
    "permute.py": ("permute", []),
    "interpolate.py": ("interpolate", []),
    "linearity.py": ("linearity", []),
    "average_networks.py": ("average", None),
}
FOLDERS = (paths.EXTRACTED, paths.CLUSTERS, paths.MEMORISED, paths.MERGES, paths.STUDENTS, paths.INSPECTED)
FOLDERS += (paths.SPAWNED, paths.PERMUTATIONS)


def test_every_stage_writes_that_there_is_nothing_in_place_of_what_was(tmp_path):
    tiny.write_params(tmp_path, **dict.fromkeys(studies.PARTS))
    assert not any(getattr(params.load(tmp_path / "params.yaml"), part) for part in studies.PARTS)
    for folder in FOLDERS:
        artifacts.write_json(tmp_path / folder / "of-another-study.json", 1)
    for command, expected in EMPTY.items():
        done = tiny.in_process(tmp_path, *command.split())
        assert done.returncode == 0, (command, done.stderr)
        if expected:
            name, content = expected
            assert artifacts.read_json(tmp_path / paths.results(name)) == content, command
    assert artifacts.read_json(tmp_path / paths.results("planted")) == []
    hardware = list((tmp_path / paths.RESULTS).glob("hardware-*.json"))
    assert {path.read_bytes() for path in hardware} == {b"null\n"}
    assert len(hardware) == 10
    for folder in FOLDERS:
        assert not list((tmp_path / folder).iterdir())
