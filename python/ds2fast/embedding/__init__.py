"""Texts to unit vectors: sentence encoders without torch."""

from ds2fast.embedding.checkpoint import EncoderFiles
from ds2fast.embedding.encode import embed
from ds2fast.embedding.gate import PrecisionGate
from ds2fast.embedding.models import DEFAULT_MODEL, EncoderInfo, encoder_info, resolve_encoder

__all__ = [
    "DEFAULT_MODEL",
    "EncoderFiles",
    "EncoderInfo",
    "PrecisionGate",
    "embed",
    "encoder_info",
    "resolve_encoder",
]
