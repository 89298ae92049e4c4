"""What a run has to do by its rows and settings, and the folder that it may put files into."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ds2fast.embedding.models import resolve_model
from ds2fast.embedding.static import StaticFiles
from ds2fast.errors import Ds2fastError, OutputError
from ds2fast.graph_search import is_exact
from ds2fast.intake import Intake
from ds2fast.memory.kept import kept_bytes
from ds2fast.memory.load import EncoderLoad, Load, count_tokens, encoder_load
from ds2fast.memory.machine import lies_in_memory
from ds2fast.memory.plan import MemoryPlan
from ds2fast.memory.stages import Layout
from ds2fast.settings import Settings
from ds2fast.sizes import as_size


def load_of(intake: Intake, settings: Settings, neighbours: int, *, selects: bool) -> Load:
    """What `select` (or `diagnose`) has to do with these rows, as far as memory is concerned."""
    given, encoder = intake.given, _encoder_of(intake, settings)
    width = 0 if encoder is None else encoder.width
    tokens = exact_tokens = kept = 0
    if intake.embeddings is not None:
        width = intake.embeddings.shape[1]
    if encoder is not None and intake.pool is not None:
        tokens = count_tokens(intake.pool.lengths, encoder)
        exact_tokens = _in_float32(tokens, len(given), settings, encoder)
        kept = kept_bytes(settings.cache_dir, (intake.encoder or {}).get("weights_sha256"))
    return Load(
        num_rows=len(given),
        width=width,
        neighbours=neighbours,
        levels=given.num_levels,
        tokens=tokens,
        encoder=encoder,
        has_store=settings.cache_dir is not False,
        kept=kept,
        exact_tokens=exact_tokens,
        has_graph=intake.graph is not None,
        is_exact=settings.recall == 1.0 or is_exact(settings.graph_method, len(given), width),
        threads=settings.threads,
        selects=selects,
        engine=settings.engine,
    )


def check_room(plan: MemoryPlan, folder: Path) -> str:
    """Refuse a plan that puts more on the disk than it has room for.

    Returns
    -------
    str
        A line for the user where that disk is memory or may be too small, else nothing.

    Raises
    ------
    OutputError
        The message says how much room there has to be, and where.
    """
    if plan.layout == Layout():
        return ""
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path())
    free = shutil.disk_usage(there).free
    if free < plan.room:
        raise OutputError(
            f"max_memory: expected room for {as_size(plan.room)} of files in {folder}, where "
            f"{as_size(free)} are left; make room, name another folder (cache_dir=, --cache-dir), "
            "or allow more memory"
        )
    if free < plan.disk:
        return (
            f"\n  note: {folder} has {as_size(free)} left: too little if these texts are not among "
            "those whose vectors are in the cache"
        )
    if lies_in_memory(folder):
        return f"\n  note: files in {folder} are kept in memory (tmpfs); name a folder on a disk"
    return ""


def _in_float32(tokens: int, num_rows: int, settings: Settings, encoder: EncoderLoad) -> int:
    """About how many tokens run in float32: all, or those of a comparison."""
    sample = settings.gate.sample
    if settings.precision == "auto" and (encoder.is_static or num_rows >= 2 * sample):
        return tokens * min(sample, num_rows) // num_rows
    return tokens if settings.precision in {"auto", "fp32"} else 0


def _encoder_of(intake: Intake, settings: Settings) -> EncoderLoad | None:
    if intake.embeddings is not None or intake.graph is not None or intake.pool is None:
        return None
    files = resolve_model(settings.model)
    found = encoder_load(files)
    if isinstance(files, StaticFiles) and settings.precision == "auto":
        return replace(found, teacher_bytes=_teacher_bytes(files))
    return found


def _teacher_bytes(files: StaticFiles) -> int:
    """Size of the weights of the encoder that a static model was made from, if it is here."""
    with suppress(Ds2fastError):
        teacher = resolve_model(str(files.teacher.get("teacher", "")), offline=True)
        return teacher.weights.stat().st_size
    return 0
