import json
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import tiny
from ruamel.yaml import YAML

from hidden_structure.frame import tables
from hidden_structure.frame.errors import InputError
from hidden_structure.report import headlines

TOOL = runpy.run_path(str(tiny.ROOT / "tools/verify.py"))


def test_changes_of_code_are_told_from_all_others():
    status = {
        "train@fine": [
            {
                "changed deps": {
                    "src/hidden_structure/training": "modified",
                    "params.yaml": {"train.lr": "modified"},
                }
            },
            {"changed outs": {"artifacts/models/fine": "deleted"}},
        ],
        "make-tables": ["changed command", {"changed outs": {"artifacts/tables": "modified"}}],
        "report": [{"changed deps": {"src/hidden_structure/report": "modified"}}],
    }
    code, other = TOOL["sort_changes"](status)
    assert code == {"train@fine": ["src/hidden_structure/training"], "make-tables": ["dvc.yaml"]}
    assert len(other) == 2
    for words in (("train@fine", "params.yaml", "train.lr"), ("make-tables", "artifacts/tables")):
        assert any(all(word in line for word in words) for line in other)


def test_a_list_of_changed_code_must_be_up_to_date(tmp_path):
    path, code = tmp_path / "code-changed-since.json", {"train@fine": ["src/a.py"]}
    assert TOOL["compare"]("large", path, {}, write=False) == []
    assert "make provenance" in TOOL["compare"]("large", path, code, write=False)[0]
    assert TOOL["compare"]("large", path, code, write=True) == []
    assert TOOL["compare"]("large", path, code, write=False) == []
    assert TOOL["compare"]("large", path, {}, write=False) != []


def test_hashes_are_those_of_dvc(tmp_path):
    (tmp_path / "sub").mkdir()
    for name, content in {"b.txt": b"a\r\nb", "sub/a.json": b"x", "\u00e9.txt": "\u00e9".encode()}.items():
        (tmp_path / name).write_bytes(content)
    assert TOOL["md5"](tmp_path / "b.txt") == "65d5f03c46e62e3f2babbe712d2ce464"
    assert TOOL["md5"](tmp_path) == "8dd94a644f90e4195098db2b748842cc.dir"
    assert TOOL["md5"](tmp_path / "missing") is None


def test_the_hash_of_the_tables_is_that_which_the_lock_records(tmp_path):
    lock = tmp_path / "dvc.lock"
    outs = [{"path": "artifacts/tables", "md5": "1.dir"}]
    with lock.open("w") as file:
        YAML().dump({"schema": "2.0", "stages": {"make-tables": {"cmd": "true", "outs": outs}}}, file)
    assert TOOL["table_hash"](lock) == "1.dir"


@pytest.mark.parametrize("content", ["", "stages:\n  make-tables: {outs: [{pa", "stages: 3\n", "stages: {a: {}}"])
def test_a_damaged_lock_of_a_report_is_named(tmp_path, content):
    (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(InputError, match=r"dvc\.lock is damaged"):
        TOOL["table_hash"](tmp_path / "dvc.lock")


ROW = {"id": "collapse.fine.nc1", "claim": "It collapses.", "criterion": "NC1: at most 1", "published": None}
ROW |= {"measured": 0.5, "standard_error": 0.01, "interval": [0.4, 0.6], "n": 3, "verdict": "supported", "holm": "yes"}


@pytest.mark.parametrize(
    ("change", "agree"),
    [
        ({}, True),
        ({"measured": 0.5000001}, True),  # another processor's last digit
        ({"measured": 0.51}, False),
        ({"interval": [0.4, 0.7]}, False),
        ({"verdict": "undecided"}, False),
        ({"measured": None}, False),
    ],
)
def test_claims_agree_up_to_rounding(change, agree):
    assert TOOL["claims_agree"]([ROW], [ROW | change]) == agree
    assert not TOOL["claims_agree"]([ROW], [])


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """With a study whose results git keeps, and one of the user's own."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    monkeypatch.chdir(tmp_path)
    tables.write(Path("reports/digits/claims.csv"), [ROW])
    Path("reports/digits/params.yaml").write_text("study: digits\n")
    Path("README.md").write_text(f"[claims](reports/digits/claims.csv)\n{headlines.BEGIN}{headlines.END}\n")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "studies")
    Path("reports/mine").mkdir()
    Path("reports/mine/params.yaml").write_text("study: mine\n")
    return tmp_path


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@test")
    subprocess.run(["git", *identity, *arguments], check=True)


def test_studies_that_git_keeps_are_checked_and_a_users_own_are_not(repository):
    assert TOOL["kept_studies"]() == ["digits"]
    shutil.rmtree(".git")
    assert TOOL["kept_studies"]() == ["digits", "mine"]


def test_the_readme_must_show_the_committed_claims_and_what_it_names(repository):
    assert "make readme" in TOOL["check_readme"]()[0]
    runpy.run_path(str(tiny.ROOT / "tools/readme.py"), run_name="__main__")
    assert TOOL["check_readme"]() == []
    assert "digits: **supported**, 0.5 ± 0.01 (n = 3)" in Path("README.md").read_text()
    tables.write(Path("reports/digits/claims.csv"), [ROW | {"measured": 0.6}])
    assert TOOL["check_readme"]() == [], "a study that was made again is compared with nothing"
    Path("reports/digits/claims.csv").unlink()
    assert TOOL["check_readme"]() == ["README.md names reports/digits/claims.csv, which is missing"]
    Path("README.md").write_text("no marks")
    with pytest.raises(InputError, match="lacks the lines"):
        TOOL["check_readme"]()


def test_the_committed_lists_of_changed_code_are_objects():
    files = list((tiny.ROOT / "reports").glob("*/code-changed-since.json"))
    assert files
    for file in files:
        assert isinstance(json.loads(file.read_text()), dict)


def test_what_is_asked_by_two_criteria_stands_on_two_lines():
    row = {"id": "connectivity.matched.weights", "claim": "It does.", "published": None, "measured": 0.5, "n": 3}
    row |= {"standard_error": 0.01, "verdict": "supported", "holm": "yes"}
    merged, repaired = (row | {"criterion": f"barrier, {how}: at most 1 (ours)"} for how in ("merged", "with REPAIR"))
    lines = headlines.table({"digits": [merged], "cifar10": [repaired]}).splitlines()[2:]
    asked = [line.split("<sub>")[1].split("</sub>")[0] for line in lines]
    assert asked == ["barrier, merged: at most 1 (ours)", "barrier, with REPAIR: at most 1 (ours)"]


def test_bounds_say_whose_they_are_and_verdicts_whether_they_stand():
    row = ROW | {"criterion": "NC1: at most 1 (ours: a bound)"}
    for holm, mark in (("yes", ""), ("no", r"\*"), ("", "†"), (None, "†")):
        (line,) = headlines.table({"digits": [row | {"holm": holm}]}).splitlines()[2:]
        assert f"**supported**{mark}, 0.5" in line
        assert "NC1: at most 1 (ours)</sub>" in line
    (line,) = headlines.table({"digits": [row | {"criterion": "NC1: at most 1 (Papyan's)"}]}).splitlines()[2:]
    assert "NC1: at most 1 (Papyan's)</sub>" in line


def test_the_headlines_are_what_a_study_decides_and_name_those_that_cannot_say():
    row = ROW | {"criterion": "NC1: at most 1"}
    undecided, nothing = row | {"verdict": "undecided", "n": 1}, row | {"verdict": "not assessable", "measured": None}
    (last,) = headlines.table({"digits": [undecided], "cifar10": [nothing]}).splitlines()[2:]
    assert last == f"| {headlines.UNDECIDED} | {ROW['claim']} <sub>digits, 0.5 ± 0.01 (n = 1)</sub> |"
    found = headlines.table({"digits": [row], "cifar10": [nothing], "cifar10-mlp": [undecided]}).splitlines()[2]
    for words in ("digits: **supported**, 0.5", "cifar10-mlp: **undecided**, 0.5", "<br>not assessable: cifar10 |"):
        assert words in found
