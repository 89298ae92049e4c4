"""Runs of words: what counts as a word, as shared, as a template; against a plain search."""

from __future__ import annotations

import numpy as np
import pytest

from ds2fast import ngrams
from ds2fast.ngrams import Runs, words_of

SENTENCE = "the farmer sold seven red apples and three green pears to his old neighbour today"
OTHER = "we walked along the river until the bridge where the boats lay in the evening sun"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP!", ["don", "t", "stop"]),
        ("snake_case and 3.14", ["snake", "case", "and", "3", "14"]),
        ("###user: Hi\n###assistant: Hello", ["hi", "hello"]),
        ("###gpt-4: no role of ours, but one", ["no", "role", "of", "ours", "but", "one"]),
        ("a ###user: b", ["a", "user", "b"]),  # only at the start of a line
        ("Ünïcode Straße", ["ünïcode", "straße"]),
        ("\uff21\uff22\uff23 \ufb01n", ["abc", "fin"]),  # wide letters, a ligature
        ("u\u0308ber", ["über"]),  # a letter and its dots are the letter with dots
        ("我喜欢 Python3 编程", ["我", "喜", "欢", "python3", "编", "程"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("", []),
        ("?!...", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def runs_of(text: str, length: int) -> list[tuple[str, ...]]:
    words = words_of(text)
    return [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]


def shared_most(own: list[str], other: str, length: int) -> int:
    """By the rule's words: runs belong to the first row that has them, most runs decide."""
    counts = [0] * len(own)
    for run in runs_of(other, length):
        owners = [row for row, text in enumerate(own) if run in runs_of(text, length)]
        if owners:
            counts[owners[0]] += 1
    return counts.index(max(counts)) if any(counts) else -1


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8])
def test_equals_a_search_through_all_pairs(length: int) -> None:
    random = np.random.default_rng(length)
    vocabulary = [f"w{number}" for number in range({1: 400, 8: 2}.get(length, 4))]
    own = [" ".join(random.choice(vocabulary, random.integers(8, 20))) for _ in range(5)]
    texts = [" ".join(random.choice(vocabulary, random.integers(0, 30))) for _ in range(200)]
    found = Runs(own, length).found_in(texts).tolist()
    assert found == [shared_most(own, text, length) for text in texts]
    assert min(found) == -1
    assert max(found) > 0


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(list("abcdef"), random.integers(0, 40))) for _ in range(300)]
    at_once = Runs(texts[:4], 5).found_in(iter(texts))
    for words in (1, 7, 100):
        monkeypatch.setattr(ngrams, "_WORDS_AT_ONCE", words)
        np.testing.assert_array_equal(Runs(texts[:4], 5).found_in(iter(texts)), at_once)


def test_a_run_does_not_go_on_in_the_next_text() -> None:
    words = SENTENCE.split()
    runs = Runs([SENTENCE], 13)
    assert runs.found_in([" ".join(words[:7]), " ".join(words[7:])]).tolist() == [-1, -1]
    assert runs.found_in([" ".join(words[1:14]), " ".join(words[1:13])]).tolist() == [0, -1]


def test_the_edges_of_a_text_count() -> None:
    words = SENTENCE.split()
    runs = Runs([OTHER, SENTENCE], 13)
    for run in (words[:13], words[-13:]):
        assert runs.found_in([f"{' '.join(run)} x", f"x {' '.join(run)}"]).tolist() == [1, 1]


def test_a_short_text_counts_where_it_is_contained_whole() -> None:
    runs = Runs(["What is the capital of France? Paris", "Who wrote Faust? Goethe"], 13)
    texts = [
        "Tell me: what is the capital of france? - paris, of course",
        "What is the capital of France? Lyon",
        "Who wrote Faust? Goethe",  # four words say too little
    ]
    assert runs.found_in(texts).tolist() == [0, -1, -1]


def test_a_short_question_counts_without_its_answer() -> None:
    asked = "What is the capital of France?"
    own = [f"{OTHER} Who?", f"{asked} Paris"]
    runs = Runs(own, 13, [["Who wrote the old Faust?", OTHER], [asked]])
    texts = [
        "Quiz: what is the CAPITAL of France; Lyon",
        "What is the capital of all France?",  # not whole
        "Who wrote the old Faust?",  # five words say too little
        " ".join(OTHER.split()[2:15]),  # longer ones count by their runs, as ever
    ]
    assert runs.found_in(texts).tolist() == [1, -1, -1, 0]
    assert Runs(own, 6, [[], [asked]]).found_in(texts).tolist() == [1, -1, -1, 0]


def test_a_question_belongs_to_the_first_row_that_has_it() -> None:
    asked = "What is the capital of France?"
    own = ["no words of it", f"{asked} Paris", asked]
    assert Runs(own, 13, [[], [asked], []]).found_in([f"{asked} Lyon"]).tolist() == [1]


def test_a_stock_question_of_many_texts_does_not_count() -> None:
    asked = "What is the mood of this review?"
    few = [f"{asked} {word}" for word in ("good", "bad", "glad", "sad", "mad")]
    questions = [[asked]] * 5
    text = f"{asked} None."
    assert Runs(few, 13, questions).found_in([text]).tolist() == [0]
    # A sixth text that holds it as a part of a longer question is one more.
    assert Runs([*few, f"Say: {asked} {OTHER}"], 13, questions).found_in([text]).tolist() == [-1]


def test_a_template_of_many_texts_does_not_count() -> None:
    prompt = (
        "You are a helpful assistant that answers every question with great care and in detail."
    )
    few = [f"{prompt} {number} times {number}?" for number in range(5)]
    many = [f"{prompt} {number} times {number}?" for number in range(6)]
    assert Runs(few, 13).found_in([f"{prompt} Hello!"]).tolist() == [0]
    assert Runs(many, 13).found_in([f"{prompt} Hello!"]).tolist() == [-1]
    assert Runs(many, 13).found_in([f"{prompt} 4 times 4?"]).tolist() == [4]  # its own run
    # Copies of one text are one text; and a hundredth of many texts is more than five.
    assert Runs(few[:1] * 9, 13).found_in([f"{prompt} Hello!"]).tolist() == [0]
    others = [f"word{number}" for number in range(600)]
    assert Runs(many + others, 13).found_in([f"{prompt} Hello!"]).tolist() == [0]


def test_nothing_to_find_or_to_look_through() -> None:
    assert Runs([], 13).found_in([SENTENCE, ""]).tolist() == [-1, -1]
    assert Runs([""], 13).found_in([SENTENCE]).tolist() == [-1]
    assert Runs([SENTENCE], 13).found_in([]).tolist() == []


def test_hashes_that_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_scatter", lambda numbers: numbers * np.uint64(0))
    runs = Runs(["one two three"], 3)
    assert runs.found_in(["three two one", "so one two three"]).tolist() == [-1, 0]
