import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.errors import BadChallenge
from seedance_mcp.payment.challenge import Challenge, parse_challenge
from seedance_mcp.payment.tokens import ACCEPTED, BASE_USDC, TEMPO_USDCE, address_bytes
from tests.payment.examples import (
    NOW,
    PAY_TO,
    URL,
    USDC,
    USDCE,
    charge,
    document,
    encoded,
    entry,
    payment,
    required,
    url_safe,
)

BODY = b'{"prompt":"waves"}'
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


def parse(*challenges: str, url: str = URL, now: int = NOW, body: bytes | None = BODY, **headers: str) -> Challenge:
    headers = {"www-authenticate": ", ".join(challenges)} | {k.replace("_", "-"): v for k, v in headers.items()}
    return parse_challenge(headers, b"", url, request_body=body, now=now)


def test_a_402_with_nothing_but_mpp_is_read() -> None:
    challenge = parse(payment(description="Seedance, 5 s", opaque="e30", unknown="kept"))
    (offer,) = challenge.require_offer()
    assert (offer.rail, offer.network, offer.amount, offer.token) == ("mpp", "eip155:4217", 412_500, TEMPO_USDCE)
    assert offer.pay_to == "0x07F067959297767c887dbfA3C72379c66E82a045"
    assert (offer.fee, offer.expires, offer.max_timeout_seconds) == (25_000, NOW + 300, 25)
    assert offer.raw == charge()
    assert offer.mpp is not None
    assert (offer.mpp.id, offer.mpp.realm) == ("kM9xPqWvT2nJrHsY4aDfEb", "stablestudio.dev")
    assert (offer.mpp.header, offer.mpp.sponsored) == ("Authorization", False)
    assert list(offer.mpp.parameters) == [
        *["id", "realm", "method", "intent", "request", "expires", "description", "opaque", "unknown"]
    ]
    assert (offer.mpp.parameters["description"], offer.mpp.parameters["opaque"]) == ("Seedance, 5 s", "e30")
    assert (challenge.resource, challenge.extensions, challenge.error) == (None, {}, None)


def test_both_rails_stand_in_one_answer_x402_first() -> None:
    challenge = parse(payment(), payment_required=encoded(document()))
    assert [offer.token for offer in challenge.offers] == [BASE_USDC, TEMPO_USDCE]
    assert [offer.fee for offer in challenge.offers] == [0, 25_000]
    assert challenge.resource == document()["resource"]


def test_a_garbled_x402_header_is_not_saved_by_mpp() -> None:
    with pytest.raises(BadChallenge, match="not base64"):
        parse(payment(), payment_required="rubbish!")


def test_garbled_mpp_does_not_spoil_x402() -> None:
    challenge = parse('Payment id="', payment_required=encoded(document()))
    assert [offer.token for offer in challenge.offers] == [BASE_USDC]
    assert challenge.declined[0].reason == "WWW-Authenticate is not a list of challenges"


def test_a_sponsored_charge_costs_no_fee() -> None:
    (offer,) = parse(payment(charge(details={"feePayer": True}))).offers
    assert offer.fee == 0
    assert offer.mpp is not None
    assert offer.mpp.sponsored


def test_one_of_several_challenges_is_paid_and_the_others_are_declined() -> None:
    challenge = parse(
        'Basic realm="x"',
        payment(charge(currency="0x20c0000000000000000000000000000000000000"), id="1"),
        payment(method="stripe", id="2"),
        payment(id="3"),
        payment(intent="session", id="4"),
    )
    assert [offer.mpp and offer.mpp.id for offer in challenge.offers] == ["3"]
    assert [(d.network, d.scheme, d.reason) for d in challenge.declined] == [
        ("tempo", "charge", "the currency pathUSD is not accepted"),
        ("stripe", "charge", "only the method tempo is paid"),
        ("tempo", "session", "only the intent charge is paid"),
    ]


def test_other_schemes_alone_are_no_payment() -> None:
    with pytest.raises(BadChallenge, match="no PAYMENT-REQUIRED header"):
        parse('Basic realm="x"')


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": ...}, "id is not"),
        ({"id": ""}, "id is not"),
        ({"id": "\u2014"}, "id is not"),
        ({"realm": ...}, "realm"),
        ({"realm": "stablestudio.io"}, "realm"),
        ({"realm": "stablestudio.dev:8443"}, "realm"),
        ({"realm": "https://stablestudio.dev"}, "realm"),
        ({"method": "Tempo"}, "method"),
        ({"method": "evm"}, "method"),
        ({"method": ...}, "method"),
        ({"intent": "session"}, "intent"),
        ({"intent": "subscription"}, "intent"),
        ({"intent": ...}, "intent"),
        ({"expires": "2027-01-15T08:00:00Z"}, "expired"),
        ({"expires": "2026-01-15T08:00:00Z"}, "expired"),
        ({"expires": ""}, "expires is not"),
        ({"expires": "1800000300"}, "expires is not"),
        ({"expires": "2027-01-15"}, "expires is not"),
        ({"expires": "2027-01-15T08:05:00"}, "expires is not"),
        ({"expires": "2027-02-30T08:05:00Z"}, "expires is a time that does not exist"),
        ({"digest": "sha-256=AAAA"}, "digest"),
        ({"digest": "sha-512=" + SHA256}, "digest"),
        ({"digest": SHA256}, "digest"),
        ({"header": "Cookie"}, "another header"),
        ({"header": ""}, "another header"),
        ({"request": ...}, "request is not a string"),
        ({"request": ""}, "request is not JSON"),
        ({"request": "A" * 17_000}, "too large"),
        ({"request": "e30="}, "request is not base64url"),
        ({"request": "e+/0"}, "request is not base64url"),
        ({"request": "abcde"}, "request is not base64url"),
        ({"request": url_safe(b"\xff")}, "request is not UTF-8"),
        ({"request": url_safe([charge()])}, "request is not an object"),
        ({"request": url_safe(b'{"amount":"1","amount":"2"}')}, "request has a key twice"),
        ({"request": url_safe(b"[" * 99 + b"]" * 99)}, "nested too deeply"),
    ],
)
def test_a_challenge_that_may_not_be_paid_is_declined_with_its_reason(changes: dict[str, Any], why: str) -> None:
    challenge = parse(payment(**changes))
    assert challenge.offers == ()
    assert why in challenge.declined[0].reason
    with pytest.raises(BadChallenge, match=why):
        challenge.require_offer()


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (charge(amount="0"), "login"),
        (charge(currency="0x20c0000000000000000000000000000000000001"), "AlphaUSD is not accepted"),
        (charge(currency=USDC), "currency it names"),
        (charge(currency="usd"), "currency it names"),
        (charge(currency=...), "currency"),
        (charge(recipient=...), "recipient is not a string"),
        (charge(recipient="merchant"), "recipient is not an address"),
        (charge(recipient=PAY_TO[2:]), "recipient is not an address"),
        (charge(recipient="0x" + "0" * 40), "zero address"),
        (charge(recipient=USDCE.lower()), "token itself"),
        (charge(methodDetails=...), "methodDetails"),
        (charge(methodDetails=[]), "methodDetails"),
        (charge(details={"chainId": ...}), "chainId"),
        (charge(details={"chainId": 42431}), "chainId"),
        (charge(details={"chainId": "4217"}), "chainId"),
        (charge(details={"chainId": 4217.0}), "chainId"),
        (charge(details={"splits": [{"amount": "1", "recipient": PAY_TO}]}), "splits"),
        (charge(details={"splits": []}), "splits"),
        (charge(details={"memo": "0x" + "00" * 32}), "memo"),
        (charge(details={"supportedModes": ["push"]}), "supportedModes"),
        (charge(details={"supportedModes": []}), "supportedModes"),
        (charge(details={"supportedModes": ["Pull", "other"]}), "supportedModes"),
        (charge(details={"supportedModes": "pull"}), "supportedModes"),
        (charge(details={"supportedModes": {"pull": 1}}), "supportedModes"),
        (charge(details={"feePayer": "true"}), "feePayer"),
        (charge(details={"feePayer": None}), "feePayer"),
    ],
)
def test_a_request_that_may_not_be_paid_is_declined_with_its_reason(request_: Any, why: str) -> None:
    challenge = parse(payment(request_))
    assert challenge.offers == ()
    assert why in challenge.declined[0].reason


@pytest.mark.parametrize(
    "amount",
    [
        *["", "-1", "+1", "01", " 1", "1 ", "1\n", "1e6", "1.0", "1_0", "0x10", "\uff11\uff12", "\u0663"],
        *[str(2**63), str(2**256), "1000000000000", "9" * 5_000, 412_500, 1.5, True, None, ["1"], ...],
    ],
)
def test_an_amount_that_is_not_plain_digits_is_declined(amount: Any) -> None:
    challenge = parse(payment(charge(amount=amount)))
    assert challenge.offers == ()
    assert "amount" in challenge.declined[0].reason


def test_a_parameter_that_stands_twice_is_declined() -> None:
    challenge = parse(payment() + ', ID="other"')
    assert [d.reason for d in challenge.declined] == ["it has a parameter twice"]


def test_a_challenge_may_be_bound_to_the_body_that_was_sent_and_to_no_other() -> None:
    for digest in (f"sha-256={SHA256}", f"sha-256=:{SHA256}:"):
        assert parse(payment(digest=digest)).offers
        assert not parse(payment(digest=digest), body=BODY + b" ").offers
        assert not parse(payment(digest=digest), body=None).offers


@pytest.mark.parametrize(
    ("realm", "url"),
    [
        ("stablestudio.dev", URL),
        ("StableStudio.dev:443", URL),
        ("127.0.0.1", "http://127.0.0.1:8402/api"),
        ("localhost:8402", "http://localhost:8402/api"),
        ("[::1]", "http://[::1]:8402/api"),
    ],
)
def test_the_realm_is_the_host_with_or_without_its_port(realm: str, url: str) -> None:
    (offer,) = parse(payment(realm=realm), url=url).offers
    assert offer.mpp is not None
    assert offer.mpp.realm == realm


@pytest.mark.parametrize(
    ("named", "header"),
    [
        ("Payment-Authorization", "Payment-Authorization"),
        ("payment-authorization", "Payment-Authorization"),
        ("AUTHORIZATION", "Authorization"),
    ],
)
def test_the_seller_may_choose_the_header_of_the_answer(named: str, header: str) -> None:
    (offer,) = parse(payment(header=named)).offers
    assert offer.mpp is not None
    assert offer.mpp.header == header


@pytest.mark.parametrize(
    ("expires", "ends", "seconds"),
    [("2027-01-15T08:00:07.999Z", NOW + 7, 7), ("2027-01-15T10:00:26+02:00", NOW + 26, 25), (..., None, 25)],
)
def test_nothing_is_valid_longer_than_its_challenge_or_than_tempo_takes(expires: Any, ends: Any, seconds: int) -> None:
    (offer,) = parse(payment(expires=expires)).offers
    assert (offer.expires, offer.max_timeout_seconds) == (ends, seconds)


def test_the_machines_clock_judges_when_no_other_is_given() -> None:
    long_gone = {"www-authenticate": payment(expires="2020-01-01T00:00:00Z")}
    assert parse_challenge(long_gone, b"", URL).declined[0].reason == "it has expired"


@pytest.mark.parametrize("modes", [["pull"], ["push", "pull"], ["later", "pull"]])
def test_a_seller_that_takes_signed_transactions_among_others_is_paid(modes: list[str]) -> None:
    assert parse(payment(charge(details={"supportedModes": modes}))).offers


def test_a_crowd_of_challenges_and_an_endless_header_are_declined() -> None:
    assert parse(*["Payment id=1"] * 33).declined[0].reason.endswith("more than 32 Payment challenges")
    assert parse(payment(description="x" * 40_000)).declined[0].reason.endswith("larger than 32 KB")


def test_a_parameter_that_no_header_can_carry_is_read_from_its_escape() -> None:
    (offer,) = parse(payment(description="a \\u2014 b \\ud83d\\ude00")).offers
    assert offer.mpp is not None
    assert json.loads(json.dumps(offer.mpp.parameters["description"])) == "a \u2014 b \U0001f600"


def test_money_of_one_rail_is_not_accepted_on_the_other() -> None:
    assert TEMPO_USDCE not in ACCEPTED
    on_x402 = required(document(entry(network="eip155:4217", asset=USDCE, extra={})))
    assert not parse_challenge(on_x402, b"", URL).offers


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
other_details = st.dictionaries(
    st.sampled_from(["chainId", "feePayer", "supportedModes", "memo", "splits"]),
    json_values | st.sampled_from([True, 4217, ["pull"], ["push"]]),
    max_size=1,
)
twisted_requests = st.builds(
    lambda details, changes: charge(details=details, **changes),
    other_details,
    st.dictionaries(st.sampled_from(list(charge())), json_values | st.from_regex(r"[0-9]{1,13}"), max_size=1),
)
latin = st.text(st.characters(max_codepoint=255, exclude_characters='"\\'), max_size=30)
twisted_challenges = st.builds(
    lambda request, changes: payment(request, **changes),
    twisted_requests | json_values | st.binary(),
    st.dictionaries(
        st.sampled_from(["id", "realm", "method", "intent", "expires", "digest", "header", "opaque"]),
        latin | st.just(...),
        max_size=1,
    ),
)


@given(st.lists(twisted_challenges, max_size=3) | st.lists(latin, max_size=3), st.none() | st.just(BODY))
def test_whatever_comes_is_declined_or_yields_only_the_pinned_token(challenges: list[str], body: bytes | None) -> None:
    try:
        challenge = parse(*challenges, body=body)
    except BadChallenge:
        return
    for offer in challenge.offers:
        assert offer.mpp is not None
        assert (offer.token, offer.network) == (TEMPO_USDCE, "eip155:4217")
        assert address_bytes(str(offer.raw["currency"])) == address_bytes(USDCE)
        assert 0 < offer.amount < 10**12
        assert str(offer.amount) == offer.raw["amount"]
        assert offer.fee == (0 if offer.mpp.sponsored else 25_000)
        assert 1 <= offer.max_timeout_seconds <= 25
        assert offer.mpp.realm.lower() in ("stablestudio.dev", "stablestudio.dev:443")
