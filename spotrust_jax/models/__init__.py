"""The networks, as Flax Linen modules that know nothing of data, files or flags."""
