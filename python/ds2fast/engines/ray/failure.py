"""Errors of workers as the errors that they are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from ds2fast import errors
from ds2fast.errors import Ds2fastError, InputError

if TYPE_CHECKING:
    import pyarrow as pa

RETRIES = 100
"""A task that is lost with its node, or its process, runs again: more often than nodes are lost,
and not for ever, for a task may itself be what kills its process."""


def telling(function: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """A function that answers with an error of ours instead of raising it.

    Ray Data would pass its text on, without its type.
    """

    @wraps(function)
    def call(*arguments: Any, **more: Any) -> pa.Table:
        import pyarrow as pa

        try:
            return function(*arguments, **more)
        except Ds2fastError as error:
            return pa.table({"error": [type(error).__name__], "message": [str(error)]})

    return call


def raise_told(table: pa.Table) -> None:
    """Raise the error that a table stands for, if it stands for one."""
    if "error" in table.column_names:
        told = table.to_pylist()[0]
        raise getattr(errors, told["error"], Ds2fastError)(told["message"])


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise an error of ours that a worker met as itself, without Ray's wrapping.

    Raises
    ------
    InputError
        Also where a task was lost again and again, and where the cluster itself fails.
    """
    from ray.exceptions import (
        NodeDiedError,
        OutOfMemoryError,
        RayError,
        RayTaskError,
        WorkerCrashedError,
    )

    try:
        yield
    except (WorkerCrashedError, NodeDiedError, OutOfMemoryError) as error:
        raise InputError(
            "address: expected nodes that end what they begin, got a task whose process was killed "
            f"each time that it ran (too little memory there, as a rule): {error}"
        ) from error
    except RayError as error:
        found = _ours_in(error)
        if found is not None:
            raise found from error
        if isinstance(error, RayTaskError):
            raise  # a bug in what runs there, with its own traceback
        raise InputError(
            "address: expected a Ray cluster that does what it is sent, got "
            f"{type(error).__name__}: {error}"
        ) from error


def _ours_in(error: BaseException | None) -> Ds2fastError | None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "cause", None)
        if isinstance(inner, Ds2fastError):
            return inner
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return None
