"""The trainers' own loaders on a folder of results; run by the Python that has the trainers.

Its last line is a JSON list: of each folder what the loader made of the rows, as text, or the error
that it raised. Usage: `python trainer_loaders.py {llama-factory,axolotl,trl} FOLDER...`.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

os.environ.update(
    DISABLE_VERSION_CHECK="1",  # LLaMA-Factory's pins are older than the other trainers'
    AXOLOTL_DO_NOT_TRACK="1",
    HF_HUB_OFFLINE="1",
    WANDB_DISABLED="true",
    CUDA_VISIBLE_DEVICES="",
    HF_HOME=str(Path(sys.argv[2]) / "cache"),
)
CHAT = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}"
    "{% if message['tool_calls'] %}{{ message['tool_calls'][0]['function']['name'] }}{% endif %}"
    "</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_tokenizer() -> Any:
    """A tokenizer of bytes with a plain chat template: no vocabulary is fetched."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["</s>", "<pad>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", chat_template=CHAT
    )
    return fast


def config(name: str) -> dict[str, Any]:
    """The config in the current folder, as YAML's own reader gives it."""
    yaml = importlib.import_module("yaml")  # which has no types
    read: dict[str, Any] = yaml.safe_load(Path(f"{name}.yaml").read_text(encoding="utf-8"))
    return read


def learned(tokenizer: Any, rows: Any, ids: str, labels: str) -> list[list[str]]:
    """Of each sample the whole text and the part that is learned from."""
    return [
        [
            tokenizer.decode(row[ids]),
            tokenizer.decode([label for label in row[labels] if label >= 0]),
        ]
        for row in rows
    ]


def llama_factory() -> Any:
    """`get_dataset`'s own steps, from `dataset_info.json` to what the model is given."""
    stub = types.ModuleType("torchaudio")  # its wheels want a GPU's libraries; no sound is read
    stub.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules.setdefault("torchaudio", stub)
    from llamafactory.data.loader import _get_merged_dataset, _get_preprocessed_dataset
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments

    read = config("llama-factory")
    named = {name: read[name] for name in ("template", "dataset_dir", "dataset", "cutoff_len")}
    data = DataArguments(**named)
    model = ModelArguments(model_name_or_path=".", cache_dir="cache")
    stage = {"dpo": "rm"}.get(read["stage"], read["stage"])  # as run_dpo asks for its data
    training = types.SimpleNamespace(
        local_process_index=0, seed=0, should_log=False, predict_with_generate=False
    )
    tokenizer = byte_tokenizer()
    template = get_template_and_fix_tokenizer(tokenizer, data)
    aligned = _get_merged_dataset(data.dataset, model, data, training, stage)
    made = _get_preprocessed_dataset(aligned, data, training, stage, template, tokenizer)
    if stage == "pt":
        return [[tokenizer.decode(row["input_ids"])] * 2 for row in made]
    if stage == "rm":
        pairs = ("chosen", "rejected")
        both = [learned(tokenizer, made, f"{one}_input_ids", f"{one}_labels") for one in pairs]
        return [[first, second] for first, second in zip(*both, strict=True)]
    return learned(tokenizer, made, "input_ids", "labels")


def axolotl() -> Any:
    """The config through axolotl's schema, its loader and its prompt strategy."""
    from axolotl.prompt_strategies.dpo import load as load_dpo
    from axolotl.utils.data.sft import _load_and_process_single_dataset
    from axolotl.utils.data.shared import load_dataset_with_config
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.config import AxolotlInputConfig

    read = config("axolotl")
    read["base_model"] = "."
    checked = AxolotlInputConfig(**read).model_dump(exclude_none=True)
    cfg = DictDefault(checked)
    tokenizer = byte_tokenizer()
    entry = cfg.datasets[0]
    if cfg.rl:
        transform, options = load_dpo(entry["type"], cfg, dataset_idx=0)
        rows = load_dataset_with_config(entry, False)
        return rows.map(lambda row: transform(row, tokenizer=tokenizer), **options).to_list()
    made, _ = _load_and_process_single_dataset(entry, cfg, tokenizer, "train", 0)
    return learned(tokenizer, made, "input_ids", "labels")


def trl() -> Any:
    """The config through TRL's parser and loader into its trainer, with a tiny model."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import (
        DatasetMixtureConfig,
        DPOConfig,
        DPOTrainer,
        ModelConfig,
        ScriptArguments,
        SFTConfig,
        SFTTrainer,
        TrlParser,
        get_dataset,
    )

    of_pairs = "rejected" in config("trl")["datasets"][0]["columns"]
    settings, trainer = (DPOConfig, DPOTrainer) if of_pairs else (SFTConfig, SFTTrainer)
    parser = TrlParser((ScriptArguments, settings, ModelConfig, DatasetMixtureConfig))
    given = ["--config", "trl.yaml", "--use_cpu", "true", "--bf16", "false", "--report_to", "none"]
    _, args, _, mixture = parser.parse_args_and_config(given, fail_with_unknown_args=True)
    tokenizer = byte_tokenizer()
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    tiny = LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=1, **sizes)
    models = {"model": LlamaForCausalLM(tiny)}
    if of_pairs:
        models["ref_model"] = LlamaForCausalLM(tiny)
    loaded = get_dataset(mixture)["train"]
    made = trainer(
        **models, args=args, train_dataset=loaded, processing_class=tokenizer
    ).train_dataset
    if of_pairs:
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        return [{name: tokenizer.decode(row[name]) for name in names} for row in made]
    return learned(tokenizer, made, "input_ids", "labels")


LOADERS = {"llama-factory": llama_factory, "axolotl": axolotl, "trl": trl}
REFUSALS = (ValueError, TypeError, KeyError, IndexError, RuntimeError, AttributeError)


def outcome_of(name: str, folder: str) -> dict[str, Any]:
    """What a loader makes of a folder."""
    os.chdir(folder)
    try:
        return {"rows": LOADERS[name]()}
    except REFUSALS as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    outcomes = [outcome_of(sys.argv[1], folder) for folder in sys.argv[2:]]
    print("\n" + json.dumps(outcomes))
