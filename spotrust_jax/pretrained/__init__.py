"""Models that come with the package: a folder each, with weights, `config.json` and the licence of the weights."""
