"""What neural networks keep in their representations beyond their labels."""
