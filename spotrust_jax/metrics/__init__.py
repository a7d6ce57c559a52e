"""Scores of masks, probabilities and uncertainties, mergeable, over all pixels."""
