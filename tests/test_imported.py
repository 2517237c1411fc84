"""Networks by import path: the user's own, without an edit of the library."""

import sys

import pytest
import torch

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.params import Network
from hidden_structure.networks.build import build

SHAPE = (8, 6, 3)
GOOD = """
import torch
from torch import nn

def build(image_shape, classes, width=5, layers=1):
    height, wide, channels = image_shape
    hidden = [nn.Linear(height * wide * channels, width), nn.ReLU()]
    hidden += [nn.Linear(width, width) for _ in range(layers - 1)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, classes))

class Network(nn.Module):
    def __init__(self, image_shape, classes):
        super().__init__()
        self.head = nn.Linear(3, classes)
    def forward(self, images):
        return self.head(images.mean((2, 3)))

def list_of(image_shape, classes):
    return [1]

def wrong_outputs(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(144, classes + 1))

def headless(image_shape, classes):
    return nn.Sequential(nn.Conv2d(3, classes, (6, 8)), nn.Flatten())

def other_images(image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))

def ends(image_shape, classes):
    raise SystemExit

class Ending(Network):
    def forward(self, images):
        raise SystemExit(2)

class Named(Network):
    def __init__(self, num_classes, in_chans):
        super().__init__((1, 1, in_chans), num_classes + 0)

number = 3
"""


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(GOOD)
    (tmp_path / "broken_nets.py").write_text("raise ValueError('two\\nlines')")
    (tmp_path / "program.py").write_text("import argparse\nargparse.ArgumentParser().parse_args(['--own'])")
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("my_nets", "broken_nets", "program"):
        sys.modules.pop(name, None)


def network(name: str, **keys) -> Network:
    return Network(**{"name": name, "depth": None, "width": None, "norm": None} | keys)


def test_it_is_built_for_the_images_the_classes_and_the_options():
    before = list(sys.path)
    for options, width in (({}, 5), ({"width": 9, "layers": 2}, 9)):
        made = build(network("my_nets:build", options=options), SHAPE, 4)
        assert made(torch.zeros(2, 3, 8, 6)).shape == (2, 4)
        assert made[1].out_features == width
    assert build(network("my_nets:Network"), SHAPE, 4)(torch.zeros(1, 3, 8, 6)).shape == (1, 4)
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("nowhere.at_all:build", {}, "there is no module nowhere: put it into the repository's root"),
        ("my_nets:nothing", {}, "my_nets has no such name"),
        ("my_nets.py:Network", {}, "network.name: my_nets.py:Network is of a file: write my_nets:Network"),
        ("my_nets:number", {}, "number is int, not a function"),
        ("broken_nets:build", {}, "importing broken_nets fails: ValueError: two lines"),
        ("program:build", {}, 'importing program ends the program: guard what it runs by `if __name__ == "__main__":`'),
        ("my_nets:ends", {}, r"fails when called with .*\): SystemExit"),
        ("my_nets:Named", {}, r"TypeError: .*: if it takes other arguments than .*, give all of them by network"),
        ("my_nets:Ending", {}, r"cannot take 8 x 6 images: SystemExit: 2"),
        ("my_nets:list_of", {}, "gives list: it must return a torch.nn.Module"),
        ("my_nets:build", {"options": {"height": 3}}, r"fails when called with .*height=3\): TypeError"),
        ("my_nets:wrong_outputs", {}, r"gives outputs \(2, 5\) for 2 images: it must give 4 numbers"),
        ("my_nets:headless", {}, "has no linear layer"),
        ("my_nets:other_images", {}, "cannot take 8 x 6 images: RuntimeError"),
        ("my_nets:build", {"width": 3}, "network.width: my_nets:build fixes it, so write null"),
        ("mlp", {"options": {"a": 1}, "depth": 1, "width": 2, "norm": "none"}, "network.options: mlp takes none"),
        ("torchvision:resnet18", {"options": {"a": 1}}, "network.options: torchvision:resnet18 takes none"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(name, keys, said):
    with pytest.raises(InputError, match=said) as caught:
        build(network(name, **keys), SHAPE, 4)
    assert "network." in str(caught.value)


@pytest.mark.parametrize("options", [{"a": float("nan")}, {"a": {1, 2}}, {"a": "x" * 20_000}, {1: 2}, {"": 1}])
def test_options_are_plain_values_of_bounded_size(options):
    with pytest.raises(ValueError, match="options"):
        network("my_nets:build", options=options)


@pytest.mark.parametrize("name", ["a:b:c", ":build", "a.b", "a b:c", "os:system()", "1a:b", "a/b:c"])
def test_a_name_is_a_path_of_names(name):
    with pytest.raises(ValueError, match="name"):
        network(name)
