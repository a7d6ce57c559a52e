"""Experiments, one to a file: `python -m launch.train --config=configs/NAME.py`."""
