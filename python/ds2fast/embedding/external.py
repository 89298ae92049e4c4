"""Files beside an ONNX graph that hold its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ds2fast.errors import InputFileError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto


def external_files(graph: Path) -> list[Path]:
    """Files whose tensors a graph names, in the order of their names; they are not opened.

    Raises
    ------
    InputFileError
        Where the file is no graph, or names one that is not below its own folder.
    """
    model = _read_model(graph)
    tensors = [*_tensors_of(model.graph)]
    tensors += [tensor for part in model.functions for tensor in _tensors_in(part.node)]
    places = {
        entry.value
        for tensor in tensors
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for place in sorted(places):
        if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
            raise InputFileError(
                f"{graph}: expected tensors in files beside it, got the location {place!r}"
            )
    return [graph.parent / place for place in sorted(places)]


def _read_model(graph: Path) -> ModelProto:
    import onnx

    try:
        return onnx.load(graph, load_external_data=False)
    except Exception as error:  # protobuf's errors have no other base that it makes public
        raise InputFileError(
            f"{graph}: expected an ONNX model, could not load it: {error}"
        ) from error


def _tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_in(graph.node)


def _tensors_in(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    """Tensors that stand in the nodes themselves, and in graphs within these."""
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors_of(inner)
