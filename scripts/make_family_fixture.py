"""Make tests/data/families.npz: what sentence-transformers gives on small checkpoints.

The checkpoints are those of tests/family_checkpoints.py, made anew from a seed, so that only the
inputs and outputs are stored. Needs torch and sentence-transformers, which nothing else here does:

    python scripts/make_family_fixture.py tests/data/families.npz
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from family_checkpoints import CASES, TEXTS, make_family_checkpoint


def main(target: Path) -> None:
    """Run every checkpoint and store its vectors and token ids."""
    arrays: dict[str, Any] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "checkpoint"
            make_family_checkpoint(directory, case)
            arrays[case.name] = encode(directory)
            print(case.name, arrays[case.name].shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, **arrays)


def encode(directory: Path) -> Any:
    """Unit vectors of the texts, (n, hidden) float32."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu")
    # Two batches: in one of them short texts are padded.
    return model.encode(TEXTS, batch_size=4, normalize_embeddings=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "data" / "families.npz")
