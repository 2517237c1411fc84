"""Scripts answer `--help` without running."""

import pytest
import tiny

SCRIPTS = sorted(path.name for path in (tiny.ROOT / "stages").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_does_and_does_nothing(tmp_path, script, capsys):
    done = tiny.in_process(tmp_path, script, "--help")
    assert done.returncode == 0
    assert f"usage: {script}" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_argument_that_means_nothing_is_refused(tmp_path, script):
    assert tiny.in_process(tmp_path, script, "--no-such-option").returncode == 2
    assert not list(tmp_path.iterdir())
