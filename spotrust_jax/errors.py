"""Errors that a user can act on, each one line."""


class InputError(ValueError):
    """Input that cannot be used: what is wrong, the value or file, and the remedy. Programs exit with code 2."""


class RunError(RuntimeError):
    """A run that failed or was stopped on its way. Programs exit with `exit_code`."""

    exit_code = 1
