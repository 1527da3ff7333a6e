"""The one kind of error that a user can cause and mend."""

__all__ = ["CarrysaveError", "ConfigError"]


class CarrysaveError(Exception):
    """Base of all errors whose text, one line, tells a user what to change.

    The command line prints the text and ends with exit code 2; anything else is a bug and shows a traceback.
    """


class ConfigError(CarrysaveError, ValueError):
    """A configuration, or a value given with it, is not legal."""
