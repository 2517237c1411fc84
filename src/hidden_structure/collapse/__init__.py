"""Neural collapse, measured."""
