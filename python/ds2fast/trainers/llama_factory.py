"""LLaMA-Factory: an entry of `dataset_info.json` and a config.

Its rules, as of 0.9: after an opening system turn, the turns of users and tools alternate with
those of assistants and of calls, and an assistant has the last word; a row that differs is left
out of the training with a line in the log. Contents are strings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ds2fast.io.fields import Row
from ds2fast.io.forms import PREFERENCE, TEXT
from ds2fast.io.turns import calls_of
from ds2fast.trainers.files import OUTPUT_NOTE, Setting, config_text, control_beside, json_text
from ds2fast.trainers.layout import FROM_VALUE, Layout
from ds2fast.trainers.plan import (
    STRINGS_ONLY,
    Finding,
    Plan,
    contents_are_strings,
    is_text,
    lost,
    passed_over,
    whole_messages,
)
from ds2fast.trainers.survey import TOOL_CALLS, TOOL_LISTS, Seen

NAME = "ds2fast_selected"
"""The data set's name in `dataset_info.json`."""

_TAGS = {
    "user_tag": ("user", "human"),
    "assistant_tag": ("assistant", "gpt", "bing", "chatgpt", "bot", "model"),
    "observation_tag": ("observation", "tool", "function_response", "function", "ipython"),
    "function_tag": ("function_call", "tool_call"),
    "system_tag": ("system",),
}
_LEFT_OUT = "so llama-factory leaves them out of the training"
_OPENAI = (
    'rows that call tools need the formatting "openai", by which llama-factory 0.9 adds the words '
    '"detailed thinking off" to the system turn of each row without a field tools, and quotes '
    "arguments that are JSON strings once more"
)


def plan(layout: Layout, seen: Seen) -> Plan | str:
    """How llama-factory takes rows of a layout, or why it does not."""
    if layout.form == PREFERENCE:
        return _preference(layout, seen)
    if layout.form == TEXT:
        entry = {"columns": {"prompt": layout.field}}
        return Plan(lambda file: _files(file, entry, "pt"), lambda row: _texts(row, layout))
    if layout.kind == "messages" and not layout.answer:
        return _chat(layout, seen, {})
    if layout.kind == "string":
        columns = _asked(layout, seen) | {"response": layout.answer}
        return Plan(
            lambda file: _files(file, {"columns": columns}, "sft"),
            lambda row: _pair(row, layout, (layout.answer,)),
        )
    return f"llama-factory takes {layout.field} and {layout.answer} as strings only"


def _chat(layout: Layout, seen: Seen, pairs: dict[str, str]) -> Plan:
    """A conversation, and for preference pairs the columns that hold them."""
    calls = bool(seen.fields[TOOL_CALLS] or seen.fields[TOOL_LISTS])
    tags = _tags(layout, seen)
    entry = {
        "formatting": "openai" if calls else "sharegpt",
        **({"ranking": True} if pairs else {}),
        "columns": {"messages": layout.field, **pairs, **_further(seen, "system", "tools")},
        "tags": tags,
    }
    return Plan(
        lambda file: _files(file, entry, "dpo" if pairs else "sft"),
        lambda row: _turns(row, layout, tags, ranking=bool(pairs), calls=calls),
        (_OPENAI,) if calls else (),
    )


def _preference(layout: Layout, seen: Seen) -> Plan | str:
    pairs = {"chosen": "chosen", "rejected": "rejected"}
    if layout.kind == "messages" and layout.answer == "message":
        return _chat(layout, seen, pairs)
    if layout.kind == "string" and layout.answer == "string":
        entry = {"ranking": True, "columns": _asked(layout, seen) | pairs}
        return Plan(
            lambda file: _files(file, entry, "dpo"), lambda row: _pair(row, layout, tuple(pairs))
        )
    return (
        "of preference pairs llama-factory takes chosen and rejected as strings after a prompt, or "
        "as one message each after the conversation"
    )


def _asked(layout: Layout, seen: Seen) -> dict[str, str]:
    columns = {"prompt": layout.field}
    if layout.field == "instruction":
        columns |= {"query": "input"} if seen.fields["input"] else {}
        columns |= _further(seen, "history", "system")
    return columns | _further(seen, "tools")


def _further(seen: Seen, *names: str) -> dict[str, str]:
    return {name: name for name in names if seen.fields[name]}


def _tags(layout: Layout, seen: Seen) -> dict[str, str]:
    """For each side the name that most messages give it, else the layout's usual one."""
    usual = 1 if layout.keys == FROM_VALUE else 0
    tags = dict(zip(("role_tag", "content_tag"), layout.keys, strict=True))
    for tag, names in _TAGS.items():
        met = Counter({name: seen.roles[name] for name in names if seen.roles[name]})
        default = names[usual] if tag in ("user_tag", "assistant_tag") else names[0]
        tags[tag] = met.most_common(1)[0][0] if met else default
    return tags


def _turns(
    row: Row, layout: Layout, tags: dict[str, str], *, ranking: bool, calls: bool
) -> Iterable[Finding]:
    messages = whole_messages(row[layout.field], layout.keys)
    if messages is None:
        yield lost("have a message that is null or has no role, on which llama-factory stops")
        return
    answers = [row["chosen"], row["rejected"]] if ranking else []
    if any(whole_messages(answer, layout.keys) is None for answer in answers):
        yield lost(f"have no message for rejected, {_LEFT_OUT}")
        return
    if not contents_are_strings([*messages, *answers], layout.keys[1]):
        yield lost(f"{STRINGS_ONLY}, on which llama-factory stops")
    sides = _sides(messages, tags, calls=calls)
    unknown = sorted({str(one[tags["role_tag"]]) for one in messages} - set(tags.values()))
    if unknown:
        yield lost(f"have turns of {', '.join(unknown)}, {_LEFT_OUT}")
    elif not _alternate(sides, odd=ranking):
        last = "user" if ranking else "assistant"
        yield lost(f"do not alternate from a user's turn to the {last}'s last one, {_LEFT_OUT}")
    if not calls and any(calls_of(message) for message in messages):
        yield Finding("call tools, which are not read")


def _sides(messages: list[Row], tags: dict[str, str], *, calls: bool) -> list[str]:
    """Who speaks, the opening system turn aside; results of tools in a row are one turn."""
    roles = [str(message[tags["role_tag"]]) for message in messages]
    if roles[0] == tags["system_tag"]:
        roles = roles[1:]
    asking, sides = (tags["user_tag"], tags["observation_tag"]), list[str]()
    for number, role in enumerate(roles):
        result = calls and role == tags["observation_tag"]
        if not (result and number and roles[number - 1] == role):
            sides.append("user" if role in asking else role)
    answering = (tags["assistant_tag"], tags["function_tag"])
    return ["assistant" if side in answering else side for side in sides]


def _alternate(sides: list[str], *, odd: bool) -> bool:
    expected = ["user", "assistant"] * (len(sides) // 2 + 1)
    return bool(sides) and sides == expected[: len(sides)] and len(sides) % 2 == int(odd)


def _pair(row: Row, layout: Layout, answers: tuple[str, ...]) -> Iterable[Finding]:
    if not all(isinstance(row.get(name), str) for name in answers):
        yield lost(f"have no string for {' or '.join(answers)}, {_LEFT_OUT}")
    asked = [layout.field, *(["input"] if layout.field == "instruction" else [])]
    if any(row.get(name) and not isinstance(row[name], str) for name in asked):
        yield lost(f"have no string for {' or '.join(asked)}, on which llama-factory stops")
    if layout.field != "instruction":
        return
    history = row.get("history") or []
    if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in history):
        yield lost("have a history that is no list of pairs, on which llama-factory stops")


def _texts(row: Row, layout: Layout) -> Iterable[Finding]:
    if not is_text(row.get(layout.field)):
        yield lost(f"have no string for {layout.field}, {_LEFT_OUT}")
    yield from passed_over(row, ("system",))


def _files(file: str, entry: dict[str, Any], stage: str) -> dict[str, bytes]:
    return {
        "dataset_info.json": json_text({NAME: {"file_name": file, **entry}}),
        "llama-factory.yaml": config_text(
            [
                "LLaMA-Factory on the selection; in this folder run:",
                "  llamafactory-cli train llama-factory.yaml",
                "To train a control set, name its file in dataset_info.json: "
                f"{control_beside(file)}, say.",
            ],
            _settings(stage),
        ),
    }


def _settings(stage: str) -> list[Setting]:
    return [
        ("model_name_or_path", "", "the model to train: fill in"),
        ("template", "default", "the name of that model's chat template"),
        ("stage", stage, ""),
        ("do_train", True, ""),
        ("finetuning_type", "lora", ""),
        ("lora_target", "all", ""),
        *([("pref_beta", 0.1, "")] if stage == "dpo" else []),
        ("dataset_dir", ".", ""),
        ("dataset", NAME, ""),
        ("cutoff_len", 4096, "tokens; the rest of a longer sample is cut off"),
        ("per_device_train_batch_size", 1, ""),
        ("gradient_accumulation_steps", 16, ""),
        ("learning_rate", 0.0001, ""),
        ("num_train_epochs", 3.0, ""),
        ("lr_scheduler_type", "cosine", ""),
        ("warmup_ratio", 0.03, ""),
        ("bf16", True, ""),
        ("output_dir", "../llama-factory", OUTPUT_NOTE),
    ]
