"""A process that rates rows, for tests and benchmarks that interrupt, kill or search it.

`python rating_child.py NUM_ROWS SERVER_URL OUTPUT [ARGUMENTS]` rates made-up rows into the store
beside OUTPUT, saves them there, and ends with 3 and the error's words where `rate` raises one of
ours. ARGUMENTS is a JSON object of further arguments of `rate`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import ds2fast
from rating_pools import made_up_rows

FAILED: Final = 3


def start_child(
    num_rows: int,
    base_url: str,
    output: Path,
    *,
    environment: Mapping[str, str] | None = None,
    **arguments: Any,
) -> subprocess.Popen[str]:
    """The process, with its output in pipes."""
    command = [sys.executable, __file__, str(num_rows), base_url, str(output)]
    return subprocess.Popen(
        [*command, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def store_of(output: Path) -> Path:
    """The store of a child with that output."""
    return output.with_suffix(".sqlite")


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have us ignore it
    num_rows, base_url, output, arguments = sys.argv[1:]
    given = {"model": "judge", "progress": True, "store": store_of(Path(output))}
    try:
        ratings = ds2fast.rate(
            made_up_rows(int(num_rows)), base_url=base_url, **{**given, **json.loads(arguments)}
        )
        ratings.save(output, overwrite=True)
    except ds2fast.Ds2fastError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(FAILED)
    print(ratings.describe())
    print(json.dumps(ratings.scores.tolist()))


if __name__ == "__main__":
    main()
