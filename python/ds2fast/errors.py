"""What ds2fast raises: a `ValueError`, `TypeError` or `FileNotFoundError`, or a subclass here."""

from __future__ import annotations


class Ds2fastError(Exception):
    """Base of every error that ds2fast raises itself; catch it to catch them all."""


class InputError(Ds2fastError, ValueError):
    """A value that cannot be used: the message names it, what was expected and what came."""


class InputTypeError(Ds2fastError, TypeError):
    """An argument of a type that cannot be used."""


class InputFileError(Ds2fastError, FileNotFoundError):
    """A file of the user's that does not exist or cannot be read."""


class ModelNotFoundError(Ds2fastError, FileNotFoundError):
    """An encoder that was not found: the message says what was looked for, where, what to do."""


class OutputError(Ds2fastError, ValueError):
    """A place that results cannot, or must not, be written to; the message says what is left."""
