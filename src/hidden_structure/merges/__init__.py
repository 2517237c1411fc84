"""Networks on other labels: merged otherwise, split at random, over a grid of recipes; how alike merged classes are."""
