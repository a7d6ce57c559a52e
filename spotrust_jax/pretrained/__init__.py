"""Models that come with the package: a folder each, with weights, `config.json` and the licence of the weights.

Data only, so that an installation without it still says in one line what is missing; io/model_folders.py finds them.
"""
