"""Weights of other frameworks in."""
