"""The stages that measure pairs of networks in tasks: a finished one is kept by a kill, and none depends on workers."""

import pytest
import tiny

from hidden_structure.frame import paths, tasks

STAGES = ["permute.py", "interpolate.py", "linearity.py"]  # each reads what those before it made
SECTIONS = {
    "network": {"norm": "batch", "width": 16},
    "train": {"epochs": 2, "batch_size": 80},
    "spawn": tiny.OVERRIDES["spawn"] | {"epochs": [0]},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """All of it made, by two workers."""
    folder = tmp_path_factory.mktemp("study")
    tiny.write_params(folder, **SECTIONS, tasks={"workers": 2})
    tiny.write_data(folder)
    for script in ("spawn.py", *STAGES):
        done = tiny.in_process(folder, script)
        assert done.returncode == 0, done.stderr
    return folder


def results(folder):
    files = (file for top in (paths.PERMUTATIONS, paths.RESULTS) for file in (folder / top).rglob("*"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize("script", STAGES)
def test_finished_tasks_are_not_computed_again_and_bytes_depend_neither_on_kills_nor_on_workers(
    study, monkeypatch, script
):
    by_two_workers, result = results(study), study / paths.results(script.removesuffix(".py"))
    tiny.write_params(study, **SECTIONS, tasks={"workers": 1})
    result.unlink()
    computed, write = [], tasks.write_json

    def dies(path, content):
        write(path, content)
        computed.append(path)
        if len(computed) == 1:
            raise tiny.Killed

    monkeypatch.setattr(tasks, "write_json", dies)
    with pytest.raises(tiny.Killed):
        tiny.in_process(study, script)
    assert not result.is_file()
    done = tiny.in_process(study, script)
    assert done.returncode == 0, done.stderr
    assert len(computed) == len(set(computed)) > 1
    assert results(study) == by_two_workers
    assert not list((study / paths.RESUME).iterdir())


@pytest.mark.parametrize("script", STAGES)
def test_tasks_of_other_networks_are_not_taken_up(study, monkeypatch, script):
    """What a kill has left belongs to the networks that it was measured of."""
    file = next((study / paths.SPAWNED).rglob("trunk.safetensors"))
    before, networks = results(study), file.read_bytes()
    write = tasks.write_json

    def dies(path, content):
        write(path, content)
        raise tiny.Killed

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "write_json", dies)
        with pytest.raises(tiny.Killed):
            tiny.in_process(study, script)
    other = next(one for one in file.parent.parent.rglob("trunk.safetensors") if one != file)
    file.write_bytes(other.read_bytes())
    assert tiny.in_process(study, script).returncode == 0
    beside_what_was_left = results(study)
    assert not list((study / paths.RESUME).iterdir())
    assert tiny.in_process(study, script).returncode == 0
    assert before != results(study) == beside_what_was_left
    file.write_bytes(networks)
    assert tiny.in_process(study, script).returncode == 0
    assert results(study) == before


MORE = [{"widths": [0.5, 0.25]}, {"seeds": [0, 1, 2, 3]}, {"epochs": [0, 1]}]


@pytest.mark.parametrize("more", MORE, ids=str)
def test_pairs_that_are_kept_are_not_measured_again(tmp_path, monkeypatch, more):
    """Neither matched, and what comes out is what measuring all of them gives."""
    kept, whole = tmp_path / "kept", tmp_path / "whole"
    computed, write = [], tasks.write_json
    monkeypatch.setattr(tasks, "write_json", lambda path, content: computed.append(path) or write(path, content))
    for folder, keep, parts in ((kept, "1", {}), (kept, "1", more), (whole, "0", more)):
        monkeypatch.setenv("HIDDEN_STRUCTURE_KEEP", keep)
        folder.mkdir(exist_ok=True)
        tiny.write_params(folder, **(SECTIONS | {"spawn": SECTIONS["spawn"] | parts}))
        tiny.write_data(folder)
        for script in ("spawn.py", *STAGES):
            done = tiny.in_process(folder, script)
            assert done.returncode == 0, done.stderr
    assert results(kept) == results(whole)
    of_kept = [path.relative_to(kept) for path in computed if path.is_relative_to(kept)]
    of_whole = {path.relative_to(whole) for path in computed if path.is_relative_to(whole)}
    # Those of the ends of lines that only one line has are measured with it; a trunk is, where children leave it anew.
    assert {path for path in of_kept if path not in of_whole} == set()
    again = [path for path in set(of_kept) if of_kept.count(path) > 1]
    assert all("trunk" in path.name for path in again)
