"""What ds2fast raises: subclasses of Python's own errors, each with a message that says enough.

And what it warns of, where that is no stage's own.
"""

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


class RatingAlarm(Ds2fastError, RuntimeError):  # noqa: N818 (the word that users read)
    """Replies that are worth no money; what came is kept, and the message says what may be done."""


class ServerError(Ds2fastError, RuntimeError):
    """A model's server cannot be used, or no longer; what came is kept."""


class MissingExtraError(Ds2fastError, ImportError):
    """An optional package is not installed; the message says which extra brings it."""


class OutputError(Ds2fastError, ValueError):
    """A place that results cannot, or must not, be written to; the message says what is left."""


class TrainerWarning(UserWarning):
    """Rows that a trainer drops or stops at, or that a copy for it cannot hold."""
