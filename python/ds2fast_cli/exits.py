"""How the program ends: exit codes, and errors told in one line on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from ds2fast_cli.interrupt import INTERRUPTED

FAILED, WRONG_USE, PIPE_CLOSED = 1, 2, 141

EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed: the system refused, say a full disk or a hub out of reach
  2    wrong use: an option, the input, or a place for results that is taken
  130  stopped by Ctrl-C; no half-written file stays behind
  141  whoever read the output closed the pipe
"""


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors that are no bugs into a line on stderr and an exit code."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise  # click ends these itself
    except KeyboardInterrupt as stop:
        click.echo("; ".join(["stopped", *getattr(stop, "__notes__", [])]), err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _close_quietly(sys.stdout, sys.stderr)
        sys.exit(PIPE_CLOSED)
    except Exception as error:  # told apart below: naming our errors here would import NumPy first
        code = exit_code(error)
        if code is None:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(code)


def exit_code(error: Exception) -> int | None:
    """Exit code of an error that a message is enough for; None where it is a bug of ours."""
    from ds2fast.errors import Ds2fastError, ModelNotFoundError, OutputError

    if isinstance(error, ModelNotFoundError):
        return FAILED if _is_out_of_reach(error.__cause__) else WRONG_USE
    if isinstance(error, OutputError):
        return FAILED if isinstance(error.__cause__, OSError) else WRONG_USE
    if isinstance(error, Ds2fastError):
        wrong_use = isinstance(error, ValueError | TypeError | FileNotFoundError)
        return WRONG_USE if wrong_use else FAILED
    return FAILED if isinstance(error, OSError) else None


def _is_out_of_reach(cause: BaseException | None) -> bool:
    """Whether a look-up at the hub failed for a reason that no other arguments would mend."""
    if cause is None:
        return False
    from huggingface_hub.errors import (
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    by_the_user = (HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError)
    return not isinstance(cause, by_the_user)


def _close_quietly(*streams: TextIO) -> None:
    """Let Python's own flush at exit go to nowhere: it would complain of the closed pipe again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with suppress(OSError, ValueError, AttributeError):  # no descriptor, or no stream at all
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
