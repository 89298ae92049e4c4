"""From a chat file to a trainer: select, leave near copies out, hand over, look at the report.

    python examples/chat_to_trainer.py --encoder DIR --output DIR [--rows 3000]

`--encoder` is a directory or a Hugging Face id; the default one is downloaded once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ds2fast

from make_pool import write_pool


def main() -> None:
    options = parse_arguments()
    pool_file, _ = write_pool(options.output, n=options.rows)  # rows with "messages" and "score"
    selection = ds2fast.select(
        pool_file,
        fraction=0.1,
        max_similarity=0.98,  # of near copies the best stays
        model=options.encoder,
    )
    out = options.output / "selection"
    selection.save(out, overwrite=True, trainers=["llama-factory", "axolotl", "trl"], report=True)
    print(selection)
    print(
        f"\nwhy is row {selection.indices[0]} the best?\n{selection.explain(selection.indices[0])}"
    )
    print(f"\nfiles: {', '.join(sorted(path.name for path in out.iterdir()))}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From a chat file to a trainer.")
    parser.add_argument("--encoder", default=ds2fast.DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=3000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
