"""Data sources: one module a source, each ending in the same uint8 arrays."""
