"""One training run: state, step, schedule, loop and what it writes down."""
