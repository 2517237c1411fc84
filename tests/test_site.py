"""The site of documents and docstrings: it builds without a broken reference, and what it refers to is there."""

import importlib.util
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
import tiny
from setuptools.dist import Distribution

MISSING = ", ".join(name for name in ("sphinx", "myst_parser") if find_spec(name) is None)
PAGES = tiny.ROOT / "docs"


@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not installed: pip install 'hidden-structure[docs]'")
def test_the_site_builds_without_a_broken_reference(tmp_path):
    source = tmp_path / "docs"  # pages of the API are written beside the others
    source.mkdir()
    for page in (*PAGES.glob("*.md"), PAGES / "conf.py"):
        (source / page.name).write_bytes(page.read_bytes())
    options = ("--quiet", "--fresh-env", "--fail-on-warning", "--keep-going")
    command = [sys.executable, "-m", "sphinx", *options, str(source), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tiny.ROOT, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/_api/hidden_structure.permutation.weight_matching.html").read_text(encoding="utf-8")
    assert 'href="hidden_structure.permutation.group.html#hidden_structure.permutation.group.Symmetry"' in page
    for name in ("compare", "recover", "distil", "library"):
        assert (tmp_path / f"site/{name}.html").stat().st_size > 0


@pytest.fixture(scope="module")
def conf() -> ModuleType:
    """Which needs no Sphinx itself."""
    specification = importlib.util.spec_from_file_location("conf", PAGES / "conf.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def written(conf: ModuleType, name: str, *lines: str) -> list[str]:
    """What becomes of the docstring of something of the library."""
    module, _, within = name.partition(":")
    of = import_module(module)
    found = list(lines)
    conf._prose(None, "function", name, getattr(of, within) if within else of, None, found)
    return found


PLANTED = "hidden_structure.permutation.planted"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("as `draw` does", "as :py:obj:`draw <hidden_structure.permutation.permuting.draw>` does"),
        ("of `Reader.read`", "of :py:obj:`Reader.read <hidden_structure.permutation.activation_matching.Reader.read>`"),
        ("of `_alike` alone", "of ``_alike`` alone"),
        ("in `equivariance.py`, or `np.ndarray`", "in ``equivariance.py``, or ``np.ndarray``"),
        ("a `x` and a ``y``", "a ``x`` and a ``y``"),
        ("W_A |x|^2, x_ and *all*", r"W_A \|x\|^2, x\_ and \*all\*"),
        ("`W_A |x|`", "``W_A |x|``"),
    ],
)
def test_prose_refers_to_what_it_names_and_has_no_marks(conf, line, expected):
    assert written(conf, PLANTED, line) == [expected]
    assert written(conf, f"{PLANTED}:plant", line) == [expected]


def test_a_name_may_be_one_of_the_class_that_it_is_written_in(conf):
    home = "hidden_structure.permutation.weight_matching"
    assert written(conf, f"{home}:Ascent", "by `climb`") == [f"by :py:obj:`climb <{home}.Ascent.climb>`"]


def test_code_may_go_on_in_the_next_line(conf):
    assert written(conf, PLANTED, "a `very", "long` name_") == ["a ``very", r"long`` name\_"]


def test_a_wheel_tells_type_checkers_that_it_is_typed(monkeypatch):
    monkeypatch.chdir(tiny.ROOT)
    distribution = Distribution()
    distribution.parse_config_files(["pyproject.toml"])
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    build.manifest_files = {}  # of a source distribution, which would be written first
    files = build.find_data_files("hidden_structure", "src/hidden_structure")
    assert {"src/hidden_structure/py.typed", "src/hidden_structure/frame/defaults.yaml"} <= set(files)
