"""Network families: one module a family."""
