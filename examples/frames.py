"""Data frames in, data frames out: pandas and polars, each with its own columns and types.

python examples/frames.py --encoder DIR --output DIR [--rows 3000]
"""

from __future__ import annotations

import ds2fast

from chat_to_trainer import parse_arguments
from make_pool import make_pool


def main() -> None:
    options = parse_arguments()
    import pandas as pd
    import polars as pl

    rows = make_pool(options.rows)
    frame = pd.DataFrame(rows)
    best = ds2fast.select(frame, n=20, model=options.encoder).to_pandas()
    print(best[["id", "score"]].head())

    answer = pl.col("messages").list.get(1).struct.field("content")
    brief = pl.when(answer.str.len_chars() < 150).then(pl.lit("brief")).otherwise(pl.lit("long"))
    table = pl.DataFrame(rows).with_columns(answer=brief)
    mixed = ds2fast.select(
        table, n=20, groups="answer", group_shares={"brief": 0.5}, model=options.encoder
    )
    print(mixed.to_polars().group_by("answer").len().sort("answer"))


if __name__ == "__main__":
    main()
