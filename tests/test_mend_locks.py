import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from ruamel.yaml import YAML

LOCK, KEPT, RUNNING = Path("dvc.lock"), Path("reports/digits/dvc.lock"), Path(".dvc/tmp/rwlock")
NAMES = ("prepare-data", "train@fine", "report")


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch) -> None:
    """A study whose lock is whole, as after `make reproduce`."""
    monkeypatch.chdir(tmp_path)
    KEPT.parent.mkdir(parents=True)
    RUNNING.parent.mkdir(parents=True)
    tiny.write_params(tmp_path)
    (KEPT.parent / "params.yaml").write_bytes(Path("params.yaml").read_bytes())
    write(KEPT, NAMES)
    write(LOCK, NAMES)


def write(lock: Path, names: tuple[str, ...], digest: str = "0") -> None:
    outs = [{"path": f"artifacts/{part}", "md5": digest * 32} for part in "ab"]
    stages = {name: {"cmd": f"python {name}.py", "outs": outs} for name in names}
    with lock.open("w") as file:
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
        yaml.representer.ignore_aliases = lambda data: True
        yaml.dump({"schema": "2.0", "stages": stages}, file)


def mend() -> None:
    runpy.run_path(str(tiny.ROOT / "tools/mend_locks.py"), run_name="__main__")


def stages() -> dict:
    return YAML(typ="safe", pure=True).load(LOCK)["stages"]


def test_what_is_whole_is_left_alone(capsys):
    RUNNING.write_text("{}")
    before = LOCK.read_bytes()
    mend()
    assert (LOCK.read_bytes(), RUNNING.read_text(), capsys.readouterr().out) == (before, "{}", "")
    LOCK.unlink()
    RUNNING.unlink()
    mend()
    assert not LOCK.exists()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.4, 0.55, 0.65])
def test_a_lock_that_was_cut_anywhere_has_all_stages_again(share):
    text = LOCK.read_text()
    LOCK.write_text(text[: int(share * len(text))])
    mend()
    assert stages() == YAML(typ="safe", pure=True).load(text)["stages"]


def test_stages_that_are_whole_in_a_cut_lock_are_newer_than_the_kept_ones():
    write(LOCK, NAMES, digest="1")
    text = LOCK.read_text()
    LOCK.write_text(text[: text.index("report:") - 20])
    mend()
    assert [stages()[name]["outs"][0]["md5"][0] for name in NAMES] == ["1", "0", "0"]


@pytest.mark.parametrize("broken", [b"", b"\xff\x00", b"- a list", b"<<<<<<< HEAD\nschema: '2.0'\n"])
def test_without_a_kept_lock_the_stages_run_again(broken, capsys):
    KEPT.unlink()
    LOCK.write_bytes(broken)
    mend()
    assert stages() == {}
    assert "0 stages are known" in capsys.readouterr().out


def test_of_other_params_a_lock_with_fewer_stages_is_whole():
    write(LOCK, NAMES[:1])
    tiny.write_params(Path(), seeds=[7], finetune=None)
    mend()
    assert list(stages()) == list(NAMES[:1])


@pytest.mark.parametrize("broken", ["", '{"write": {"a"', "[]", '{"write": {"a": {"pid": "x"}}}'])
def test_a_broken_list_of_running_stages_is_removed(broken):
    RUNNING.write_text(broken)
    mend()
    assert not RUNNING.exists()


@pytest.mark.parametrize("file", [RUNNING, LOCK])
def test_nothing_is_mended_while_dvc_runs_in_this_folder(tmp_path, file):
    file.write_text("")
    Path("dvc").write_text("import time; print(flush=True); time.sleep(60)")
    (tmp_path / "elsewhere").mkdir()
    for folder, refused in ((tmp_path, True), (tmp_path / "elsewhere", False)):
        command = [sys.executable, str(tmp_path / "dvc"), "repro"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as running:
            try:
                running.stdout.readline()
                if refused:
                    with pytest.raises(SystemExit, match=f"is broken, and DVC runs here .process {running.pid}"):
                        mend()
                    assert file.read_text() == ""
                else:
                    mend()
            finally:
                running.kill()
    assert json.loads(RUNNING.read_text() if RUNNING.exists() else "{}") == {}
    assert list(stages()) == list(NAMES)
