"""Labels as lines that `select` takes as gold."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import orjson

from ds2fast.audit.labels import Labels
from ds2fast.audit.marks import row_mark, scores_mark
from ds2fast.audit.sheet import LABEL, MARK, ROW, check_sheet_output
from ds2fast.io.atomic import atomic_file
from ds2fast.pool import Pool

GOLD_EXTENSIONS = (".jsonl",)


def write_gold(
    path: str | os.PathLike[str], labels: Labels, pool: Pool, *, overwrite: bool = False
) -> Path:
    """Write one JSON line for each labelled row: `row`, `check`, `label` and `level`.

    `read_labels` reads them like a sheet: `check` tells that they are of that pool.

    Raises
    ------
    OutputError
        A file is there and `overwrite` is False, another extension than .jsonl, or the operating
        system refused; nothing was replaced.
    """
    target = check_sheet_output(
        path, overwrite=overwrite, source=pool.sources, extensions=GOLD_EXTENSIONS
    )
    scores = scores_mark(pool)
    with atomic_file(target) as file:
        for row in np.flatnonzero(labels.gold >= 0).tolist():
            entry = {
                ROW: row,
                MARK: row_mark(scores, pool.texts[row]),
                LABEL: float(labels.given[row]),
                "level": int(labels.gold[row]),
            }
            file.write(orjson.dumps(entry) + b"\n")
    return target
