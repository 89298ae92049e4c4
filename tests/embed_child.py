"""Processes that embed, to be killed, limited or doubled: `embed_child.py SETTINGS`, a JSON object.

`engines` also serves tests that count in their own process what an encoder runs.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ds2fast.embedding import embed
from ds2fast.embedding.engine import Engine, Report
from ds2fast.embedding.transformer import TransformerModel
from ds2fast.errors import OutputError
from ds2fast.results import FloatArray, IdArray, IntArray

FULL = 3
"""Exit status where there was no room."""

_open = TransformerModel.open

OnRun = Callable[[str, int], object]
"""`on_run(precision, texts)` is called before texts run."""


def engines(on_run: OnRun, rows: int | None = None) -> Callable[..., Any]:
    """`TransformerModel.open` with `on_run`, and batches of some `rows` texts.

    Which texts are together depends on how many there are: of a part of them no plan is made that
    a stored one could be mistaken for.
    """

    @contextmanager
    def open_counted(self: TransformerModel, precision: Any, backend: Any) -> Iterator[Engine]:
        opened: AbstractContextManager[Engine] = _open(self, precision, backend)
        with opened as engine:

            def encode(ids: IdArray, offsets: IntArray, report: Report | None) -> FloatArray:
                on_run(precision, len(offsets) - 1)
                return engine.encode(ids, offsets, report)

            def plan(lengths: IntArray) -> list[IntArray]:
                if rows is None:
                    return engine.plan(lengths)
                random = np.random.default_rng(len(lengths))
                bounds = np.cumsum(random.integers(1, 2 * rows, len(lengths)))
                return np.split(random.permutation(len(lengths)), bounds[bounds < len(lengths)])

            yield replace(engine, encode=encode, plan=plan)

    return open_counted


def main(settings: dict[str, Any]) -> None:
    """Embed the lines of a file; what runs is logged before it does, then there is a pause.

    At batch `hold`, counted from 1, it waits until its input ends, or it is killed.
    """
    batches = itertools.count(1)
    log = os.open(settings["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def on_run(precision: str, texts: int) -> None:
        os.write(log, f"{precision} {texts}\n".encode())
        print("running", flush=True)
        if next(batches) == settings["hold"]:
            sys.stdin.read()
        time.sleep(settings["pause"])

    TransformerModel.open = engines(on_run, settings["rows"])  # type: ignore[method-assign]  # to patch it
    if settings["most_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (settings["most_bytes"],) * 2)
    texts = Path(settings["texts"]).read_text(encoding="utf-8").split("\n")
    print("started", flush=True)
    try:
        result = embed(texts, progress=False, **settings["embed"])
    except OutputError as error:
        print(error)
        sys.exit(FULL)
    np.save(settings["output"], result.vectors)
    print(json.dumps({"num_run": result.num_run, "notes": result.notes}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
