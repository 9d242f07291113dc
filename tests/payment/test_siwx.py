import json
from datetime import UTC, datetime
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st
from x402.extensions.sign_in_with_x import parse_siwx_header, validate_siwx_message, verify_siwx_signature

from seedance_mcp.errors import BadLogin
from seedance_mcp.payment.siwx import answer, expires_at, read_login_challenge
from seedance_mcp.payment.wallet import Wallet
from tests.payment.examples import ADDRESS, KEY, NOW, ORIGIN, decoded, encoded, entry, login, required

URL = f"{ORIGIN}/api/jobs/c1"


def proof(challenge: dict[str, Any], *, url: str = URL, now: int = NOW) -> Any:
    return decoded(answer(Wallet.from_hex(KEY), challenge, url=url, now=now))


def signed_text_is(sent: dict[str, Any], text: str) -> bool:
    return bool(Account.recover_message(encode_defunct(text=text), signature=sent["signature"]) == ADDRESS)


def test_the_signed_text_is_eip_4361_byte_for_byte() -> None:
    sent = proof(
        login(
            statement="Sign in to see your jobs",
            notBefore="2027-01-15T08:00:00Z",
            requestId="r-1",
            resources=[f"{ORIGIN}/a", "ipfs://b"],
        )
    )
    assert signed_text_is(
        sent,
        "stablestudio.dev wants you to sign in with your Ethereum account:\n"
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n"
        "\n"
        "Sign in to see your jobs\n"
        "\n"
        "URI: https://stablestudio.dev/api/jobs\n"
        "Version: 1\n"
        "Chain ID: 8453\n"
        "Nonce: a1b2c3d4e5f67890a1b2c3d4e5f67890\n"
        "Issued At: 2027-01-15T08:00:00.000Z\n"
        "Expiration Time: 2027-01-15T08:05:00.000Z\n"
        "Not Before: 2027-01-15T08:00:00Z\n"
        "Request ID: r-1\n"
        "Resources:\n"
        "- https://stablestudio.dev/a\n"
        "- ipfs://b",
    )
    assert sent["chainId"] == "eip155:8453"
    assert sent["type"] == "eip191"
    assert sent["address"] == ADDRESS
    assert sent["resources"] == [f"{ORIGIN}/a", "ipfs://b"]


def test_without_a_statement_its_blank_line_stays() -> None:
    sent = proof(login(expirationTime=...))
    assert signed_text_is(
        sent,
        "stablestudio.dev wants you to sign in with your Ethereum account:\n"
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\n"
        "\n"
        "\n"
        "URI: https://stablestudio.dev/api/jobs\n"
        "Version: 1\n"
        "Chain ID: 8453\n"
        "Nonce: a1b2c3d4e5f67890a1b2c3d4e5f67890\n"
        "Issued At: 2027-01-15T08:00:00.000Z",
    )
    assert "statement" not in sent
    assert "expirationTime" not in sent


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"statement": "Sign in"},
        {"requestId": "abc", "resources": [f"{ORIGIN}/api/jobs"]},
        {"statement": "All, of it: yes.", "requestId": "1", "resources": [ORIGIN]},
    ],
)
async def test_the_sdk_verifies_the_proof(more: dict[str, Any]) -> None:
    now = datetime.now(UTC).replace(microsecond=123456)
    issued = datetime.fromtimestamp(int(now.timestamp()) - 1, UTC).isoformat().replace("+00:00", "Z")
    challenge = login(issuedAt=issued, notBefore=issued, expirationTime="2999-01-01T00:00:00.123456+00:00", **more)
    header = answer(Wallet.from_hex(KEY), challenge, url=URL, now=int(now.timestamp()))
    payload = parse_siwx_header(header)
    assert (await validate_siwx_message(payload, ORIGIN)).is_valid
    verdict = await verify_siwx_signature(payload)
    assert (verdict.is_valid, verdict.payer) == (True, ADDRESS)


@pytest.mark.parametrize(
    ("domain", "uri", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4021/api/jobs", "http://127.0.0.1:4021/api/jobs"),
        ("127.0.0.1:4021", "http://127.0.0.1:4021/api/jobs", "http://127.0.0.1:4021/api/jobs"),
        ("StableStudio.dev", "https://stablestudio.dev:443/", URL),
        ("stablestudio.dev:443", f"{ORIGIN}/", URL),
    ],
)
def test_the_domain_may_have_the_port_or_not(domain: str, uri: str, url: str) -> None:
    assert proof(login(domain=domain, uri=uri), url=url)["domain"] == domain


LONG = "x" * 3_000


@pytest.mark.parametrize(
    "info",
    [
        {"domain": "stablestudio.io"},
        {"domain": "stablestudio.dev.evil.example"},
        {"domain": "stablestudio.dev:8443"},
        {"domain": "https://stablestudio.dev"},
        {"domain": "stablestudio.dev\nURI: https://evil.example"},
        {"domain": "user@stablestudio.dev"},
        {"domain": ""},
        {"domain": ...},
        {"uri": "https://stablestudio.io/api/jobs"},
        {"uri": "http://stablestudio.dev/api/jobs"},
        {"uri": "https://stablestudio.dev:8443/"},
        {"uri": "https://stablestudio.dev@evil.example/"},
        {"uri": "https://stablestudio.dev/\nVersion: 1"},
        {"uri": "/api/jobs"},
        {"uri": ORIGIN + "/" + LONG},
        {"uri": ...},
        {"version": "2"},
        {"version": 1},
        {"version": ...},
        {"nonce": "short"},
        {"nonce": "a1b2c3d4-e5f6"},
        {"nonce": "a1b2c3d4\n"},
        {"nonce": "a" * 129},
        {"nonce": 12345678},
        {"nonce": ...},
        {"issuedAt": "yesterday"},
        {"issuedAt": "2027-01-15"},
        {"issuedAt": "2027-13-45T08:00:00Z"},
        {"issuedAt": "2027-01-15T08:00:00"},
        {"issuedAt": "2027-01-15T08:00:00Z\n"},
        {"issuedAt": ...},
        {"expirationTime": "2027-01-15T08:00:00Z"},
        {"expirationTime": "2020-01-01T00:00:00Z"},
        {"expirationTime": "never"},
        {"expirationTime": 1},
        {"notBefore": "2027-01-15T08:00:01Z"},
        {"notBefore": ""},
        {"statement": "two\nlines"},
        {"statement": "carriage\rreturn"},
        {"statement": "x" * 501},
        {"statement": "un\u202eseen"},
        {"statement": ["a"]},
        {"requestId": "a\nb"},
        {"requestId": "a b"},
        {"requestId": LONG},
        {"resources": "https://stablestudio.dev"},
        {"resources": ["a\nb"]},
        {"resources": [1]},
        {"resources": ["https://a"] * 17},
    ],
)
def test_a_field_that_should_not_be_signed_is_refused(info: dict[str, Any]) -> None:
    with pytest.raises(BadLogin):
        proof(login(**info))


@pytest.mark.parametrize(
    "chains",
    [
        [],
        {},
        "eip155:8453",
        [{"chainId": "eip155:1", "type": "eip191"}],
        [{"chainId": "eip155:8453", "type": "ed25519"}],
        [{"chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "type": "ed25519"}],
        [{"chainId": ["eip155:8453"], "type": "eip191"}],
        ["eip155:8453"],
    ],
)
def test_only_base_with_eip_191_is_signed(chains: Any) -> None:
    with pytest.raises(BadLogin, match="eip155:8453"):
        proof(login(chains=chains))


def test_base_is_found_among_other_chains() -> None:
    chains = [
        {"chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "type": "ed25519"},
        {"chainId": "eip155:8453", "type": "eip191", "signatureScheme": "eip191"},
    ]
    assert proof(login(chains=chains))["chainId"] == "eip155:8453"


PAYMENTS: list[Any] = [
    [entry()],
    [entry(amount="0"), entry(amount="1")],
    [entry(amount="0", maxAmountRequired="1")],
    [entry(amount=1)],
    [entry(amount="00")],
    [entry(amount=...)],
    ["free"],
    "free",
]


@pytest.mark.parametrize("accepts", PAYMENTS)
def test_a_demand_for_money_is_never_answered(accepts: Any) -> None:
    challenge = login() | {"accepts": accepts}
    with pytest.raises(BadLogin, match="payment was demanded on a free route; nothing was signed"):
        proof(challenge)
    for headers, body in ((required(challenge), b""), ({}, json.dumps(challenge).encode())):
        with pytest.raises(BadLogin, match="nothing was signed"):
            read_login_challenge(headers, body)


def test_a_demand_for_money_beside_a_login_is_seen_in_either_place() -> None:
    with pytest.raises(BadLogin, match="nothing was signed"):
        read_login_challenge(required(login()), json.dumps(login(accepts=[entry()])).encode())


def test_an_entry_of_amount_zero_is_a_login_still() -> None:
    challenge = login(accepts=[entry(amount="0"), entry(amount=0)])
    assert read_login_challenge(required(challenge), b"") == challenge
    assert proof(challenge)["address"] == ADDRESS


def test_a_challenge_is_read_from_the_header_or_else_the_body() -> None:
    first, second = login(nonce="headerheader"), login(nonce="bodybodybody")
    assert read_login_challenge(required(first), json.dumps(second).encode()) == first
    assert read_login_challenge({}, json.dumps(second).encode()) == second
    assert read_login_challenge(required({"x402Version": 2, "accepts": []}), json.dumps(second).encode()) == second


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"error":"siwx_expired"}', b"<html>", b"\xff", b"1" * 40_000])
def test_a_402_without_a_challenge_reads_as_none(body: bytes) -> None:
    assert read_login_challenge({}, body) is None


def test_a_garbled_header_is_refused() -> None:
    with pytest.raises(BadLogin, match="not base64"):
        read_login_challenge({"payment-required": "***"}, b"")


def test_the_end_of_a_proof_is_the_challenges() -> None:
    assert expires_at(login()) == NOW + 300
    assert expires_at(login(expirationTime=...)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = login(statement="Sign in", notBefore="2027-01-15T08:00:00Z", requestId="r", resources=["https://a"])
INFO = FIELDS["extensions"]["sign-in-with-x"]["info"]


@given(
    st.fixed_dictionaries({key: st.just(value) for key, value in INFO.items()}),
    st.fixed_dictionaries({}, optional=dict.fromkeys(INFO, json_values)),
    st.just([{"chainId": "eip155:8453", "type": "eip191"}]) | json_values,
)
def test_whatever_comes_is_refused_or_signed_as_single_lines(
    sound: dict[str, Any], twisted: dict[str, Any], chains: Any
) -> None:
    challenge = login(chains=chains, **(sound | twisted))
    try:
        sent = proof(challenge)
    except BadLogin:
        return
    assert sent["domain"] == "stablestudio.dev"
    texts = [value for value in sent.values() if isinstance(value, str)]
    assert all(text.isascii() and text.isprintable() for text in texts)


@given(st.dictionaries(st.sampled_from(["accepts", "extensions", "error", "x402Version"]), json_values), st.binary())
def test_nothing_but_bad_login_leaves_the_reader(document: dict[str, Any], body: bytes) -> None:
    for headers, content in ((required(document), body), ({}, json.dumps(document).encode())):
        try:
            found = read_login_challenge(headers, content)
        except BadLogin:
            continue
        assert found is None
    with pytest.raises(BadLogin):
        answer(Wallet.from_hex(KEY), document, url=URL, now=NOW)


@given(st.text() | st.binary().map(encoded), st.binary())
def test_no_header_text_breaks_the_reader(header: str, body: bytes) -> None:
    try:
        assert read_login_challenge({"payment-required": header}, body) is None
    except BadLogin:
        return
