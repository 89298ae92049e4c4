"""TRL: a config for `trl sft` or `trl dpo`.

Its rules, as of 1.16: `messages` of role/content, `prompt` + `completion`, `text`, or
`chosen`/`rejected`, decided by the columns and by the first row. A list `conversations` has its
keys renamed but not its roles. No field `system` is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ds2fast.io.fields import Row
from ds2fast.io.forms import MESSAGES, PREFERENCE, PROMPT, TEXT
from ds2fast.trainers.files import OUTPUT_NOTE, Setting, config_text, control_beside
from ds2fast.trainers.layout import ROLE_CONTENT, Layout
from ds2fast.trainers.plan import Finding, Plan, is_text, lost, passed_over, whole_messages
from ds2fast.trainers.survey import Seen

ROLES = {"system", "developer", "user", "assistant", "tool"}
"""Roles that chat templates know."""

_STOPS = "on which trl stops"
_TAKEN = "trl takes messages (role/content), prompt + completion, text, or chosen/rejected"
_PAIRS = (
    "of preference pairs trl takes chosen and rejected as lists of messages (role/content), with "
    "the question in them or as such a list under prompt, or all three as strings"
)


def plan(layout: Layout, seen: Seen) -> Plan | str:
    """How trl takes rows of a layout, or why it does not."""
    if layout.form == PREFERENCE:
        return _preference(layout, seen)
    if layout.form == TEXT:
        return _plan((layout.field,), "sft", seen, lambda row: _strings(row, (layout.field,)))
    if layout.form == PROMPT:
        return _pair(layout, seen)
    if layout.form == MESSAGES and layout.keys == ROLE_CONTENT:
        return _plan((layout.field,), "sft", seen, lambda row: _lists(row, (layout.field,)))
    return _TAKEN


def _pair(layout: Layout, seen: Seen) -> Plan | str:
    names = (layout.field, layout.answer)
    if layout.kind == "string":
        return _plan(names, "sft", seen, lambda row: _strings(row, names))
    if layout.keys == ROLE_CONTENT:
        return _plan(names, "sft", seen, lambda row: _lists(row, names))
    return _TAKEN


def _preference(layout: Layout, seen: Seen) -> Plan | str:
    answers = ("chosen", "rejected")
    of_roles = layout.keys == ROLE_CONTENT
    if layout.answer == "conversation" and of_roles:
        return _plan(answers, "dpo", seen, lambda row: _lists(row, answers))
    if layout.answer == "string" and not layout.field:
        return _plan(answers, "dpo", seen, lambda row: _strings(row, answers))
    names = ("prompt", *answers)
    if layout.field != "prompt":
        return _PAIRS
    if layout.answer == layout.kind == "string":
        return _plan(names, "dpo", seen, lambda row: _strings(row, names))
    if layout.answer == "answer" and layout.kind == "messages" and of_roles:
        return _plan(names, "dpo", seen, lambda row: _lists(row, names))
    return _PAIRS


def _plan(names: tuple[str, ...], stage: str, seen: Seen, judge: Any) -> Plan:
    # Other columns are left out: by their names trl would take the rows for another form.
    columns = [*names, *(["tools"] if seen.fields["tools"] else [])]
    return Plan(lambda file: _files(file, columns, stage), judge)


def _strings(row: Row, names: tuple[str, ...]) -> Iterable[Finding]:
    if not all(isinstance(row.get(name), str) for name in names):
        yield lost(f"have no string for {' or '.join(names)}, {_STOPS}")
    yield from passed_over(row, ("system",))


def _lists(row: Row, names: tuple[str, ...]) -> Iterable[Finding]:
    lists = [whole_messages(row.get(name), ROLE_CONTENT) for name in names]
    if any(messages is None for messages in lists):
        yield lost(f"have a message that is null or has no role, {_STOPS}")
        return
    messages = [message for messages in lists for message in messages or ()]
    unknown = sorted({str(message["role"]) for message in messages} - ROLES)
    if unknown:
        yield Finding(f"have turns of {', '.join(unknown)}, which the chat template may not know")
    contents = [message.get("content") for message in messages if not message.get("tool_calls")]
    if any(content is None for content in contents):
        yield Finding("have a message without content, which the chat template may not take")
    parts = (part for content in contents if isinstance(content, list) for part in content)
    if not all(isinstance(part, dict) and is_text(part.get("text")) for part in parts):
        yield Finding(
            "have parts of a message that hold no text, which the chat template may not take"
        )
    yield from passed_over(row, ("system",))


def _files(file: str, columns: list[str], stage: str) -> dict[str, bytes]:
    kind = "parquet" if file.endswith(".parquet") else "json"
    entry = {"path": kind, "data_files": file, "split": "train", "columns": columns}
    head = ["TRL on the selection; in this folder run:", f"  trl {stage} --config trl.yaml"]
    control = control_beside(file)
    head.append(f"To train a control set, name its file under data_files: {control}, say.")
    return {"trl.yaml": config_text(head, _settings([entry], stage))}


def _settings(entries: list[dict[str, Any]], stage: str) -> list[Setting]:
    return [
        ("model_name_or_path", "", "the model to train: fill in"),
        ("datasets", entries, ""),
        ("max_length", 4096, "tokens; the rest of a longer sample is cut off"),
        ("use_peft", True, ""),
        ("lora_r", 16, ""),
        ("lora_alpha", 32, ""),
        ("per_device_train_batch_size", 1, ""),
        ("gradient_accumulation_steps", 16, ""),
        ("learning_rate", 0.0002 if stage == "sft" else 0.00005, ""),
        ("num_train_epochs", 3, ""),
        ("lr_scheduler_type", "cosine", ""),
        ("bf16", True, ""),
        ("output_dir", "../trl", OUTPUT_NOTE),
    ]
