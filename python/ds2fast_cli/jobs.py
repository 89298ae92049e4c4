"""What the commands do; importing this brings the whole package."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

import ds2fast
from ds2fast.audit import read_sheet
from ds2fast.benchmark import describe_measurements, measure
from ds2fast.doctor import (
    describe_examination,
    estimate,
    examine,
    measure_encoder,
    measuring_seconds,
)
from ds2fast.embedding import PrecisionGate
from ds2fast.embedding.encode import check_model
from ds2fast.embedding.engine import LongText, Precision
from ds2fast.encoder_record import lasting_part, run_part
from ds2fast.errors import InputFileError
from ds2fast.evidence import WeakEvidenceWarning
from ds2fast.graph_search import GraphMethod
from ds2fast.io.names import EXTENSIONS
from ds2fast.io.origin import Origin, load_origin, origin_place
from ds2fast.io.output import check_output_dir
from ds2fast.io.ownership import MANIFEST, read_manifest
from ds2fast.io.row_files import check_row_format
from ds2fast.io.source import check_file
from ds2fast.io.vectors import load_vectors
from ds2fast.limits import check_rules
from ds2fast.manifest import transition_record
from ds2fast.outcome import Diagnosis, Selection
from ds2fast.pool import Pool
from ds2fast.report.extra import check_extra, has_extra
from ds2fast.results import RowArray
from ds2fast.save import save_selection
from ds2fast.settings import check_arguments
from ds2fast.summary import describe_diagnosis_findings, describe_findings
from ds2fast.trainers import check_trainer
from ds2fast.vector_rows import as_embedding_rows
from ds2fast_cli.interrupt import interruptible
from ds2fast_cli.printing import print_json, print_warnings


@dataclass(frozen=True)
class PoolOptions:
    """What is read, how it is embedded and judged, and what is printed."""

    data: tuple[Path, ...]
    scores: tuple[str, ...]
    text: str | None
    num_levels: int | None
    edges: list[float] | None
    embeddings: Path | None
    model: str
    precision: Precision | Literal["auto"]
    gate_cosine: float | None
    gate_overlap: float | None
    long_text: LongText
    k: int
    repeats: tuple[str, ...]
    gold: str | None
    solver: str | None
    preset: str | None
    graph_method: GraphMethod
    recall: float
    max_memory: str | None
    engine: str
    address: str | None
    threads: int | None
    cache_dir: Path | None
    no_cache: bool
    quiet: bool
    as_json: bool

    @property
    def source(self) -> Path | list[Path]:
        """The data as `read` takes them."""
        return self.data[0] if len(self.data) == 1 else list(self.data)

    def arguments(self) -> dict[str, Any]:
        """Arguments of `select` and `diagnose` for a pool that is read."""
        return {
            "model": self.model,
            "precision": self.precision,
            "long_text": self.long_text,
            "gate": gate_of(self.gate_cosine, self.gate_overlap),
            "k": self.k,
            "preset": self.preset,
            "solver": self.solver,
            "graph_method": self.graph_method,
            "recall": self.recall,
            "max_memory": self.max_memory,
            "engine": self.engine,
            "address": self.address,
            "threads": self.threads,
            "cache_dir": False if self.no_cache else self.cache_dir,
        }

    def ratings(self, pool: Pool) -> dict[str, Any]:
        """What was seen of the rows' scores, as `select` and `diagnose` take it."""
        seen: dict[str, Any] = {}
        if len(self.scores) > 1:
            seen["scores"] = list(self.scores)
        if self.repeats:
            seen["repeats"] = list(self.repeats)
        if self.gold is not None:
            is_file = Path(self.gold).is_file()
            if not is_file and self.gold.lower().endswith(EXTENSIONS):
                raise InputFileError(
                    f"gold: expected a field of the rows or a file (--gold), but there is no file "
                    f"{self.gold}"
                )
            # As they were written: they become levels together with the scores.
            seen["gold"] = read_sheet(self.gold, pool).given if is_file else self.gold
        return seen


@dataclass(frozen=True)
class SelectOptions:
    """Arguments that only `select` has."""

    n: int | None
    fraction: float | None
    method: str | None
    min_confidence: float | None
    trust: float | None
    max_unrated: float
    seed: int
    rules: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """All but the rules, as `select` takes them."""
        return {name: value for name, value in vars(self).items() if name != "rules"}


@dataclass(frozen=True)
class SaveOptions:
    """Where results go, and which."""

    output: Path
    overwrite: bool
    rows: Literal["jsonl", "parquet"]
    controls: bool
    trainers: tuple[str, ...]
    report: bool | None

    @property
    def writes_report(self) -> bool:
        """Whether a report is written: as asked, else where it can be."""
        return has_extra() if self.report is None else self.report

    def check(self, sources: Sequence[Path]) -> None:
        """Refuse what could not be written."""
        if self.report:
            check_extra()
        check_output_dir(self.output, overwrite=self.overwrite, source=sources)


@interruptible()
def run_select(options: PoolOptions, chosen: SelectOptions, save: SaveOptions) -> None:
    """Select into a directory; all that can be checked without the data is checked before."""
    check_select(options, chosen, save)
    embeddings, origin = load_embeddings(options)
    pool = _read_pool(options, origin)
    select_pool(options, chosen, save, pool, embeddings)


def check_select(options: PoolOptions, chosen: SelectOptions, save: SaveOptions) -> None:
    """Refuse what can be refused without the data."""
    check_arguments(
        num_levels=options.num_levels,
        edges=options.edges,
        **chosen.settings(),
        **options.arguments(),
    )
    check_rules(**chosen.rules)
    save.check([path for named in options.data for path in check_file(named)])


def select_pool(
    options: PoolOptions,
    chosen: SelectOptions,
    save: SaveOptions,
    pool: Pool,
    embeddings: RowArray | None,
    *,
    ratings: dict[str, Any] | None = None,
) -> None:
    """Select out of a pool that was read; `ratings` beside it come before the options'."""
    check_saving(pool, save)
    with weak_evidence_told_once():
        selection = ds2fast.select(
            pool,
            embeddings=embeddings,
            **chosen.settings(),
            **chosen.rules,
            **options.arguments(),
            **(options.ratings(pool) if ratings is None else ratings),
            progress=progress_of(options),
        )
    save_and_tell(selection, options, save)


def check_saving(pool: Pool, save: SaveOptions) -> None:
    """Refuse rows that could not be written as they were asked for."""
    for trainer in save.trainers:
        check_trainer(trainer, pool)
    check_row_format(pool, save.rows)


def save_and_tell(selection: Selection, options: PoolOptions, save: SaveOptions) -> None:
    """Write the results, and what was found to the terminal."""
    # Not `selection.save`: a file that others put there meanwhile must not cost a long run.
    lost = save_selection(
        selection,
        save.output,
        overwrite=save.overwrite,
        rows=save.rows,
        controls=save.controls,
        trainers=save.trainers,
        report=save.writes_report,
    )
    if options.as_json:
        click.echo((save.output / "manifest.json").read_bytes(), nl=False)
    if options.quiet:
        print_warnings([*selection.warnings, *lost])
        return
    click.echo(f"{describe_findings(selection)}\n\nwritten to {save.output}", err=True)
    for note in _trainer_notes(save):
        if note in lost:
            print_warnings([note])
        else:
            click.echo(note, err=True)
    if save.report is None and not save.writes_report:
        click.echo("no report.html: pip install 'ds2fast[report]' brings what it needs", err=True)


def _trainer_notes(save: SaveOptions) -> list[str]:
    """What trainers are given as a copy or lose, as the manifest just written tells it."""
    manifest = read_manifest(save.output / MANIFEST) or {}
    return [note for name in save.trainers for note in manifest["trainers"][name]["notes"]]


@interruptible()
def run_diagnose(options: PoolOptions, bootstrap: int = 0) -> None:
    """Print what was found of the judge, in words or as JSON."""
    check_arguments(
        num_levels=options.num_levels,
        edges=options.edges,
        bootstrap=bootstrap,
        **options.arguments(),
        selects=False,
    )
    embeddings, origin = load_embeddings(options)
    pool = _read_pool(options, origin)
    with weak_evidence_told_once():
        diagnosis = ds2fast.diagnose(
            pool,
            embeddings=embeddings,
            bootstrap=bootstrap,
            **options.arguments(),
            **options.ratings(pool),
            progress=progress_of(options),
        )
    if options.as_json or not sys.stdout.isatty():  # what is in a file may be read too late
        print_warnings(diagnosis.warnings)
    if options.as_json:
        print_json(diagnosis_record(diagnosis, pool))
    else:
        click.echo(describe_diagnosis_findings(diagnosis))


@interruptible()
def run_doctor(
    model: str,
    *,
    tokens: int | None,
    rows: int | None,
    budget: float | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Print what this machine runs, in words or as JSON; measured where `tokens` is given."""
    findings = examine(model, cache_dir=cache_dir)
    if tokens is not None and not findings["encoder"]["found"]:
        click.echo("nothing was measured: the encoder is not usable", err=True)
    elif tokens is not None:
        seconds = measuring_seconds(findings)
        click.echo(f"measuring for some {seconds:.0f} seconds ...", err=True)
        findings["measured"] = measure_encoder(findings, tokens=tokens, cache_dir=cache_dir)
        if rows is not None:
            findings["estimate"] = estimate(findings, rows, tokens=tokens, budget=budget)
    if as_json:
        print_json(findings)
    else:
        click.echo(describe_examination(findings))
    if tokens is not None and "measured" not in findings:
        raise click.exceptions.Exit(1)


@interruptible()
def run_bench(num_rows: int, dimensions: int, *, threads: int | None, as_json: bool) -> None:
    """Print the measurements, as a table or as JSON."""
    measurements = measure(num_rows, dimensions, threads=threads)
    if as_json:
        print_json(measurements)
    else:
        click.echo(describe_measurements(measurements))


def gate_of(cosine: float | None, overlap: float | None) -> PrecisionGate:
    """What "auto" asks of a precision; as by default where nothing was given."""
    usual = PrecisionGate()
    return PrecisionGate(
        cosine=usual.cosine if cosine is None else cosine,
        overlap=usual.overlap if overlap is None else overlap,
    )


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
        "encoder": lasting_part(diagnosis.encoder),
        "embedding_run": run_part(diagnosis.encoder),
        "transition": transition_record(diagnosis.transition),
        "verdict": {"word": diagnosis.verdict.word, "causes": diagnosis.verdict.causes},
        "warnings": diagnosis.warnings,
    }


def load_embeddings(options: PoolOptions) -> tuple[RowArray | None, Origin | None]:
    """The vectors that were given, and what is known of them."""
    path = options.embeddings
    if path is None:
        return None, None
    vectors = load_vectors(path)
    rows = as_embedding_rows(vectors)
    origin = load_origin(path, vectors.shape)
    if not options.quiet:
        click.echo(describe_origin(path, origin), err=True)
    return rows, origin


def describe_origin(path: Path, origin: Origin | None) -> str:
    """What is known of vectors that were given, in words."""
    if origin is None:
        return (
            f"vectors of {path}: there is no {origin_place(path).name} beside them, so that they "
            "are of these rows, in this order, is taken on trust"
        )
    return f"vectors of {path}: by {origin.model}; that they are of these texts is checked"


def _read_pool(options: PoolOptions, origin: Origin | None) -> Pool:
    """The pool, said in words before long work starts."""
    for path in options.data:
        check_file(path)
    if options.embeddings is None:  # a model that is not there is told before the data is read
        check_model(options.model, precision=options.precision, long_text=options.long_text)
    pool = ds2fast.read(
        options.source,
        text=options.text,
        scores=options.scores[0],
        num_levels=options.num_levels,
        edges=options.edges,
        max_memory=options.max_memory,
    )
    if not options.quiet:
        click.echo(f"{pool.describe()}\n", err=True)
    if origin is not None:
        origin.check_texts(pool.texts)
    return pool


def progress_of(options: PoolOptions) -> bool | None:
    """Bars unless everything is to be quiet."""
    return False if options.quiet else None


@contextmanager
def weak_evidence_told_once() -> Iterator[None]:
    """Keep Python from printing as warnings what the result holds and is printed from there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)
        yield
