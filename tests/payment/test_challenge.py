from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.errors import BadChallenge
from seedance_mcp.payment.challenge import Challenge, parse_challenge
from seedance_mcp.payment.tokens import BASE_USDC, token_for
from tests.payment.examples import BASE_SEPOLIA_USDC, PAY_TO, URL, USDC, document, entry, required


def parse(value: Any, url: str = URL) -> Challenge:
    return parse_challenge(required(value), b"", url)


def test_an_offer_is_read_with_its_entry_verbatim() -> None:
    raw = entry(asset=USDC.lower(), note={"kept": [1, 0.5, None]})
    extensions = {"bazaar": {"info": {}}, "unknown": [1]}
    challenge = parse(document(raw, extensions=extensions))
    (offer,) = challenge.require_offer()
    assert (offer.rail, offer.network, offer.amount, offer.token) == ("x402", "eip155:8453", 412_500, BASE_USDC)
    assert offer.pay_to == "0x07F067959297767c887dbfA3C72379c66E82a045"
    assert offer.max_timeout_seconds == 300
    assert offer.raw == raw
    assert challenge.extensions == extensions
    assert challenge.resource == document()["resource"]
    assert challenge.error == "Payment required"
    assert challenge.declined == ()


def test_entries_of_other_networks_stand_beside_an_offer() -> None:
    solana = entry(
        network="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", asset="EPjF", payTo="9xQe", extra={"feePayer": "F"}
    )
    challenge = parse(document(solana, entry(), entry(network="eip155:84532", asset=BASE_SEPOLIA_USDC.address)))
    assert len(challenge.offers) == 1
    assert [d.reason for d in challenge.declined] == ["the network is not accepted"] * 2
    assert challenge.declined[0].network.startswith("solana:")


@pytest.mark.parametrize(
    "amount",
    [
        *["", "0", "-1", "+1", "01", " 1", "1 ", "1\n", "1e6", "1.0", "1_0", "0x10", "\uff11\uff12", "\u0663"],
        *[str(2**63), str(2**256), "1000000000000", "9" * 10_000],
        *[412_500, 1.5, True, None, ["1"], ...],
    ],
)
def test_an_amount_that_is_not_plain_digits_is_declined(amount: Any) -> None:
    challenge = parse(document(entry(amount=amount)))
    assert challenge.offers == ()
    assert "amount" in challenge.declined[0].reason


def test_the_largest_amount_is_twelve_digits() -> None:
    assert parse(document(entry(amount="9" * 12))).offers[0].amount == 999_999_999_999


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scheme": "upto"}, "scheme"),
        ({"scheme": "Exact"}, "scheme"),
        ({"scheme": ...}, "scheme"),
        ({"network": "base"}, "network"),
        ({"network": "eip155:1"}, "network"),
        ({"network": "eip155:8453 "}, "network"),
        ({"network": 8453}, "network"),
        ({"asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e"}, "pinned token"),
        ({"asset": "USD"}, "pinned token"),
        ({"asset": USDC.replace("0x", "0X")}, "pinned token"),
        ({"payTo": "0x" + "0" * 40}, "zero address"),
        ({"payTo": USDC.lower()}, "token itself"),
        ({"payTo": PAY_TO[2:]}, "not an address"),
        ({"payTo": PAY_TO + "00"}, "not an address"),
        ({"payTo": "merchant"}, "not an address"),
        ({"payTo": "0x" + "\uff10" * 40}, "not an address"),
        ({"payTo": ...}, "payTo"),
        ({"maxTimeoutSeconds": 0}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": -60}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": True}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": 60.0}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": "60"}, "maxTimeoutSeconds"),
        ({"maxTimeoutSeconds": ...}, "maxTimeoutSeconds"),
        ({"maxAmountRequired": "412500"}, "version 1"),
        ({"extra": []}, "extra"),
        ({"extra": {"name": "USDC"}}, "extra.name"),
        ({"extra": {"version": "1"}}, "extra.version"),
        ({"extra": {"version": 2}}, "extra.version"),
        ({"extra": {"assetTransferMethod": "permit2"}}, "assetTransferMethod"),
        ({"extra": {"assetTransferMethod": "erc7710"}}, "assetTransferMethod"),
        ({"extra": {"assetTransferMethod": None}}, "assetTransferMethod"),
        ({"extra": {"paymentFlow": "upfront"}}, "paymentFlow"),
        ({"extra": {"paymentFlow": "escrow"}}, "paymentFlow"),
        ({"extra": {"verifyingContract": USDC}}, "verifyingContract"),
    ],
)
def test_an_entry_that_may_not_be_paid_is_declined_with_its_reason(changes: dict[str, Any], why: str) -> None:
    challenge = parse(document(entry(**changes)))
    assert challenge.offers == ()
    assert why in challenge.declined[0].reason
    with pytest.raises(BadChallenge, match=why):
        challenge.require_offer()


@pytest.mark.parametrize(
    "extra",
    [..., {}, {"assetTransferMethod": "eip3009", "paymentFlow": "authorization"}, {"anything": "else"}],
)
def test_extra_may_be_absent_or_agree(extra: Any) -> None:
    assert parse(document(entry(extra=extra))).offers


@pytest.mark.parametrize("junk", [None, 1, "exact", [], [entry()]])
def test_an_entry_that_is_no_object_is_declined(junk: Any) -> None:
    challenge = parse(document(junk, entry()))
    assert len(challenge.offers) == len(challenge.declined) == 1


def test_a_challenge_without_entries_is_a_login_and_offers_nothing() -> None:
    challenge = parse(document(accepts=[]))
    assert not challenge.offers
    assert not challenge.declined
    with pytest.raises(BadChallenge, match="none at all"):
        challenge.require_offer()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (document(x402Version=1), "version 2"),
        (document(x402Version="2"), "version 2"),
        (document(x402Version=2.0), "version 2"),
        (document(x402Version=True), "version 2"),
        (document(x402Version=...), "version 2"),
        (document(accepts=...), "ways to pay"),
        (document(accepts={}), "ways to pay"),
        (document(accepts=[entry()] * 33), "ways to pay"),
        (document(extensions=[]), "extensions"),
        (document(resource="https://stablestudio.dev/x"), "by URL"),
        (document(resource={}), "by URL"),
        (document(resource={"url": "https://stablestudio.io/api"}), "another origin"),
        (document(resource={"url": "http://stablestudio.dev/api"}), "another origin"),
        (document(resource={"url": "https://stablestudio.dev:8443/api"}), "another origin"),
        (document(resource={"url": "https://stablestudio.dev@evil.example/"}), "another origin"),
        (document(resource={"url": "/api/generate"}), "another origin"),
        ([document()], "not a JSON object"),
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b'{"x402Version":2,"x402Version":2}', "twice"),
        (b'{"x402Version":2,"accepts":[],"extensions":' + b"[" * 40 + b"]" * 40 + b"}", "deeply"),
        (b'{"x402Version":2,"accepts":[{"maxTimeoutSeconds":' + b"9" * 10_000 + b"}]}", "digits"),
        (b'{"x402Version":2,"accepts":[],"extensions":{"n":NaN}}', "finite"),
    ],
)
def test_a_challenge_of_another_shape_is_refused(value: Any, why: str) -> None:
    with pytest.raises(BadChallenge, match=why):
        parse(value)


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({}, b"", "no PAYMENT-REQUIRED header"),
        ({}, b"{}", "no PAYMENT-REQUIRED header"),
        ({"x-payment-required": "e30="}, b"<html>", "no PAYMENT-REQUIRED header"),
        ({}, b'{"x402Version":1,"accepts":[{"maxAmountRequired":"1"}]}', "version 1"),
        ({"payment-required": "not base64"}, b"", "not base64"),
        ({"payment-required": "A" * 40_000}, b"", "larger than 32 KB"),
    ],
)
def test_a_402_without_a_readable_header_is_refused(headers: dict[str, str], body: bytes, why: str) -> None:
    with pytest.raises(BadChallenge, match=why):
        parse_challenge(headers, body, URL)


def test_the_sellers_words_are_cleaned() -> None:
    challenge = parse(document(entry(scheme="ex\u202eact\n", network="n" * 500), error="pay\x00me\n" + "x" * 900))
    assert challenge.declined[0].scheme == "exact"
    assert len(challenge.declined[0].network) == 80
    assert challenge.error is not None
    assert challenge.error.startswith("payme x")
    assert len(challenge.error) == 200


def test_a_token_is_found_in_any_case_and_test_money_is_not_accepted() -> None:
    assert token_for("eip155:8453", USDC.lower()) is BASE_USDC
    assert token_for("eip155:84532", BASE_SEPOLIA_USDC.address) is None
    assert token_for("eip155:84532", USDC) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
twisted_entries = st.fixed_dictionaries(
    {},
    optional={
        key: st.just(value) | json_values
        for key, value in (entry() | {"maxAmountRequired": "1", "extra": {"paymentFlow": "authorization"}}).items()
    },
)
twisted_documents = st.fixed_dictionaries(
    {"x402Version": st.just(2) | json_values, "accepts": st.lists(twisted_entries | json_values, max_size=4)},
    optional={"resource": json_values, "extensions": json_values, "error": json_values},
)


@given(twisted_documents | json_values | st.binary(), st.binary())
def test_whatever_comes_is_refused_or_yields_only_the_pinned_token(value: Any, body: bytes) -> None:
    try:
        challenge = parse_challenge(required(value), body, URL)
    except BadChallenge:
        return
    for offer in challenge.offers:
        assert offer.token is BASE_USDC
        assert offer.network == "eip155:8453"
        assert offer.raw["asset"] == USDC
        assert 0 < offer.amount < 10**12
        assert str(offer.amount) == offer.raw["amount"]
        assert offer.max_timeout_seconds >= 1


@given(st.text() | st.none(), st.binary())
def test_any_header_text_is_refused_by_name(header: str | None, body: bytes) -> None:
    with pytest.raises(BadChallenge):
        parse_challenge({} if header is None else {"payment-required": header}, body, URL)
