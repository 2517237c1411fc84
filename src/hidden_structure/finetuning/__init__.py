"""Networks finetuned on parts of the classes, and what adding up their weights does to their features."""
