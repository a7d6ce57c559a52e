"""Valid input of every program, damaged at random: `python -m tests.mutations --seed=0 --count=400`.

Whatever the damage, a program ends with a documented exit code and one line for each error, leaves its input as it was,
executes nothing of it, and does not lose the photographs that were not damaged.
"""
