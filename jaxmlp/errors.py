"""The exception for input that cannot be used."""

__all__ = ["InputError"]


class InputError(ValueError):
    """A value that jaxmlp cannot work with; the message is one line: the value and what was expected."""
