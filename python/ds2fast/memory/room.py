"""What a run has to do by its rows and settings, and the folder that it may put files into."""

from __future__ import annotations

import shutil
from pathlib import Path

from ds2fast.embedding.models import resolve_model
from ds2fast.errors import OutputError
from ds2fast.graph_search import is_exact
from ds2fast.intake import Intake
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
    tokens = 0
    if intake.embeddings is not None:
        width = intake.embeddings.shape[1]
    if encoder is not None and intake.pool is not None:
        tokens = count_tokens(intake.pool.lengths, encoder)
    return Load(
        num_rows=len(given),
        width=width,
        neighbours=neighbours,
        levels=given.num_levels,
        tokens=tokens,
        encoder=encoder,
        has_store=settings.cache_dir is not False,
        has_graph=intake.graph is not None,
        is_exact=is_exact(settings.graph_method, len(given), width),
        threads=settings.threads,
        selects=selects,
        engine=settings.engine,
    )


def check_room(plan: MemoryPlan, folder: Path) -> str:
    """Refuse a plan that puts more on the disk than it has room for.

    Returns
    -------
    str
        A line for the user where that disk is memory, else nothing.

    Raises
    ------
    OutputError
        The message says how much room there has to be, and where.
    """
    if plan.layout == Layout():
        return ""
    there = next((one for one in (folder, *folder.parents) if one.exists()), Path())
    free = shutil.disk_usage(there).free
    if free < plan.disk:
        raise OutputError(
            f"max_memory: expected room for {as_size(plan.disk)} of files in {folder}, where "
            f"{as_size(free)} are left; make room, name another folder (cache_dir=, --cache-dir), "
            "or allow more memory"
        )
    if lies_in_memory(folder):
        return f"\n  note: files in {folder} are kept in memory (tmpfs); name a folder on a disk"
    return ""


def _encoder_of(intake: Intake, settings: Settings) -> EncoderLoad | None:
    if intake.embeddings is not None or intake.graph is not None or intake.pool is None:
        return None
    return encoder_load(resolve_model(settings.model))
