"""Before `dvc repro`: mend what a kill or a full disk may have cut while DVC wrote it, dvc.lock and .dvc/tmp/rwlock.

What dvc.lock still holds whole is kept; stages that are missing are taken from the copy beside the study's report. DVC
runs again whatever differs from it, so that a mended lock never passes off a result as another.
"""

import json
import re
from pathlib import Path

import psutil
from dvc.rwlock import SCHEMA as RWLOCK
from dvc.schema import COMPILED_LOCKFILE_SCHEMA as LOCKFILE
from dvc.utils.serialize import YAMLFileCorruptedError, dump_yaml, parse_yaml
from voluptuous import Invalid

from hidden_structure.frame import params, paths
from hidden_structure.frame.artifacts import write_atomically
from hidden_structure.frame.errors import InputError, one_line_errors

LOCK, RUNNING = Path("dvc.lock"), Path(".dvc/tmp/rwlock")


@one_line_errors
def main() -> None:
    kept = paths.report(params.load().study)
    stages = mended(LOCK, kept / "dvc.lock", same_params(kept)) if LOCK.is_file() else None
    broken = [file for file, whole in {RUNNING: is_whole(RUNNING), LOCK: stages is None}.items() if not whole]
    if broken and (process := dvc_here()):  # which may just be writing them
        raise InputError(f"{broken[0]} is broken, and DVC runs here (process {process}): wait for it, or end it")
    if RUNNING in broken:
        RUNNING.unlink()
        print(f"{RUNNING} was broken, by a kill or a full disk: removed")
    if stages is not None:
        write_atomically(LOCK, lambda temporary: dump_yaml(temporary, {"schema": "2.0", "stages": stages}))
        print(f"{LOCK} was broken, by a kill or a full disk: {len(stages)} stages are known again, the others run")


def is_whole(file: Path) -> bool:
    """Whether DVC would take it for its list of what is being read and written, or has none."""
    try:
        RWLOCK(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return True
    except (ValueError, Invalid):
        return False
    return True


def dvc_here() -> int | None:
    """The number of a process of DVC that works in this folder; while a stage runs DVC itself holds no lock."""
    for process in psutil.process_iter():
        try:
            command, folder = process.cmdline(), process.cwd()
        except psutil.Error:  # it has ended, or is another user's
            continue
        if "dvc" in [Path(argument).name for argument in command[:3]] and Path(folder) == Path.cwd():
            return process.pid
    return None


def same_params(kept: Path) -> bool:
    return (kept / "params.yaml").is_file() and (kept / "params.yaml").read_bytes() == Path("params.yaml").read_bytes()


def mended(lock: Path, kept: Path, unchanged: bool) -> dict | None:
    """All stages of a lock that was cut, those that are missing as in the kept one; None where nothing is wrong.

    A cut lock may be valid; that it is one shows by stages that the kept lock has, if params are unchanged.
    """
    text = lock.read_text(encoding="utf-8", errors="replace")
    stages, known = stages_of(text), (stages_of(kept.read_text(encoding="utf-8")) if kept.is_file() else None) or {}
    if stages is not None and not (unchanged and known.keys() - stages.keys()):
        return None
    # The last stage may be cut itself. Where stages begin is seen even if the text is no valid YAML any more.
    *whole, _ = re.split(r"^(?=  \S.*:$)", text, flags=re.MULTILINE)
    return known | (stages_of("".join(whole)) or {})


def stages_of(text: str) -> dict | None:
    """The stages of a lock; None if DVC would not take it for one."""
    try:
        return LOCKFILE(parse_yaml(text, LOCK)).get("stages", {})
    except (YAMLFileCorruptedError, Invalid):
        return None


if __name__ == "__main__":
    main()
