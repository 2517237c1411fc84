import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import tiny
from ruamel.yaml import YAML

from hidden_structure.frame.artifacts import write_json
from hidden_structure.frame.errors import InputError
from hidden_structure.report.recovery import claims

TOOL = runpy.run_path(str(tiny.ROOT / "tools/verify.py"))


def test_changes_of_code_are_told_from_all_others():
    status = {
        "train@fine": [
            {
                "changed deps": {
                    "src/hidden_structure/training/batches.py": "modified",
                    "params.yaml": {"train.lr": "modified"},
                }
            },
            {"changed outs": {"artifacts/models/fine": "deleted"}},
        ],
        "report": [
            {"changed outs": {"reports/digits/claims.json": "modified", "reports/digits/report.html": "deleted"}},
            "changed command",
        ],
    }
    assert len(TOOL["sort_changes"](status, ["reports/digits/claims.json"])[1]) == 2
    code, other = TOOL["sort_changes"](status)
    assert code == {"train@fine": ["src/hidden_structure/training/batches.py"], "report": ["dvc.yaml"]}
    assert len(other) == 3
    for words in (("train@fine", "params.yaml", "train.lr"), ("report", "claims.json"), ("report", "report.html")):
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


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """The report of a study, as stages and tools leave it."""
    monkeypatch.chdir(tmp_path)
    results = Path("reports/digits")
    (results / "figures").mkdir(parents=True)
    for name in ("claims.json", "figures/a.png", "figures/b.png"):
        (results / name).write_text(name)
    outs = [{"path": f"{results}/{name}", "md5": TOOL["md5"](results / name)} for name in ("claims.json", "figures")]
    outs += [{"path": "artifacts/models", "md5": "0.dir"}]
    with (results / "dvc.lock").open("w") as file:
        YAML().dump(
            {"schema": "2.0", "stages": {"train": {"cmd": "true"}, "report": {"cmd": "true", "outs": outs}}}, file
        )
    (results / "code-changed-since.json").write_text("{}")
    return results


def altered(results: Path) -> tuple[set[str], set[str]]:
    recorded = TOOL["recorded_results"](results / "dvc.lock")
    changed = {file for file, digest in recorded.items() if TOOL["md5"](Path(file)) != digest}
    return changed, {str(file) for file in TOOL["strays"](results, recorded)}


def test_what_stages_and_tools_made_is_as_recorded(made):
    assert altered(made) == (set(), set())


@pytest.mark.parametrize(
    ("tamper", "changed", "strange"),
    [
        (lambda folder: (folder / "claims.json").write_text("[]"), {"claims.json"}, set()),
        (lambda folder: (folder / "claims.json").unlink(), {"claims.json"}, set()),
        (lambda folder: (folder / "figures/b.png").write_text(""), {"figures"}, set()),
        (lambda folder: (folder / "figures/c.png").write_text(""), {"figures"}, set()),
        (lambda folder: (folder / "old.json").write_text(""), set(), {"old.json"}),
        (lambda folder: write_json(folder / "metrics/.old.json", {}), set(), {"metrics/.old.json"}),
    ],
    ids=["changed", "gone", "changed in a folder", "new in a folder", "stray", "stray in a folder"],
)
def test_every_result_that_is_not_what_the_lock_records_is_named(made, tamper, changed, strange):
    tamper(made)
    assert altered(made) == tuple({f"{made}/{name}" for name in names} for names in (changed, strange))


@pytest.mark.parametrize(
    "content", ["", "stages:\n  report: {outs: [{path: rep", "stages: 3\n", "stages: {a: {outs: [{}]}}"]
)
def test_a_damaged_lock_of_a_report_is_named(made, content):
    (made / "dvc.lock").write_text(content)
    with pytest.raises(InputError, match=r"reports/digits/dvc\.lock is damaged"):
        TOOL["recorded_results"](made / "dvc.lock")


def test_the_readme_must_show_the_claims_and_what_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"source": "P", "published": None, "spread": None, "seeds": [0], "holds": True}
    readme, path = Path("README.md"), Path("reports/digits/claims.json")
    write_json(path, [row | {"id": "collapse.nc1", "claim": "It collapses.", "measured": 0.5}])

    def found() -> list[str]:
        return TOOL["compare_readme"](readme, [path])

    assert found() == []
    document = "[report](reports/digits/claims.json)\n<!-- claims: digits -->\n<!-- end of claims -->\n"
    readme.write_text("no markers")
    assert "make readme" in found()[0]
    readme.write_text(document)
    assert "make readme" in found()[0]
    readme.write_text(claims.insert(document, "digits", TOOL["read_json"](path)))
    assert found() == []
    for other in ([], [{}], 3):
        write_json(path, other)
        assert "make readme" in found()[0]
    path.unlink()
    assert found() == [f"README.md names {path}, which is missing"]


def test_make_readme_shows_what_the_readme_has_markers_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("<!-- claims: digits -->\n<!-- end of claims -->\n")
    for study in ("digits", "mine"):
        write_json(Path(f"reports/{study}/claims.json"), [])
    assert TOOL["compare_readme"](Path("README.md"), [Path("reports/digits/claims.json")]) != []
    runpy.run_path(str(tiny.ROOT / "tools/readme.py"), run_name="__main__")
    assert TOOL["compare_readme"](Path("README.md"), [Path("reports/digits/claims.json")]) == []
    assert "mine" not in Path("README.md").read_text()


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """With two studies, of which params.yaml holds one."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    for name in ("one", "two"):
        Path(f"studies/{name}.yaml").write_text(f"study: {name}\n")
        Path(f"reports/{name}").mkdir(parents=True)
        Path(f"reports/{name}/claims.json").write_text("[]\n")
    Path("params.yaml").write_text("study: one\n")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "studies")
    return tmp_path


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@test")
    subprocess.run(["git", *identity, *arguments], check=True)


def test_all_committed_studies_are_checked(repository):
    assert TOOL["sort_studies"]("one") == (["one", "two"], [])
    shutil.rmtree(".git")
    assert TOOL["sort_studies"]("one") == (["one", "two"], [])


@pytest.mark.parametrize("saved", [True, False])
def test_a_study_of_the_users_own_is_named_and_no_failure(repository, saved):
    Path("params.yaml").write_text("study: mine\n")
    Path("reports/mine").mkdir()
    if saved:
        shutil.copyfile("params.yaml", "studies/mine.yaml")
    assert TOOL["sort_studies"]("mine") == (["one", "two"], ["mine"])
    assert TOOL["default_failures"]("mine", None) == []


def test_edits_of_a_committed_study_are_the_users_own_until_they_are_committed(repository):
    Path("params.yaml").write_text("study: one\nseeds: [3]\n")
    assert TOOL["sort_studies"]("one") == (["one", "two"], ["one"])
    assert TOOL["default_failures"]("one", None) == []
    git("commit", "--quiet", "--all", "--message", "edits")
    assert "is not studies/one.yaml" in TOOL["default_failures"]("one", None)[0]
