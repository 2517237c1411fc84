import runpy

import tiny

TOOL = runpy.run_path(str(tiny.ROOT / "tools/verify.py"))


def test_changes_of_code_are_told_from_all_others():
    status = {
        "train@fine": [
            {"changed deps": {"src/hidden_structure/batches.py": "modified", "params.yaml": {"train.lr": "modified"}}},
            {"changed outs": {"artifacts/models/fine": "deleted"}},
        ],
        "report": [
            {"changed outs": {"reports/digits/claims.json": "modified", "reports/digits/report.html": "deleted"}},
            "changed command",
        ],
    }
    code, other = TOOL["sort_changes"](status)
    assert code == {"train@fine": ["src/hidden_structure/batches.py"], "report": ["dvc.yaml"]}
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
