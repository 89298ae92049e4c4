"""The ways from texts to vectors that `bench_embed.py` compares; as a script, one of them once.

Run as a script (`bench_embed.py` does that, so that a way may crash, and may be of another Python
environment) it takes a job as JSON, loads the model, encodes some texts to warm up, is timed on all
texts (tokenising included), writes the vectors into a file and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# What the ways need is imported by the way itself: a rival's process holds nothing of the others.
from embed_batches import (
    MAX_TOKENS,
    Floats,
    TokenReader,
    Tokens,
    in_order,
    mean_unit,
    padded,
    run_sorted,
    sorted_batches,
    unit,
)
from knn_ways import peak_mib

if TYPE_CHECKING:
    from ds2fast.embedding.engine import Backend, Precision

REFERENCE = "sentence-transformers"
BATCH = 32
"""Texts at once, of ways that take them in the given order: the default of the reference."""

Encode = Callable[[list[str]], Floats]


@dataclass(frozen=True)
class Job:
    """What a process is to do, and the files of the checkpoint, of the models made of it, of texts.

    `texts` is JSON: the texts to warm up with, and those to be timed.
    """

    way: str
    encoder: str
    models: str
    texts: str
    vectors: str
    threads: int


@dataclass(frozen=True)
class Way:
    """One way: the package it is from, the model it needs, and what its vectors must be like.

    Attributes
    ----------
    model : str or None
        Name of what `embed_models.py` makes of the checkpoint; None where that itself is read.
    least_cosine : float
        To the reference, of the mean text. 0 where the vectors are of another space.
    """

    package: str
    model: str | None
    least_cosine: float
    load: Callable[[Job], Encode]

    @property
    def ours(self) -> bool:
        """Whether ds2fast is what runs, and our interpreter runs it."""
        return self.package == "ds2fast"


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    warm, texts = json.loads(Path(job.texts).read_text())
    begun = time.perf_counter()
    encode = WAYS[job.way].load(job)
    loaded = time.perf_counter()
    encode(warm)
    started = time.perf_counter()
    vectors = encode(texts)
    seconds = time.perf_counter() - started
    np.save(job.vectors, vectors)
    figures = {"seconds": seconds, "load_seconds": loaded - begun, "peak_mib": peak_mib()}
    print(json.dumps(figures | about(WAYS[job.way].package)), flush=True)
    # OpenVINO's threads hang now and then when the interpreter ends; the work is done by here.
    os._exit(0)


def about(package: str) -> dict[str, Any]:
    from importlib.metadata import version

    return {"version": version(package)}


def made(job: Job, *parts: str) -> str:
    """Path of what was made of the checkpoint for this way."""
    model = WAYS[job.way].model
    return str(Path(job.models, model or "", *parts))


# --- Ours -----------------------------------------------------------------------------------------


def ours(precision: Precision, backend: Backend) -> Callable[[Job], Encode]:
    """The whole of `embed`, which reads the model on every call: that is part of its time.

    ONNX Runtime's graph is kept from the warm-up on, as a user's cache keeps it.
    """

    def load(job: Job) -> Encode:
        from ds2fast import embed

        kept = tempfile.TemporaryDirectory(prefix="bench-embed-cache-")

        def encode(texts: list[str]) -> Floats:
            found = embed(
                texts,
                model=job.encoder,
                precision=precision,
                backend=backend,
                threads=job.threads,
                cache_dir=kept.name if backend == "onnxruntime" else False,
                progress=False,
            )
            return found.vectors

        return encode

    return load


def ours_by_default(job: Job) -> Encode:
    """What a user gets who asks for nothing: a precision that is checked, vectors that are kept."""
    from ds2fast import embed

    kept = tempfile.TemporaryDirectory(prefix="bench-embed-cache-")

    def encode(texts: list[str]) -> Floats:
        found = embed(
            texts, model=job.encoder, threads=job.threads, cache_dir=kept.name, progress=False
        )
        return found.vectors

    return encode


def ours_static(job: Job) -> Encode:
    from ds2fast import embed

    def encode(texts: list[str]) -> Floats:
        directory = made(job)
        # "auto" would also compare it with the encoder, which is no part of embedding.
        found = embed(
            texts,
            model=directory,
            precision="fp32",
            threads=job.threads,
            cache_dir=False,
            progress=False,
        )
        return found.vectors

    return encode


# --- Rivals ---------------------------------------------------------------------------------------

# Tokens at once, of ways that leave that to the caller: of the powers of two the fastest ones here.
ONNXRUNTIME_BUDGET = 512
CTRANSLATE2_BUDGET = 1024


def sentence_transformers_torch(precision: str) -> Callable[[Job], Encode]:
    def load(job: Job) -> Encode:
        import torch

        torch.set_num_threads(job.threads)
        kwargs = {"torch_dtype": getattr(torch, precision)}
        return sentence_transformer(job.encoder, model_kwargs=kwargs)

    return load


def sentence_transformers_onnx(file: str) -> Callable[[Job], Encode]:
    def load(job: Job) -> Encode:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        kwargs = {
            "provider": "CPUExecutionProvider",
            "file_name": f"onnx/{file}",
            "session_options": options,
        }
        return sentence_transformer(made(job), backend="onnx", model_kwargs=kwargs)

    return load


def sentence_transformer(directory: str, **settings: Any) -> Encode:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(directory, device="cpu", **settings)
    model.max_seq_length = MAX_TOKENS

    def encode(texts: list[str]) -> Floats:
        found = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return unit(np.asarray(found, np.float32))  # bfloat16's norms are 1 to 8 bits

    return encode


def fastembed_custom(job: Job) -> Encode:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    width = json.loads(Path(job.encoder, "config.json").read_text())["hidden_size"]
    TextEmbedding.add_custom_model(
        model="bench/encoder",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="bench/encoder"),
        dim=width,
        model_file="onnx/model.onnx",
    )
    model = TextEmbedding("bench/encoder", specific_model_path=made(job), threads=job.threads)
    # It cuts where the tokeniser's file says, which is at 128 tokens for the usual checkpoint.
    model.model.tokenizer.enable_truncation(MAX_TOKENS)
    return lambda texts: unit(np.array(list(model.embed(texts, batch_size=BATCH))))


def onnxruntime_given_order(job: Job) -> Encode:
    read = TokenReader(job.encoder)
    hidden = onnxruntime_hidden(made(job, "onnx", "model.onnx"), job.threads)

    def encode(texts: list[str]) -> Floats:
        tokens = read(texts)
        batches = [tokens[begin : begin + BATCH] for begin in range(0, len(tokens), BATCH)]
        return np.concatenate([mean_unit(hidden(batch), batch) for batch in batches])

    return encode


def onnxruntime_sorted(job: Job) -> Encode:
    read = TokenReader(job.encoder)
    hidden = onnxruntime_hidden(made(job, "onnx", "model_qint8_avx512_vnni.onnx"), 1)
    return lambda texts: run_sorted(read(texts), hidden, ONNXRUNTIME_BUDGET, job.threads)


def onnxruntime_hidden(path: str, threads: int) -> Callable[[Tokens], Floats]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: np.asarray(session.run(None, padded(batch))[0])


def ctranslate2_workers(compute_type: str) -> Callable[[Job], Encode]:
    def load(job: Job) -> Encode:
        import ctranslate2

        read = TokenReader(job.encoder)
        encoder = ctranslate2.Encoder(
            made(job), compute_type=compute_type, inter_threads=job.threads, intra_threads=1
        )

        def hidden(batch: Tokens) -> Floats:
            return np.asarray(encoder.forward_batch(batch).last_hidden_state)

        return lambda texts: run_sorted(read(texts), hidden, CTRANSLATE2_BUDGET, job.threads)

    return load


def openvino_streams(graph: str, precision: str, budget: int) -> Callable[[Job], Encode]:
    def load(job: Job) -> Encode:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": job.threads,
            "NUM_STREAMS": job.threads,
        }
        model = openvino.Core().compile_model(made(job, *graph.split("/")), "CPU", settings)
        read = TokenReader(job.encoder)

        def encode(texts: list[str]) -> Floats:
            return openvino_sorted(model, read(texts), budget, job.threads)

        return encode

    return load


def openvino_sorted(model: Any, tokens: Tokens, budget: int, streams: int) -> Floats:
    from openvino import AsyncInferQueue

    done: list[tuple[list[int], Floats]] = []

    def keep(request: Any, rows: list[int]) -> None:
        hidden = request.get_output_tensor(0).data
        done.append((rows, mean_unit(hidden, [tokens[row] for row in rows])))

    queue = AsyncInferQueue(model, streams)
    queue.set_callback(keep)
    for rows in sorted_batches(tokens, budget):
        queue.start_async(padded([tokens[row] for row in rows]), rows)
    queue.wait_all()
    return in_order(done, len(tokens))


def model2vec_static(job: Job) -> Encode:
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(made(job))

    def encode(texts: list[str]) -> Floats:
        return unit(model.encode(texts, max_length=MAX_TOKENS, use_multiprocessing=False))

    return encode


EXACT, HALF, BYTES, STATIC = 0.9999, 0.999, 0.95, 0.0
"""Least mean cosine of fp32, of bfloat16, of int8, and of a space of its own."""

WAYS = {
    REFERENCE: Way("sentence-transformers", None, EXACT, sentence_transformers_torch("float32")),
    "st-torch-bf16": Way(
        "sentence-transformers", None, HALF, sentence_transformers_torch("bfloat16")
    ),
    "st-onnx": Way(
        "sentence-transformers", "onnx", EXACT, sentence_transformers_onnx("model.onnx")
    ),
    "st-onnx-int8": Way(
        "sentence-transformers",
        "onnx",
        BYTES,
        sentence_transformers_onnx("model_qint8_avx512_vnni.onnx"),
    ),
    "fastembed": Way("fastembed", "onnx", EXACT, fastembed_custom),
    "onnxruntime": Way("onnxruntime", "onnx", EXACT, onnxruntime_given_order),
    "onnxruntime-int8": Way("onnxruntime", "onnx", BYTES, onnxruntime_sorted),
    "ctranslate2": Way("ctranslate2", "ctranslate2-float32", EXACT, ctranslate2_workers("float32")),
    "ctranslate2-bf16": Way(
        "ctranslate2", "ctranslate2-float32", HALF, ctranslate2_workers("bfloat16")
    ),
    "ctranslate2-int8": Way(
        "ctranslate2", "ctranslate2-int8", BYTES, ctranslate2_workers("int8_float32")
    ),
    "openvino": Way("openvino", "onnx", EXACT, openvino_streams("onnx/model.onnx", "f32", 1024)),
    "openvino-bf16": Way(
        "openvino", "onnx", HALF, openvino_streams("onnx/model.onnx", "bf16", 1024)
    ),
    "openvino-int8": Way(
        "openvino", "openvino-int8", BYTES, openvino_streams("model.xml", "f32", 2048)
    ),
    "openvino-int8-bf16": Way(
        "openvino", "openvino-int8", BYTES, openvino_streams("model.xml", "bf16", 2048)
    ),
    "model2vec": Way("model2vec", "static", STATIC, model2vec_static),
    "ours-fp32": Way("ds2fast", None, EXACT, ours("fp32", "native")),
    "ours-bf16": Way("ds2fast", None, HALF, ours("bf16", "native")),
    "ours-int8": Way("ds2fast", None, BYTES, ours("int8", "native")),
    "ours-ort-fp32": Way("ds2fast", None, EXACT, ours("fp32", "onnxruntime")),
    "ours-ort-int8": Way("ds2fast", None, BYTES, ours("int8", "onnxruntime")),
    "ours-default": Way("ds2fast", None, BYTES, ours_by_default),
    "ours-static": Way("ds2fast", "static", STATIC, ours_static),
}
"""All ways by name, the reference first."""

OURS = [name for name, way in WAYS.items() if way.ours]
RIVALS = [name for name, way in WAYS.items() if not way.ours and name != REFERENCE]


if __name__ == "__main__":
    main()
