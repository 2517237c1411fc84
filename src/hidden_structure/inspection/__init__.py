"""Networks that were trained elsewhere, looked into: their collapse, and what is inside their classes."""
