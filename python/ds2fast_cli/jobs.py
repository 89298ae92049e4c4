"""What the commands do; importing this brings the whole package."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import click

import ds2fast
from ds2fast.benchmark import describe_measurements, measure
from ds2fast.doctor import describe_examination, examine
from ds2fast.embedding import resolve_encoder
from ds2fast.evidence import WeakEvidenceWarning
from ds2fast.io.output import check_output_dir
from ds2fast.io.source import check_file
from ds2fast.io.write import write_manifest
from ds2fast.outcome import Diagnosis
from ds2fast.pool import Pool
from ds2fast.save import transition_record
from ds2fast.settings import check_arguments
from ds2fast.summary import describe_diagnosis_findings, describe_findings
from ds2fast_cli.interrupt import interruptible


@dataclass(frozen=True)
class PoolOptions:
    """What is read, how it is embedded and judged, and what is printed."""

    data: Path
    scores: str
    text: str | None
    num_levels: int | None
    model: str
    k: int
    preset: str | None
    threads: int | None
    cache_dir: Path | None
    quiet: bool
    as_json: bool

    def arguments(self) -> dict[str, Any]:
        """Arguments of `select` and `diagnose` for a pool that is read."""
        return {
            "model": self.model,
            "k": self.k,
            "preset": self.preset,
            "threads": self.threads,
            "cache_dir": self.cache_dir,
        }


@dataclass(frozen=True)
class SelectOptions:
    """Arguments that only `select` has."""

    n: int | None
    fraction: float | None
    min_confidence: float | None
    seed: int


@interruptible()
def run_select(
    options: PoolOptions, chosen: SelectOptions, output: Path, *, overwrite: bool
) -> None:
    """Select into `output`; all that can be checked without the data is checked before."""
    check_arguments(num_levels=options.num_levels, **vars(chosen), **options.arguments())
    check_output_dir(output, overwrite=overwrite, source=options.data)
    pool = _read_pool(options)
    with _weak_evidence_told_once():
        selection = ds2fast.select(
            pool, **vars(chosen), **options.arguments(), progress=_progress(options)
        )
    selection.save(output, overwrite=overwrite)
    if options.as_json:
        click.echo((output / "manifest.json").read_bytes(), nl=False)
    if options.quiet:
        _print_warnings(selection.warnings)
    else:
        click.echo(f"{describe_findings(selection)}\n\nwritten to {output}", err=True)


@interruptible()
def run_diagnose(options: PoolOptions) -> None:
    """Print what was found of the judge, in words or as JSON."""
    check_arguments(num_levels=options.num_levels, **options.arguments(), selects=False)
    pool = _read_pool(options)
    with _weak_evidence_told_once():
        diagnosis = ds2fast.diagnose(pool, **options.arguments(), progress=_progress(options))
    if options.as_json or not sys.stdout.isatty():  # what is in a file may be read too late
        _print_warnings(diagnosis.warnings)
    if options.as_json:
        _print_json(diagnosis_record(diagnosis, pool))
    else:
        click.echo(describe_diagnosis_findings(diagnosis))


@interruptible()
def run_doctor(model: str, *, as_json: bool) -> None:
    """Print what this machine runs, in words or as JSON."""
    findings = examine(model)
    if as_json:
        _print_json(findings)
    else:
        click.echo(describe_examination(findings))


@interruptible()
def run_bench(num_rows: int, dimensions: int, *, threads: int | None, as_json: bool) -> None:
    """Print the measurements, as a table or as JSON."""
    measurements = measure(num_rows, dimensions, threads=threads)
    if as_json:
        _print_json(measurements)
    else:
        click.echo(describe_measurements(measurements))


def diagnosis_record(diagnosis: Diagnosis, pool: Pool) -> dict[str, Any]:
    """A diagnosis as plain values."""
    rows, rated = len(diagnosis.given_scores), int((diagnosis.given_scores >= 0).sum())
    return {
        "counts": {"rows": rows, "rated": rated, "unrated": rows - rated},
        "pool": {
            "path": pool.path,
            "text": pool.schema.describe(),
            "scores": pool.score_mapping,
            "empty_texts": pool.empty.count,
        },
        "encoder": diagnosis.encoder,
        "transition": transition_record(diagnosis.transition),
        "warnings": diagnosis.warnings,
    }


def _read_pool(options: PoolOptions) -> Pool:
    """The pool, said in words before long work starts."""
    check_file(options.data)
    resolve_encoder(options.model)  # a model that is not there is told before the data is read
    pool = ds2fast.read(
        options.data, text=options.text, scores=options.scores, num_levels=options.num_levels
    )
    if not options.quiet:
        click.echo(f"{pool.describe()}\n", err=True)
    return pool


def _progress(options: PoolOptions) -> bool | None:
    return False if options.quiet else None


@contextmanager
def _weak_evidence_told_once() -> Iterator[None]:
    """Keep Python from printing as warnings what the result holds and is printed from there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)
        yield


def _print_warnings(messages: Sequence[str]) -> None:
    for message in messages:
        click.echo(f"WARNING: {message}", err=True)


def _print_json(value: Mapping[str, Any]) -> None:
    """Print in the form of a manifest, so that what JSON lacks is written the same everywhere."""
    text = BytesIO()
    write_manifest(text, value)
    click.echo(text.getvalue(), nl=False)
