import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.payment.wire import clean, decode, encode, origin, parse_json
from tests.payment.examples import encoded


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a": 1, "a": 2}', "a key twice"),
        (b"[" * 33 + b"]" * 33, "nested too deeply"),
        (b"[" * 20_000, "nested too deeply|not JSON"),
        (b"1" * 21, "more than 20 digits"),
        (b"9" * 5_000, "more than 20 digits"),
        (b"NaN", "not finite"),
        (b"-Infinity", "not finite"),
        (b"1e999", "not finite"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_json_that_readers_could_disagree_about_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_json(data)


def test_thirty_two_levels_and_twenty_digits_are_read() -> None:
    assert parse_json(b"[" * 31 + b'{"n": ' + b"9" * 20 + b"}" + b"]" * 31)


@pytest.mark.parametrize("header", ["e30", "e30==", "e3 0=", "e30=\n", "_-8=", "=e30", "é", "e30=e30="])
def test_only_standard_padded_base64_is_read(header: str) -> None:
    with pytest.raises(ValueError, match="not base64"):
        decode(header)


def test_a_header_over_32_kb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ValueError, match="larger than 32 KB"):
        decode("!" * (32 * 1024 + 1))
    assert decode(encoded("x" * 24_000)) == "x" * 24_000


@given(st.recursive(st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(), st.lists, max_leaves=20))
def test_what_is_encoded_is_decoded_again(document: object) -> None:
    assert decode(encode(document)) == document


@given(st.text() | st.binary().map(encoded))
def test_nothing_but_a_value_error_leaves_the_decoder(header: str) -> None:
    with contextlib.suppress(ValueError):
        decode(header)


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin("HTTPS://StableStudio.dev/a?b#c") == origin("https://stablestudio.dev:443")
    assert origin("http://[::1]:8080/") == ("http", "::1", 8080)
    assert origin("https://stablestudio.dev") != origin("http://stablestudio.dev")
    assert origin("https://stablestudio.dev") != origin("https://stablestudio.dev:444")


@pytest.mark.parametrize(
    "url",
    [
        "/api/jobs",
        "stablestudio.dev",
        "ftp://stablestudio.dev",
        "https://",
        "https://stablestudio.dev@evil.example/",
        "https://evil.example\\@stablestudio.dev/",
        "https://evil.example\\.stablestudio.dev/",
        "https://stable\nstudio.dev",
        "https://stablestudio.dev:99999",
        "https://stablestudio.dev:x",
        "https://stäblestudio.dev",
        "https://[::1",
    ],
)
def test_a_url_that_readers_could_disagree_about_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|port|Port|IPv6"):
        origin(url)


def test_words_of_the_seller_lose_control_and_bidirectional_characters_and_length() -> None:
    assert clean("a\x1b[31m\r\nb\u202ec\u2066d\u200be\ud800") == "a[31m bcde"
    assert clean("x" * 500) == "x" * 199 + "…"
    assert clean(["not", "text"]) == ""
