"""Token counts: by rules against counts of real vocabularies, by a tokeniser, scaled by replies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from ds2fast.errors import InputFileError, InputTypeError, ModelNotFoundError
from ds2fast.rating import tokens
from ds2fast.rating.token_rules import (
    COSTS,
    LONGEST_PIECE,
    features_of,
    piece_costs,
    pieces,
    rule_tokens,
)
from ds2fast.rating.tokens import CHAT_OVERHEAD, TokenCounter, calibrated, counter

PROSE = (
    "The tree frogs of the north climb down from the canopy only in the first warm nights of "
    "spring. Whoever wants to hear them should walk along the old canal after sunset, wait quietly "
    "for a while, and count the voices that answer one another across the water."
)
CODE = (
    'def mean_length(texts: list[str]) -> float:\n    """Average number of characters of the '
    'texts."""\n    if not texts:\n        raise ValueError(\'texts: expected at least one\')\n'
    "    return sum(len(text) for text in texts) / len(texts)\n"
)
NUMBERS = (
    "In 1987 there were 14,250 frogs; by 2019 only 3,781 were left, 26.5% of them. "
    "14250 - 3781 = 10469."
)
DIALOGUE = (
    "###user: What do frogs eat?\n###assistant: Most adult frogs eat insects, worms and snails. "
    "Tadpoles feed on algae.\n\n1. Flies\n2. Beetles\n3. Slugs\n"
)
GERMAN = (
    "Die Laubfrösche steigen erst in den warmen Nächten des Frühlings von den Bäumen herab und "
    "rufen am Ufer."
)
RUSSIAN = "Лягушки просыпаются весной и поют у воды, пока не наступит утро."
CHINESE = "青蛙在春天的夜晚从树上下来，在水边唱歌。"

TEXTS = st.text(st.characters(), max_size=200)

words = TokenCounter(lambda text: len(text.split()), "words")


# --- Rules ----------------------------------------------------------------------------------------


# Counts of the vocabularies o200k (GPT-4o), Llama 3 and Qwen, made with tiktoken.
@pytest.mark.parametrize(
    ("text", "o200k", "llama3", "qwen", "share"),
    [
        (PROSE, 52, 52, 52, 0.1),
        (CODE, 55, 54, 54, 0.1),
        (NUMBERS, 44, 44, 62, 0.1),
        (DIALOGUE, 44, 45, 45, 0.1),
        (GERMAN, 31, 34, 34, 0.15),
        (RUSSIAN, 21, 22, 24, 0.15),
        (CHINESE, 19, 19, 14, 0.25),
    ],
)
def test_rules_count_nearly_as_real_vocabularies(
    text: str, o200k: int, llama3: int, qwen: int, share: float
) -> None:
    assert rule_tokens(text) == pytest.approx(o200k, rel=share)
    assert rule_tokens(text) == pytest.approx(llama3, rel=share)
    assert rule_tokens(text, single_digits=True) == pytest.approx(qwen, rel=share)


def test_no_text_no_tokens_any_text_some() -> None:
    assert rule_tokens("") == 0
    assert rule_tokens("a") == rule_tokens(" ") == rule_tokens("\u0301") == 1


@settings(deadline=None)
@given(TEXTS)
@example("naïve Ωmega हिन्दी ไทย 한국어 かな ½ ٣ ǅ ﬁ \u2028 \x85 \ud83d")
def test_the_pieces_are_the_text_and_each_has_a_known_cost(text: str) -> None:
    found = list(piece_costs(text))
    assert "".join(piece for piece, _ in found) == text
    assert pieces().findall(text) == [piece for piece, _ in found]
    for piece, cost in found:
        assert 1 <= len(piece) <= LONGEST_PIECE
        assert cost > 0
        assert features_of(piece).keys() <= COSTS.keys()


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_two_texts_together_have_nearly_the_tokens_of_both(one: str, other: str) -> None:
    apart = rule_tokens(one) + rule_tokens(other)
    assert abs(rule_tokens(one + other) - apart) <= 8  # the pieces at the seam


def test_digits_are_counted_by_threes_or_one_by_one() -> None:
    number = "7" * 300
    assert rule_tokens(number) == pytest.approx(100, rel=0.1)
    assert rule_tokens(number, single_digits=True) == 300


def test_counts_do_not_depend_on_what_was_counted_before() -> None:
    before = rule_tokens(PROSE)
    rule_tokens(" ".join(f"frog{number:x}" for number in range(200_000)))  # beyond what is kept
    assert rule_tokens(PROSE) == before


# --- A tokeniser of the user's --------------------------------------------------------------------


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(WordLevel({"a": 0, "frog": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_tokenizer_counts_neither_cut_nor_padded(tokenizer_file: Path) -> None:
    for place in (tokenizer_file, str(tokenizer_file), tokenizer_file.parent):
        counted = counter("any", place)
        assert counted.count("a frog") == 2
        assert counted.count("a frog " * 50) == 100
        assert counted.count("\ud83d a") == 2
        assert str(place) in counted.describe()


def test_a_directory_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=f"expected a file at {tmp_path}/tokenizer.json"):
        counter("any", tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"none\.json"):
        counter("any", tmp_path / "none.json")


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(InputFileError, match=r"tokenizer .*tokenizer\.json: expected"):
        counter("any", tmp_path)


def test_a_tokenizer_is_a_place() -> None:
    wrong: Any = 3
    with pytest.raises(InputTypeError, match=r"tokenizer: expected .* got int"):
        counter("any", wrong)


OF_THE_HUB = """
import sys
from ds2fast.errors import ModelNotFoundError
from ds2fast.rating.tokens import counter
print(counter("any", "somebody/frogs").count("a frog a frog a frog"))
try:
    counter("any", "somebody/toads")
except ModelNotFoundError as error:
    print(error)
"""


def test_a_tokenizer_of_the_hub_is_found_in_its_cache(tokenizer_file: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--somebody--frogs"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    tokenizer_file.rename(repository / "snapshots" / commit / "tokenizer.json")
    places = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", OF_THE_HUB],
        env=os.environ | places,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    count, refusal = ended.stdout.split("\n", 1)
    assert count == "6"
    assert "tokenizer 'somebody/toads': expected" in refusal


# --- tiktoken: only what it has on disk -----------------------------------------------------------


class FakeTiktoken(ModuleType):
    """Stands for tiktoken, whose own vocabularies cannot be had without the network."""

    loaded: tuple[str, ...] = ()

    def encoding_name_for_model(self, model: str) -> str:
        return {"gpt-4o": "o200k_base", "gpt-2": "gpt2", "oss": "o200k_harmony"}[model]

    def get_encoding(self, name: str) -> FakeTiktoken:
        self.loaded += (name,)
        return self

    def encode_ordinary(self, text: str) -> list[str]:
        return list(text)


@pytest.fixture
def tiktoken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTiktoken:
    fake = FakeTiktoken("tiktoken")
    monkeypatch.setitem(sys.modules, "tiktoken", fake)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return fake


def vocabulary_file(folder: Path) -> Path:
    address = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    return folder / hashlib.sha1(address.encode()).hexdigest()


def test_tiktoken_keeps_its_vocabulary_where_it_is_looked_for() -> None:
    # The name under which tiktoken's cache keeps it, as other packages ship it, too.
    assert vocabulary_file(Path()).name == "fb374d419588a4632f3f557e76b4b70aebbca790"


def test_a_vocabulary_on_disk_is_used(
    tiktoken: FakeTiktoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"YQ== 0\n"
    vocabulary_file(tmp_path).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(tokens._VOCABULARY_SHA256, "o200k_base", digest)
    for model in ("gpt-4o", "openai/gpt-4o", "oss"):
        assert counter(model).count("frog") == 4
    assert tiktoken.loaded == ("o200k_base", "o200k_base", "o200k_harmony")
    assert "o200k_base" in counter("gpt-4o").describe()


def test_a_vocabulary_that_would_be_downloaded_is_not_asked_for(
    tiktoken: FakeTiktoken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "by rules" in counter("gpt-4o").describe()  # no file
    vocabulary_file(tmp_path).write_bytes(b"damaged")
    assert "by rules" in counter("gpt-4o").describe()
    assert "by rules" in counter("gpt-2").describe()  # whose place is not known
    assert "by rules" in counter("my-model").describe()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # tiktoken's word for no cache at all
    assert "by rules" in counter("gpt-4o").describe()
    assert tiktoken.loaded == ()


@pytest.mark.parametrize(
    ("model", "count"),
    [("llama-3.1-8b", 100), ("Qwen/Qwen2.5-7B-Instruct", 300), ("mistral-small", 300)],
)
def test_rules_write_digits_as_the_models_family_does(model: str, count: int) -> None:
    counted = counter(model)
    assert counted.count("7" * 300) == pytest.approx(count, rel=0.1)
    assert "by rules" in counted.describe()


# --- Requests and replies -------------------------------------------------------------------------


def test_a_request_has_its_messages_and_what_the_chat_form_adds() -> None:
    messages = [{"role": "system", "content": "judge it"}, {"role": "user", "content": "a b c"}]
    assert words.count_request(messages) == 5 + CHAT_OVERHEAD
    assert TokenCounter(words.tokens_of, "words", 2.0, 20).count_request(messages) == 2 * (
        5 + CHAT_OVERHEAD
    )


def test_a_counter_is_scaled_by_what_replies_used() -> None:
    scaled = calibrated(words, [(100, 130)] * 10 + [(300, 350)] * 10)  # 4 800 used for 4 000
    assert scaled.scale == pytest.approx(1.2)
    assert scaled.count("a " * 1000) == 1200
    assert scaled.describe() == "words, scaled by 1.200 as 20 replies were"
    assert calibrated(scaled, [(100, 150)] * 20).scale == pytest.approx(1.5)


def test_few_replies_and_servers_that_tell_no_usage_change_nothing() -> None:
    assert calibrated(words, [(100, 150)] * 19) is words
    assert calibrated(words, [(100, 150)] * 19 + [(100, 0)] * 50 + [(0, 100)]) is words
    assert calibrated(words, []) is words


# --- The fit --------------------------------------------------------------------------------------


def test_the_experiment_finds_the_costs_that_made_the_counts() -> None:
    folder = Path(__file__).resolve().parent.parent / "bench" / "experiments"
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import token_rules as fit\n"
        "texts = ['frog ' * n + '12 ' * m for n in range(1, 30) for m in range(1, 30)]\n"
        "costs = fit.fit_costs(texts, [lambda t: 2 * t.count('frog') + 3 * t.count('12')])\n"
        "print(json.dumps(costs))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    costs = json.loads(ended.stdout)
    assert costs["space word 4"] == pytest.approx(2, abs=0.05)
    assert costs["digits"] + costs["spaces"] == pytest.approx(3, abs=0.1)
