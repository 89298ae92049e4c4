"""Where is asked, with which key, and that neither key nor password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds2fast.errors import InputError, InputFileError, InputTypeError
from ds2fast.rating.endpoint import Endpoint, resolve_endpoint

KEY = "sk-0123456789abcdef"
LOCAL = "http://localhost:8000/v1"
AZURE = "https://mine.openai.azure.com"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_VERSION", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


# --- Which URL ------------------------------------------------------------------------------------


def test_the_argument_goes_before_the_variable_and_that_before_openais_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert resolve_endpoint().base_url == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert resolve_endpoint().is_openai
    monkeypatch.setenv("OPENAI_BASE_URL", LOCAL)
    assert resolve_endpoint().base_url == LOCAL
    assert not resolve_endpoint().is_openai
    assert resolve_endpoint("https://other.example/v1").base_url == "https://other.example/v1"


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http:///v1", "/v1", "http://h:port/"]
)
def test_a_url_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"base_url: expected a URL such as http://localhost"):
        resolve_endpoint(url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(InputError, match="OPENAI_BASE_URL: expected a URL"):
        resolve_endpoint()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:hidden-word@host/v1",
        "http://me:hidden-word@host:port/v1",
        "http://me:hidden-word@host/v1",
        "http://hidden-word@host/v1",
        "http://:hidden-word@host/v1",
        "http://host/v1?key=hidden-word",
        "http://host/v1#hidden-word",
    ],
)
def test_a_url_that_may_hold_a_secret_is_refused_without_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="base_url: expected a URL") as caught:
        resolve_endpoint(url)
    assert "hidden-word" not in str(caught.value)
    assert caught.value.__cause__ is None
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(InputError, match="OPENAI_BASE_URL: expected a URL") as caught:
        resolve_endpoint()
    assert "hidden-word" not in str(caught.value)


def test_an_empty_user_is_one_too() -> None:
    with pytest.raises(InputError, match="with a user, a password, a query or a fragment"):
        resolve_endpoint("http://@host/v1")


def test_another_type_is_refused() -> None:
    with pytest.raises(InputTypeError, match="base_url: expected a URL or None, got int"):
        resolve_endpoint(8000)  # type: ignore[arg-type]  # the wrong type is the test


# --- Which key ------------------------------------------------------------------------------------


def test_the_file_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-environment")
    assert resolve_endpoint(LOCAL).api_key == "of-the-environment"
    file = tmp_path / "key"
    for content in (KEY, f"  {KEY}\n", f"\ufeff{KEY}\r\n"):
        file.write_text(content, encoding="utf-8")
        assert resolve_endpoint(LOCAL, file).api_key == KEY


def test_blanks_around_a_key_in_the_environment_are_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert resolve_endpoint(LOCAL).api_key == KEY


@pytest.mark.parametrize("key", ["sk-schlüssel", "sk-abc def", "sk-abc\x07def"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(key, encoding="utf-8")
    with pytest.raises(InputError, match=r"api_key_file .*: expected") as of_file:
        resolve_endpoint(LOCAL, file)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match="OPENAI_API_KEY: expected") as of_variable:
        resolve_endpoint(LOCAL)
    assert key not in str(of_file.value) + str(of_variable.value)


def test_a_file_without_one_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content, words in (("", 0), (" \n", 0), ("one two", 2)):
        file.write_text(content)
        with pytest.raises(InputError, match=f"expected one key, got {words} words"):
            resolve_endpoint(LOCAL, file)
    with pytest.raises(InputFileError, match=r"api_key_file: cannot read .*No such file"):
        resolve_endpoint(LOCAL, tmp_path / "missing")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputFileError, match="it is no text"):
        resolve_endpoint(LOCAL, file)
    with pytest.raises(InputFileError, match="cannot read"):
        resolve_endpoint(LOCAL, tmp_path)


def test_openai_wants_a_key_and_other_servers_may_do_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in (None, "", "  "):
        if variable is not None:
            monkeypatch.setenv("OPENAI_API_KEY", variable)
        with pytest.raises(InputError, match="OPENAI_API_KEY: expected a key for https://api"):
            resolve_endpoint()
        assert resolve_endpoint(LOCAL).api_key == "none"
    assert resolve_endpoint(needs_key=False).is_openai  # an estimate sends nothing


# --- Azure's older form ---------------------------------------------------------------------------


def test_azure_needs_its_version_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-place")
    with pytest.raises(InputError, match="OPENAI_API_VERSION: expected in the environment"):
        resolve_endpoint(AZURE)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-06-01")
    with pytest.raises(InputError, match="AZURE_OPENAI_API_KEY: expected in the environment"):
        resolve_endpoint(AZURE)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    found = resolve_endpoint(AZURE)
    assert (found.azure_version, found.api_key) == ("2024-06-01", KEY)


def test_azures_newer_form_is_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for url in (f"{AZURE}/openai/v1", f"{AZURE}/openai/v1/"):
        assert resolve_endpoint(url).azure_version is None
    assert resolve_endpoint(AZURE, needs_key=False).azure_version == ""


# --- What is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("HTTP://LocalHost:8000/V1", "http://localhost:8000/V1"),
        ("https://host", "https://host"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_endpoint_has_one_name_however_it_is_written(url: str, name: str) -> None:
    assert Endpoint(url, KEY).name == name


def test_an_endpoint_does_not_print_the_key() -> None:
    assert KEY not in repr(Endpoint("https://host/v1", KEY))


def test_a_key_that_a_server_echoes_is_redacted() -> None:
    said = f"bad key {KEY}: 'Bearer {KEY}'"
    found = Endpoint("https://host/v1", KEY).redact(said)
    assert found == "bad key [secret]: 'Bearer [secret]'"


def test_words_too_short_for_a_secret_stay() -> None:
    # "none" is what a server without keys is sent.
    assert Endpoint(LOCAL, "none").redact("none of them") == "none of them"


def test_only_openais_host_is_openai() -> None:
    assert Endpoint("https://api.openai.com/v1", KEY).is_openai
    assert Endpoint("https://API.openai.com:443/v1", KEY).is_openai
    for url in ("https://api.openai.com.example/v1", "https://api.openai.com@host/v1"):
        assert not Endpoint(url, KEY).is_openai
