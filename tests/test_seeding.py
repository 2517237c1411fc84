import subprocess
import sys

import torch

from hidden_structure.seeding import global_seed, numpy_generator, seed_of, torch_generator


def test_a_seed_depends_on_the_names_and_not_on_the_process():
    code = "from hidden_structure.seeding import seed_of; print(seed_of('order', 3))"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(elsewhere.stdout) == seed_of("order", 3)


def test_names_that_read_alike_give_different_seeds():
    names = [("order", 1, 2), ("order", 12), ("order1", 2), ("order", "1", 2), ("augmentation", 1, 2)]
    assert len({seed_of(*name) for name in names}) == len(names)


def test_generators_of_one_name_draw_the_same():
    assert torch.equal(torch.rand(5, generator=torch_generator("a")), torch.rand(5, generator=torch_generator("a")))
    assert (numpy_generator("a").random(5) == numpy_generator("a").random(5)).all()


def test_the_global_seed_rules_inside_the_block_only():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with global_seed("initialisation", 0):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with global_seed("initialisation", 0):
        assert torch.equal(torch.rand(3), first)
