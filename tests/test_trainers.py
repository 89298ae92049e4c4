"""What each trainer is given beside the rows, and what it is told to lose."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.ownership import TRAINER_FILES
from ds2fast.io.read import read
from ds2fast.pool import Pool
from ds2fast.trainers import (
    TRAINERS,
    TrainerFiles,
    check_trainer,
    trainer_files,
    uneven_copies,
)
from ds2fast.trainers.copies import Copy
from ds2fast.trainers.files import config_text
from ds2fast.trainers.layout import layout_of


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **further: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **further}


def human(value: str) -> dict[str, str]:
    return {"from": "human", "value": value}


def gpt(value: str) -> dict[str, str]:
    return {"from": "gpt", "value": value}


CHAT = {"messages": [user("Hi"), assistant("Hello")]}
SHARED = {"conversations": [human("Hi"), gpt("Hello")]}
ALPACA = {"instruction": "Add", "input": "1, 2", "output": "3"}
PAIR = {"prompt": "Hi", "chosen": "Yes", "rejected": "No"}
CALL = {"function": {"name": "add", "arguments": '{"a": 1}'}}


def pool_of(*rows: Any) -> Pool:
    return read(list(rows), scores=None)


def made(name: str, *rows: Any, file: str = "selected.jsonl") -> TrainerFiles:
    return trainer_files(name, pool_of(*rows), range(len(rows)), file=file)


def entry(*rows: Any, file: str = "selected.jsonl") -> dict[str, Any]:
    """The entry of `dataset_info.json`; it has one."""
    info = json.loads(made("llama-factory", *rows, file=file).files["dataset_info.json"])
    assert list(info) == ["ds2fast_selected"]
    read_entry: dict[str, Any] = info["ds2fast_selected"]
    return read_entry


def settings(name: str, *rows: Any, file: str = "selected.jsonl") -> dict[str, Any]:
    """A config's settings, its one data set's among them: each line is a name and JSON."""
    text = made(name, *rows, file=file).files[f"{name}.yaml"].decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {}
    for line in lines:
        key, _, value = line.strip().removeprefix("- ").partition(":")
        if value and not value.lstrip().startswith("#"):
            found[key] = json.JSONDecoder().raw_decode(value.lstrip())[0]
    return found


def losses(name: str, *rows: Any) -> list[str]:
    """Notes without the trainer's name."""
    notes = made(name, *rows).notes
    assert all(note.startswith(f"{name}: ") for note in notes)
    return [note.removeprefix(f"{name}: ") for note in notes]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        *((name, row) for name in ("llama-factory", "axolotl") for row in (CHAT, SHARED, ALPACA)),
        *((name, PAIR) for name in TRAINERS),
        *((name, {"text": "x"}) for name in TRAINERS),
        *((name, "x") for name in TRAINERS),
        *((name, {"prompt": "Hi", "completion": "Hello"}) for name in TRAINERS),
        ("axolotl", {"question": "Hi", "answer": "Hello"}),
        ("trl", CHAT),
    ],
)
def test_rows_that_are_taken_as_they_are_lose_nothing(name: str, row: Any) -> None:
    check_trainer(name, pool_of(row))
    files = made(name, row, row)
    assert files.notes == ()
    assert f"{name}.yaml" in files.files


def test_llama_factory_entries() -> None:
    sides = {"observation_tag": "observation", "function_tag": "function_call"}
    assert entry(CHAT) == {
        "file_name": "selected.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
            **sides,
        },
    }
    shared = entry({**SHARED, "system": "Be brief", "tools": "[]"}, file="selected.parquet")
    assert shared["file_name"] == "selected.parquet"
    assert shared["columns"] == {
        "messages": "conversations",
        "system": "system",
        "tools": "tools",
    }
    assert shared["tags"] == {
        "role_tag": "from",
        "content_tag": "value",
        "user_tag": "human",
        "assistant_tag": "gpt",
        "system_tag": "system",
        **sides,
    }
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    assert entry(ALPACA)["columns"] == columns
    assert entry({**ALPACA, "history": [["a", "b"]], "system": "S"})["columns"] == {
        **columns,
        "history": "history",
        "system": "system",
    }
    answered = entry({"instruction": "x", "response": "y"})
    assert answered["columns"] == {"prompt": "instruction", "response": "response"}
    assert entry({"text": "x"})["columns"] == {"prompt": "text"}


def test_llama_factory_preference_entries() -> None:
    pairs = {"chosen": "chosen", "rejected": "rejected"}
    assert entry(PAIR) == {
        "file_name": "selected.jsonl",
        "ranking": True,
        "columns": {"prompt": "prompt", **pairs},
    }
    shared = entry({"conversations": [human("Hi")], "chosen": gpt("a"), "rejected": gpt("b")})
    assert shared["ranking"]
    assert shared["formatting"] == "sharegpt"
    assert shared["columns"] == {"messages": "conversations", **pairs}


@pytest.mark.parametrize(
    ("row", "stage"), [(CHAT, "sft"), (ALPACA, "sft"), ({"text": "x"}, "pt"), (PAIR, "dpo")]
)
def test_llama_factory_stages(row: dict[str, Any], stage: str) -> None:
    config = settings("llama-factory", row)
    assert config["stage"] == stage
    assert (config["dataset"], config["dataset_dir"]) == ("ds2fast_selected", ".")


def test_axolotl_entries() -> None:
    shared = settings("axolotl", SHARED)
    assert (shared["path"], shared["ds_type"]) == ("selected.jsonl", "json")
    assert shared["type"] == "chat_template"
    assert shared["field_messages"] == "conversations"
    assert shared["message_property_mappings"] == {"role": "from", "content": "value"}
    assert shared["roles"] == {
        "user": ["user", "human"],
        "assistant": ["assistant", "gpt"],
        "tool": ["tool"],
        "system": ["system"],
    }
    assert "rl" not in shared
    assert settings("axolotl", CHAT, file="selected.parquet")["ds_type"] == "parquet"
    format_ = settings("axolotl", {"question": "x", "answer": "y"})["type"]
    assert (format_["field_instruction"], format_["field_output"]) == ("question", "answer")
    assert settings("axolotl", {**ALPACA, "system": "S"})["type"]["field_system"] == "system"
    assert settings("axolotl", {"text": "x"})["type"] == "completion"


def test_axolotl_preference_entries() -> None:
    pair = settings("axolotl", PAIR)
    assert (pair["rl"], pair["type"], pair["field_messages"]) == (
        "dpo",
        "chat_template.default",
        "prompt",
    )
    whole = {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}
    assert settings("axolotl", whole)["type"] == "chat_template.argilla_chat"


def test_trl_names_the_columns_of_the_form() -> None:
    """By a further column `prompt` TRL would take rows of messages for another form."""
    assert settings("trl", {**CHAT, "prompt": "Hi"})["columns"] == ["messages"]
    assert settings("trl", {**CHAT, "tools": "[]"})["columns"] == ["messages", "tools"]
    assert settings("trl", PAIR)["columns"] == ["prompt", "chosen", "rejected"]
    whole = {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}
    assert settings("trl", {**whole, "prompt": "a"})["columns"] == ["chosen", "rejected"]
    config = settings("trl", CHAT, file="selected.parquet")
    assert (config["path"], config["data_files"]) == ("parquet", "selected.parquet")


def test_llama_factory_tells_which_rows_it_leaves_out() -> None:
    rows = [
        CHAT,
        {"messages": [assistant("Hello"), user("Hi")]},
        {"messages": [user("Hi"), assistant("Hello"), user("Bye")]},
        {"messages": [user("Hi"), {"role": "narrator", "content": "Hello"}]},
        {"messages": [user("Hi"), user("there"), assistant("Hello")]},
        {"messages": [{"role": "system", "content": "S"}, user("Hi"), assistant("Hello")]},
        {"messages": [user("Hi"), assistant([{"type": "text", "text": "Hello"}])]},
        {"messages": [user("Hi"), None, assistant("Hello")]},
    ]
    left_out = "so llama-factory leaves them out of the training"
    assert losses("llama-factory", *rows) == [
        "3 of 8 rows (first: row 1) do not alternate from a user's turn to the assistant's last "
        f"one, {left_out}",
        f"1 of 8 rows (first: row 3) have turns of narrator, {left_out}",
        "1 of 8 rows (first: row 6) have a message whose content is no string, on which "
        "llama-factory stops",
        "1 of 8 rows (first: row 7) have a message that is null or has no role, on which "
        "llama-factory stops",
    ]


def test_llama_factory_takes_calls_of_tools_by_its_openai_formatting() -> None:
    tool = {"role": "tool", "content": "3"}
    calling = {"messages": [user("?"), assistant(None, tool_calls=[CALL]), tool, tool]}
    calling["messages"].append(assistant("3"))
    described = entry(CHAT, calling)
    assert (described["formatting"], described["tags"]["observation_tag"]) == ("openai", "tool")
    (note,) = losses("llama-factory", CHAT, calling)
    assert "detailed thinking off" in note
    cut_off = {"messages": calling["messages"][:-1]}
    notes = losses("llama-factory", CHAT, calling, cut_off)
    assert any(note.startswith("1 of 3 rows (first: row 2) do not alternate") for note in notes)


def test_llama_factory_alpaca_losses() -> None:
    rows = [
        ALPACA,
        {"instruction": "x", "output": 3},
        {**ALPACA, "history": [["one"]]},
        {**ALPACA, "input": 7},
    ]
    assert losses("llama-factory", *rows)[:3] == [
        "1 of 4 rows (first: row 1) have no string for output, so llama-factory leaves them out "
        "of the training",
        "1 of 4 rows (first: row 2) have a history that is no list of pairs, on which "
        "llama-factory stops",
        "1 of 4 rows (first: row 3) have no string for instruction or input, on which "
        "llama-factory stops",
    ]


def test_axolotl_losses() -> None:
    broken = {"function": {"name": "add", "arguments": "{a"}}
    rows = [
        CHAT,
        {"messages": [user("Hi")]},
        {"messages": [user("Hi"), {"role": "narrator", "content": "x"}, assistant("y")]},
        {"messages": [user([{"type": "image"}, {"text": "Hi"}]), assistant("y")]},
        {"messages": [user("Hi"), assistant(None)]},
        {"messages": [user("Hi"), assistant(None, tool_calls=[broken])]},
        {"messages": [user("Hi"), assistant(None, tool_calls=[CALL])]},
    ]
    notes = losses("axolotl", *rows)
    assert [note.split(") ")[0][-1] + ": " + note.split(") ")[1] for note in notes] == [
        "1: have no turn of the assistant, so axolotl drops them",
        "2: have turns of narrator, which the chat template may not know",
        "3: have parts of a message that hold no text, which are not read",
        "4: have a message without content, which the chat template may not take",
        "4: have no answer: no assistant says anything in them",
        "5: call a tool with arguments that are no JSON, on which axolotl stops",
    ]
    history = losses("axolotl", {**ALPACA, "history": [["a", "b"]]})
    assert history == ["1 of 1 row (first: row 0) have a field history, which is not read"]
    (system,) = losses("axolotl", {**PAIR, "system": "S"})
    assert system.endswith("have a field system, which is not read")


def test_trl_losses() -> None:
    rows = [
        {**CHAT, "system": "S"},
        {"messages": [user("Hi"), {"role": "gpt", "content": "x"}]},
        {"messages": [user("Hi"), {"role": None, "content": "x"}]},
        {**CHAT, "system": " "},
    ]
    assert [note.split(") ")[1] for note in losses("trl", *rows)] == [
        "have a field system, which is not read",
        "have turns of gpt, which the chat template may not know",
        "have a message that is null or has no role, on which trl stops",
    ]


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("trl", {"question": "a", "answer": None}, "have no turn in which an assistant says"),
        ("trl", {"conversations": [human("a")]}, "conversations (from/value) in 1 row: trl takes"),
        ("axolotl", {"chosen": "a", "rejected": "b"}, "only with the question"),
        ("llama-factory", {"chosen": "a", "rejected": "b"}, "strings after a prompt"),
        ("trl", {"question": "a", "chosen": "b", "rejected": None}, "no two different answers"),
    ],
)
def test_rows_without_turns_to_copy_are_refused_before_work(
    name: str, row: Any, words: str
) -> None:
    with pytest.raises(InputError, match=f"^trainers: expected rows that {name} takes, got") as met:
        check_trainer(name, pool_of(row))
    assert words in str(met.value)
    files = made(name, row)
    assert (files.files, files.copy) == ({}, None)
    (note,) = files.notes
    assert "no files are written" in note
    assert words in note


def test_rows_of_no_known_form_are_refused() -> None:
    pool = read([{"body": "x"}], text="body", scores=None)
    with pytest.raises(InputError, match=r"none of the known forms in 1 row .*whatever text= says"):
        check_trainer("axolotl", pool)


def test_rows_of_another_form_are_counted() -> None:
    rows = [CHAT, CHAT, {"text": "x"}, PAIR]
    notes = losses("axolotl", *rows)
    assert [note.split(",")[0] for note in notes] == [
        "1 of 4 rows (first: row 2) hold text",
        "1 of 4 rows (first: row 3) hold chosen/rejected (each a string) after prompt (a string)",
    ]
    assert made("axolotl", *rows).copy is None
    assert settings("axolotl", *rows)["field_messages"] == "messages"


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        (
            "llama-factory",
            {"messages": [{"role": "USER", "content": "Hi"}, {"role": "bot", "content": "a"}]},
            "have turns of USER, so llama-factory leaves them out",
        ),
        (
            "llama-factory",
            {
                "messages": [
                    user([{"type": "image"}, {"type": "text", "text": "?"}]),
                    assistant("a"),
                ]
            },
            "have a message whose content is no string, on which llama-factory stops",
        ),
        ("axolotl", {"messages": [user("Hi")]}, "have no turn of the assistant, so axolotl drops"),
    ],
)
def test_a_trainer_that_would_lose_every_row_is_refused_before_work(
    name: str, row: Any, words: str
) -> None:
    with pytest.raises(InputError, match=f"^trainers: expected rows that {name} takes") as met:
        check_trainer(name, pool_of(row, row))
    assert f"2 of 2 rows (first: row 0) {words}" in str(met.value)
    assert str(met.value).endswith("or leave the trainer out")
    files = made(name, row, row)
    assert (files.files, files.warnings) == ({}, files.notes)
    check_trainer(name, pool_of(row, CHAT))
    (lost,) = made(name, row, CHAT).warnings
    assert lost.startswith(f"{name}: 1 of 2 rows (first: row 0) {words[:13]}")


def test_rows_that_a_trainer_would_lose_whole_are_copied_where_the_copy_is_taken() -> None:
    row = {"messages": [user([{"type": "text", "text": "Hi"}]), assistant("Hello")]}
    assert copied("llama-factory", row, row) == [CHAT, CHAT]
    assert made("llama-factory", row).warnings == ()
    assert made("axolotl", row).copy is None


def test_notes_of_lost_rows_are_warnings_and_others_are_not() -> None:
    left_out = {"messages": [assistant("Hello"), user("Hi")]}
    narrated = {"messages": [user("Hi"), {"role": "narrator", "content": "x"}, assistant("y")]}
    told = made("axolotl", CHAT, {"messages": [user("Hi")]}, narrated)
    assert [note.split(") ")[1][:20] for note in told.notes] == [
        "have no turn of the ",
        "have turns of narrat",
    ]
    assert told.warnings == told.notes[:1]
    assert (
        made("llama-factory", CHAT, left_out).warnings
        == made("llama-factory", CHAT, left_out).notes
    )
    whole = made("trl", SHARED, ALPACA)
    assert len(whole.notes) == 1
    assert whole.warnings == ()
    fewer = made("trl", SHARED, ALPACA, {"conversations": [human("Hi")]})
    assert fewer.warnings == fewer.notes
    assert fewer.notes[0].startswith("trl: selected.trl.jsonl holds a copy of 2 of 3 rows")


@pytest.mark.parametrize("name", TRAINERS)
def test_rows_without_an_answer_are_told(name: str) -> None:
    rows = [ALPACA, {**ALPACA, "output": ""}, {**ALPACA, "output": " \n"}]
    if name == "trl":  # which takes no Alpaca rows
        rows = [{"prompt": "Add", "completion": row["output"]} for row in rows]
    assert losses(name, *rows) == [
        "2 of 3 rows (first: row 1) have no answer: no assistant says anything in them"
    ]
    assert made(name, *rows).warnings == ()


@pytest.mark.parametrize("name", TRAINERS)
def test_pairs_of_one_answer_are_told(name: str) -> None:
    pairs = [PAIR, {**PAIR, "rejected": "Yes"}, PAIR]
    assert losses(name, *pairs) == [
        "1 of 3 rows (first: row 1) hold the same answer as chosen and as rejected, from which "
        "nothing is learned"
    ]


@pytest.mark.parametrize("name", TRAINERS)
def test_rows_of_kto_are_refused_unless_every_label_is_true(name: str) -> None:
    good, bad = ({"prompt": "Hi", "completion": "x", "label": label} for label in (True, False))
    check_trainer(name, pool_of(good, good))
    assert made(name, good).notes == ()
    with pytest.raises(InputError, match=r"^trainers: expected completions to learn from") as met:
        check_trainer(name, pool_of(good, bad, good, bad))
    assert "the label false in 2 of 4 rows (first: row 1)" in str(met.value)
    assert "select from the rows whose label is true" in str(met.value)
    assert losses(name, good, bad) == [
        "1 of 2 rows (first: row 1) have the label false, and are trained on as if it were true"
    ]
    # A label beside another form, or of another kind, says nothing of KTO.
    check_trainer(name, pool_of({**CHAT, "label": False}, {**good, "label": 0}))


@pytest.mark.parametrize("name", TRAINERS)
def test_a_training_writes_beside_the_folder_of_results(name: str) -> None:
    assert settings(name, PAIR)["output_dir"] == f"../{name}"


def test_copies_of_several_sizes_are_told() -> None:
    pool = pool_of(SHARED, {"conversations": [human("Hi")]}, SHARED)
    copy = Copy("trl", pairs=False)
    first, second, both = np.array([0, 1]), np.array([1, 2]), np.array([0, 2])
    assert uneven_copies(copy, pool, {"selected": first, "control_random": second}) == ""
    assert uneven_copies(copy, pool, {"selected": first, "control_random": both}) == (
        "trl: the copies differ in size, for some rows cannot be copied (selected.trl.jsonl 1, "
        "control_random.trl.jsonl 2 rows): train each for the same number of steps"
    )


def copied(name: str, *rows: Any) -> list[dict[str, Any]]:
    """The rows of the copy; there is one, and the trainer's check lets the rows pass."""
    pool = pool_of(*rows)
    check_trainer(name, pool)
    copy = trainer_files(name, pool, range(len(rows))).copy
    assert copy is not None
    assert copy.name("selected") == f"selected.{name}.jsonl"
    file = io.BytesIO()
    copy.write(file, pool, np.arange(len(rows)))
    return [json.loads(line) for line in file.getvalue().splitlines()]


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ADDED = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
SHARED_CALLS = {
    "conversations": [
        human("1 and 2?"),
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"from": "observation", "value": "3"},
        gpt("It is 3"),
    ],
    "system": "Add",
    "tools": '[{"name": "add"}]',
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (SHARED, CHAT),
        (
            SHARED_CALLS,
            {
                "messages": [
                    turn("system", "Add"),
                    user("1 and 2?"),
                    assistant("", tool_calls=[ADDED]),
                    turn("tool", "3"),
                    assistant("It is 3"),
                ],
                "tools": '[{"name": "add"}]',
            },
        ),
        (ALPACA, {"messages": [user("Add\n1, 2"), assistant("3")]}),
        (
            {"instruction": "c", "response": "d", "history": [["a", "b"]], "system": "S"},
            {
                "messages": [
                    turn("system", "S"),
                    user("a"),
                    assistant("b"),
                    user("c"),
                    assistant("d"),
                ]
            },
        ),
        ({"question": "Hi", "answer": "Hello"}, CHAT),
        ({"prompt": [human("Hi")], "completion": [gpt("Hello")]}, CHAT),
        (
            {"question": "a", "chosen": "b", "rejected": "c", "system": "S"},
            {
                "prompt": [turn("system", "S"), user("a")],
                "chosen": [assistant("b")],
                "rejected": [assistant("c")],
            },
        ),
        (
            {"conversations": [human("a")], "chosen": gpt("b"), "rejected": gpt("c")},
            {"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]},
        ),
        (
            {
                "chosen": [human("a"), gpt("b"), human("c"), gpt("d")],
                "rejected": [human("a"), gpt("b"), human("c"), gpt("e")],
            },
            {
                "prompt": [user("a"), assistant("b"), user("c")],
                "chosen": [assistant("d")],
                "rejected": [assistant("e")],
            },
        ),
    ],
)
def test_rows_that_trl_does_not_take_are_copied(row: Any, expected: dict[str, Any]) -> None:
    assert copied("trl", row, row) == [expected, expected]
    columns = list(expected)
    config = settings("trl", row)
    assert (config["path"], config["data_files"]) == ("json", "selected.trl.jsonl")
    assert config["columns"] == columns
    # The copy needs no copy.
    assert made("trl", expected).copy is None
    assert made("trl", expected).notes == ()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "7"}]},
            assistant("", tool_calls=[{"id": "7", **ADDED}]),
        ),
        (
            assistant("So", function_call={"name": "add", "arguments": {"a": 1}}),
            assistant("So", tool_calls=[ADDED]),
        ),
        ({"from": "function_call", "value": "add 1"}, assistant("add 1")),
        (
            {"from": "function_call", "value": '[{"name": "add", "arguments": "{\\"a\\": 1}"}]'},
            assistant("", tool_calls=[ADDED]),
        ),
        ({"from": "bing", "value": "x"}, assistant("x")),
        ({"from": "function_response", "value": "x"}, turn("tool", "x")),
        (
            {"role": "tool", "content": "x", "tool_call_id": "7", "name": "add", "weight": 0},
            {"role": "tool", "content": "x", "name": "add", "tool_call_id": "7"},
        ),
        (user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), user("a\nb")),
    ],
)
def test_messages_of_a_copy(message: Any, expected: dict[str, Any]) -> None:
    row = {"prompt": [human("Hi"), message], "completion": [gpt("Hello")]}
    (written,) = copied("trl", row)
    assert written["messages"] == [user("Hi"), expected, assistant("Hello")]


def test_what_a_copy_cannot_hold_is_counted() -> None:
    broken = {"function": {"name": "add", "arguments": "{a"}}
    rows = [
        SHARED,
        {"text": "x"},
        ALPACA,
        PAIR,
        {"conversations": [human("Hi")]},
        {"conversations": [human("Hi"), {"from": "gpt", "tool_calls": [broken]}]},
        {"conversations": [human("Hi"), {"from": "gpt", "value": [{"type": "image"}, "x"]}]},
        {**SHARED, "tools": "none"},
        {"conversations": [human("Hi"), {"from": "narrator", "value": "x"}, gpt("y")]},
    ]
    header, *notes = losses("trl", *rows)
    assert header == (
        "selected.trl.jsonl holds a copy of 3 of 9 rows as messages (role/content), which the "
        "config names; the rows came as conversations (from/value) in 6 rows, text in 1 row, "
        "instruction + output in 1 row, chosen/rejected (each a string) after prompt (a string) "
        "in 1 row"
    )
    so = "so a copy for trl cannot hold them"
    assert notes == [
        f"1 of 9 rows (first: row 1) hold no turns, {so}",
        "1 of 9 rows (first: row 3) hold chosen/rejected (each a string) after prompt (a string), "
        f"not messages as most do, {so}",
        f"1 of 9 rows (first: row 4) have no turn in which an assistant says anything, {so}",
        "1 of 9 rows (first: row 5) call a tool without a name, or with arguments that are no "
        f"JSON object, {so}",
        f"1 of 9 rows (first: row 6) have parts of a message that hold no text, {so}",
        f"1 of 9 rows (first: row 7) have tools that are no list of JSON, {so}",
        "1 of 9 rows (first: row 8) have turns of narrator, which the chat template may not know",
    ]
    assert len(copied("trl", *rows)) == 3


def test_a_copy_is_made_only_where_it_holds_more_rows() -> None:
    for name in TRAINERS:
        assert len(copied(name, ALPACA, CHAT, SHARED)) == 3
        assert made(name, {"text": "x"}, {"text": "y"}, SHARED).copy is None
    # Of these three the copy could hold one, as many as TRL takes as they are.
    empty = {"question": "a", "answer": None}
    assert made("trl", empty, empty, CHAT).copy is None
    assert made("trl", SHARED, CHAT, PAIR).copy is not None


def test_copies_for_the_other_trainers() -> None:
    listed = {"prompt": [user("Hi")], "completion": [assistant("Hello")]}
    assert copied("axolotl", listed) == copied("llama-factory", listed) == [CHAT]
    assert entry(listed)["file_name"] == "selected.llama-factory.jsonl"
    whole = {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}
    assert copied("llama-factory", whole) == [
        {"messages": [user("a")], "chosen": assistant("b"), "rejected": assistant("c")}
    ]
    assert entry(whole)["ranking"]
    longer = {**whole, "rejected": [*whole["rejected"], user("?"), assistant("d")]}
    with pytest.raises(InputError, match="an answer of several messages, where one is taken"):
        check_trainer("llama-factory", pool_of(longer))


def test_copies_beside_parquet_and_of_controls_are_lines_whose_names_are_ours() -> None:
    files = made("trl", ALPACA, file="selected.parquet")
    assert settings("trl", ALPACA, file="selected.parquet")["data_files"] == "selected.trl.jsonl"
    assert b"control_random.trl.jsonl, say" in files.files["trl.yaml"]
    for name in TRAINERS:
        copy = Copy(name, pairs=False)
        sets = ("selected", "control_random", "control_longest", "control_top_given")
        assert {copy.name(of) for of in sets} | {f"{name}.yaml"} <= set(TRAINER_FILES)


def test_only_the_selected_rows_are_judged_by_their_numbers_in_the_pool() -> None:
    pool = pool_of(CHAT, {"messages": [user("Hi")]}, CHAT, {"messages": [assistant("Hi")]})
    assert trainer_files("axolotl", pool, [2, 0]).notes == ()
    (note,) = trainer_files("llama-factory", pool, [2, 3]).notes
    assert note.startswith("llama-factory: 1 of 2 rows (first: row 3) do not alternate")


def test_a_field_of_several_kinds_is_told_for_lines_only() -> None:
    rows = [{**ALPACA, "n": 1}, {**ALPACA, "n": "one"}, {**ALPACA, "n": None}, {**ALPACA, "n": 2.5}]
    assert losses("axolotl", *rows) == [
        "the field n holds a number in 2 rows, a string in 1 row: the trainer's loader may refuse "
        "the file"
    ]
    assert made("axolotl", *rows, file="selected.parquet").notes == ()


def test_rows_of_a_table_read_as_rows_of_lines_do() -> None:
    """A table gives every message all the keys of any, null where one lacks them."""
    rows = [CHAT, {"messages": [user("Hi"), assistant(None, tool_calls=[CALL])]}]
    table = read(pa.Table.from_pylist(rows), scores=None)
    for name in TRAINERS:
        lines = trainer_files(name, pool_of(*rows), [0, 1])
        assert trainer_files(name, table, [0, 1]) == lines


def test_layouts_in_words() -> None:
    words: dict[str, dict[str, Any]] = {
        "messages (role/content)": CHAT,
        "conversations (from/value)": SHARED,
        "instruction + output": ALPACA,
        "text": {"text": "x"},
        "chosen/rejected (each a string) after prompt (a string)": PAIR,
        "chosen/rejected (each a message of from/value) after conversations (a list of messages)": {
            "conversations": [human("Hi")],
            "chosen": gpt("a"),
            "rejected": gpt("b"),
        },
    }
    assert {str(layout_of(row)): row for row in words.values()} == words
    assert layout_of({"body": "x"}) is None


@pytest.mark.parametrize("name", ["unsloth", ""])
def test_unknown_trainers(name: str) -> None:
    with pytest.raises(InputError, match=r"expected one of llama-factory, axolotl, trl, got"):
        check_trainer(name, pool_of(CHAT))


def test_names_of_another_type() -> None:
    with pytest.raises(InputTypeError, match="trainers: expected names, got int"):
        check_trainer(3, pool_of(CHAT))  # type: ignore[arg-type]  # the wrong type is the test


def test_config_lines_quote_what_yaml_would_read_otherwise() -> None:
    text = config_text(["run"], [("a", "yes: no # é", ""), ("b", 0.0001, "note"), ("c", None, "")])
    assert text.decode() == '# run\na: "yes: no # é"\nb: 0.0001  # note\nc: null\n'
