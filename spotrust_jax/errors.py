"""The one exception that a user's mistake raises, so that launchers can print it as a single line."""


class InputError(ValueError):
    """Something the user gave cannot be used: the message names the file or argument, the value and the remedy."""
