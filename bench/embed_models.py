"""Makes of a checkpoint the models that rivals of `bench_embed.py` read; as a script, one of them.

None of this is timed, but for the distilling of our static tier, which is a thing that users wait
for: its seconds are told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from embed_batches import TokenReader, padded

NUM_CALIBRATION = 300


def main() -> None:
    name, *paths = sys.argv[1:]
    encoder, texts, models, target = map(Path, paths)
    MODELS[name](Source(str(encoder), texts, models), target)


@dataclass(frozen=True)
class Source:
    """The checkpoint, a file of texts to calibrate with, and the folder of what was made."""

    encoder: str
    texts: Path
    models: Path


def export_onnx(source: Source, target: Path) -> None:
    """The graph of sentence-transformers' own export, and its dynamic int8 form."""
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    settings = {"provider": "CPUExecutionProvider", "export": True}
    model = SentenceTransformer(source.encoder, backend="onnx", device="cpu", model_kwargs=settings)
    model.save_pretrained(str(target))
    export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(target))


def convert_ctranslate2(quantisation: str) -> Callable[[Source, Path], None]:
    def convert(source: Source, target: Path) -> None:
        from ctranslate2.converters import TransformersConverter

        converter = TransformersConverter(source.encoder)
        converter.convert(str(target), quantization=quantisation, force=True)

    return convert


def quantise_openvino(source: Source, target: Path) -> None:
    """Weights and activations in int8, ranges from texts: post-training quantisation by NNCF."""
    import nncf
    import openvino

    graph = source.models / "onnx" / "onnx" / "model.onnx"
    texts = json.loads(source.texts.read_text())[:NUM_CALIBRATION]
    tokens = TokenReader(source.encoder)(texts)
    dataset = nncf.Dataset([padded([ids]) for ids in tokens])
    quantised = nncf.quantize(
        openvino.Core().read_model(graph),
        dataset,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )
    openvino.save_model(quantised, target / "model.xml", compress_to_fp16=False)


def distill_static(source: Source, target: Path) -> None:
    """Our static tier, in model2vec's format."""
    from ds2fast.embedding.distill import distill

    texts = json.loads(source.texts.read_text())
    distill(source.encoder, target, texts=texts, cache_dir=False, progress=False)


MODELS = {
    "onnx": export_onnx,
    "ctranslate2-float32": convert_ctranslate2("float32"),
    "ctranslate2-int8": convert_ctranslate2("int8"),
    "openvino-int8": quantise_openvino,
    "static": distill_static,
}
"""By name; one that needs another stands below it."""


if __name__ == "__main__":
    main()
