"""Serve a chat model with random weights: an OpenAI-compatible server whose every reply is noise.

    PYTHON scripts/serve_random_model.py [--log FILE]

PYTHON has torch and `transformers[serving]`. A model of some 100 000 random weights, a tokenizer of
single bytes and a chat template are made on the spot in a temporary folder, `transformers serve`
is started on a free port, and once it answers one line of JSON is printed:
{"base_url": "http://127.0.0.1:PORT/v1", "model": "..."}. Nothing is fetched from anywhere.

It ends on SIGTERM or Ctrl-C, and when its standard input ends, as it does where its parent dies.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

CONTEXT = 16_384
LONGEST_START = 120.0
MARKS = ("<start>", "<end>")
TEMPLATE = (
    "{% for message in messages %}<start>{{ message['role'] }}: {{ message['content'] }}<end>"
    "{% endfor %}{% if add_generation_prompt %}<start>assistant: {% endif %}"
)


def main() -> int:
    """Make the model, serve it and say where, until something ends us."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--log", type=Path, help="file for what the server says, every request")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="ds2fast-random-model-") as name:
        folder = Path(name)
        write_model(folder / "random-chat")
        port = free_port()
        with (given.log or folder / "server.log").open("w+") as log:
            server = start_server(folder, port, log)
            try:
                wait_for_answer(server, port, log)
                served = {"base_url": f"http://127.0.0.1:{port}/v1"}
                served["model"] = str(folder / "random-chat")
                print(json.dumps(served), flush=True)
                threading.Thread(target=end_with_input, daemon=True).start()
                return server.wait()
            finally:
                stop(server)


def write_model(folder: Path) -> None:
    """A Llama of two layers with random weights, and its tokenizer, as checkpoints are kept."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = make_tokenizer()
    start, end = tokenizer.convert_tokens_to_ids(list(MARKS))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = LlamaForCausalLM(config)
    # Without the penalties the likeliest bytes come round again and again, and no reply ends.
    model.generation_config = GenerationConfig(
        do_sample=True,
        repetition_penalty=1.5,
        exponential_decay_length_penalty=(20, 1.1),
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tokenizer() -> Any:
    """A token for each byte, and two that mark where a message starts and ends."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: i for i, word in enumerate((*MARKS, *letters))}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=MARKS[0],
        eos_token=MARKS[1],
        pad_token=MARKS[1],
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
    )


def free_port() -> int:
    """A port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(folder: Path, port: int, log: IO[str]) -> subprocess.Popen[str]:
    """`transformers serve`, on this machine alone, with no network to ask and no cache to read."""
    hub = folder / "home" / "hub"
    hub.mkdir(parents=True)
    command = (
        *(sys.executable, "-m", "transformers.cli.transformers", "serve"),
        *(str(folder / "random-chat"), "--device", "cpu", "--default-seed", "0"),
        *("--host", "127.0.0.1", "--port", str(port)),
    )
    apart = {"HF_HOME": str(hub.parent), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | apart | {"OMP_NUM_THREADS": "1"},  # more only hinder so small a model
    )


def wait_for_answer(server: subprocess.Popen[str], port: int, log: IO[str]) -> None:
    """Return once the server answers; where it does not, show what it said."""
    until = time.monotonic() + LONGEST_START
    while time.monotonic() < until and server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == http.client.OK:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
    log.seek(0)
    sys.exit(f"transformers serve did not come up within {LONGEST_START:.0f} s:\n{log.read()}")


def end_with_input() -> None:
    """End us once standard input does."""
    while os.read(sys.stdin.fileno(), 4096):  # sys.stdin itself would be locked as we exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def stop(server: subprocess.Popen[str]) -> None:
    """End the server, gently at first."""
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
