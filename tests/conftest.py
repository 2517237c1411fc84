"""Tests run in parallel, one process a core: one torch thread each, and every draw from a named generator."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch

torch.set_num_threads(1)
