"""Is the selection better than its controls? Here the true quality is known, so it can be said.

    python examples/against_controls.py --encoder DIR --output DIR [--rows 3000]

On data of your own train on selected.jsonl and on each control_*.jsonl, and compare.
"""

from __future__ import annotations

import json

import ds2fast

from chat_to_trainer import parse_arguments
from make_pool import make_pool, true_scores, write_pool


def main() -> None:
    options = parse_arguments()
    pool_file, _ = write_pool(options.output, n=options.rows)
    number_of = {row["id"]: number for number, row in enumerate(make_pool(options.rows))}
    truth = true_scores(options.rows)

    out = options.output / "compared"
    ds2fast.select(pool_file, fraction=0.1, model=options.encoder).save(out, overwrite=True)
    print("true mean score of")
    for file in [out / "selected.jsonl", *sorted(out.glob("control_*.jsonl"))]:
        ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
        print(f"  {file.stem:20} {truth[[number_of[one] for one in ids]].mean():.2f}")

    # Another size and no near copies, at once: the graph is there already.
    again = ds2fast.reselect(out, n=30, max_similarity=0.98)
    print(f"{len(again)} rows without near copies")


if __name__ == "__main__":
    main()
