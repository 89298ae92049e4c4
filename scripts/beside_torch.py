"""Embedding and k-NN in one process with torch, imported before or after: nothing may crash.

    python scripts/beside_torch.py {torch-first,ds2fast-first} ENCODER

Torch is no dependency of ours; run this in an environment that has both.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

ORDERS = {"torch-first": ("torch", "ds2fast"), "ds2fast-first": ("ds2fast", "torch")}


def main() -> int:
    """Return 0 where both libraries worked and agree on the neighbours."""
    order, encoder = sys.argv[1:]
    modules: dict[str, Any] = {name: importlib.import_module(name) for name in ORDERS[order]}
    torch, ds2fast = modules["torch"], modules["ds2fast"]
    square = torch.randn(500, 500)
    before = float((square @ square).sum())
    vectors = ds2fast.embed([f"text number {i}" for i in range(64)], model=encoder).vectors
    rows = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float32)
    graph = ds2fast.knn_graph(rows, 5)
    unit = torch.nn.functional.normalize(torch.from_numpy(rows))
    similarities = unit[:200] @ unit.T
    similarities[range(200), range(200)] = -2.0
    same = bool((similarities.topk(5).indices.numpy() == graph.indices[:200]).all())
    unchanged = float((square @ square).sum()) == before
    print(f"{order}: {len(vectors)} texts embedded, neighbours equal: {same}", end=", ")
    print(f"torch as before: {unchanged}")
    return 0 if same and unchanged else 1


if __name__ == "__main__":
    sys.exit(main())
