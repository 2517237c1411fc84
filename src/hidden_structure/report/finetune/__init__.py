"""Networks finetuned on two tasks: whether features add up where weights do."""
