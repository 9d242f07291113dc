"""Bytes that nobody thought of: each reader answers with a plain value or with an error of ours, and trusts nothing."""

import json
import string
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedance_mcp.errors import BadChallenge, BadLogin, InvalidArgument, StudioUnavailable
from seedance_mcp.payment import mpp, siwx, x402
from seedance_mcp.payment.challenge import Challenge, parse_challenge
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE, address_bytes
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.studio.dialects import build_body, check_body, read_dialect
from seedance_mcp.studio.models import ClipRequest, accepted_job_id, parse_job, parse_jobs, parse_ticket
from seedance_mcp.studio.schemas import schema_from_challenge, schema_from_openapi
from tests.attacks.hostile import Conduct, mpp_receipt, paid_receipt
from tests.attacks.target import Target
from tests.payment.examples import KEY, NOW, URL, charge, document, encoded, entry, login, payment, url_safe
from tests.studio.schemas import FIRST, SECOND, openapi

FEW = settings(max_examples=60, deadline=None)
END_TO_END = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
WALLET = Wallet.from_hex(KEY)
TRANSACTION = "0x" + "ab" * 32
REQUEST = ClipRequest(model="seedance", prompt="waves", image="https://example.com/a.png")

oddities: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        1,
        2**63,
        2**256,
        1.5,
        "",
        "0",
        "01",
        "1e6",
        "-1",
        "\uff11",
        "\u202e",
        "\0",
        "x" * 5_000,
        [],
        {},
        [[]],
    ]
)
values = st.recursive(
    oddities | st.text(max_size=20) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def mutations(whole: Any) -> st.SearchStrategy[Any]:
    """``whole`` with something in it, anywhere, replaced, left out, or put beside."""
    return st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from("rdi"), values), min_size=1, max_size=3).map(
        lambda changes: mutate(whole, changes)
    )


def mutate(whole: Any, changes: list[tuple[int, str, Any]]) -> Any:
    twisted = json.loads(json.dumps(whole))
    for number, kind, value in changes:
        places = list(slots(twisted))
        if not places:
            return twisted
        holder, key = places[number % len(places)]
        match kind, holder:
            case "d", _:
                del holder[key]
            case "i", dict():
                holder[f"{key}x"] = deepcopy(value)
            case "i", list():
                holder.insert(key, deepcopy(value))
            case _:
                holder[key] = deepcopy(value)
    return twisted


def slots(node: Any) -> list[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [slot for key in keys for slot in slots(node[key])]


def broken(make: Callable[[Any], str], whole: Any) -> st.SearchStrategy[str]:
    """Header text: of a mutated document, of bytes that are none, or text that was edited after it was encoded."""
    text = make(whole)
    cuts = st.tuples(st.integers(0, len(text)), st.integers(0, 8), st.text(string.printable, max_size=8))
    return (
        mutations(whole).filter(is_json).map(make)
        | st.binary(max_size=80).map(make)
        | cuts.map(lambda cut: text[: cut[0]] + cut[2] + text[cut[0] + cut[1] :])
        | st.text(max_size=60)
    )


def is_json(value: Any) -> bool:
    try:
        json.dumps(value).encode()
    except ValueError:
        return False
    return True


def read(headers: dict[str, str], body: bytes = b"") -> Challenge | None:
    try:
        return parse_challenge(headers, body, URL, request_body=b"{}", now=NOW)
    except BadChallenge:
        return None


def check_offers(challenge: Challenge | None) -> None:
    for offer in challenge.offers if challenge else ():
        pinned, asset, to = (
            (BASE_USDC, "asset", "payTo") if offer.mpp is None else (TEMPO_USDCE, "currency", "recipient")
        )
        assert (offer.token, offer.network) == (pinned, pinned.network)
        assert address_bytes(str(offer.raw[asset])) == address_bytes(pinned.address)
        assert str(offer.raw[to]).lower() == offer.pay_to.lower()
        assert offer.raw["amount"] == str(offer.amount)
        assert 0 < offer.amount < 10**12
        assert offer.max_timeout_seconds >= 1


# Challenges


@FEW
@given(broken(encoded, document(entry(), entry(network="eip155:1"), extensions={"payment-identifier": {"info": {}}})))
def test_whatever_stands_in_payment_required_only_pinned_offers_come_out(header: str) -> None:
    check_offers(read({"payment-required": header}))


@FEW
@given(
    mutations(charge(details={"feePayer": False, "supportedModes": ["pull"]})).filter(is_json).map(url_safe)
    | st.binary(max_size=60).map(url_safe),
    st.sampled_from(["id", "realm", "method", "intent", "expires", "digest", "header", "opaque"]),
    st.none() | st.text(st.characters(max_codepoint=255), max_size=30),
)
def test_whatever_stands_in_www_authenticate_only_pinned_offers_come_out(
    request: str, name: str, value: str | None
) -> None:
    changes = {} if value is None else {name: value}
    check_offers(read({"www-authenticate": payment(request, **changes)}))


@FEW
@given(
    st.lists(st.sampled_from([payment(), 'Basic realm="x"', "Payment", ",", '"', "\\", "=", " ", "x=1"]), max_size=8)
)
def test_however_challenges_are_merged_only_pinned_offers_come_out(pieces: list[str]) -> None:
    check_offers(read({"www-authenticate": "".join(pieces)}))


@FEW
@given(st.binary(max_size=200) | mutations(document()).filter(is_json).map(lambda one: json.dumps(one).encode()))
def test_no_body_of_a_402_is_an_offer(body: bytes) -> None:
    assert read({}, body) is None


@END_TO_END
@given(offer=mutations(entry()).filter(is_json))
async def test_whatever_entry_a_seller_offers_no_more_than_the_price_of_a_clip_is_signed(
    market: Target, offer: dict[str, Any]
) -> None:
    """End to end: either nothing is signed, or it is the pinned token to the pinned recipient within the table."""
    seller, before = market.seller, market.signed
    whole = document(offer, resource={"url": seller.origin})
    seller.requests.clear()
    seller.behave(Conduct(required=encoded(whole)))
    market.home.write_policy()
    answer = await market.agent.call("generate_video", **market.request(prompt=json.dumps(offer)[:500] + "waves"))
    if answer.is_error and "Nothing was charged" in str(answer.content):
        assert market.signed.wallet == before.wallet
        assert seller.credentials == []
    for signed in seller.authorizations:
        assert int(signed["value"]) <= 412_500 * 5 // 4
        assert signed["to"] == "0x07F067959297767c887dbfA3C72379c66E82a045"


# Receipts


@FEW
@given(broken(encoded, {"success": True, "transaction": TRANSACTION, "network": "eip155:8453", "amount": "1"}))
def test_no_x402_receipt_is_a_claim_without_success_and_a_hash(header: str) -> None:
    receipt = x402.read_receipt({"payment-response": header}, network="eip155:8453", payer=WALLET.address)
    if receipt is not None and receipt.success:
        assert receipt.transaction is not None
        told = json.loads(b64decode(header))
        assert told["success"] is True
        assert told["transaction"] == receipt.transaction
    reason = x402.refusal_reason({"payment-response": header, "payment-required": header})
    assert reason is None or (0 < len(reason) <= 200 and reason.isprintable())


@FEW
@given(broken(url_safe, {"method": "tempo", "reference": TRANSACTION, "status": "success", "timestamp": "x"}))
def test_no_mpp_receipt_is_a_claim_without_success_and_a_hash(header: str) -> None:
    receipt = mpp.read_receipt({"payment-receipt": header})
    if receipt is not None and receipt.success:
        assert receipt.transaction is not None
        padded = header + "=" * (-len(header) % 4)
        told = json.loads(urlsafe_b64decode(padded))
        assert (told["status"], told["method"], told["reference"]) == ("success", "tempo", receipt.transaction)


def test_honest_receipts_are_claims() -> None:
    assert x402.read_receipt(dict([lower(paid_receipt("x"))]), network="eip155:8453")
    assert mpp.read_receipt(dict([lower(mpp_receipt("x"))]))


# Sign-in


@FEW
@given(broken(encoded, login()), mutations(login()).filter(is_json))
def test_no_sign_in_challenge_makes_a_proof_for_another_place(header: str, body: Any) -> None:
    url = "https://stablestudio.dev/api/jobs"
    try:
        challenge = siwx.read_login_challenge({"payment-required": header}, json.dumps(body).encode())
        if challenge is None:
            return
        proof = siwx.answer(WALLET, challenge, url=url, now=NOW)
    except BadLogin:
        return
    told = json.loads(b64decode(proof))
    assert told["domain"].lower() in ("stablestudio.dev", "stablestudio.dev:443")
    assert told["uri"].startswith("https://stablestudio.dev")
    assert (told["address"], told["chainId"], told["type"]) == (WALLET.address, "eip155:8453", "eip191")
    assert all("\n" not in str(value) for value in told.values())


# Jobs, tickets, schemas

JOB = {
    "id": "c1",
    "status": "complete",
    "type": "seedance-i2v",
    "progress": 100,
    "createdAt": "2026-11-01T00:00:00Z",
    "input": {"prompt": "waves"},
    "error": None,
    "result": {"videoUrl": "https://example.com/a.mp4", "thumbnailUrl": "https://example.com/a.jpg"},
}


@FEW
@given(mutations(JOB) | mutations({"job": JOB}) | values)
def test_whatever_a_job_says_it_is_read_as_one_or_not_at_all(told: Any) -> None:
    try:
        job = parse_job(told)
    except StudioUnavailable:
        return
    assert job.status in {"pending", "loading", "complete", "failed"}
    assert job.id.isascii()
    assert job.progress is None or 0 <= job.progress <= 100
    for link in (job.video_url, job.thumbnail_url):
        assert link is None or (link.isascii() and link.startswith(("http://", "https://")))
    assert job.error is None or (len(job.error) <= 300 and job.error.isprintable())
    assert job.created_at is None or 0 <= job.created_at < 10**15


@FEW
@given(mutations([JOB, JOB]) | mutations({"jobs": [JOB]}) | values)
def test_whatever_a_list_of_jobs_says_only_readable_ones_come_out(told: Any) -> None:
    with suppress(StudioUnavailable):
        assert all(job.id for job in parse_jobs(told))


@FEW
@given(mutations({"success": True, "jobId": "c1", "status": "pending"}) | values)
def test_an_accepted_job_has_a_plain_id_or_none(told: Any) -> None:
    job_id = accepted_job_id(told)
    assert job_id is None or (job_id.isascii() and 0 < len(job_id) <= 128)


@FEW
@given(mutations({"uploadId": "u1", "clientToken": "token", "pathname": "a.png", "expiresAt": 1}) | values)
def test_a_ticket_has_a_token_that_fits_a_header_or_is_none(told: Any) -> None:
    try:
        ticket = parse_ticket(told)
    except StudioUnavailable:
        return
    assert ticket.client_token.isascii()
    assert ticket.client_token.isprintable()
    assert " " not in ticket.client_token


@FEW
@given(mutations(FIRST) | mutations(SECOND))
def test_whatever_schema_is_published_a_body_fits_it_or_an_error_says_why(schema: Any) -> None:
    """Also: a quoted body holds what was asked for, and nothing that only the schema wanted in its place."""
    found = schema_from_openapi(openapi(schema) if isinstance(schema, dict) else {}, "seedance")
    try:
        dialect = read_dialect(found)
        body = build_body(REQUEST, dialect)
    except (StudioUnavailable, InvalidArgument):
        return
    assert body["prompt"] == REQUEST.prompt
    assert all(isinstance(problem, str) for problem in check_body(body, dialect))


@FEW
@given(mutations(openapi(FIRST)) | values)
def test_no_openapi_document_breaks_its_reader(told: Any) -> None:
    with suppress(StudioUnavailable):
        read_dialect(schema_from_openapi(told, "seedance"))


@FEW
@given(values, mutations({"bazaar": {"schema": {"properties": {"input": {"properties": {"body": FIRST}}}}}}))
def test_no_extension_breaks_its_reader(other: Any, told: Any) -> None:
    for extensions in (told, other):
        if isinstance(extensions, dict):
            schema_from_challenge(extensions)


def lower(header: tuple[str, str]) -> tuple[str, str]:
    return header[0].lower(), header[1]
