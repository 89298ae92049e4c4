"""Memory of `ds2fast select` on rows far larger than what it may hold.

Writes a JSONL file of long rows and a static model of random weights into a temporary folder,
selects a tenth of the rows in a child process, checks that these came out byte for byte, and prints
the child's highest resident memory beside the bound that `ds2fast.read` documents.

    python bench/bench_memory.py [--rows 20000] [--size 50000] [--packed zst] [--model DIR]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

TENTH = 10
WORDS = 4000
DIMENSIONS = 64
BOUND_MIB = 700


def write_model(folder: Path) -> list[str]:
    """A static model whose tokens are words, and these words."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({"".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(WORDS)})
    vocabulary = {word: place for place, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text("{}")
    table = rng.normal(size=(len(vocabulary), DIMENSIONS)).astype(np.float32)
    save_file({"embeddings": table}, folder / "model.safetensors")
    return words


def make_lines(words: list[str], rows: int, size: int) -> Iterator[bytes]:
    """Rows of `size` bytes or so, each a piece of one long text of random words."""
    draw = random.Random(0)
    text = " ".join(draw.choices(words, k=2 * size // 3 + 100_000))
    for number in range(rows):
        begin = draw.randrange(len(text) - size)
        row = {"id": number, "text": f"{number} {text[begin : begin + size]}"}
        yield json.dumps({**row, "score": draw.randrange(6)}).encode()


def write_rows(folder: Path, lines: Iterator[bytes], packed: str | None) -> Path:
    """The file of rows."""
    if packed == "parquet":
        return _write_parquet(folder / "rows.parquet", lines)
    path = folder / ("rows.jsonl" if packed is None else f"rows.jsonl.{packed}")
    if packed == "zst":
        import zstandard

        with path.open("wb") as raw, zstandard.ZstdCompressor(level=1).stream_writer(raw) as file:
            for line in lines:
                file.write(line + b"\n")
        return path
    with gzip.open(path, "wb", compresslevel=1) if packed == "gz" else path.open("wb") as plain:
        for line in lines:
            plain.write(line + b"\n")
    return path


def _write_parquet(path: Path, lines: Iterator[bytes]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"id": pa.int64(), "text": pa.string(), "score": pa.int64()})
    with pq.ParquetWriter(path, schema) as file:
        while part := [json.loads(line) for line, _ in zip(lines, range(500), strict=False)]:
            file.write_table(pa.Table.from_pylist(part, schema=schema))
    return path


def select(rows: Path, model: Path, out: Path, count: int) -> tuple[float, float]:
    """Seconds, and the highest resident memory in MiB, of the command in a process of its own."""
    begin = time.perf_counter()
    arguments = ["select", rows, "-n", count, "-o", out, "--model", model, "--no-cache", "-q"]
    subprocess.run([sys.executable, "-m", "ds2fast", *map(str, arguments)], check=True)
    seconds = time.perf_counter() - begin
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit


def check(out: Path, lines: Iterator[bytes], count: int) -> None:
    """The selected lines are lines of the input, none of them twice."""
    with (out / "selected.jsonl").open("rb") as file:
        selected = {line.rstrip(b"\n") for line in file}
    if len(selected) != count or selected - {line for line in lines if line in selected}:
        sys.exit("the selected rows are not the rows that went in")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=50_000)
    parser.add_argument("--packed", choices=["gz", "zst", "parquet"])
    parser.add_argument("--model", type=Path, help="an encoder in place of random vectors")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = write_model(folder / "model")
        lines = (words, options.rows, options.size)
        path = write_rows(folder, make_lines(*lines), options.packed)
        count = options.rows // TENTH
        model = options.model or folder / "model"
        seconds, peak = select(path, model, folder / "out", count)
        if options.packed != "parquet":
            check(folder / "out", make_lines(*lines), count)
        size = path.stat().st_size / 2**20
    print(f"{options.rows} rows of {options.size} bytes, {size:.0f} MiB on disk: {seconds:.1f} s")
    print(f"peak {peak:.0f} MiB (bound {BOUND_MIB} MiB)")
    record = {"rows": options.rows, "bytes": options.size, "packed": options.packed}
    print(json.dumps({**record, "seconds": round(seconds, 1), "peak_mib": round(peak)}))
    sys.exit(peak > BOUND_MIB)


if __name__ == "__main__":
    main()
