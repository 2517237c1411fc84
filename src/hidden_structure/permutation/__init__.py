"""Permutation symmetries of networks: derived from a trace, applied to weights, found by matching."""
