"""The trainers' own loaders take the files; what they leave out is what was told."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ds2fast.io.read import read
from ds2fast.trainers import trainer_files

pytestmark = pytest.mark.trainers

CHILD = Path(__file__).with_name("trainer_loaders.py")
SYSTEM = {"role": "system", "content": "S"}
USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
REJECTED = {"role": "assistant", "content": "No"}
CHAT = {"messages": [SYSTEM, USER, ASSISTANT]}
SHARED = {
    "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}],
    "system": "S",
}
ALPACA = {"instruction": "Add", "input": "1, 2", "output": "3"}
PAIR = {"prompt": "Hi", "chosen": "Hello", "rejected": "No"}
TOLD_PAIR = {
    "conversations": [{"from": "human", "value": "Hi"}],
    "chosen": {"from": "gpt", "value": "Hello"},
    "rejected": {"from": "gpt", "value": "No"},
}
WHOLE_PAIR = {"chosen": [USER, ASSISTANT], "rejected": [USER, REJECTED], "prompt": "Hi"}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
TOOLS = {
    "messages": [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "7"},
    ]
}
PROMPTED = {"prompt": [USER], "completion": [ASSISTANT]}
CALLING = {
    "conversations": [
        {"from": "human", "value": "Hi"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"from": "observation", "value": "3"},
        {"from": "gpt", "value": "Hello"},
    ],
    "tools": '[{"type": "function", "function": {"name": "add", "parameters": {}}}]',
}
CALLED = "<user>Hi</s><assistant>add</s><tool>3</s><assistant>Hello</s>"


@pytest.fixture(scope="module")
def python() -> str:
    """The Python with the trainers."""
    named = os.environ.get("DS2FAST_TRAINERS_PYTHON")
    if not named:
        pytest.skip("DS2FAST_TRAINERS_PYTHON names no Python with the trainers")
    return named


def load(
    python: str, name: str, tmp_path: Path, *pools: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What a trainer's loader makes of the files for each pool."""
    folders = []
    for number, rows in enumerate(pools):
        folder = tmp_path / str(number)
        folder.mkdir()
        pool = read(list(rows), scores=None)
        made = trainer_files(name, pool, range(len(pool)))
        lines = b"".join(line + b"\n" for line in pool.lines(range(len(pool))))
        (folder / "selected.jsonl").write_bytes(lines)
        if made.copy is not None:
            with (folder / made.copy.name("selected")).open("wb") as copy:
                made.copy.write(copy, pool, np.arange(len(pool)))
        for file, content in made.files.items():
            (folder / file).write_bytes(content)
        folders.append(str(folder))
    ran = subprocess.run(
        [python, CHILD, name, *folders], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    outcomes: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return outcomes


def test_llama_factory(python: str, tmp_path: Path) -> None:
    odd = {"messages": [USER, ASSISTANT, USER]}
    swapped = {"messages": [ASSISTANT, USER]}
    narrated = {"messages": [USER, {"role": "narrator", "content": "x"}]}
    parts = {"messages": [USER, {"role": "assistant", "content": [{"type": "text", "text": "x"}]}]}
    pools: list[list[dict[str, Any]]] = [
        [CHAT, odd, swapped, narrated],
        [SHARED],
        [ALPACA, {**ALPACA, "output": None, "response": "3"}],
        [PAIR],
        [TOLD_PAIR],
        [{"text": "Hi"}],
        [CHAT, parts],
        [TOOLS],
    ]
    pools += [[PROMPTED, ALPACA], [WHOLE_PAIR]]
    chat, shared, alpaca, pair, told, text, lists, tools, mixed, whole = load(
        python, "llama-factory", tmp_path, *pools
    )
    # Its template "default" in its own words; of four rows of chat one is left, as was told.
    opened = ["System: S</s>\nHuman: Hi</s>\nAssistant:Hello</s>\n", "Hello</s>\n"]
    assert chat == {"rows": [opened]}
    assert shared == {"rows": [opened]}
    added = ["Human: Add\n1, 2</s>\nAssistant:3</s>\n", "3</s>\n"]
    # The answers have two names, so the rows are copied as messages.
    assert alpaca == {"rows": [added, added]}
    assert mixed == {"rows": [["Human: Hi</s>\nAssistant:Hello</s>\n", "Hello</s>\n"], added]}
    both = [[f"Human: Hi</s>\nAssistant:{one}</s>\n", f"{one}</s>\n"] for one in ("Hello", "No")]
    assert pair == told == whole == {"rows": [both]}
    assert text == {"rows": [["Hi</s>", "Hi</s>"]]}
    assert "Expected a string" in lists["error"]
    ((called, learned),) = tools["rows"]
    assert called.startswith("System: detailed thinking off</s>\n")
    assert '{"a": 1}' in learned
    assert "3\n</tool_response>\n<tool_response>\n4" in called


def test_axolotl(python: str, tmp_path: Path) -> None:
    calls = [
        {"from": "human", "value": "Hi"},
        {"from": "function_call", "value": "f"},
        {"from": "observation", "value": "3"},
        {"from": "gpt", "value": "Hello"},
    ]
    pools: list[list[dict[str, Any]]] = [
        [CHAT, {"messages": [USER]}],
        [SHARED],
        [{"conversations": calls}],
        [ALPACA, {"instruction": "x", "input": None, "output": "y", "system": "S"}],
        [{"text": "Hi"}],
        [PAIR],
        [TOLD_PAIR],
        [WHOLE_PAIR],
        [{**PAIR, "prompt": None, "question": "Hi"}],
        [TOOLS],
        [PROMPTED, ALPACA, CALLING],
    ]
    chat, shared, called, alpaca, text, *pairs, tools, mixed = load(
        python, "axolotl", tmp_path, *pools
    )
    opened = ["<system>S</s><user>Hi</s><assistant>Hello</s>", "Hello</s>"]
    # A row from which nothing is learned is dropped when training begins, as was told.
    assert chat == {"rows": [opened, ["<user>Hi</s>", ""]]}
    assert shared == {"rows": [opened]}
    turns = "<user>Hi</s><assistant>f</s><tool>3</s><assistant>Hello</s>"
    assert called == {"rows": [[turns, "f</s>Hello</s>"]]}
    asked = "### Instruction:\nAdd\n\n### Input:\n1, 2\n\n### Response:\n"
    with_system = "### System:\nS\n\n### Instruction:\nx\n\n### Response:\n"
    assert alpaca == {"rows": [[f"{asked}3</s>", "3</s>"], [f"{with_system}y</s>", "y</s>"]]}
    assert text == {"rows": [["Hi</s>", "Hi</s>"]]}
    for pair in pairs:
        (row,) = pair["rows"]
        assert row["prompt"] == "<user>Hi</s><assistant>"
        assert (row["chosen"], row["rejected"]) == ("Hello</s>", "No</s>")
    ((whole, learned),) = tools["rows"]
    assert "<tool>3</s><tool>4</s><assistant>7</s>" in whole
    assert learned.endswith("7</s>")
    assert mixed == {
        "rows": [
            ["<user>Hi</s><assistant>Hello</s>", "Hello</s>"],
            ["<user>Add\n1, 2</s><assistant>3</s>", "3</s>"],
            [CALLED, "add</s>Hello</s>"],
        ]
    }


def test_trl(python: str, tmp_path: Path) -> None:
    listed = {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [REJECTED]}
    pools: list[list[dict[str, Any]]] = [
        [{**CHAT, "prompt": "not of this form"}],
        [{"prompt": "Hi", "completion": " Hello"}],
        [{"prompt": [USER], "completion": [ASSISTANT]}],
        [{"text": "Hi"}],
        [PAIR],
        [listed],
        [WHOLE_PAIR],
    ]
    chat, strings, lists, text, pair, *told = load(python, "trl", tmp_path, *pools)
    opened = "<system>S</s><user>Hi</s><assistant>Hello</s>"
    assert chat == {"rows": [[opened, opened]]}
    assert strings == {"rows": [["Hi Hello</s>", " Hello</s>"]]}
    assert lists == {"rows": [["<user>Hi</s><assistant>Hello</s>", "Hello</s>"]]}
    assert text == {"rows": [["Hi</s>", "Hi</s>"]]}
    answers = {"chosen_ids": "Hello</s>", "rejected_ids": "No</s>"}
    assert pair == {"rows": [{"prompt_ids": "Hi", **answers}]}
    for outcome in told:
        assert outcome == {"rows": [{"prompt_ids": "<user>Hi</s><assistant>", **answers}]}


def test_trl_takes_the_copies(python: str, tmp_path: Path) -> None:
    other_arguments = json.loads(json.dumps(CALLING))
    other_arguments["conversations"][1]["value"] = '{"name": "add", "arguments": {"b": "x"}}'
    asked = {"instruction": "Hi", "output": "Hello"}
    pools: list[list[dict[str, Any]]] = [
        [SHARED, {"conversations": [{"from": "human", "value": "Hi"}]}],
        [ALPACA, {**asked, "history": [["a", "b"]]}],
        [{"question": "Hi", "answer": "Hello"}],
        [SHARED, CALLING, other_arguments],
        [CHAT, SHARED, ALPACA],
        [{**PAIR, "prompt": None, "question": "Hi"}],
        [TOLD_PAIR],
    ]
    shared, alpaca, question, calling, mixed, *pairs = load(python, "trl", tmp_path, *pools)
    opened = ["<system>S</s><user>Hi</s><assistant>Hello</s>"] * 2
    added = ["<user>Add\n1, 2</s><assistant>3</s>"] * 2
    assert shared == {"rows": [opened]}
    with_history = "<user>a</s><assistant>b</s><user>Hi</s><assistant>Hello</s>"
    assert alpaca == {"rows": [added, [with_history] * 2]}
    assert question == {"rows": [["<user>Hi</s><assistant>Hello</s>"] * 2]}
    assert calling == {"rows": [opened, [CALLED] * 2, [CALLED] * 2]}
    assert mixed == {"rows": [opened, opened, added]}
    answers = {"chosen_ids": "Hello</s>", "rejected_ids": "No</s>"}
    for pair in pairs:
        assert pair == {"rows": [{"prompt_ids": "<user>Hi</s><assistant>", **answers}]}
