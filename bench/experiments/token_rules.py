"""How far are token counts by rules from real vocabularies? Fits the rules' costs and judges them.

`ds2fast.rating.token_rules` cuts samples and estimates prompts without any vocabulary. Here its
costs are fitted by least squares to the mean count of the vocabularies that --fit names (on half
of every data file; they must write numbers by threes), and judged on up to 1 000 samples of the
other half, as ds2fast renders them: the table shows by how many percent the rules' total lies above
each vocabulary's. Those named by --single write digits one by one, and are judged by the rules that
do so, too.

Beside the measuring data, the sources of Python's own library are a file of code; --texts adds
files of other languages, one sample a line (the shown figures are of Django's translations).

Needs tiktoken, and vocabularies: a base64 file of ranks (cl100k and o200k under the name that
tiktoken's cache gives them), a tekken file, or a tokenizer.json.

Usage: python bench/experiments/token_rules.py --shared ../shared --vocabulary cl100k=FILE
    o200k=FILE llama3=FILE deepseek=FILE qwen=FILE tekken=FILE --single qwen tekken
    [--texts ru.txt ...] [--costs --fit o200k llama3]
"""

from __future__ import annotations

import argparse
import base64
import gzip
import importlib
import json
import os
import sysconfig
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from experiment_data import Figures, finish, parser_of, table

from ds2fast.rating.token_rules import COSTS, features_of, pieces, rule_tokens
from ds2fast.results import DoubleArray

Count = Callable[[str], int]

JUDGED_SAMPLES = 1000
FITTED_SAMPLES = 2500
CODE_CHARACTERS = 2000
RIDGE = 3.0
PRIOR = {"letter": 0.3, "byte": 0.3, "mark": 0.3, "accent": 0.3}


def main() -> None:
    arguments = parse_arguments()
    counts = {name: load_vocabulary(name, path) for name, path in arguments.vocabulary}
    files = load_files(arguments.shared, arguments.texts)
    judged, fitted = halves(files)
    results: dict[str, object] = {}
    if arguments.costs:
        targets = [counts[name] for name in arguments.fit]
        results["costs"] = tell_costs(fit_costs(fitted, targets))
    figures = {name: errors(texts, counts, arguments.single) for name, texts in judged.items()}
    print(f"rules' total against each vocabulary's, percent\n{table(figures, digits=1)}")
    finish("token_rules", {"single": arguments.single}, results | {"errors": figures})


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add = parser.add_argument
    add("--vocabulary", type=named_path, nargs="+", required=True, metavar="NAME=FILE")
    add("--single", nargs="*", default=[], help="vocabularies that write digits one by one")
    add("--texts", type=Path, nargs="*", default=[], help="files with one sample a line")
    add("--costs", action="store_true", help="fit the costs and print them")
    add("--fit", nargs="+", default=["o200k"], help="vocabularies whose mean count is fitted")
    return parser.parse_args()


def named_path(argument: str) -> tuple[str, Path]:
    name, _, path = argument.partition("=")
    return name, Path(path)


# --- Vocabularies ---------------------------------------------------------------------------------


def load_vocabulary(name: str, path: Path) -> Count:
    if path.suffix != ".json":
        return ranked(name, path)
    settings = json.loads(path.read_bytes())
    if "default_vocab_size" in settings.get("config", {}):
        return tekken(settings)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def ranked(name: str, path: Path) -> Count:
    """One of tiktoken's own, or ranks whose words are split as cl100k splits them."""
    tiktoken = importlib.import_module("tiktoken")
    if name in ("cl100k", "o200k"):
        os.environ["TIKTOKEN_CACHE_DIR"] = str(path.parent)
        return count_by(tiktoken.get_encoding(f"{name}_base"))
    pattern: str = tiktoken.get_encoding("cl100k_base")._pat_str
    if name.startswith("qwen"):
        pattern = pattern.replace(r"\p{N}{1,3}+", r"\p{N}")
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return count_by(
        tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    )


def tekken(settings: dict[str, Any]) -> Count:
    tiktoken = importlib.import_module("tiktoken")
    config = settings["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    ranks = {base64.b64decode(v["token_bytes"]): v["rank"] for v in settings["vocab"][:size]}
    pattern = config["pattern"]
    return count_by(
        tiktoken.Encoding("tekken", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    )


def count_by(encoding: Any) -> Count:
    return lambda text: len(encoding.encode_ordinary(text))


# --- Texts ----------------------------------------------------------------------------------------

Turns = list[tuple[str, str]]


def load_files(shared: Path, texts: Sequence[Path]) -> dict[str, list[Turns]]:
    files: dict[str, list[Turns]] = {}
    with gzip.open(shared / "data" / "instructions.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            turns = [(message["role"], message["content"]) for message in row["messages"]]
            files.setdefault(row["source"], []).append(turns)
    with gzip.open(shared / "data" / "judged.jsonl.gz", "rt", encoding="utf-8") as lines:
        files["judged"] = [
            [("user", row["instruction"]), ("assistant", row["output"])]
            for row in map(json.loads, lines)
        ]
    files["python"] = [[("", source)] for source in library_sources()]
    for path in texts:
        lines_of_text = path.read_text(encoding="utf-8").splitlines()
        files[path.stem] = [[("", line)] for line in lines_of_text if line.strip()]
    return files


def library_sources() -> list[str]:
    """The first pieces of each module of Python's library."""
    sources = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = path.read_text(encoding="utf-8")
        begins = range(0, min(len(source), 4 * CODE_CHARACTERS), CODE_CHARACTERS)
        sources += [source[begin : begin + CODE_CHARACTERS] for begin in begins]
    return [source for source in sources if source.strip()]


def halves(files: dict[str, list[Turns]]) -> tuple[dict[str, list[str]], list[str]]:
    """Samples to judge, as rendered, by file; and texts to fit to.

    Those are not rendered: the roles' words would be fitted by heart.
    """
    judged, fitted = {}, []
    for name, samples in files.items():
        order = np.random.default_rng(1).permutation(len(samples))
        half = len(samples) // 2
        chosen = order[: min(half, JUDGED_SAMPLES)]
        judged[name] = [rendered(samples[row]) for row in chosen]
        rest = order[half : half + FITTED_SAMPLES]
        fitted += ["\n".join(content for _, content in samples[row]) for row in rest]
    return judged, fitted


def rendered(turns: Turns) -> str:
    return "".join(f"###{role}: {text}\n" if role else text for role, text in turns)


# --- Fit and errors -------------------------------------------------------------------------------


def fit_costs(texts: Sequence[str], counts: Sequence[Count]) -> dict[str, float]:
    """Tokens a feature: least squares, rows weighted as counts are, with a weak prior."""
    features = [count_features(text) for text in texts]
    names = sorted(COSTS.keys() | {name for found in features for name in found})
    matrix = np.array([[found[name] for name in names] for found in features], np.float64)
    target = np.mean([[count(text) for text in texts] for count in counts], axis=0)
    prior = np.array([PRIOR.get(name.split()[-1], 1.0) for name in names])
    weights = 1 / np.sqrt(target + 5)
    weighted: DoubleArray = matrix * weights[:, None]
    rest = (target - matrix @ prior) * weights
    normal = weighted.T @ weighted + RIDGE * np.eye(len(names))
    return dict(
        zip(names, (prior + np.linalg.solve(normal, weighted.T @ rest)).tolist(), strict=True)
    )


def count_features(text: str) -> Counter[str]:
    features: Counter[str] = Counter()
    for piece in pieces().findall(text):
        features.update(features_of(piece))
    return features


def tell_costs(costs: dict[str, float]) -> dict[str, int]:
    """The costs in thousandths of a token, as the rules' module holds them."""
    thousandths = {name: round(1000 * cost) for name, cost in costs.items()}
    for name, cost in thousandths.items():
        print(f'    "{name}": {cost},')
    return thousandths


def errors(texts: Sequence[str], counts: dict[str, Count], single: Sequence[str]) -> Figures:
    figures: Figures = {"rows": float(len(texts))}
    for name, count in counts.items():
        ruled = sum(rule_tokens(text, single_digits=name in single) for text in texts)
        figures[name] = 100 * (ruled / sum(map(count, texts)) - 1)
    return figures


if __name__ == "__main__":
    main()
