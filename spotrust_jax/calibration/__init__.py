"""What probabilities mean, and where to cut them."""
