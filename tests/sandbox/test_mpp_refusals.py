"""Payments on Tempo that are not in order: no job is made, and no balance moves."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import rlp  # type: ignore[import-untyped]  # it carries no annotations
from eth_account import Account
from mpp.methods.tempo import attribution
from mpp.methods.tempo.fee_payer_envelope import encode_fee_payer_envelope

from seedance_mcp.sandbox import Sandbox
from tests.sandbox.buyer import CLIP, FAST, KEYS, SEEDANCE, Buyer
from tests.sandbox.tempo_buyer import USDC_E, TempoBuyer, call_of, memo_of, signed

OTHER = Account.from_key(KEYS[1])
PATH_USD = "0x20c0000000000000000000000000000000000000"


@pytest.fixture(autouse=True)
def nothing_moves(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> Iterator[None]:
    """Every test here ends with the balances that it began with."""
    before = dict(sandbox.bank.balances), dict(sandbox.tempo.balances)
    yield
    assert (sandbox.bank.balances, sandbox.tempo.balances) == before
    assert not sandbox.jobs


@pytest.fixture
def sponsoring(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seller of this test pays the fee."""
    monkeypatch.setattr(sandbox._tills["mpp"], "sponsored", True)


def reason(answer: httpx.Response, status: int = 402) -> str:
    """Why a payment was refused; both rails have a fresh challenge, and there is no receipt."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"payment-required", "www-authenticate"} <= set(answer.headers)
    assert "payment-receipt" not in answer.headers
    problem = answer.json()
    assert problem["status"] == status
    return f"{problem['type'].rpartition('/')[2]}: {problem['detail']}"


def opened(credential: str) -> dict[str, Any]:
    encoded = credential.removeprefix("Payment ")
    fields: dict[str, Any] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return fields


def altered(credential: str, **changes: object) -> str:
    """The credential with other members."""
    return pack(opened(credential) | changes)


def pack(value: object) -> str:
    return "Payment " + base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def refused(buyer: TempoBuyer, **changes: Any) -> str:
    """Why a payment whose transaction has these changes is refused."""
    return reason(await buyer.pay(SEEDANCE, CLIP, **changes))


def fields_of(transaction: Any) -> list[Any]:
    fields: list[Any] = rlp.decode(transaction.encode()[1:])
    return fields


@pytest.mark.parametrize(
    "credential", ["Payment ", "Payment %%%", "payment W10", pack({}), pack({"challenge": {}, "payload": {}}), pack([])]
)
async def test_rubbish_for_a_credential_is_refused(tempo_buyer: TempoBuyer, credential: str) -> None:
    assert reason(await tempo_buyer.present(SEEDANCE, CLIP, credential)).startswith("malformed-credential: ")


async def test_a_credential_with_padding_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert reason(await tempo_buyer.present(SEEDANCE, CLIP, pack({}) + "=")).startswith("malformed-credential: ")


async def test_a_credential_nested_too_deeply_is_refused(tempo_buyer: TempoBuyer) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 40_000).decode().rstrip("=")

    answer = await tempo_buyer.present(SEEDANCE, CLIP, f"Payment {deep}")

    assert reason(answer).startswith("malformed-credential: ")


async def test_another_scheme_is_no_payment(tempo_buyer: TempoBuyer) -> None:
    answer = await tempo_buyer.present(SEEDANCE, CLIP, "Bearer abc")

    assert (answer.status_code, answer.content) == (402, b"")


async def test_one_request_is_not_paid_on_both_rails(buyer: Buyer, tempo_buyer: TempoBuyer) -> None:
    headers = {
        "PAYMENT-SIGNATURE": buyer.credential(await buyer.quote(SEEDANCE, CLIP)),
        "Authorization": tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP)),
    }

    answer = await buyer.http.post(SEEDANCE, json=CLIP, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (400, "A request is paid for once")


@pytest.mark.parametrize("echo", [None, "text", {}, {"id": "forged"}, {"id": ["x"]}])
async def test_a_challenge_that_was_not_made_here_is_refused(tempo_buyer: TempoBuyer, echo: object) -> None:
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    answer = await tempo_buyer.present(SEEDANCE, CLIP, altered(credential, challenge=echo))

    assert reason(answer).startswith("invalid-challenge: ")


@pytest.mark.parametrize("name", ["realm", "method", "intent", "request", "expires", "description"])
async def test_a_challenge_that_was_changed_is_refused(tempo_buyer: TempoBuyer, name: str) -> None:
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))
    echo = opened(credential)["challenge"]

    answer = await tempo_buyer.present(SEEDANCE, CLIP, altered(credential, challenge=echo | {name: "else"}))

    assert reason(answer).startswith("invalid-challenge: ")


async def test_a_challenge_for_one_body_does_not_pay_for_a_dearer_one(tempo_buyer: TempoBuyer) -> None:
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    answer = await tempo_buyer.present(SEEDANCE, CLIP | {"duration": "5"}, credential)

    assert "another route, amount or body" in reason(answer)


async def test_a_challenge_of_one_route_does_not_pay_on_another(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.faults.quote_extra = 4 * 72_500  # the fast route costs as much now as the other one did
    challenge = await tempo_buyer.quote(FAST, CLIP)
    sandbox.faults.quote_extra = 0

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge))

    assert "another route, amount or body" in reason(answer)


async def test_a_challenge_with_a_digest_does_not_pay_for_another_body(
    sandbox: Sandbox, tempo_buyer: TempoBuyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox._tills["mpp"], "digest", True)
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    answer = await tempo_buyer.present(SEEDANCE, CLIP | {"prompt": "the lake sleeps"}, credential)

    assert "another route, amount or body" in reason(answer)


async def test_a_challenge_that_is_five_minutes_old_has_expired(tempo_buyer: TempoBuyer) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    tempo_buyer.buyer.clock.now += 300

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge))

    assert reason(answer) == f"payment-expired: Payment expired at {challenge.expires}."


@pytest.mark.parametrize(
    "source",
    [
        None,
        "",
        OTHER.address,
        f"did:pkh:eip155:4217:{OTHER.address}",
        "did:pkh:eip155:8453:{payer}",
        "did:pkh:eip155:4217:{payer}0",
    ],
)
async def test_a_source_that_did_not_sign_is_refused(tempo_buyer: TempoBuyer, source: str | None) -> None:
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))
    source = source and source.format(payer=tempo_buyer.address)

    answer = await tempo_buyer.present(SEEDANCE, CLIP, altered(credential, source=source))

    assert "the source is not who signed" in reason(answer)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"type": "hash", "hash": "0x" + "ab" * 32},
        {"type": "transaction"},
        {"type": "transaction", "signature": "0x"},
        {"type": "transaction", "signature": "0x7"},
        {"type": "transaction", "signature": 7},
    ],
)
async def test_a_payload_that_is_no_transaction_is_refused(tempo_buyer: TempoBuyer, payload: object) -> None:
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    answer = await tempo_buyer.present(SEEDANCE, CLIP, altered(credential, payload=payload))

    assert reason(answer) == "invalid-payload: The credential's payload is not a signed transaction."


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x02\xc0", "neither of type 0x76"),
        (b"\x76", "not RLP"),
        (b"\x76\xc1", "not RLP"),
        (b"\x76\x80", "a value in the place of a list"),
        (b"\x76\xc0", "other fields than a payment"),
        (b"\x76" + b"\xc1" * 2000 + b"\xc0", "not RLP"),
    ],
)
async def test_bytes_that_are_no_transaction_of_tempo_are_refused(
    tempo_buyer: TempoBuyer, raw: bytes, why: str
) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)

    assert why in reason(await tempo_buyer.present_raw(SEEDANCE, CLIP, challenge, raw))


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        (0, [b"\x10"], "a list in the place of a value"),
        (3, b"\0\x0f", "leading zeros"),
        (3, b"\x01" * 33, "more than 256 bits"),
        (4, b"", "a value in the place of a list"),
        (4, [[b"\x20" * 19, b"", b""]], "has not 20 bytes"),
        (5, [[b"\x20" * 20, []]], "an access list"),
        (12, [b"x"], "authorizations"),
        (13, b"", "65 bytes"),
        (13, b"\x01" * 64 + b"\x00", "neither 27 nor 28"),
        (13, b"\xff" * 64 + b"\x1b", "lower half"),
    ],
)
async def test_a_transaction_that_is_written_wrongly_is_refused(
    tempo_buyer: TempoBuyer, field: int, value: object, why: str
) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    fields = fields_of(tempo_buyer.transaction(challenge))
    fields[field] = value

    refusal = reason(await tempo_buyer.present_raw(SEEDANCE, CLIP, challenge, b"\x76" + rlp.encode(fields)))

    assert refusal.startswith("invalid-payload: ")
    assert why in refusal


@pytest.mark.parametrize("field", [0, 1, 2, 3, 4, 6, 7, 8, 9, 10])
async def test_a_field_changed_after_signing_makes_another_signer(tempo_buyer: TempoBuyer, field: int) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    fields = fields_of(tempo_buyer.transaction(challenge))
    cheaper = call_of(challenge.request["recipient"], 1, memo_of(challenge)).as_rlp_list()
    fields[field] = {4: [cheaper], 10: bytes.fromhex(PATH_USD[2:])}.get(field, b"\x07")

    answer = await tempo_buyer.present_raw(SEEDANCE, CLIP, challenge, b"\x76" + rlp.encode(fields))

    assert "the source is not who signed" in reason(answer)


async def test_another_chain_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert "another chain" in await refused(tempo_buyer, chain_id=42431)


async def test_another_recipient_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert "another recipient" in await refused(tempo_buyer, payment={"recipient": OTHER.address})


@pytest.mark.parametrize("amount", [0, 1, 329_999, 330_001, 2**256 - 1])
async def test_another_amount_is_refused(tempo_buyer: TempoBuyer, amount: int) -> None:
    assert "another amount" in await refused(tempo_buyer, payment={"amount": amount})


async def test_another_token_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert "does not call USDC.e" in await refused(tempo_buyer, payment={"to": PATH_USD})


@pytest.mark.parametrize("selector", ["a9059cbb", "23b872dd", "00000000"])
async def test_another_function_is_refused(tempo_buyer: TempoBuyer, selector: str) -> None:
    assert "no transfer with a memo" in await refused(tempo_buyer, payment={"selector": selector})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda call: [], "more than one call"),
        (lambda call: [call, call], "more than one call"),
        (lambda call: [[call[0], b"\x01", call[2]]], "sends other money"),
        (lambda call: [[call[0], call[1], call[2] + b"\0"]], "no transfer with a memo"),
        (lambda call: [[call[0], call[1], call[2][:4] + b"\x01" + call[2][5:]]], "recipient is no address"),
    ],
)
async def test_anything_but_the_one_call_is_refused(tempo_buyer: TempoBuyer, change: Any, why: str) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    fields = fields_of(tempo_buyer.transaction(challenge))
    fields[4] = change(fields[4][0])

    raw = signed(fields, tempo_buyer.buyer.account)

    assert why in reason(await tempo_buyer.present_raw(SEEDANCE, CLIP, challenge, raw))


@pytest.mark.parametrize(
    ("realm", "challenge_id", "why"),
    [("stablestudio.dev", None, "another realm"), (None, "another id", "not bound to this challenge")],
)
async def test_a_memo_for_another_seller_or_challenge_is_refused(
    tempo_buyer: TempoBuyer, realm: str | None, challenge_id: str | None, why: str
) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    memo = attribution.encode(challenge_id or challenge.id, realm or challenge.realm, "a purchase")
    transaction = tempo_buyer.transaction(challenge, payment={"memo": memo})

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge, transaction))

    assert why in reason(answer)


@pytest.mark.parametrize("tag", ["0x00000000", "0xef1ed71202"])
async def test_a_memo_that_is_not_mpps_is_refused(tempo_buyer: TempoBuyer, tag: str) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    transaction = tempo_buyer.transaction(challenge, payment={"memo": tag + memo_of(challenge)[len(tag) :]})

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge, transaction))

    assert "its memo is not one of MPP" in reason(answer)


@pytest.mark.parametrize("changes", [{"nonce_key": 0}, {"nonce_key": 1}, {"nonce": 1}])
async def test_a_nonce_that_does_not_expire_is_refused(tempo_buyer: TempoBuyer, changes: dict[str, int]) -> None:
    assert "does not expire" in await refused(tempo_buyer, **changes)


@pytest.mark.parametrize(
    ("seconds", "why"),
    [(-1, "it has expired"), (0, "it has expired"), (31, "valid for longer"), (10**9, "valid for longer")],
)
async def test_a_deadline_that_is_past_or_too_far_ahead_is_refused(
    tempo_buyer: TempoBuyer, seconds: int, why: str
) -> None:
    assert why in await refused(tempo_buyer, valid_before=tempo_buyer.buyer.clock.now + seconds)


async def test_no_deadline_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert "it has expired" in await refused(tempo_buyer, valid_before=None)


async def test_a_deadline_after_the_challenges_end_is_refused(tempo_buyer: TempoBuyer) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    tempo_buyer.buyer.clock.now += 276

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge))

    assert "longer than its challenge" in reason(answer)


async def test_a_transaction_that_is_not_valid_yet_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert "not valid yet" in await refused(tempo_buyer, valid_after=tempo_buyer.buyer.clock.now + 1)


@pytest.mark.parametrize("token", [None, PATH_USD])
async def test_a_fee_in_another_token_is_refused(tempo_buyer: TempoBuyer, token: str | None) -> None:
    assert "its fee is not in USDC.e" in await refused(tempo_buyer, fee_token=token)


async def test_a_gas_limit_below_what_is_used_is_refused(tempo_buyer: TempoBuyer) -> None:
    assert "its gas limit" in await refused(tempo_buyer, gas_limit=298_618)


@pytest.mark.parametrize("price", [0, 19_999_999_999])
async def test_a_price_below_the_base_fee_is_refused(tempo_buyer: TempoBuyer, price: int) -> None:
    assert "underpriced" in await refused(tempo_buyer, max_fee_per_gas=price, max_priority_fee_per_gas=0)


async def test_a_tip_above_the_price_is_refused(tempo_buyer: TempoBuyer) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    fields = fields_of(tempo_buyer.transaction(challenge))
    fields[1] = (25_000_000_001).to_bytes(5, "big")

    raw = signed(fields, tempo_buyer.buyer.account)

    assert "underpriced" in reason(await tempo_buyer.present_raw(SEEDANCE, CLIP, challenge, raw))


async def test_a_seller_that_does_not_sponsor_refuses_an_envelope(tempo_buyer: TempoBuyer) -> None:
    assert "the seller does not pay the fee" in await refused(tempo_buyer, fee_token=None, awaiting_fee_payer=True)


@pytest.mark.usefixtures("sponsoring")
async def test_a_sponsor_refuses_a_transaction_whose_fee_is_paid(tempo_buyer: TempoBuyer) -> None:
    assert "no place for the seller" in await refused(tempo_buyer, fee_token=USDC_E, awaiting_fee_payer=False)


@pytest.mark.usefixtures("sponsoring")
@pytest.mark.parametrize("place", [10, 11])
async def test_an_envelope_with_a_fee_token_or_another_sender_is_refused(tempo_buyer: TempoBuyer, place: int) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    fields = rlp.decode(encode_fee_payer_envelope(tempo_buyer.transaction(challenge))[1:])
    fields[place] = bytes.fromhex(PATH_USD[2:])

    answer = await tempo_buyer.present_raw(SEEDANCE, CLIP, challenge, b"\x78" + rlp.encode(fields))

    assert "the envelope names a fee token, or another sender" in reason(answer)


@pytest.mark.usefixtures("sponsoring")
@pytest.mark.parametrize(
    "changes",
    [
        {"gas_limit": 2_000_001},
        {"max_fee_per_gas": 100_000_000_001},
        {"max_priority_fee_per_gas": 10_000_000_001},
        {"gas_limit": 2_000_000, "max_fee_per_gas": 25_000_000_001},
    ],
)
async def test_a_sponsor_pays_no_fee_without_a_limit(tempo_buyer: TempoBuyer, changes: dict[str, int]) -> None:
    assert "more than the seller pays" in await refused(tempo_buyer, **changes)


@pytest.mark.usefixtures("sponsoring")
async def test_a_sponsored_wallet_without_the_amount_is_an_error_of_the_sellers(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    sandbox.tempo.balances[tempo_buyer.address] = 329_999

    assert reason(await tempo_buyer.pay(SEEDANCE, CLIP), 500).startswith("internal-payment-error: ")

    assert sandbox.tempo.balance(tempo_buyer.address) == 329_999
    sandbox.tempo.balances[tempo_buyer.address] = 10_000_000


async def test_a_wallet_without_the_amount_and_the_most_of_the_fee_is_an_error_of_the_sellers(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    sandbox.tempo.balances[tempo_buyer.address] = 330_000 + 24_999

    assert reason(await tempo_buyer.pay(SEEDANCE, CLIP), 500).startswith("internal-payment-error: ")

    assert sandbox.tempo.balance(tempo_buyer.address) == 330_000 + 24_999
    sandbox.tempo.balances[tempo_buyer.address] = 10_000_000


async def test_money_on_base_is_no_money_on_tempo(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.fund(tempo_buyer.address, -10_000_000, rail="mpp")

    reason(await tempo_buyer.pay(SEEDANCE, CLIP), 500)

    sandbox.fund(tempo_buyer.address, 10_000_000, rail="mpp")


async def test_a_bad_picture_is_refused_after_the_payment_was_judged_and_before_it_is_taken(
    tempo_buyer: TempoBuyer,
) -> None:
    body = CLIP | {"image": "http://127.0.0.1:1/nothing.png"}

    answer = await tempo_buyer.pay(SEEDANCE, body)

    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid image URL")
