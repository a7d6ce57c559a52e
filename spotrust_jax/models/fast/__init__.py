"""Rewrites of the network for inference that give the same numbers."""
