"""Hidden classes recovered: clusters inside each class, their number, and a linear probe on what they name."""
