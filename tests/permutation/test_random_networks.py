"""Symmetries of random networks: `pytest tests/permutation/test_random_networks.py --random-networks 5000` for more."""

import torch
from random_networks import RandomNetwork
from test_symmetry import randomise

from hidden_structure.frame.errors import InputError
from hidden_structure.permutation import permuting
from hidden_structure.permutation.symmetry import derive
from hidden_structure.seeding import numpy_generator, torch_generator

PARTS = 8  # run in parallel


def pytest_generate_tests(metafunc):
    if "part" in metafunc.fixturenames:
        metafunc.parametrize("part", range(PARTS))


@torch.no_grad()
def outcome(index: int) -> str:
    """What became of one network: moved, nothing to move, refused, no judge; or what is wrong with it."""
    network = randomise(RandomNetwork(numpy_generator("random network", index)), f"weights {index}")
    images = torch.randn(3, 3, 4, 4, generator=torch_generator("images", index), dtype=torch.float64)
    try:
        symmetry = derive(network, images)
    except InputError as error:
        known = "cannot be derived" in str(error)
        return "refused" if known else f"wrong: {error}"
    for draw in range(2 if symmetry.groups else 0):
        permutation = permuting.draw(symmetry, torch_generator("draw", draw))
        back = permuting.compose(symmetry, permutation, permuting.invert(symmetry, permutation))
        still = permuting.identity(symmetry)
        if not all(torch.equal(back[name], still[name]) for name in still):
            return "wrong: an inverse is none"
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        permuted = permuting.apply(symmetry, permutation, state)
        before = network(images)
        network.load_state_dict(permuted)
        after, allowed = network(images), 1e-8 * before.abs().max()
        if not (after - before).abs().max() < allowed:
            network.load_state_dict(state)
            rounded = network(images * (1 + 1e-14))  # features that cancel, divided by their norm, are rounding
            return "no judge" if (rounded - before).abs().max() > allowed else "wrong: the function changes"
    return "moved" if symmetry.groups else "nothing to move"


def test_random_networks(part, request):
    count = request.config.getoption("--random-networks")
    outcomes = {index: outcome(index) for index in range(part, count, PARTS)}
    wrong = {index: text for index, text in outcomes.items() if text.startswith("wrong")}
    assert not wrong
    assert sum(text == "moved" for text in outcomes.values()) > 0.5 * len(outcomes)
    assert sum(text in ("refused", "no judge") for text in outcomes.values()) < 0.05 * len(outcomes) + 1
