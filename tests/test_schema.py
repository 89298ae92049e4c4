"""Which fields hold the text, and how it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from ds2fast.errors import InputError, InputTypeError
from ds2fast.io.fields import MISSING, Field
from ds2fast.io.forms import FORM_COLUMNS, FORMS
from ds2fast.io.schema import Schema, TextRenderer

DIALOGUE = "###user: Hi\n###assistant: Hello\n"


def render(row: Mapping[str, Any] | str, text: str | None = None) -> str:
    return TextRenderer(text).render(0, row)


@pytest.mark.parametrize(
    "row",
    [
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ]
        },
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"conversations": [{"from": "user", "value": "Hi"}, {"role": "gpt", "content": "Hello"}]},
        {"prompt": "Hi", "completion": "Hello"},
        {
            "prompt": [{"role": "user", "content": "Hi"}],
            "completion": [{"role": "assistant", "content": "Hello"}],
        },
        {"instruction": "Hi", "output": "Hello"},
        {"instruction": "Hi", "input": "", "response": "Hello"},
        {"instruction": "Hi", "input": None, "output": None, "response": "Hello"},
        {"instruction": None, "input": "Hi", "output": "Hello"},
        {"question": "Hi", "answer": "Hello"},
    ],
)
def test_every_form_renders_as_role_lines(row: dict[str, Any]) -> None:
    assert render(row) == DIALOGUE


def test_bare_text_and_strings_render_as_themselves() -> None:
    assert render({"text": "  Hi\n"}) == "  Hi\n"
    assert render("  Hi\n") == "  Hi\n"


def test_input_follows_the_instruction_on_a_new_line() -> None:
    row = {"instruction": "Add", "input": "1, 2", "output": "3"}
    assert render(row) == "###user: Add\n1, 2\n###assistant: 3\n"


def test_other_roles_keep_their_names() -> None:
    row = {"messages": [{"role": "system", "content": "Be brief"}, {"role": "tool", "content": 7}]}
    assert render(row) == "###system: Be brief\n###tool: 7\n"


def test_forms_are_tried_in_the_documented_order() -> None:
    fields: dict[str, Any] = {
        "chosen": [{"role": "user", "content": "0"}],
        "rejected": "",
        "messages": [{"role": "user", "content": "1"}],
        "conversations": [{"from": "human", "value": "2"}],
        "prompt": "3",
        "completion": "",
        "instruction": "4",
        "output": "",
        "question": "5",
        "answer": "",
        "text": "6",
    }
    met = []
    steps = [
        ("chosen",),
        ("messages",),
        ("conversations",),
        ("prompt",),
        ("instruction",),
        ("question",),
    ]
    for gone in [*steps, ("text",)]:
        met.append(render(fields).removeprefix("###user: ")[0])
        for name in gone:
            del fields[name]
    assert met == ["0", "1", "2", "3", "4", "5", "6"]
    assert render(fields) == ""


def test_every_field_of_a_form_is_read_from_tables() -> None:
    """A table hands over only FORM_COLUMNS, so a form may look at no other field."""

    class Spy(dict[str, Any]):
        asked: ClassVar[set[str]] = set()

        def get(self, key: str, default: Any = None) -> Any:
            self.asked.add(key)
            return super().get(key, default)

        def __contains__(self, key: object) -> bool:
            self.asked.add(str(key))
            return super().__contains__(key)

    for form in FORMS.values():
        form(Spy())
        form(Spy(prompt="x", instruction="x", output="x", question="x"))
        form(Spy(chosen="x", rejected="x"))
    assert Spy.asked == set(FORM_COLUMNS)


def test_content_lists_and_nulls() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {}}, "two", None]
    row = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]}
    assert render(row) == "###user: one\ntwo\n###assistant: \n"
    assert render({"messages": [None, {"role": None, "from": "human", "value": "x"}]}) == (
        "###user: x\n"
    )
    assert render({"text": b"caf\xc3\xa9"}) == "café"


def test_a_system_field_opens_the_conversation() -> None:
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    opened = "###system: Be brief\n" + DIALOGUE
    assert render({"system": "Be brief", "conversations": turns}) == opened
    assert render({"system": "Be brief", "instruction": "Hi", "output": "Hello"}) == opened
    assert render({"system": " ", "conversations": turns}) == DIALOGUE
    assert render({"system": None, "conversations": turns}) == DIALOGUE
    assert render({"system": {"os": "Linux"}, "conversations": turns}) == DIALOGUE
    own = [{"from": "system", "value": "Be brief"}, *turns]
    assert render({"system": "another", "conversations": own}) == opened
    assert render({"system": "Be brief", "instruction": "", "output": ""}) == ""


def test_alpaca_history_comes_before_the_instruction() -> None:
    row = {"instruction": "Add", "input": "1, 2", "output": "3"}
    rounds = [["Hi", "Hello"], ["Well?", None], "no round", ["one"]]
    expected = (
        "###user: Hi\n###assistant: Hello\n###user: Well?\n###assistant: \n"
        "###user: Add\n1, 2\n###assistant: 3\n"
    )
    assert render({**row, "history": rounds}) == expected
    assert render({**row, "history": []}) == render({**row, "history": None}) == render(row)
    with_system = render({**row, "history": rounds, "system": "Be brief"})
    assert with_system == "###system: Be brief\n" + expected


ADD = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
TOOLS = '###user: 1 + 2?\n###assistant: add {"a": 1, "b": 2}\n###tool: 3\n###assistant: 3\n'


@pytest.mark.parametrize(
    "asking",
    [
        {"content": None, "tool_calls": [{"id": "x", "type": "function", "function": ADD}]},
        {
            "content": "",
            "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "b": 2}}}],
        },
        {"tool_calls": [None, {"function": {**ADD, "arguments": {"a": 1, "b": 2, "c": None}}}]},
        {"content": None, "tool_calls": None, "function_call": ADD},
        {"content": [{"type": "tool_use", "name": "add", "input": {"a": 1, "b": 2}}]},
    ],
)
def test_tool_calls_render_by_name_and_arguments(asking: dict[str, Any]) -> None:
    messages = [
        {"role": "user", "content": "1 + 2?", "tool_calls": None},
        {"role": "assistant", **asking},
        {"role": "tool", "content": [{"type": "tool_result", "content": "3"}]},
        {"role": "assistant", "content": "3", "tool_calls": []},
    ]
    assert render({"messages": messages}) == TOOLS


def test_calls_follow_the_content_each_on_a_line() -> None:
    calls = [{"function": ADD}, {"function": {"name": "now", "arguments": None}}]
    message = {"role": "assistant", "content": "So", "tool_calls": calls}
    assert render({"messages": [message]}) == ('###assistant: So\nadd {"a": 1, "b": 2}\nnow\n')


def test_calls_and_results_of_the_conversations_form() -> None:
    turns = [
        {"from": "human", "value": "1 + 2?"},
        {"from": "function_call", "value": {"name": "add", "arguments": {"a": 1}}},
        {"from": "observation", "value": {"sum": 3, "note": None}},
        {"from": "gpt", "value": "3"},
    ]
    assert render({"conversations": turns}) == (
        '###user: 1 + 2?\n###function_call: {"name": "add", "arguments": {"a": 1}}\n'
        '###observation: {"sum": 3}\n###assistant: 3\n'
    )


USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
REJECTED = {"role": "assistant", "content": "No"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Hello", "rejected": "No"},
        {"question": "Hi", "chosen": "Hello", "rejected": "No"},
        {"instruction": "Hi", "input": "", "chosen": "Hello", "rejected": "No"},
        {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [REJECTED]},
        {"chosen": [USER, ASSISTANT], "rejected": [USER, REJECTED]},
        {"prompt": "Hi", "chosen": [USER, ASSISTANT], "rejected": [USER, REJECTED]},
        {"messages": [USER, ASSISTANT], "chosen": [USER, ASSISTANT], "rejected": [USER, REJECTED]},
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello"},
            "rejected": {"from": "gpt", "value": "No"},
        },
        {"messages": [USER], "prompt": "?", "chosen": ASSISTANT, "rejected": None},
    ],
)
def test_of_a_preference_pair_the_chosen_answer_is_rendered(row: dict[str, Any]) -> None:
    assert render(row) == DIALOGUE
    assert render({**row, "system": "Be brief"}) == "###system: Be brief\n" + DIALOGUE


def test_a_chosen_string_that_nothing_precedes_is_the_text() -> None:
    chosen = "\n\nHuman: Hi\n\nAssistant: Hello"
    assert render({"chosen": chosen, "rejected": "x"}) == chosen


@pytest.mark.parametrize(
    "fields",
    [
        {"chosen": True, "rejected": False},
        {"chosen": "x"},
        {"chosen": None, "rejected": None},
        {"chosen": "x", "rejected": 3},
        {"chosen": 1, "rejected": "x"},
    ],
)
def test_what_is_no_preference_pair_falls_through(fields: dict[str, Any]) -> None:
    assert render({**fields, "text": "y"}) == "y"


def test_describe_says_that_rejected_was_passed_over() -> None:
    renderer = TextRenderer()
    renderer.render(0, {"prompt": "Hi", "chosen": "Hello", "rejected": "No"})
    schema = renderer.schema(fields_seen=lambda: "", num_rows=1)
    assert schema.describe() == (
        "text from chosen (of chosen/rejected); rejected was passed over in 1 row; "
        "row 0 renders as:\n###user: Hi\n###assistant: Hello"
    )


ADD_CALL = [{"function": {"name": "add", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("row", "answered"),
    [
        ({"instruction": "Hi", "output": ""}, False),
        ({"instruction": "Hi", "output": None}, False),
        ({"instruction": "Hi", "output": None, "response": "x"}, True),
        ({"instruction": "Hi", "output": "x"}, True),
        ({"instruction": "Hi", "output": "", "history": [["a", "b"]]}, True),
        ({"prompt": "Hi", "completion": " "}, False),
        ({"question": "Hi", "answer": 4}, True),
        ({"messages": [{"role": "user", "content": "Hi"}]}, False),
        ({"messages": [{"role": "USER", "content": "Hi"}]}, False),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, False),
        ({"messages": [USER, {"role": "assistant", "content": ""}, USER]}, False),
        ({"messages": [USER, ASSISTANT, USER]}, True),
        ({"messages": [USER, {"role": "bot", "content": "x"}]}, True),
        ({"messages": [USER, {"role": "assistant", "tool_calls": ADD_CALL}]}, True),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, False),
        ({"messages": [USER, {"role": "assistant", "content": [{"text": "x"}]}]}, True),
        ({"conversations": [{"from": "human", "value": "Hi"}]}, False),
        ({"conversations": [{"from": "function_call", "value": "{}"}]}, True),
        ({"prompt": "Hi", "chosen": "", "rejected": "x"}, False),
        ({"prompt": "Hi", "chosen": "x", "rejected": ""}, True),
        ({"chosen": [USER], "rejected": [USER, ASSISTANT]}, False),
        ({"chosen": [USER, ASSISTANT], "rejected": [USER]}, True),
        ({"chosen": "x", "rejected": "y"}, True),
        ({"text": "x"}, True),
    ],
)
def test_rows_without_an_answer_are_counted(row: dict[str, Any], *, answered: bool) -> None:
    renderer = TextRenderer()
    assert renderer.render(5, row)
    schema = renderer.schema(fields_seen=lambda: "", num_rows=6)
    expected = (0, None) if answered else (1, 5)
    assert (schema.unanswered, schema.first_unanswered) == expected


def test_neither_empty_texts_nor_texts_that_were_asked_for_lack_an_answer() -> None:
    renderer = TextRenderer()
    rows: list[Any] = [{"instruction": "", "output": ""}, "Hi", {"text": "Hi"}]
    for number, row in enumerate(rows):
        renderer.render(number, row)
    assert renderer.schema(fields_seen=lambda: "", num_rows=3).unanswered == 0
    named = TextRenderer("messages")
    named.render(0, {"messages": [USER]})
    assert named.schema(fields_seen=lambda: "", num_rows=1).unanswered == 0


def test_describe_says_which_rows_have_no_answer() -> None:
    renderer = TextRenderer()
    for number, answer in enumerate(["Hello", "Hello", "", "x", None]):
        renderer.render(number, {"question": "Hi", "answer": answer})
    described = renderer.schema(fields_seen=lambda: "", num_rows=5).describe()
    assert described == (
        "text from question + answer; 2 rows have no answer, the first is row 2; row 0 renders "
        "as:\n###user: Hi\n###assistant: Hello"
    )
    one = TextRenderer()
    one.render(3, {"question": "Hi", "answer": ""})
    assert (
        "; 1 row has no answer: row 3; "
        in one.schema(fields_seen=lambda: "", num_rows=4).describe()
    )


def test_a_row_renders_again_without_being_counted() -> None:
    renderer = TextRenderer()
    row = {"question": "Hi", "answer": "Hello"}
    assert renderer.render(0, row) == renderer.text_of(0, row) == renderer.text_of(9, row)
    assert renderer.text_of(1, {"text": " "}) == ""
    schema = renderer.schema(fields_seen=lambda: "", num_rows=1)
    assert schema == Schema({"question + answer": 1}, example_row=0, example=DIALOGUE)


def test_messages_without_content_are_an_empty_text() -> None:
    row = {"messages": [{"role": "user", "content": " \n"}, {"role": "assistant", "content": None}]}
    assert render(row) == ""
    assert render({"instruction": "", "output": ""}) == ""
    assert render({"text": " "}) == ""


def test_a_row_falls_through_to_a_form_that_gives_it_a_text() -> None:
    table_row = {"messages": None, "prompt": None, "completion": None, "text": "x"}
    assert render(table_row) == "x"
    assert render({"messages": [], "text": "x"}) == "x"
    assert render({"messages": ["a", "b"], "text": "x"}) == "x"
    assert render({"instruction": "no answer field", "text": "x"}) == "x"


def test_mixed_forms_are_counted_most_rows_first() -> None:
    renderer = TextRenderer()
    rows = [{}, {"text": "a"}, {"question": "b", "answer": "c"}, {"question": "d", "answer": "e"}]
    texts = [renderer.render(number, row) for number, row in enumerate(rows)]
    assert texts[0] == ""
    schema = renderer.schema(fields_seen=lambda: "", num_rows=4)
    assert schema == Schema({"question + answer": 2, "text": 1}, example_row=1, example="a")
    assert str(schema) == "question + answer in 2 rows, text in 1 rows"


def test_describe_shows_a_row_and_cuts_a_long_one() -> None:
    assert Schema({"text": 1}, 3, "abc\n").describe() == "text from text; row 3 renders as:\nabc"
    assert Schema({"text": 1}, 0, "x" * 401).describe().endswith("\n" + "x" * 400 + "…")
    tall = Schema({"text": 1}, 0, "\n\n".join("abcdefgh"))
    assert tall.describe().splitlines()[1:] == ["a", "b", "c", "d", "e", "f…"]


def test_lone_surrogates_are_replaced() -> None:
    assert render({"text": "cut \ud83d"}) == "cut ?"


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("body", {"body": "x", "text": "y"}, "x"),
        ("dialog", {"dialog": [{"role": "user", "content": "Hi"}]}, "###user: Hi\n"),
        ("meta.body", {"meta": {"body": "x"}}, "x"),
        ("meta.body", {"meta.body": "x", "meta": {"body": "y"}}, "x"),
        ("parts[1].body", {"parts": [0, {"body": "x"}]}, "x"),
        ("body", {"body": None}, ""),
        ("{q}\n{a}", {"q": "2+2?", "a": 4}, "2+2?\n4"),
        ("{q} {a}", {"q": "x", "a": None}, "x "),
        ("{q} {a}", {"q": "x"}, "x "),
        ("Q: {q}", {"q": " "}, ""),
        ("{m[t]}/{m.t}/{l[0]}", {"m": {"t": "x"}, "l": ["y"]}, "x/x/y"),
        ("{{{q}}} {n:03d}", {"q": "x", "n": 7}, "{x} 007"),
    ],
)
def test_text_argument(text: str, row: dict[str, Any], expected: str) -> None:
    assert render(row, text) == expected


def test_a_format_string_reaches_no_attributes() -> None:
    assert render({"q": "x"}, "{q}{q.__class__}") == "x"


@pytest.mark.parametrize("text", ["{q", "{}", "{0}", "}{", "{{q}}", "  ", ""])
def test_unreadable_text_argument(text: str) -> None:
    with pytest.raises(InputError, match=r"^text: expected"):
        TextRenderer(text)


def test_text_argument_of_another_type() -> None:
    with pytest.raises(InputTypeError, match=r"text: expected a field name.*got int"):
        TextRenderer(3)  # type: ignore[arg-type]  # the wrong type is the test


def test_a_format_string_that_does_not_fit_names_the_row() -> None:
    with pytest.raises(InputError, match=r"text: cannot fill '\{q:d\}' in row 5"):
        TextRenderer("{q:d}").render(5, {"q": "word"})


@pytest.mark.parametrize("row", [{"body": "x"}, "body"])
@pytest.mark.parametrize("text", ["txet", "{txet}"])
def test_text_field_that_no_row_has(text: str, row: dict[str, Any] | str) -> None:
    renderer = TextRenderer(text)
    assert renderer.render(0, row) == ""
    with pytest.raises(InputError, match=r"text: expected a field.*txet.*; fields seen: body"):
        renderer.schema(fields_seen=lambda: "body", num_rows=1)


def test_columns_of_the_text_argument() -> None:
    assert TextRenderer("meta.body").columns == {"meta.body", "meta"}
    assert TextRenderer("{q} {m[t]}").columns == {"q", "m[t]", "m"}


def test_field_paths() -> None:
    row = {"a": {"b": [10, {"c": None}]}}
    assert Field("a.b.0").of(row) == 10
    assert Field("a.b[1].c").of(row) is None
    assert Field("a.b.2").of(row) is MISSING
    assert Field("a.b.c").of(row) is MISSING
    assert Field("a.x.y").of(row) is MISSING
    assert Field("x").of(row) is MISSING
