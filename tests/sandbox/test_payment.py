from typing import Any

import pytest
from eth_account import Account
from x402.mechanisms.evm.exact import ExactEvmScheme
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas import PaymentRequirements

from seedance_mcp.sandbox import Sandbox
from seedance_mcp.sandbox.bank import DOMAIN_SEPARATOR
from seedance_mcp.sandbox.signatures import HALF_ORDER
from seedance_mcp.sandbox.x402 import PAY_TO
from tests.sandbox.buyer import CLIP, KEYS, SEEDANCE, Buyer, Clock, challenge_of, envelope, unpack

PRICE = 4 * 82_500
OTHER = Account.from_key(KEYS[1])


def refusal(answer: Any) -> str:
    return str(challenge_of(answer)["error"])


def test_the_domain_is_that_of_the_token_on_base() -> None:
    assert DOMAIN_SEPARATOR.hex() == "02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"


async def test_a_payment_debits_its_amount_once_and_makes_one_job(sandbox: Sandbox, buyer: Buyer) -> None:
    answer = await buyer.pay(SEEDANCE, CLIP)

    assert answer.status_code == 200
    accepted = answer.json()
    assert (accepted["success"], accepted["status"], accepted["type"]) == (True, "pending", "seedance-i2v")
    assert list(sandbox.jobs) == [accepted["jobId"]]
    assert sandbox.bank.balance(buyer.account.address) == 10_000_000 - PRICE
    assert sandbox.bank.balance(PAY_TO) == PRICE
    [transfer] = sandbox.bank.transfers
    assert unpack(answer.headers["payment-response"]) == {
        "success": True,
        "transaction": transfer.transaction,
        "network": "eip155:8453",
        "payer": buyer.account.address,
        "amount": str(PRICE),
    }


async def test_the_signature_of_the_x402_sdk_is_good(sandbox: Sandbox, buyer: Buyer, clock: Clock) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    scheme = ExactEvmScheme(signer=EthAccountSigner(buyer.account))
    payload = scheme.create_payment_payload(PaymentRequirements.model_validate(challenge["accepts"][0]))
    clock.now = int(payload["authorization"]["validBefore"]) - 60  # the SDK reads the real clock

    answer = await buyer.pay(SEEDANCE, CLIP, envelope(challenge, payload))

    assert answer.status_code == 200
    assert sandbox.bank.balance(PAY_TO) == PRICE


@pytest.mark.parametrize(
    "domain",
    [
        {"name": "USDC"},
        {"version": "1"},
        {"chainId": 84532},
        {"verifyingContract": "0x036CbD53842c5426634e7929541eC2318f3dCF7e"},
    ],
)
async def test_a_signature_over_another_domain_is_refused(
    sandbox: Sandbox, buyer: Buyer, domain: dict[str, object]
) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    authorization = buyer.authorization(challenge["accepts"][0])
    payload = {"authorization": authorization, "signature": buyer.sign(authorization, **domain)}

    answer = await buyer.pay(SEEDANCE, CLIP, envelope(challenge, payload))

    assert refusal(answer) == "invalid_exact_evm_payload_signature"
    assert not sandbox.jobs
    assert not sandbox.bank.transfers


async def test_a_signature_by_another_key_is_refused(buyer: Buyer) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    authorization = buyer.authorization(challenge["accepts"][0])
    signature = Buyer(buyer.http, buyer.clock, OTHER).sign(authorization)

    answer = await buyer.pay(
        SEEDANCE, CLIP, envelope(challenge, {"authorization": authorization, "signature": signature})
    )

    assert refusal(answer) == "invalid_exact_evm_payload_signature"


def high_s(signature: bytes) -> bytes:
    s, v = int.from_bytes(signature[32:64], "big"), signature[64]
    assert s <= HALF_ORDER
    order = 2 * HALF_ORDER + 1
    return signature[:32] + (order - s).to_bytes(32, "big") + bytes([55 - v])


def low_v(signature: bytes) -> bytes:
    return signature[:64] + bytes([signature[64] - 27])


@pytest.mark.parametrize("twist", [high_s, low_v, lambda _: bytes(65), lambda good: good[:64] + b"\x1d"])
async def test_an_odd_form_of_a_signature_is_refused(buyer: Buyer, twist: Any) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    authorization = buyer.authorization(challenge["accepts"][0])
    signature = twist(bytes.fromhex(buyer.sign(authorization)[2:]))

    answer = await buyer.pay(
        SEEDANCE, CLIP, envelope(challenge, {"authorization": authorization, "signature": "0x" + signature.hex()})
    )

    assert refusal(answer) == "invalid_exact_evm_payload_signature"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"validBefore": lambda now: now}, "invalid_exact_evm_payload_authorization_valid_before"),
        ({"validBefore": lambda now: now + 5}, "invalid_exact_evm_payload_authorization_valid_before"),
        ({"validAfter": lambda now: now}, "invalid_exact_evm_payload_authorization_valid_after"),
        ({"validAfter": lambda now: now + 1}, "invalid_exact_evm_payload_authorization_valid_after"),
        ({"to": lambda _: OTHER.address}, "invalid_exact_evm_payload_recipient_mismatch"),
        ({"value": lambda _: PRICE - 1}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"value": lambda _: PRICE + 1}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"nonce": lambda _: "0x01"}, "invalid_payload"),
        ({"value": lambda _: "1e6"}, "invalid_payload"),
    ],
)
async def test_an_authorization_outside_the_terms_is_refused(
    sandbox: Sandbox, buyer: Buyer, changes: dict[str, Any], reason: str
) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    given = {name: str(value(buyer.clock.now)) for name, value in changes.items()}
    signature = "0x" + bytes(65).hex() if reason == "invalid_payload" else None

    answer = await buyer.pay(SEEDANCE, CLIP, buyer.credential(challenge, signature, **given))

    assert refusal(answer) == reason
    assert not sandbox.jobs


async def test_six_seconds_are_enough(buyer: Buyer) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)

    answer = await buyer.pay(SEEDANCE, CLIP, buyer.credential(challenge, validBefore=str(buyer.clock.now + 6)))

    assert answer.status_code == 200


async def test_the_same_bytes_again_are_a_used_nonce(sandbox: Sandbox, buyer: Buyer) -> None:
    credential = buyer.credential(await buyer.quote(SEEDANCE, CLIP))
    assert (await buyer.pay(SEEDANCE, CLIP, credential)).status_code == 200

    again = await buyer.pay(SEEDANCE, CLIP, credential)

    assert refusal(again) == "invalid_exact_evm_nonce_already_used"
    assert "payment-response" not in again.headers
    assert len(sandbox.jobs) == len(sandbox.bank.transfers) == 1


async def test_an_empty_wallet_is_told_so(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.fund(buyer.account.address, PRICE - 1 - 10_000_000)

    assert refusal(await buyer.pay(SEEDANCE, CLIP)) == "insufficient_funds"


async def test_a_credential_for_one_body_does_not_pay_for_a_dearer_one(sandbox: Sandbox, buyer: Buyer) -> None:
    credential = buyer.credential(await buyer.quote(SEEDANCE, CLIP))

    answer = await buyer.pay(SEEDANCE, CLIP | {"duration": "5"}, credential)

    assert refusal(answer) == "invalid_payment_requirements"
    assert not sandbox.bank.transfers


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x402Version": 1}, "invalid_x402_version"),
        ({"x402Version": True}, "invalid_x402_version"),
        ({"accepted": None}, "invalid_payment_requirements"),
        ({"payload": {}}, "invalid_payload"),
        ({"payload": "text"}, "invalid_payload"),
    ],
)
async def test_a_malformed_envelope_is_refused(buyer: Buyer, changes: dict[str, object], reason: str) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    authorization = buyer.authorization(challenge["accepts"][0])
    payload = {"authorization": authorization, "signature": buyer.sign(authorization)}

    answer = await buyer.pay(SEEDANCE, CLIP, envelope(challenge, payload, **changes))

    assert refusal(answer) == reason


async def test_an_entry_with_a_key_of_ones_own_was_not_offered(buyer: Buyer) -> None:
    challenge = await buyer.quote(SEEDANCE, CLIP)
    challenge["accepts"][0]["extra"]["note"] = "mine"

    assert refusal(await buyer.pay(SEEDANCE, CLIP, buyer.credential(challenge))) == "invalid_payment_requirements"


@pytest.mark.parametrize("header", ["", "%%%", "bm90IGpzb24=", "W10="])
async def test_rubbish_for_a_credential_is_refused(buyer: Buyer, header: str) -> None:
    assert refusal(await buyer.pay(SEEDANCE, CLIP, header)) == "invalid_payload"
