"""Networks: shapes, depths, initialisation and what their users may rely on; what params.yaml must not ask for."""

import itertools
import sys

import pytest
import torch
import torch.fx
from torch import nn

from hidden_structure import seeding
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.networks.layers import convolution, normalisation

SMALL = {"mlp": (2, 12), "resnet": (8, 4), "vgg": (11, 4)}  # name: depth, width
NORMS = {"mlp": ["batch", "layer", "none"], "resnet": ["batch", "layer", "group", "none"]}
NORMS["vgg"] = NORMS["resnet"]
VARIANTS = [(name, norm) for name in SMALL for norm in NORMS[name]]
SHAPES = [(8, 8, 1), (9, 13, 3), (28, 28, 1), (32, 32, 3)]


def describe(name, depth=None, width=None, norm=None, options=None):
    return params.Network(name=name, depth=depth, width=width, norm=norm, options=options or {})


def small(name, norm, shape=(16, 16, 3), classes=5, seed=0):
    with seeding.global_seed("initialisation", seed):
        return build(describe(name, *SMALL[name], norm), shape, classes)


def images_of(shape, count=3):
    height, width, channels = shape
    return torch.randn(count, channels, height, width, generator=seeding.torch_generator("images"))


@pytest.mark.parametrize(("name", "norm"), VARIANTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_give_one_row_of_finite_logits_each(name, norm, shape):
    logits = small(name, norm, shape, classes=7)(images_of(shape))
    assert logits.shape == (3, 7)
    assert logits.isfinite().all()
    assert (logits.std(dim=0) > 0).all(), "the logits do not depend on the image"


@pytest.mark.parametrize(("name", "norm"), VARIANTS)
def test_symbolic_trace_computes_the_same(name, norm):
    network = small(name, norm).eval()
    images = images_of((16, 16, 3))
    torch.testing.assert_close(torch.fx.symbolic_trace(network)(images), network(images))


@pytest.mark.parametrize(("name", "norm"), VARIANTS)
def test_bfloat16_in_channels_last_computes_nearly_the_same(name, norm):
    network = small(name, norm).eval()
    images = images_of((16, 16, 3))
    expected = network(images)
    network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images.to(memory_format=torch.channels_last))
    logits.float().sum().backward()
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.1 * expected.abs().max().item())
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize(("name", "norm"), VARIANTS)
def test_the_seed_decides_the_weights(name, norm):
    first, again, other = (small(name, norm, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    weights = [key for key in first if first[key].dim() > 1]
    assert weights
    assert not any(torch.equal(first[key], other[key]) for key in weights)


@pytest.mark.parametrize(("name", "norm"), VARIANTS)
def test_no_relu_is_shared_or_in_place(name, norm):
    network = small(name, norm)
    called = []
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    for relu in relus:
        relu.register_forward_hook(lambda module, inputs, output: called.append(module))
    network(images_of((16, 16, 3)))
    assert not any(relu.inplace for relu in relus)
    assert len(called) == len(set(called)) == len(relus)


@pytest.mark.parametrize("depth", [8, 20, 32, 110])
def test_resnet_depth_counts_the_layers_outside_the_shortcuts(depth):
    network = build(describe("resnet", depth, 2, "batch"), (8, 8, 3), 10)
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len([name for name in layers if "shortcut" not in name]) == depth
    assert len([name for name in layers if "shortcut" in name]) == 2


def test_resnet20_has_the_parameters_counted_by_hand():
    def convolution_and_norm(inputs, outputs, size=3):
        return inputs * outputs * size**2 + 2 * outputs

    counted = convolution_and_norm(3, 16) + 6 * convolution_and_norm(16, 16)
    for inputs, outputs in [(16, 32), (32, 64)]:
        counted += convolution_and_norm(inputs, outputs) + 5 * convolution_and_norm(outputs, outputs)
        counted += convolution_and_norm(inputs, outputs, size=1)
    counted += 64 * 10 + 10
    network = build(describe("resnet", 20, 16, "batch"), (32, 32, 3), 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == counted == 272_474


def test_a_deep_resnet_without_norm_keeps_its_scale():
    with seeding.global_seed("initialisation", 0):
        network = build(describe("resnet", 110, 8, "none"), (16, 16, 3), 10)
    with torch.no_grad():
        assert 1e-3 < network(images_of((16, 16, 3), 16)).std() < 10


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg_has_the_convolutions_of_its_name_and_at_most_five_poolings(depth):
    for size, poolings in [(1, 0), (8, 3), (28, 4), (32, 5), (64, 5)]:
        network = build(describe("vgg", depth, 2, "batch"), (size, 2 * size, 3), 10)
        modules = list(network.modules())
        assert sum(isinstance(module, nn.Conv2d) for module in modules) == depth - 3  # the paper has 3 linear layers
        assert sum(isinstance(module, nn.MaxPool2d) for module in modules) == poolings
        assert network.head.in_features == 16


def test_convolutions_start_with_the_variance_of_he():
    weight = convolution(32, 64, 3, 1, "batch").weight
    assert weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_every_permutation_of_channels_commutes_with_the_norm(norm):
    images, permutation = images_of((4, 4, 12)), torch.randperm(12, generator=seeding.torch_generator("permutation"))
    layer = normalisation(norm, 12)
    torch.testing.assert_close(layer(images[:, permutation]), layer(images)[:, permutation])


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (12, 6), (7, 7), (11, 1), (4, 4)])
def test_group_norm_takes_as_many_groups_up_to_eight_as_divide_the_channels(channels, groups):
    assert normalisation("group", channels).num_groups == groups


@pytest.mark.parametrize(
    ("network", "key"),
    [
        *[
            (
                describe(
                    name, **(dict(zip(("depth", "width", "norm"), (*SMALL[name], "batch"), strict=True)) | {key: None})
                ),
                key,
            )
            for name, key in itertools.product(SMALL, ("depth", "width", "norm"))
        ],
        (describe("mlp", 2, 8, "group"), "norm"),
        *[(describe("resnet", depth, 4, "batch"), "depth") for depth in (2, 7, 9, 18)],
        *[(describe("vgg", depth, 4, "batch"), "depth") for depth in (8, 12, 20)],
        (describe("torchvision:resnet18", depth=18), "depth"),
        (describe("torchvision:resnet18", width=16), "width"),
        (describe("torchvision:resnet18", norm="batch"), "norm"),
    ],
    ids=str,
)
def test_an_impossible_shape_is_an_error_that_names_its_key(network, key):
    with pytest.raises(InputError, match=rf"^network\.{key}: "):
        build(network, (16, 16, 3), 5)


@pytest.mark.parametrize("shape", [(32, 32, 1), (40, 36, 3)])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "googlenet"])
def test_torchvision_models_take_grey_and_colour_images(name, shape):
    network = build(describe(f"torchvision:{name}"), shape, 7)
    assert network.training
    assert network(images_of(shape)).shape == (3, 7)


def test_vision_transformers_are_built_for_the_size_of_the_images():
    assert build(describe("torchvision:vit_b_32"), (64, 64, 1), 7)(images_of((64, 64, 1), 1)).shape == (1, 7)


def test_torchvision_traces_with_grey_images():
    network = build(describe("torchvision:shufflenet_v2_x0_5"), (32, 32, 1), 7).eval()
    images = images_of((32, 32, 1))
    torch.testing.assert_close(torch.fx.symbolic_trace(network)(images), network(images))


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("resnet19", (32, 32, 3), "did you mean resnet1"),
        ("raft_large", (32, 32, 3), "no classification model"),  # torchvision has it, for optical flow
        ("zzz", (32, 32, 3), "no classification model"),
        ("squeezenet1_1", (32, 32, 3), "linear layer"),
        ("inception_v3", (32, 32, 3), "cannot take 32 x 32 images"),
        ("vit_b_32", (30, 30, 3), "cannot take 30 x 30 images"),
        ("resnet18", (32, 32, 4), "have 4"),
    ],
)
def test_an_unfit_torchvision_model_is_a_one_line_error(name, shape, says):
    with pytest.raises(InputError, match=rf"^network\.name: .*{says}") as caught:
        build(describe(f"torchvision:{name}"), shape, 5)
    assert "\n" not in str(caught.value)


def test_timms_models_take_grey_and_colour_images_of_any_size_and_options():
    pytest.importorskip("timm")
    for shape in ((32, 32, 1), (40, 36, 3)):
        assert build(describe("timm:resnet18"), shape, 7)(images_of(shape)).shape == (3, 7)
    options = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    vit = build(describe("timm:vit_tiny_patch16_224", options=options), (16, 16, 3), 7)
    assert vit.pos_embed.shape == (1, 17, 24)
    assert vit(images_of((16, 16, 3))).shape == (3, 7)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("resnet19", {}, "did you mean resnet1"),
        ("resnet18", {"pretrained": True}, "gets pretrained from the study: leave it out"),
        ("resnet18", {"heights": 3}, "cannot take 32 x 32 images or network.options"),
        ("squeezenet", {}, "timm has no model"),
    ],
)
def test_an_unfit_timm_model_is_a_one_line_error(name, options, says):
    pytest.importorskip("timm")
    with pytest.raises(InputError, match=rf"^network\.\w+: .*{says}") as caught:
        build(describe(f"timm:{name}", options=options), (32, 32, 3), 5)
    assert "\n" not in str(caught.value)


def test_timm_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"timm:resnet18 needs timm: pip install 'hidden-structure\[timm\]'"):
        build(describe("timm:resnet18"), (32, 32, 3), 5)
