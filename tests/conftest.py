"""Tests run in parallel, one process a core: one torch thread each, and every draw from a named generator."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import settings

torch.set_num_threads(1)
# A busy machine is no failure, and the same examples every time make a failure one that can be looked into.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


def pytest_addoption(parser):
    parser.addoption("--random-networks", type=int, default=320, help="how many the symmetries are derived of")
