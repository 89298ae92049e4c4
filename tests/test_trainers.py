"""What each trainer is given beside the rows, and what it is told to lose."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.read import read
from ds2fast.pool import Pool
from ds2fast.trainers import TRAINERS, TrainerFiles, check_trainer, trainer_files
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
        ("trl", SHARED, "conversations (from/value) in 1 row: trl takes messages"),
        ("trl", SHARED, "human is user, gpt is assistant"),
        ("trl", ALPACA, "rename instruction to prompt (with an input joined to it)"),
        ("trl", {"question": "a", "answer": "b"}, "llama-factory and axolotl take them"),
        ("trl", {**PAIR, "prompt": None, "question": "a"}, "under prompt, or all three"),
        (
            "llama-factory",
            {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]},
            "chosen/rejected (each a whole conversation of role/content) in 1 row",
        ),
        ("axolotl", {"chosen": "a", "rejected": "b"}, "only with the question"),
        (
            "llama-factory",
            {"prompt": [user("a")], "completion": [assistant("b")]},
            "prompt + completion (lists of messages of role/content)",
        ),
    ],
)
def test_a_form_that_is_not_taken_is_refused_before_work(name: str, row: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"^trainers: expected rows that {name} takes, got") as met:
        check_trainer(name, pool_of(row))
    assert words in str(met.value)
    files = made(name, row)
    assert files.files == {}
    (note,) = files.notes
    assert "no files are written" in note
    assert words in note


def test_rows_of_no_known_form_are_refused() -> None:
    pool = read([{"body": "x"}], text="body", scores=None)
    with pytest.raises(InputError, match=r"none of the known forms in 1 row .*whatever text= says"):
        check_trainer("axolotl", pool)


def test_rows_of_another_form_are_counted() -> None:
    rows = [ALPACA, CHAT, CHAT, {"text": "x"}]
    notes = losses("axolotl", *rows)
    assert [note.split(",")[0] for note in notes] == [
        "1 of 4 rows (first: row 0) hold instruction + output",
        "1 of 4 rows (first: row 3) hold text",
    ]
    assert settings("axolotl", *rows)["field_messages"] == "messages"
    # TRL does not take most of these rows: the config is for those that it takes.
    assert settings("trl", SHARED, SHARED, CHAT)["columns"] == ["messages"]
    check_trainer("trl", pool_of(SHARED, SHARED, CHAT))


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
