"""What the pages under docs/ show can be run: commands, Python, names, columns and pictures.

A block that follows the comment `<!-- run -->` is run here, those of a page in their order and in
one folder, with the real encoder under the name that users give it. Commands that are not run, for
they ask an LLM or a trainer, are parsed at least.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
import sys
import textwrap
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import ds2fast
from ds2fast_cli.commands import program

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
REVISION = "0" * 40
ROWS = 160

FENCE = re.compile(
    r"^(?P<indent> *)(?P<mark><!-- run -->\n(?P=indent))?```(?P<language>\w+)\n"
    r"(?P<code>.*?)\n(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    code: str
    runs: bool

    @property
    def commands(self) -> list[list[str]]:
        """Arguments of each `$ ds2fast` line; what else a shell would run is passed over."""
        joined = self.code.replace("\\\n", " ")
        lines = [line[2:] for line in joined.splitlines() if line.startswith("$ ds2fast ")]
        return [shlex.split(line, comments=True)[1:] for line in lines]


def blocks_of(page: Path) -> list[Block]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [
        Block(match["language"], textwrap.dedent(match["code"]), match["mark"] is not None)
        for match in found
    ]


def named(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.stem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of, made from a pool of our own."""
    made = tmp_path_factory.mktemp("docs")
    sys.path.insert(0, str(ROOT / "examples"))
    from make_pool import make_pool

    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(make_pool(ROWS)):
        again = np.clip(row["score"] + rng.integers(-1, 2, 2), 0, 5).tolist()
        source = ("chat", "chat", "code", "sums")[number % 4]
        other = {"second_rater": again[0], "score_again": again[1] if number % 2 else None}
        rows.append({**row, "source": source, **other})
    write_lines(made / "data.jsonl", rows)
    turns = [[message["content"] for message in row["messages"]] for row in rows]
    scores = [row["score"] for row in rows]
    write_lines(
        made / "sharegpt.jsonl",
        [
            {
                "conversations": [{"from": "human", "value": ask}, {"from": "gpt", "value": reply}],
                "score": score,
            }
            for (ask, reply), score in zip(turns, scores, strict=True)
        ],
    )
    alpaca = [
        {"instruction": ask, "input": "", "output": reply, "score": score}
        for (ask, reply), score in zip(turns, scores, strict=True)
    ]
    (made / "alpaca.json").write_text(json.dumps(alpaca), encoding="utf-8")
    with (made / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(alpaca[0]))
        writer.writeheader()
        writer.writerows(alpaca)
    pq.write_table(pa.Table.from_pylist(alpaca), made / "data.parquet")
    write_lines(made / "part-1.jsonl", rows[: ROWS // 2])
    write_lines(made / "part-2.jsonl", rows[ROWS // 2 :])
    packed = gzip.compress((made / "part-2.jsonl").read_bytes())
    (made / "part-2.jsonl").unlink()
    (made / "part-2.jsonl.gz").write_bytes(packed)
    write_lines(made / "eval.jsonl", [{"messages": row["messages"]} for row in rows[:5]])
    return made


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def default_model(encoder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real encoder in a cache of the hub under the name that is the default, and no network."""
    home = tmp_path / f"models--{ds2fast.DEFAULT_MODEL.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(REVISION)
    (home / "snapshots").mkdir()
    (home / "snapshots" / REVISION).symlink_to(encoder_dir.resolve(), target_is_directory=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.encoder
@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
@named([page for page in PAGES if any(block.runs for block in blocks_of(page))])
def test_the_blocks_of_a_page_run_in_their_order(
    page: Path,
    folder: Path,
    default_model: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for file in folder.iterdir():
        (work / file.name).symlink_to(file)
    monkeypatch.chdir(work)
    blocks = [block for block in blocks_of(page) if block.runs]
    if not any("ds2fast report" in block.code for block in blocks):
        # Drawing takes longer than all else here: it is done where the page is about it.
        monkeypatch.setattr("ds2fast_cli.jobs.has_extra", lambda: False)
    names: dict[str, Any] = {}
    for block in blocks:
        if block.language == "python":
            exec(compile(block.code, str(page), "exec"), names)
            continue
        assert block.language == "console"
        assert block.commands, block.code
        for command in block.commands:
            result = CliRunner().invoke(program, command)
            said = f"ds2fast {shlex.join(command)}\n{result.output}"
            assert result.exit_code == 0, f"{said}\n{result.exception!r}"


@named(PAGES)
def test_commands_parse_and_python_compiles(page: Path) -> None:
    # With the settings of the program: a command keeps the names of --help that it first hears of.
    parent = click.Context(program, **program.context_settings)
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.code, str(page), "exec")
            for name in re.findall(r"\bds2fast\.(\w+)", block.code):
                assert hasattr(ds2fast, name), name
        for name, *arguments in block.commands:
            command = program.commands[name]
            command.make_context(name, arguments, parent=parent)


def test_every_public_name_has_an_entry() -> None:
    pages = [DOCS / "reference" / name for name in ("api.md", "results.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    entries = {entry.rsplit(".", 1)[1] for entry in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    modules = {"audit"}
    assert set(ds2fast.__all__) - modules <= entries
    assert {name for module in modules for name in getattr(ds2fast, module).__all__} <= entries


@pytest.mark.filterwarnings("ignore::ds2fast.WeakEvidenceWarning")
def test_every_file_and_column_of_a_selection_is_described(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [{"text": f"note {i}", "score": i % 6, "of": "ab"[i % 2]} for i in range(60)]
    selection = ds2fast.select(
        rows, n=6, embeddings=rng.normal(size=(60, 8)), groups="of", trust=1.0, progress=False
    )
    selection.save(tmp_path / "out")
    page = (DOCS / "reference" / "formats.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([^`]+)`", page))
    assert {path.name for path in (tmp_path / "out").iterdir()} <= described
    columns = pq.read_table(tmp_path / "out" / "scores.parquet").column_names
    table = page[page.index("### scores.parquet") :]
    entries = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert set(entries) <= described
    assert columns == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)[: len(columns)]


@pytest.mark.parametrize("path", sorted((DOCS / "pictures").glob("*.svg")), ids=lambda p: p.stem)
def test_a_picture_fits_into_its_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert len(text) < 60_000
    assert not re.search(r"\n\s*\n", text), "an empty line ends the block of HTML in Markdown"
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    used = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert used <= {"svg", "title", "text", "line", "rect", "path"}
    styled = (DOCS / "css" / "pictures.css").read_text(encoding="utf-8")
    for element in root.iter():
        for look in element.get("class", "").split():
            assert f".{look} " in styled, look


def test_each_picture_is_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = set(re.findall(r'--8<-- "pictures/([\w-]+)\.svg"', text))
    assert shown == {path.stem for path in (DOCS / "pictures").glob("*.svg")}
