"""What `python -m experiments.benchmarks` measures: functions that return measurements, listed in
registry.py."""
