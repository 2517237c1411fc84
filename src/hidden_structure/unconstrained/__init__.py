"""The unconstrained features model: its optimum, the descent to it, and what imbalance does."""
