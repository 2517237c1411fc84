"""Minority collapse in trained networks, beside the unconstrained features model."""
