"""What `launch.benchmark` measures: functions without arguments that return measurements, listed in registry.py."""
