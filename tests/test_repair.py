"""REPAIR: statistics that are exactly those asked for, and nothing else touched."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from hidden_structure import seeding
from hidden_structure.connectivity.line import interpolate
from hidden_structure.connectivity.repair import (
    has_batch_norm,
    recompute_batch_norm,
    repairer,
    rescale,
)
from hidden_structure.connectivity.unit_statistics import unit_statistics
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.training.batches import Images


def network_of(seed, name="mlp", depth=3, width=16, norm="none", shape=(8, 8, 3)):
    with seeding.global_seed("initialisation", seed):
        return build(params.Network(name=name, depth=depth, width=width, norm=norm), shape, 5).double().eval()


def images_of(count, name="images"):
    return torch.randn(count, 3, 8, 8, generator=seeding.torch_generator(name), dtype=torch.float64)


def copy_of(state):
    return {name: tensor.clone() for name, tensor in state.items()}


def middle_of(a, b, alpha=0.5):
    network = network_of(9)
    network.load_state_dict(interpolate(a.state_dict(), b.state_dict(), alpha))
    return network


class Norms(nn.Module):
    """BatchNorm of the images themselves, and behind it another, a dropout and a head."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm2d(3, momentum=0.3, eps=1e-9)
        self.second = nn.BatchNorm2d(3, momentum=None)
        self.dropout = nn.Dropout(0.9)
        self.head = nn.Linear(3, 2)
        self.double()

    def forward(self, images):
        return self.head(self.dropout(self.second(self.first(images))).mean((2, 3)))


def test_one_batch_gives_the_statistics_of_the_layers_inputs():
    network, images = Norms(), images_of(40) * 3 + 1
    recompute_batch_norm(network, [images])
    torch.testing.assert_close(network.first.running_mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(network.first.running_var, images.var((0, 2, 3), correction=1))
    ones = torch.full((3,), 40 * 64 / (40 * 64 - 1), dtype=torch.float64)  # what the first one has normalised
    torch.testing.assert_close(network.second.running_var, ones)


def test_batches_count_by_their_size():
    network, images = Norms(), torch.cat([images_of(30), images_of(4, "few") * 5 + 10, images_of(7, "more") - 3])
    batches = images.split([30, 4, 7])
    recompute_batch_norm(network, batches)
    torch.testing.assert_close(network.first.running_mean, images.mean((0, 2, 3)))
    variances = torch.stack([batch.var((0, 2, 3)) for batch in batches])
    sizes = torch.tensor([30, 4, 7], dtype=torch.float64)
    torch.testing.assert_close(network.first.running_var, sizes @ variances / 41)


def test_what_the_statistics_were_before_does_not_matter():
    networks = [Norms(), Norms()]
    networks[1].first.running_mean.fill_(float("nan"))
    networks[1].second.running_var.fill_(1e6)
    networks[1].load_state_dict(
        {name: t for name, t in networks[0].state_dict().items() if "head" in name}, strict=False
    )
    for network in networks:
        recompute_batch_norm(network, images_of(20).split(6))
    for name, tensor in networks[0].state_dict().items():
        torch.testing.assert_close(tensor, networks[1].state_dict()[name])


def test_only_statistics_change_and_modes_and_momenta_come_back():
    network = Norms().train()
    network.first.eval()  # frozen by its owner
    before = copy_of(network.state_dict())
    modes = [module.training for module in network.modules()]
    dropped = []
    network.dropout.register_forward_hook(lambda module, inputs, output: dropped.append(module.training))
    recompute_batch_norm(network, images_of(20).split(8))
    assert len(dropped) >= 3
    assert not any(dropped)
    assert [module.training for module in network.modules()] == modes
    assert (network.first.momentum, network.second.momentum) == (0.3, None)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    assert changed == {f"{norm}.{kind}" for norm in ("first", "second") for kind in kinds}


def test_an_error_leaves_modes_and_momenta():
    network = Norms().train()

    def batches():
        yield images_of(4)
        raise KeyError("no more")

    with pytest.raises(KeyError):
        recompute_batch_norm(network, batches())
    assert all(module.training for module in network.modules())
    assert (network.first.momentum, network.second.momentum) == (0.3, None)


@pytest.mark.parametrize("batches", [[], [images_of(3), images_of(1)]])
def test_too_few_images_are_refused(batches):
    with pytest.raises(InputError, match="give two or more"):
        recompute_batch_norm(Norms(), batches)


def test_unit_statistics_are_those_of_all_samples_and_positions():
    network, images = network_of(0, "resnet", 8, 4), images_of(23)
    found = unit_statistics(network, images.split(9))
    convolutions = {name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    assert set(found) == convolutions
    with torch.no_grad():
        outputs = network.conv(images)
    torch.testing.assert_close(found["conv"][0], outputs.mean((0, 2, 3)))
    torch.testing.assert_close(found["conv"][1], outputs.std((0, 2, 3), correction=0))


def test_unit_statistics_of_float32_survive_a_large_mean():
    network = network_of(0).float()
    with torch.no_grad():
        network.hidden.linear1.bias += 1000
    mean, std = unit_statistics(network, images_of(5000).float().split(500))["hidden.linear1"]
    outputs = network.double().hidden.linear1(images_of(5000).flatten(1)).detach()
    torch.testing.assert_close(mean, outputs.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(std, outputs.std(0, correction=0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_an_end_keeps_its_function(alpha):
    ends, images = (network_of(0), network_of(1)), images_of(50)
    units = [unit_statistics(end, [images]) for end in ends]
    network = middle_of(*ends, alpha)
    rescale(network, [images], *units, alpha)
    torch.testing.assert_close(network(images), ends[int(alpha)](images))


@pytest.mark.parametrize("shape", [("mlp", 3, 16), ("resnet", 8, 4), ("vgg", 11, 4)])
def test_every_unit_of_the_middle_gets_the_statistics_asked_for(shape):
    ends, images = [network_of(seed, *shape) for seed in (0, 1)], images_of(50)
    units = [unit_statistics(end, [images]) for end in ends]
    network = network_of(2, *shape)
    network.load_state_dict(interpolate(ends[0].state_dict(), ends[1].state_dict(), 0.25))
    before = unit_statistics(network, [images])
    rescale(network, [images], *units, 0.25)
    after = unit_statistics(network, [images])
    assert after.keys() == units[0].keys()
    for name, (mean, std) in after.items():
        torch.testing.assert_close(mean, 0.75 * units[0][name][0] + 0.25 * units[1][name][0])
        torch.testing.assert_close(std, 0.75 * units[0][name][1] + 0.25 * units[1][name][1])
        assert (before[name][1] - std).abs().max() > 1e-3  # there was something to repair


@pytest.mark.parametrize("how", [nn.Identity(), parametrizations.weight_norm], ids=["plain", "weight_norm"])
@pytest.mark.parametrize("groups", [1, 3])
def test_units_of_transposed_convolutions_get_the_statistics_asked_for(groups, how):
    networks = []
    for seed in range(3):
        with seeding.global_seed("initialisation", seed):
            up = nn.ConvTranspose2d(6, 12, 3, stride=2, groups=groups)
            layers = nn.Conv2d(3, 6, 3), nn.ReLU(), how(up), nn.ReLU(), nn.ConvTranspose2d(12, 2, 2, bias=False)
            networks.append(nn.Sequential(*layers, nn.Flatten(), nn.Linear(2 * 14 * 14, 5)).double().eval())
    images = images_of(20)
    units = [unit_statistics(network, [images]) for network in networks[:2]]
    assert units[0].keys() == {"0", "2", "4"}
    rescale(networks[2], [images], *units, 0.25)
    found = unit_statistics(networks[2], [images])
    for name, values in found.items():
        for value, start, end in zip(values, units[0][name], units[1][name], strict=True):
            if name != "4" or value is values[1]:  # without a bias the mean stays
                torch.testing.assert_close(value, torch.lerp(start, end, 0.25))


def test_several_batches_repair_nearly_as_one_does():
    ends, images = (network_of(0), network_of(1)), images_of(600)
    units = [unit_statistics(end, [images]) for end in ends]
    networks = [middle_of(*ends), middle_of(*ends)]
    for network, batches in zip(networks, ([images], images.split([250, 250, 100])), strict=True):
        rescale(network, batches, *units, 0.5)
    torch.testing.assert_close(networks[0](images), networks[1](images), rtol=0, atol=0.02)


def test_layers_without_bias_are_only_rescaled_and_the_head_is_left():
    ends, images = [network_of(seed, norm="layer") for seed in (0, 1)], images_of(50)
    units = [unit_statistics(end, [images]) for end in ends]
    network = network_of(2, norm="layer")
    head = network.head.weight.detach().clone()
    rescale(network, [images], *units, 0.5)
    for name, (_, std) in unit_statistics(network, [images]).items():
        torch.testing.assert_close(std, (units[0][name][1] + units[1][name][1]) / 2)
    assert torch.equal(network.head.weight, head)


def test_a_permuted_copy_is_merged_into_a_network_with_its_statistics():
    """Averaged without matching, the units lose variance; repaired, they have what both ends have, sorted alike."""
    a, images = network_of(0), images_of(50)
    b, order = network_of(0), torch.arange(16).roll(1)
    with torch.no_grad():
        for tensor in (b.hidden.linear1.weight, b.hidden.linear1.bias):
            tensor.copy_(tensor[order])
        b.hidden.linear2.weight.copy_(b.hidden.linear2.weight[:, order])
    torch.testing.assert_close(a(images), b(images))
    units = [unit_statistics(end, [images]) for end in (a, b)]
    network = middle_of(a, b)
    lost = unit_statistics(network, [images])["hidden.linear3"][1]
    rescale(network, [images], *units, 0.5)
    mean, std = unit_statistics(network, [images])["hidden.linear3"]  # behind the permuted layer, hence not permuted
    torch.testing.assert_close(mean, units[0]["hidden.linear3"][0])
    torch.testing.assert_close(std, units[0]["hidden.linear3"][1])
    assert lost.mean() < 0.8 * std.mean()


def test_dead_units_stay_as_they_are():
    ends, images = (network_of(0), network_of(1)), images_of(50)
    for end in ends:
        end.hidden.linear2.weight.data[3] = 0
        end.hidden.linear2.bias.data[3] = 0.7
    ends[0].hidden.linear1.weight.data[5] = 0  # dead in one: half alive between
    units = [unit_statistics(end, [images]) for end in ends]
    network = middle_of(*ends)
    rescale(network, images.split(20), *units, 0.5)
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    assert torch.equal(network.hidden.linear2.weight[3], torch.zeros(16, dtype=torch.float64))
    assert network.hidden.linear2.bias[3] == 0.7


PARAMETRISED = {
    "weight_norm": parametrizations.weight_norm,
    "weight_norm's hook": weight_norm,
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.3),
    "exponential": lambda layer: parametrize.register_parametrization(layer, "weight", Positive()),
    "bias": lambda layer: parametrize.register_parametrization(layer, "bias", Positive()),
}


class Positive(nn.Module):
    def forward(self, stored):
        return stored.exp()

    def right_inverse(self, value):
        return value.abs().log()


class Parametrised(nn.Module):
    """Two layers whose weights are computed from others, and a head; everything in float64."""

    def __init__(self, how, seed):
        super().__init__()
        with seeding.global_seed("initialisation", seed), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the older hooks are deprecated, and in use
            self.first, self.second = nn.Conv2d(3, 6, 3), nn.Linear(6, 7)
            self.head = nn.Linear(7, 5)
            self.double()
            for layer in (self.first, self.second):
                how(layer)

    def forward(self, images):
        return self.head(self.second(self.first(images).relu().mean((2, 3))).relu())


@pytest.mark.parametrize("how", PARAMETRISED.values(), ids=PARAMETRISED)
def test_parametrised_layers_get_the_statistics_asked_for(how):
    a, b, network = (Parametrised(how, seed) for seed in range(3))
    images = images_of(40)
    for part in ("first", "second"):  # above 0, for positive biases
        a.get_submodule(part).bias.data += 5
    units = [unit_statistics(end, [images]) for end in (a, b)]
    if how is PARAMETRISED["bias"]:
        units = [{name: (mean.abs() + 9, std) for name, (mean, std) in found.items()} for found in units]
    rescale(network, [images], *units, 0.25)
    for name, (mean, std) in unit_statistics(network, [images]).items():
        torch.testing.assert_close(mean, 0.75 * units[0][name][0] + 0.25 * units[1][name][0])
        torch.testing.assert_close(std, 0.75 * units[0][name][1] + 0.25 * units[1][name][1])


@pytest.mark.parametrize(
    "how", [spectral_norm, parametrizations.spectral_norm, parametrizations.orthogonal], ids=["hook", "norm", "frame"]
)
def test_a_parametrisation_that_no_rescaled_weight_has_is_refused(how):
    networks, images = [Parametrised(nn.Identity(), seed) for seed in range(3)], images_of(40)
    units = [unit_statistics(end, [images]) for end in networks[:2]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        how(networks[2].second)
    before = copy_of(networks[2].state_dict())
    with pytest.raises(InputError, match=r"^second cannot be rescaled.*remove it from the networks"):
        rescale(networks[2], [images], *units, 0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in networks[2].state_dict().items())


class Tied(nn.Module):
    """A recurrent layer, or two layers with one weight."""

    def __init__(self, twice):
        super().__init__()
        self.first = nn.Linear(192, 192)
        self.second = self.first if twice else nn.Linear(192, 192)
        self.second.weight = self.first.weight
        self.head = nn.Linear(192, 5)
        self.double()

    def forward(self, images):
        return self.head(self.second(self.first(images.flatten(1)).relu()))


@pytest.mark.parametrize(
    ("twice", "reason"), [(True, "first is called several times"), (False, "first and second share a parameter")]
)
def test_what_one_scale_cannot_repair_is_refused(twice, reason):
    network, images = Tied(twice), images_of(10)
    units = unit_statistics(network, [images])
    before = copy_of(network.state_dict())
    with pytest.raises(InputError, match=reason):
        rescale(network, [images], units, units, 0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@torch.no_grad()
def test_layers_that_share_memory_are_refused():
    """They are two parameters, and yet one scale would be for both."""
    network, images = Tied(False), images_of(10)
    network.second.weight = nn.Parameter(network.first.weight.data)
    units = unit_statistics(network, [images])
    before = copy_of(network.state_dict())
    with pytest.raises(InputError, match=r"^first\.weight and second\.weight share memory"):
        rescale(network, [images], units, units, 0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network.second.weight = nn.Parameter(network.first.weight.clone())
    rescale(network, [images], units, units, 0.5)


def test_norms_whose_statistics_share_memory_are_refused():
    network = Norms()
    network.second.running_mean = network.first.running_mean.detach()
    with pytest.raises(InputError, match=r"^first\.running_mean and second\.running_mean share memory"):
        recompute_batch_norm(network, [images_of(10)])


class ReadElsewhere(nn.Module):
    """Three layers, and whatever else reads the tensors of one of them: {} nothing, and sizes are nobody's values."""

    def __init__(self, how, elsewhere):
        super().__init__()
        with seeding.global_seed("initialisation"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.first, self.second = nn.Linear(12, 12), how(nn.Linear(12, 12))
        self.norm, self.head, self.elsewhere = nn.Identity(), nn.Linear(12, 5), elsewhere
        self.double()

    def forward(self, images):
        hidden = self.first(images[:, :, :2, :2].flatten(1)).relu()
        hidden = self.norm(self.second(hidden)).relu().to(self.second.weight).view(-1, self.second.weight.shape[0])
        return self.head(self.elsewhere(self, hidden))


READ_ELSEWHERE = {
    "weight": lambda own, hidden: nn.functional.linear(hidden, own.second.weight),
    "transposed": lambda own, hidden: hidden @ own.second.weight.T.detach(),
    "bias": lambda own, hidden: hidden + own.second.bias,
}


@pytest.mark.parametrize("elsewhere", READ_ELSEWHERE.values(), ids=READ_ELSEWHERE)
@pytest.mark.parametrize(
    "how", [nn.Identity(), parametrizations.weight_norm, weight_norm], ids=["plain", "parametrised", "hook"]
)
def test_a_layer_whose_tensors_are_read_outside_of_it_is_refused(how, elsewhere):
    network, images = ReadElsewhere(how, elsewhere), images_of(10)
    units = unit_statistics(network, [images])
    before, output = copy_of(network.state_dict()), network(images)
    with pytest.raises(InputError, match=r"^second .* is read elsewhere"):
        rescale(network, [images], units, units, 0.5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(network(images), output)
    network.elsewhere = lambda own, hidden: hidden
    rescale(network, [images], units, unit_statistics(network, [images * 2]), 0.5)


@pytest.mark.parametrize("called", [True, False])
def test_a_norm_whose_statistics_are_read_outside_of_it_is_refused(called):
    def elsewhere(own, hidden):
        return nn.functional.batch_norm(hidden, own.read.running_mean, own.read.running_var)

    network, images = ReadElsewhere(nn.Identity(), elsewhere), images_of(10)
    network.read = nn.BatchNorm1d(12, dtype=torch.float64)
    network.norm = network.read if called else nn.BatchNorm1d(12, dtype=torch.float64)
    before = copy_of(network.state_dict())
    with pytest.raises(InputError, match=r"^(norm|read) .* is read elsewhere"):
        recompute_batch_norm(network, [images])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_one_layer_under_two_names_is_one_layer():
    network, images = network_of(0), images_of(10)
    network.other = network.hidden.linear1
    units = unit_statistics(network, [images])
    before = copy_of(network.state_dict())
    rescale(network, [images], units, units, 0.5)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name])


def test_a_norm_called_several_times_averages_over_its_calls():
    class Twice(Norms):
        def forward(self, images):
            self.seen.append(images)
            self.seen.append(self.first(images) * 2 + 1)
            return self.head(self.first(input=self.seen[-1]).mean((2, 3)))

    network, images = Twice(), images_of(40)
    network.seen = []  # its last four are those of the two batches, behind a look at who reads the statistics
    recompute_batch_norm(network, images.split([25, 15]))
    moments = [(x.mean((0, 2, 3)), x.var((0, 2, 3)), len(x)) for x in network.seen[-4:]]
    mean, variance = (sum(moment[index] * moment[2] for moment in moments) / 80 for index in (0, 1))
    torch.testing.assert_close(network.first.running_mean, mean)
    torch.testing.assert_close(network.first.running_var, variance)


def test_networks_that_work_in_place_leave_the_images_alone():
    class InPlace(Norms):
        def forward(self, images):
            return super().forward(images.sub_(1).mul_(2))

    images = images_of(20)
    before = images.clone()
    recompute_batch_norm(InPlace(), images.split(10))
    units = unit_statistics(InPlace(), images.split(10))
    rescale(InPlace(), images.split(10), units, units, 0.5)
    assert torch.equal(images, before)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_repairer_chooses_by_the_norm_and_repairs_again_and_again(norm):
    networks = [network_of(seed, norm=norm).float() for seed in range(3)]
    a, b, network = networks[0].state_dict(), networks[1].state_dict(), networks[2]
    assert has_batch_norm(network) == (norm == "batch")
    pixels = torch.randint(256, (21, 8, 8, 3), generator=seeding.torch_generator("pixels"), dtype=torch.uint8)
    images = Images(pixels, torch.full((3,), 1 / 64), torch.full((3,), -2.0))
    repair = repairer(network, copy_of(a), copy_of(b), images, torch.float32, batch_size=10)  # 10, 10 and 1 image
    results = []
    for alpha in (0.5, 0.2, 0.5):
        network.load_state_dict(interpolate(a, b, alpha))
        repair(network, alpha)
        results.append(network(images.normalise(pixels)).detach())
    assert torch.equal(results[0], results[2])
    assert not torch.allclose(results[0], results[1])


def test_repair_in_bfloat16_is_repair_up_to_its_precision():
    ends, network = [network_of(seed).float() for seed in (0, 1)], network_of(2).float()
    pixels = torch.randint(256, (64, 8, 8, 3), generator=seeding.torch_generator("pixels"), dtype=torch.uint8)
    images, results = Images(pixels, torch.full((3,), 1 / 64), torch.full((3,), -2.0)), []
    for precision in (torch.float32, torch.bfloat16):
        repair = repairer(network, *(end.state_dict() for end in ends), images, precision)
        network.load_state_dict(interpolate(*(end.state_dict() for end in ends), 0.5))
        repair(network, 0.5)
        results.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        assert all(tensor.dtype == torch.float32 for tensor in results[-1].values())
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=0.05, atol=0.05)


class InAnyOrder(nn.Module):
    """The same network, however its layers are registered."""

    def __init__(self, order):
        super().__init__()
        with seeding.global_seed("layers"):
            layers = {"a": nn.Linear(12, 16), "b": nn.Linear(16, 16), "out": nn.Linear(16, 5)}
        for name in order:
            setattr(self, name, layers[name])
        self.double()

    def forward(self, images):
        return self.out(self.b(self.a(images[:, :, :2, :2].flatten(1)).relu()).relu())


@pytest.mark.parametrize("order", [("a", "out", "b"), ("out", "a", "b")])
def test_the_head_is_what_comes_last_and_not_what_is_registered_last(order):
    expected, found = (unit_statistics(InAnyOrder(one), images_of(40).split(20)) for one in (("a", "b", "out"), order))
    assert expected.keys() == found.keys() == {"a", "b"}
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)


class WithMore(InAnyOrder):
    """Its head is no module's call, or another layer is called after it."""

    def __init__(self, after):
        super().__init__(("a", "b", "out"))
        self.after = after

    def forward(self, images):
        hidden = self.b(self.a(images[:, :, :2, :2].flatten(1)).relu()).relu()
        logits = self.out(hidden) if self.after else nn.functional.linear(hidden, self.out.weight, self.out.bias)
        if self.after:
            self.a(images[:, :, :2, :2].flatten(1))
        return logits


@pytest.mark.parametrize("after", [True, False])
def test_the_head_is_what_puts_out_the_logits_and_else_the_last_layer(after):
    assert unit_statistics(WithMore(after), images_of(40).split(20)).keys() == {"a", "b"}


class Behind(InAnyOrder):
    """Puts out what a function makes of the logits; of two heads made last one is never called."""

    def __init__(self, order, auxiliary):
        super().__init__(order)
        if auxiliary:
            self.auxiliary = nn.Linear(16, 5).double()

    def forward(self, images):
        return super().forward(images).log_softmax(1)


@pytest.mark.parametrize("order", [("a", "b", "out"), ("a", "out", "b"), ("out", "a", "b")])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_the_head_is_the_same_with_a_function_behind_it(order, auxiliary):
    assert unit_statistics(Behind(order, auxiliary), images_of(40).split(20)).keys() == {"a", "b"}


def test_the_head_may_be_read_by_a_function_behind_a_layer_of_as_many_units():
    network = WithMore(after=False)
    network.b, network.out = nn.Linear(16, 5).double(), nn.Linear(5, 5).double()
    assert unit_statistics(network, images_of(40).split(20)).keys() == {"a", "b"}


def test_no_images_have_no_statistics():
    with pytest.raises(InputError, match="no images to take statistics from"):
        unit_statistics(network_of(0), [])
