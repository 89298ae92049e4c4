"""The expected level against distributions whose expectation is worked out by hand."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2fast.rating.expected import expected_level

LEVELS = {1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 2, 7: 3, 8: 4, 9: 5, 10: 5}


def alternative(text: str, chance: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(chance) if chance else -9999.0}


def token(text: str, **chances: float) -> dict[str, Any]:
    return likely(text, {text: 1.0} | chances)


def likely(text: str, chances: dict[str, float]) -> dict[str, Any]:
    """A token of the reply with the likeliest at its place, itself among them."""
    told = [alternative(other, chance) for other, chance in chances.items()]
    return alternative(text, chances.get(text, 0)) | {"top_logprobs": told}


def reply(*tokens: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    return "".join(one["token"] for one in tokens), list(tokens)


HEAD = (token('{"'), token("rarity"), token('":'), token(" 3"), token(', "'), token("overall"))


def rated(*tokens: dict[str, Any]) -> float | None:
    """The expected level of {"rarity": 3, "overall<tokens>}."""
    return expected_level(*reply(*HEAD, *tokens, token("}")))


def test_one_token() -> None:
    # 0.5 at level 3, 0.25 at 4, 0.25 at 5
    place = likely("7", {"7": 0.5, "8": 0.25, "9": 0.25})
    assert rated(token('": '), place) == pytest.approx(3.75)


def test_ten_and_nine_are_one_level_and_one_to_four_too() -> None:
    assert rated(token('": '), likely("10", {"10": 0.5, "9": 0.5})) == pytest.approx(5)
    place = likely("4", {"4": 0.5, "3": 0.25, "2": 0.25})
    assert rated(token('": '), place) == pytest.approx(0)


@pytest.mark.parametrize(
    ("before", "form", "after"),
    [
        ('": ', "%s", ""),
        ('":', " %s", "\n"),
        ('"', ": %s", ""),
        ('"', ": %s\n", ""),
        ("", '": %s', ""),
        ('": "', "%s", '"'),
        ('": "', '%s"', ""),
        ('":', ' "%s"', ""),
        ('": ', "%s,", ' "x": 0'),
        ('": ', "%s.0", ""),
        ('": ', '"%s/10"', ""),
    ],
)
def test_the_number_inside_a_token(before: str, form: str, after: str) -> None:
    place = likely(form % 6, {form % 6: 0.5, form % 8: 0.5})
    assert rated(token(before), place, token(after)) == pytest.approx(3)


def test_forms_of_a_number_at_one_place() -> None:
    place = likely(" 7", {" 7": 0.4, "7": 0.2, " 7,": 0.1, ' "7"': 0.1, " 7.0": 0.1, " 5": 0.1})
    # 0.9 at level 3 and 0.1 at level 1
    assert rated(token('":'), place) == pytest.approx(2.8)


def test_ten_of_two_tokens() -> None:
    first = likely("1", {"1": 0.8, "9": 0.2})
    second = likely("0", {"0": 0.75, "}": 0.25})
    # 10: 0.6, 1: 0.2, 9: 0.2
    content, tokens = reply(*HEAD, token('": '), first, second, token("}"))
    assert expected_level(content, tokens) == pytest.approx(0.8 * 5)


def test_a_one_that_might_have_become_a_ten() -> None:
    first = likely("1", {"1": 0.8, "2": 0.2})
    end = likely("}", {"}": 0.5, "0": 0.5})
    content, tokens = reply(*HEAD, token('": '), first, end)
    # 10: 0.4, 1: 0.4, 2: 0.2
    assert expected_level(content, tokens) == pytest.approx(2)


def test_the_mass_of_a_one_that_was_not_said_is_unknown() -> None:
    assert rated(token('": '), likely("9", {"9": 0.8, "1": 0.2})) is None
    # 0.95 is known: 0.5 at level 5 and 0.45 at level 1
    place = likely("9", {"9": 0.5, "5": 0.45, "1": 0.05})
    assert rated(token('": '), place) == pytest.approx((0.5 * 5 + 0.45) / 0.95)


def test_where_ten_is_a_token_one_is_one() -> None:
    place = likely("9", {"9": 0.7, "1": 0.2, "10": 0.1})
    assert rated(token('": '), place) == pytest.approx(0.8 * 5)


def test_a_one_with_its_end_is_one() -> None:
    place = likely("9,", {"9,": 0.8, "1,": 0.2})
    content, tokens = reply(*HEAD, token('": '), place, token(' "x": 2}'))
    assert expected_level(content, tokens) == pytest.approx(4)


def test_what_is_no_number_has_no_level() -> None:
    others = {"7": 0.5, "75": 0.1, "7.": 0.1, "0": 0.1, "seven": 0.1, "null": 0.1}
    assert rated(token('": '), likely("7", others)) is None
    # 0.92 is known
    assert rated(token('": '), likely("7", {"7": 0.92, "null": 0.08})) == pytest.approx(3)
    assert rated(token('": '), likely("7", {"7": 0.89, "8.5": 0.11})) is None


def test_the_replys_own_token_counts_where_the_list_lacks_it() -> None:
    place = alternative("5", 0.25) | {"top_logprobs": [alternative("9", 0.75)]}
    assert rated(token('": '), place) == pytest.approx(4)
    alone = alternative("5", 0.95) | {"top_logprobs": []}
    assert rated(token('": '), alone) == pytest.approx(1)
    assert rated(token('": '), alternative("5", 0.95)) == pytest.approx(1)
    assert rated(token('": '), alternative("5", 0.5)) is None


def test_bytes_spell_what_a_token_alone_can_not() -> None:
    frog = "🐸".encode()
    parts = [
        token("\ufffd") | {"bytes": list(frog[:2])},
        token("\ufffd") | {"bytes": list(frog[2:])},
    ]
    place = likely("7", {"7": 0.5, "9": 0.5})
    tokens = [token('{"x": "'), *parts, token('", "overall": '), place, token("}")]
    content = '{"x": "🐸", "overall": 7}'
    assert expected_level(content, tokens) == pytest.approx(4)
    assert expected_level(content, [one | {"bytes": None} for one in tokens]) is None


def test_objects_serve_as_mappings_do() -> None:
    content, tokens = reply(*HEAD, token('": '), likely("7", {"7": 0.5, "9": 0.5}), token("}"))
    entries = [
        SimpleNamespace(
            token=one["token"],
            logprob=one["logprob"],
            bytes=None,
            top_logprobs=[SimpleNamespace(**other) for other in one["top_logprobs"]],
        )
        for one in tokens
    ]
    assert expected_level(content, entries) == pytest.approx(4)


PLACE = likely("7", {"7": 0.5, "9": 0.5})


def test_a_stripped_reply_and_an_end_token() -> None:
    content, tokens = reply(*HEAD, token('": '), PLACE, token("}"))
    around = [token("\n "), *tokens, token("\n"), token("<|eot_id|>")]
    assert expected_level(content, around) == pytest.approx(4)
    assert expected_level(f"\n {content}\n", around) == pytest.approx(4)
    assert expected_level(content, [*tokens, token(" and more")]) is None


def test_tokens_of_another_reply() -> None:
    content, tokens = reply(*HEAD, token('": '), PLACE, token("}"))
    assert expected_level(content.replace("7", "8"), tokens) is None
    assert expected_level(content, tokens[1:]) is None
    assert expected_level(content, tokens[:-1]) is None
    assert expected_level(content, []) is None


def test_a_number_said_twice_has_no_one_place() -> None:
    content, tokens = reply(token("Overall: "), PLACE, token(' {"overall": '), PLACE, token("}"))
    assert expected_level(content, tokens) is None


def test_the_thinking_is_not_the_place() -> None:
    thought = token("<think>overall: 2?</think>")
    content, tokens = reply(thought, token('{"overall": '), PLACE, token("}"))
    assert expected_level(content, tokens) == pytest.approx(4)
    content, tokens = reply(token("overall: 2?</think>"), *tokens[1:])
    assert expected_level(content, tokens) is None
    assert expected_level(content, tokens, sample="a frog") == pytest.approx(4)


def test_a_reply_that_can_not_be_read_has_no_level() -> None:
    content, tokens = reply(token('{"overall": '), PLACE, token(".5}"))
    assert expected_level(content, tokens) is None
    assert expected_level("Overall: 7", [token("Overall: "), PLACE]) is None


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        "tokens",
        {"token": "7"},
        [None],
        [[]],
        [{"token": '{"overall": 7}'}],
        [{"token": 7, "logprob": 0}],
        [{"token": '{"overall": 7}', "logprob": 0, "bytes": [999]}],
        [{"token": '{"overall": 7}', "logprob": 0, "top_logprobs": "7"}],
        [{"token": '{"overall": 7}', "logprob": 0, "top_logprobs": [7]}],
    ],
)
def test_what_is_no_list_of_tokens(broken: Any) -> None:
    assert expected_level('{"overall": 7}', broken) is None


@pytest.mark.parametrize(
    "logprob", [None, "0", True, math.nan, math.inf, 0.7, 10**400, [0]], ids=repr
)
def test_what_is_no_logarithm_of_a_probability(logprob: Any) -> None:
    place = {"token": "7", "logprob": logprob, "top_logprobs": []}
    assert rated(token('": '), place) is None
    beside = PLACE | {"top_logprobs": [*PLACE["top_logprobs"], {"token": "8", "logprob": logprob}]}
    assert rated(token('": '), beside) is None


def test_probabilities_beyond_one_are_none() -> None:
    assert rated(token('": '), likely("7", {"7": 0.9, "8": 0.9})) is None


@pytest.mark.parametrize("never", [-9999.0, -math.inf, -(10**400)], ids=str)
def test_what_never_happens_weighs_nothing(never: float) -> None:
    place = PLACE | {"top_logprobs": [*PLACE["top_logprobs"], {"token": "4", "logprob": never}]}
    assert rated(token('": '), place) == pytest.approx(4)


@given(
    st.dictionaries(st.integers(2, 9), st.floats(1e-3, 1), min_size=1),
    st.floats(0.91, 1),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_any_distribution(weights: dict[int, float], known: float, data: st.DataObject) -> None:
    total = sum(weights.values())
    chances = {str(n): known * weight / total for n, weight in weights.items()}
    said = str(data.draw(st.sampled_from(sorted(weights))))
    mean = sum(LEVELS[n] * weight for n, weight in weights.items()) / total
    assert rated(token('": '), likely(said, chances)) == pytest.approx(mean)


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.99), st.sampled_from(["1", "10"]))
def test_any_split_of_a_one(one: float, nought: float, said: str) -> None:
    first = likely("1", {"1": one, "6": 1 - one})
    second = likely("0" if said == "10" else "}", {"0": nought, "}": 1 - nought})
    rest = [token("}")] if said == "10" else []
    content, tokens = reply(*HEAD, token('": '), first, second, *rest)
    mean = one * nought * LEVELS[10] + (1 - one) * LEVELS[6]
    assert expected_level(content, tokens) == pytest.approx(mean)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["token", "logprob", "bytes", "top_logprobs"]), inner, max_size=4
        )
    ),
    max_leaves=15,
)


@given(st.sampled_from(['{"overall": 7}', "", "7", "\ud800"]) | st.text(), anything)
@settings(max_examples=500, deadline=None)
def test_nothing_raises(content: str, tokens: Any) -> None:
    level = expected_level(content, tokens)
    assert level is None or 0 <= level <= 5


@given(st.integers(0, 9), st.sampled_from(["token", "logprob", "bytes", "top_logprobs"]), anything)
@settings(max_examples=500, deadline=None)
def test_one_odd_entry_raises_nothing(at: int, field: str, value: Any) -> None:
    content, tokens = reply(*HEAD, token('": '), PLACE, token("}"))
    tokens[at % len(tokens)] = tokens[at % len(tokens)] | {field: value}
    level = expected_level(content, tokens)
    assert level is None or 0 <= level <= 5


def test_real_json_at_every_split_into_tokens() -> None:
    # The number's token may begin anywhere in what is before it but the key.
    content = json.dumps({"rarity": 3, "overall": 7, "x": "é"})
    at = content.index("7")
    for begin in range(content.index('": 7'), at + 1):
        place = likely(
            content[begin : at + 1], {content[begin:at] + "7": 0.5, content[begin:at] + "5": 0.5}
        )
        tokens = [token(content[:begin]), place, token(content[at + 1 :])]
        assert expected_level(content, tokens) == pytest.approx(2)
    place = token(content[content.index("overall") : at + 1])
    tokens = [token(content[: content.index("overall")]), place, token(content[at + 1 :])]
    assert expected_level(content, tokens) is None
