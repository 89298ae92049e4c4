"""Axolotl: a config with its data-set entry.

Its rules, as of 0.19: `type: chat_template` reads messages under any names, also a field `system`
and `tools`; only the assistant's turns are trained on, and a sample without any is dropped.
Strings go through a format of their own. Of preference pairs it reads no field `system`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ds2fast.io.fields import Row
from ds2fast.io.forms import PREFERENCE, TEXT
from ds2fast.io.turns import calls_of
from ds2fast.trainers.chat import ROLES
from ds2fast.trainers.files import OUTPUT_NOTE, Setting, config_text, control_beside
from ds2fast.trainers.layout import Layout
from ds2fast.trainers.plan import Finding, Plan, is_text, lost, passed_over, whole_messages
from ds2fast.trainers.survey import Seen

_STOPS = "on which axolotl stops"


def plan(layout: Layout, seen: Seen) -> Plan | str:
    """How axolotl takes rows of a layout, or why it does not."""
    entry: dict[str, Any]
    if layout.form == PREFERENCE:
        return _preference(layout, seen)
    if layout.form == TEXT:
        entry = {"type": "completion", "field": layout.field}
        return Plan(lambda file: _files(file, entry), lambda row: _texts(row, (layout.field,)))
    if layout.kind == "messages" and not layout.answer:
        entry = _chat(layout, seen) | {"roles_to_train": ["assistant"], "train_on_eos": "turn"}
        return Plan(lambda file: _files(file, entry), lambda row: _turns(row, layout))
    if layout.kind == "string":
        entry = {"type": _format(layout, seen)}
        return Plan(lambda file: _files(file, entry), lambda row: _pair(row, layout))
    return f"axolotl takes {layout.field} and {layout.answer} as strings only"


def _chat(layout: Layout, seen: Seen) -> dict[str, Any]:
    return {
        "type": "chat_template",
        "field_messages": layout.field,
        "message_property_mappings": _mappings(layout),
        "roles": _roles(seen),
    }


def _mappings(layout: Layout) -> dict[str, str]:
    return dict(zip(("role", "content"), layout.keys, strict=True))


def _roles(seen: Seen) -> dict[str, list[str]]:
    """The names met, after those that chat templates use."""
    return {
        role: [role, *(name for name in names if name != role and seen.roles[name])]
        for role, names in ROLES.items()
    }


def _format(layout: Layout, seen: Seen) -> dict[str, str]:
    """A format of plain words: strings know no chat template."""
    entry = {"field_instruction": layout.field, "field_output": layout.answer}
    asked = "### Instruction:\n{instruction}\n\n"
    answer = "### Response:\n"
    if layout.field == "instruction" and seen.fields["system"]:
        entry |= {"field_system": "system", "system_format": "### System:\n{system}\n\n"}
    if layout.field == "instruction":
        entry["field_input"] = "input"
    entry["format"] = asked + "### Input:\n{input}\n\n" + answer
    return {**entry, "no_input_format": asked + answer}


def _preference(layout: Layout, seen: Seen) -> Plan | str:
    entry: dict[str, Any]
    if layout.answer == "conversation":
        entry = {"type": "chat_template.argilla_chat"}
        names: tuple[str, ...] = ("system",)
    elif layout.field:
        entry = {"type": "chat_template.default", "field_messages": layout.field}
        names = ("system", "input", "history") if layout.field == "instruction" else ("system",)
    else:
        return "axolotl takes preference pairs only with the question: in prompt, or in messages"
    entry |= {"field_chosen": "chosen", "field_rejected": "rejected"}
    if layout.keys:
        entry |= {"message_property_mappings": _mappings(layout), "roles": _roles(seen)}
    return Plan(lambda file: _files(file, entry, rl="dpo"), lambda row: _pairs(row, layout, names))


def _turns(row: Row, layout: Layout) -> Iterable[Finding]:
    messages = whole_messages(row[layout.field], layout.keys)
    if messages is None:
        yield lost(f"have a message that is null or has no role, {_STOPS}")
        return
    yield from _unknown_roles(messages, layout.keys[0])
    if not any(str(message[layout.keys[0]]) in ROLES["assistant"] for message in messages):
        yield lost("have no turn of the assistant, so axolotl drops them")
    contents = [message.get(layout.keys[1]) for message in messages]
    without = (
        content is None and not calls_of(message)
        for content, message in zip(contents, messages, strict=True)
    )
    if any(without):
        yield Finding("have a message without content, which the chat template may not take")
    parts = (part for content in contents if isinstance(content, list) for part in content)
    if not all(isinstance(part, Mapping) and is_text(part.get("text")) for part in parts):
        yield Finding("have parts of a message that hold no text, which are not read")
    if not all(map(_readable, (call for one in messages for call in calls_of(one)))):
        yield lost(f"call a tool with arguments that are no JSON, {_STOPS}")


def _unknown_roles(messages: list[Row], key: str) -> Iterable[Finding]:
    known = {name for names in ROLES.values() for name in names}
    unknown = sorted({str(message[key]) for message in messages} - known)
    if unknown:
        yield Finding(f"have turns of {', '.join(unknown)}, which the chat template may not know")


def _readable(call: Row) -> bool:
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    if not isinstance(arguments, str):
        return True
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True


def _pair(row: Row, layout: Layout) -> Iterable[Finding]:
    yield from _texts(row, (layout.field, layout.answer))
    if layout.field == "instruction":
        yield from passed_over(row, ("history",))


def _texts(row: Row, names: tuple[str, ...]) -> Iterable[Finding]:
    for name in names:
        if not isinstance(row.get(name), str):
            yield lost(f"have no string for {name}, on which axolotl stops or writes None")


def _pairs(row: Row, layout: Layout, names: tuple[str, ...]) -> Iterable[Finding]:
    values = [row["chosen"], row["rejected"]]
    if layout.field:
        values.append(row.get(layout.field))
    if not all(isinstance(value, str) or whole_messages(value, layout.keys) for value in values):
        yield lost(f"have no string or messages for chosen, rejected or the question, {_STOPS}")
        return
    messages = [one for value in values if not isinstance(value, str) for one in _list(value)]
    known = {name for names in ROLES.values() for name in names}
    if any(str(message[layout.keys[0]]) not in known for message in messages):
        yield lost(f"have turns of roles that are not listed under roles, {_STOPS}")
    if any(not isinstance(message.get(layout.keys[1]), str) for message in messages):
        yield lost(f"have a message whose content is no string, {_STOPS}")
    yield from passed_over(row, names)


def _list(value: Any) -> list[Row]:
    return [value] if isinstance(value, Mapping) else list(value)


def _files(file: str, entry: Mapping[str, Any], rl: str | None = None) -> dict[str, bytes]:
    kind = "parquet" if file.endswith(".parquet") else "json"
    entries = [{"path": file, "ds_type": kind, "split": "train", **entry}]
    head = ["Axolotl on the selection; in this folder run:", "  axolotl train axolotl.yaml"]
    head.append(f"To train a control set, give its file as path: {control_beside(file)}, say.")
    return {"axolotl.yaml": config_text(head, _settings(entries, rl))}


def _settings(entries: list[dict[str, Any]], rl: str | None) -> list[Setting]:
    return [
        ("base_model", "", "the model to train: fill in"),
        *([("rl", rl, "")] if rl else []),
        ("datasets", entries, ""),
        ("sequence_len", 4096, "tokens"),
        ("excess_length_strategy", "truncate", "by default axolotl drops longer samples"),
        ("train_on_inputs", False, ""),
        ("adapter", "lora", ""),
        ("lora_r", 16, ""),
        ("lora_alpha", 32, ""),
        ("lora_target_linear", True, ""),
        ("micro_batch_size", 1, ""),
        ("gradient_accumulation_steps", 16, ""),
        ("num_epochs", 3, ""),
        ("optimizer", "adamw_torch", ""),
        ("learning_rate", 0.0002, ""),
        ("lr_scheduler", "cosine", ""),
        ("bf16", "auto", ""),
        ("output_dir", "../axolotl", OUTPUT_NOTE),
    ]
