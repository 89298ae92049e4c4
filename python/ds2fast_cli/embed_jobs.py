"""What `embed` and `distill` do; importing this brings the whole package."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click

import ds2fast
from ds2fast.cache_dir import resolve_cache_dir
from ds2fast.embedding import encoder_info, resolve_encoder
from ds2fast.embedding.distinct import distinct_texts
from ds2fast.embedding.encode import check_model
from ds2fast.embedding.engine import Backend, LongText, Precision
from ds2fast.embedding.hashes import text_hash
from ds2fast.embedding.static import find_static
from ds2fast.embedding.static_write import check_output
from ds2fast.encoder_record import describe_encoder, lasting_part, run_part, run_record
from ds2fast.io.origin import check_origin_output, origin_place, save_with_origin
from ds2fast.io.source import check_file
from ds2fast.io.vectors import check_vectors_output
from ds2fast.pool import Pool
from ds2fast.threads import resolve_threads
from ds2fast_cli.interrupt import interruptible
from ds2fast_cli.jobs import gate_of
from ds2fast_cli.printing import print_json


@dataclass(frozen=True)
class EmbedOptions:
    """What is read, how it is embedded, and what is printed."""

    data: Path
    text: str | None
    model: str
    precision: Precision | Literal["auto"]
    gate_cosine: float | None
    gate_overlap: float | None
    backend: Backend | Literal["auto"]
    long_text: LongText
    threads: int | None
    cache_dir: Path | None
    no_cache: bool
    quiet: bool
    as_json: bool


@dataclass(frozen=True)
class DistillOptions:
    """What is distilled from, and what is printed."""

    model: str
    data: Path | None
    text: str | None
    sample: int
    dims: int
    threads: int | None
    cache_dir: Path | None
    no_cache: bool
    quiet: bool
    as_json: bool


@interruptible()
def run_embed(options: EmbedOptions, output: Path, *, overwrite: bool) -> None:
    """Embed into `output`; all that can be checked without the data is checked before."""
    resolve_threads(options.threads)
    resolve_cache_dir(options.cache_dir)
    check_vectors_output(output, overwrite=overwrite, source=check_file(options.data))
    check_origin_output(output)
    how: dict[str, Any] = {
        "precision": options.precision,
        "backend": options.backend,
        "long_text": options.long_text,
    }
    check_model(options.model, **how)
    gate = gate_of(options.gate_cosine, options.gate_overlap)
    pool = _read_texts(options.data, options)
    start = time.perf_counter()
    embedded = ds2fast.embed(
        pool.texts,
        model=options.model,
        **how,
        gate=gate,
        threads=options.threads,
        cache_dir=False if options.no_cache else options.cache_dir,
        progress=False if options.quiet else None,
    )
    took = time.perf_counter() - start
    check_vectors_output(output, overwrite=overwrite, source=check_file(options.data))
    check_origin_output(output)
    asked = gate if options.precision == "auto" else None
    encoder = asdict(encoder_info(options.model)) | run_record(embedded, options.long_text, asked)
    save_with_origin(output, embedded.vectors, pool.texts, lasting_part(encoder) or {})
    rows, dims = embedded.vectors.shape
    if not options.quiet:
        click.echo(f"{describe_encoder(encoder)}\ntook {took:.1f} s", err=True)
        click.echo(
            f"written to {output}: float32, {rows} rows of {dims}; of which texts, stands in "
            f"{origin_place(output).name} beside it",
            err=True,
        )
    if options.as_json:
        print_json(
            {
                "output": output,
                "rows": rows,
                "dimensions": dims,
                "input": {"path": pool.path, "sha256": pool.sha256, "text": pool.schema.describe()},
                "encoder": lasting_part(encoder),
                "embedding_run": run_part(encoder),
                "seconds": round(took, 3),
            }
        )


@interruptible()
def run_distill(options: DistillOptions, output: Path) -> None:
    """Distil into `output`; all that can be checked without the data is checked before."""
    resolve_threads(options.threads)
    resolve_cache_dir(options.cache_dir)
    if options.data is None and options.text is not None:
        raise click.UsageError("--text needs --texts: it names the field of that pool")
    check_output(output)
    if options.data is not None:
        check_file(options.data)
    resolve_encoder(options.model)
    texts = None if options.data is None else _sample(options.data, options)
    start = time.perf_counter()
    directory = ds2fast.distill(
        options.model,
        output,
        dims=options.dims,
        texts=texts,
        threads=options.threads,
        cache_dir=False if options.no_cache else options.cache_dir,
        progress=False if options.quiet else None,
    )
    took = time.perf_counter() - start
    made = find_static(directory)
    facts = {} if made is None else made.teacher
    if not options.quiet:
        click.echo(describe_distilling(facts, options.dims, took), err=True)
        click.echo(f"written to {output}; use it with: --model {output}", err=True)
    if options.as_json:
        record = {"output": output, "dimensions": options.dims, **facts}
        print_json({**record, "seconds": round(took, 3)})


def describe_distilling(facts: dict[str, Any], dims: int, seconds: float) -> str:
    """What came of distilling, in words."""
    fitted = facts.get("fitted_texts")
    lines = [f"distilled {facts.get('teacher')} into a vector of {dims} for each token"]
    if fitted is None:
        lines[0] += ", fitted to no texts: --texts keeps many more neighbours"
    else:
        lines[0] += f", fitted to {fitted} texts"
    if "overlap_at_10" in facts:
        lines.append(
            f"of the 10 nearest neighbours among {facts['overlap_rows']} texts, held out of a fit "
            f"to the others, it keeps {facts['overlap_at_10']:.3f}"
        )
    elif fitted is not None:
        lines.append("too few texts to measure how many neighbours it keeps")
    return "\n".join([*lines, f"took {seconds:.1f} s"])


def _sample(data: Path, options: DistillOptions) -> list[str]:
    """Distinct texts of a pool, chosen and ordered by their hashes, however rows lie."""
    pool = _read_texts(data, options)
    distinct, _ = distinct_texts([text for text in pool.texts if text], lowercase=False)
    return sorted(distinct.sample(options.sample).texts, key=text_hash)


def _read_texts(data: Path, options: EmbedOptions | DistillOptions) -> Pool:
    pool = ds2fast.read(data, text=options.text, scores=None)
    if not options.quiet:
        click.echo(f"{pool.describe()}\n", err=True)
    return pool
