"""What the documents tell to type runs, on small networks in the place of the reader's."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from tiny import ROOT

from hidden_structure.cli import main as command
from hidden_structure.frame import params, studies
from hidden_structure.networks.build import initialise
from hidden_structure.seeding import torch_generator

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "reports/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
NETWORK = params.Network(name="resnet", depth=8, width=8, norm="batch", options={})


def blocks(kind: str) -> list[tuple[str, str]]:
    """(document, text) of every block of that language."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
    return [(name, text) for name in DOCUMENTS for text in re.findall(rf"```{kind}\n(.*?)```", texts[name], re.DOTALL)]


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch_generator("documentation", *shape))


SHORT = {
    "study": "short",
    "hardware": {"device": "cpu", "precision": "float32"},
    "tasks": {"workers": 1},
    "data": {"source": "folder", "folder": "none"},
    "network": {"name": "mlp", "depth": 1, "width": 8, "norm": "none"},
    "train": {"epochs": 1, "batch_size": 8, "crop": 0, "flip": False, "snapshots": 2},
    "distill": {"teacher": "own", "methods": ["kd"], "seeds": [0], "teachers": [0], "temperatures": [1.0]},
}


@pytest.fixture
def readers(tmp_path) -> dict:
    """What the documents take as given."""
    a, b = (initialise(NETWORK, (8, 8, 3), 4, seed).eval() for seed in (0, 1))
    pixels = (draw(40, 8, 8, 3) * 40 + 128).clip(0, 255).to(torch.uint8).numpy()
    labels = torch.arange(40) % 4
    few = labels % 2
    return {
        **{"network": a, "network_a": a, "network_b": b, "a": a.state_dict(), "b": b.state_dict()},
        **{"networks": [a, b, initialise(NETWORK, (8, 8, 3), 4, 2).eval()]},
        **{"pixels": pixels, "mean": np.full(3, 0.5, np.float32), "std": np.full(3, 0.25, np.float32)},
        **{"images": draw(2, 3, 8, 8), "labels": labels, "inputs": draw(40, 6), "student": torch.nn.Linear(6, 10)},
        **{"features": draw(40, 12) + 2 * torch.nn.functional.one_hot(labels, 12), "bias": draw(4)},
        **{"test_features": draw(20, 12), "test_labels": torch.arange(20) % 4},
        **{"embeddings": draw(40, 12), "weight": draw(4, 12), "logits": draw(40, 2), "few": few},
        **{"short": SHORT, "folder": tmp_path},
    }


@pytest.mark.parametrize(("document", "code"), blocks("python"), ids=lambda value: value[:40].split("\n")[0])
def test_every_snippet_runs(document, code, readers, capsys):
    names = dict(readers)
    if "import lelp" in code:  # a teacher of two classes
        names |= {"labels": readers["few"], "weight": readers["weight"][:2]}
    if "recover" in code:
        names |= {"images": draw(40, 3, 8, 8), "fine": readers["labels"].numpy(), "coarse": readers["few"].numpy()}
    if "distillation.comparison" in code:  # which takes arrays
        arrays = ("features", "labels", "test_features", "test_labels")
        names |= {name: readers[name].numpy() for name in arrays}
    before = readers["network_b"](readers["images"])
    exec(compile(code.replace("classes=10", "classes=4"), document, "exec"), names)
    if "match_weights" in code:
        torch.testing.assert_close(readers["network_b"](readers["images"]), before, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("document", "text"), blocks("yaml"), ids=lambda value: value[:40].split("\n")[0])
def test_every_key_of_a_snippet_is_one_of_params(document, text):
    content = YAML(typ="safe", pure=True).load(text)
    if "study" in content:  # a whole one
        params.Study.model_validate(studies.complete(content))
        assert content.get("preset", "cifar10-fast") in studies.presets()
        return
    for name, value in content.items():
        keys = set(params.Study.model_fields[name].annotation.__args__[0].model_fields) if name in PARTS else None
        keys = keys or set(params.Study.model_fields[name].annotation.model_fields)
        assert set(value or {}) <= keys, f"{document}: {name}"


PARTS = [name for name, field in params.Study.model_fields.items() if hasattr(field.annotation, "__args__")]


@pytest.mark.parametrize(("document", "text"), blocks("sh"), ids=lambda value: value[:40].split("\n")[0])
def test_every_command_exists(document, text):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in text.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        if program == "make":
            assert arguments[0] in targets, line
        elif program == "hidden-structure":
            command._parser().parse_args(arguments)
        else:
            assert program in ("dvc", "git", "python", "pip", "torchrun"), line
        for path in (argument for argument in arguments if argument.endswith(".py")):
            assert (ROOT / path).is_file(), line


def test_every_link_leads_somewhere():
    for name in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#\s]+)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8")):
            assert ((ROOT / name).parent / target).exists(), (name, target)


def test_the_readme_is_a_page_that_one_reads():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 200
    assert Path(ROOT / "CITATION.cff").is_file()


def test_the_stages_are_drawn_as_dvc_knows_them():
    def edges(graph: str) -> set[tuple[str, str]]:
        names = dict(re.findall(r'(node\d+)\["(.+?)"\]', graph))
        lines = re.findall(r"(node\d+)\S* ?--> ?(.+)", graph)
        return {(names[node], names[other]) for node, others in lines for other in re.findall(r"node\d+", others)}

    dvc = Path(sys.executable).with_name("dvc")
    dag = subprocess.run([dvc, "dag", "--mermaid"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [(_, drawn)] = blocks("mermaid")
    assert edges(dag), "no edges"
    assert edges(drawn) == edges(dag), "draw it again: python tools/graph.py"
