"""A static model beside the encoder that it was distilled from, on the user's own texts."""

from __future__ import annotations

from collections.abc import Callable

from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.distinct import DistinctTexts
from ds2fast.embedding.gate import NEIGHBOURS, PrecisionGate, Runner
from ds2fast.embedding.models import resolve_model
from ds2fast.embedding.overlap import neighbour_overlap
from ds2fast.embedding.static import StaticFiles
from ds2fast.errors import Ds2fastError


def compare_with_teacher(
    static: StaticFiles,
    texts: DistinctTexts,
    gate: PrecisionGate,
    job: Runner,
    teacher_job: Callable[[EncoderFiles], Runner],
) -> str:
    """Say how many neighbours a static model and its encoder have in common.

    Parameters
    ----------
    static : StaticFiles
        The static model.
    texts : DistinctTexts
        The user's; `gate.sample` of them are compared.
    gate : PrecisionGate
        Its sample.
    job : Runner
        Runs the static model.
    teacher_job : callable
        Makes a runner of the encoder.
    """
    teacher = _find_teacher(static)
    if isinstance(teacher, str):
        return f"a static model; {teacher}"
    sample = texts.sample(gate.sample)
    if len(sample) < NEIGHBOURS + 2:
        return f"a static model; {len(sample)} texts are too few to compare it with its encoder"
    fast = job.run(sample, "fp32", stage="comparing: static").vectors
    try:
        exact = teacher_job(teacher).run(sample, "fp32", stage="comparing: encoder").vectors
    except Ds2fastError as error:  # the model itself runs: only the comparison is lost
        return f"a static model; it could not be compared with its encoder: {error}"
    return (
        f"a static model; on {len(sample)} of these texts it has "
        f"{neighbour_overlap(exact, fast, NEIGHBOURS):.3f} of the {NEIGHBOURS} nearest neighbours "
        f"in common with {teacher.name}{_caveat(static)}"
    )


def _caveat(static: StaticFiles) -> str:
    fitted = static.teacher.get("fitted_texts")
    return f"; of texts it was fitted to ({fitted}) it keeps more than of others" if fitted else ""


def _find_teacher(static: StaticFiles) -> EncoderFiles | str:
    """The encoder, or why there is no comparison with it."""
    origin = static.teacher
    if "teacher" not in origin:
        return "what it was distilled from is not known, so that it is compared with nothing"
    is_missing = f"its encoder {origin['teacher']} is not here to be compared with"
    try:
        teacher = resolve_model(str(origin["teacher"]), offline=True)
        weights = teacher.weights_sha256()
    except Ds2fastError:
        return is_missing
    if isinstance(teacher, StaticFiles):
        return is_missing
    if weights != origin.get("weights_sha256"):
        return f"its encoder {origin['teacher']} has other weights now, and is not compared with"
    return teacher
