import sys

import pytest

from hidden_structure.frame import progress


@pytest.mark.parametrize("terminal", [True, False])
def test_every_item_passes_in_order_whatever_is_shown(monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert list(progress.track(range(5), "work")) == [0, 1, 2, 3, 4]
    assert list(progress.track(iter("ab"), "work", total=2)) == ["a", "b"]
    assert list(progress.track([], "work")) == []


def test_off_a_terminal_long_work_prints_plain_lines_and_short_work_none(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    list(progress.track(range(3), "short"))
    assert capsys.readouterr().err == ""
    seconds = iter([0.0, 10.0, 20.0, 41.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    list(progress.track(range(3), "long"))
    assert capsys.readouterr().err.splitlines() == ["long: 2/3 after 20 s", "long: 3/3 after 41 s"]
