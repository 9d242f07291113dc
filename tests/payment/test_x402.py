import json
import time
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.datatypes import PublicKey, Signature
from hypothesis import given
from hypothesis import strategies as st
from x402 import x402ResourceServer
from x402.extensions.payment_identifier import declare_payment_identifier_extension, extract_payment_identifier
from x402.http import decode_payment_signature_header
from x402.mechanisms.evm.exact.facilitator import ExactEvmScheme
from x402.schemas import PaymentRequired, PaymentRequirements

from seedance_mcp.payment.challenge import Challenge, parse_challenge
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.x402 import (
    Credential,
    authorization_digest,
    domain_separator,
    nonce_for,
    read_receipt,
    refusal_reason,
    sign,
)
from tests.payment.examples import (
    ADDRESS,
    BASE_SEPOLIA_USDC,
    KEY,
    NOW,
    URL,
    USDC,
    decoded,
    document,
    encoded,
    entry,
    required,
)

NONCE = bytes(range(32))
IDENTIFIER = "purchase_0123456789"
TRANSACTION = "0x" + "ab" * 32


def challenge(*entries: Any, **changes: Any) -> Challenge:
    return parse_challenge(required(document(*entries, **changes)), b"", URL)


def signed(asked: Challenge, *, valid_before: int = NOW + 120, identifier: str | None = None) -> Credential:
    wallet = Wallet.from_hex(KEY)
    return sign(wallet, asked, asked.offers[0], nonce=NONCE, valid_before=valid_before, identifier=identifier)


class FakeNode:
    """What the SDK's facilitator asks its chain: an account without code, a token with some, a transfer that works."""

    def get_code(self, address: str) -> bytes:
        return b"\x60" if address.lower() == USDC.lower() else b""

    def read_contract(self, *_: object) -> None:
        return None


def test_the_domain_is_the_one_on_chain() -> None:
    assert domain_separator(BASE_USDC).hex() == "02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f"


def test_the_digest_is_the_one_that_the_specifications_example_signs() -> None:
    """The published example of the exact scheme on EVM: its signature recovers to its payer only from our digest."""
    digest = authorization_digest(
        BASE_SEPOLIA_USDC,
        "0x857b06519E91e3A54538791bDbb0E22373e36b66",
        "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
        10_000,
        valid_after=1740672089,
        valid_before=1740672154,
        nonce=bytes.fromhex("f3746613c2d920b5fdabc0856f2aeb2d4f88ee6037b8cc5d04a71a4462f13480"),
    )
    signature = bytes.fromhex(
        "2d6a7588d6acca505cbf0d9a4a227e0c52c6c34008c8e8986a1283259764173608a2ce6496642e377d6da8dbbf5836e9"
        "bd15092f9ecab05ded3d6293af148b571c"
    )
    payer: PublicKey = Signature(signature[:64] + bytes([signature[64] - 27])).recover_public_key_from_msg_hash(digest)
    assert payer.to_checksum_address() == "0x857b06519E91e3A54538791bDbb0E22373e36b66"


def test_eth_account_recovers_the_payer_from_its_own_hash_of_what_was_sent() -> None:
    payload = decoded(signed(challenge()).value)["payload"]
    fields = [("from", "address"), ("to", "address"), ("value", "uint256"), ("validAfter", "uint256")]
    fields += [("validBefore", "uint256"), ("nonce", "bytes32")]
    message = encode_typed_data(
        {"name": "USD Coin", "version": "2", "chainId": 8453, "verifyingContract": USDC},
        {"TransferWithAuthorization": [{"name": name, "type": kind} for name, kind in fields]},
        payload["authorization"],
    )
    assert Account.recover_message(message, signature=payload["signature"]) == ADDRESS


def test_the_sdks_facilitator_and_server_take_the_credential() -> None:
    extensions = {
        "payment-identifier": declare_payment_identifier_extension(required=True),
        "other": {"info": {"a": [1]}},
    }
    asked = document(entry(), extensions=extensions)
    answer = signed(
        challenge(entry(), extensions=extensions), valid_before=int(time.time()) + 60, identifier=IDENTIFIER
    )
    payload = decode_payment_signature_header(answer.value)
    requirements = PaymentRequirements.model_validate(asked["accepts"][0])

    verdict = ExactEvmScheme(FakeNode()).verify(payload, requirements)  # type: ignore[arg-type]  # no writes are asked
    assert (verdict.is_valid, verdict.invalid_reason, verdict.payer) == (True, None, ADDRESS)
    server = x402ResourceServer()
    assert server.find_matching_requirements([requirements], payload) == requirements  # type: ignore[arg-type]
    assert server.validate_extensions(PaymentRequired.model_validate(asked), payload).valid
    assert extract_payment_identifier(payload) == IDENTIFIER  # type: ignore[arg-type]


def test_the_chosen_entry_the_resource_and_the_extensions_are_echoed_verbatim() -> None:
    dear, cheap = entry(amount="900000"), entry(note="ünïcode \ud800", extra={"name": "USD Coin", "ratio": 0.5})
    asked = challenge(dear, cheap, extensions={"bazaar": {"schema": {"enum": ["4", "5"]}}})
    credential = sign(Wallet.from_hex(KEY), asked, asked.offers[1], nonce=NONCE, valid_before=NOW)
    sent = decoded(credential.value)
    assert sent["accepted"] == cheap
    assert sent["resource"] == document()["resource"]
    assert sent["extensions"] == {"bazaar": {"schema": {"enum": ["4", "5"]}}}
    assert sent["x402Version"] == 2
    assert sent["payload"]["authorization"] == {
        "from": ADDRESS,
        "to": "0x07F067959297767c887dbfA3C72379c66E82a045",
        "value": "412500",
        "validAfter": "0",
        "validBefore": str(NOW),
        "nonce": "0x" + NONCE.hex(),
    }
    assert len(bytes.fromhex(sent["payload"]["signature"][2:])) == 65


def test_the_same_arguments_give_the_same_bytes_and_repr_keeps_them_back() -> None:
    first, second = signed(challenge()), signed(challenge())
    assert first == second
    assert (first.header, first.nonce, first.payer) == ("PAYMENT-SIGNATURE", NONCE, ADDRESS)
    assert first.value not in repr(first)


def test_an_identifier_is_sent_only_where_it_is_offered() -> None:
    assert signed(challenge(), identifier=IDENTIFIER).identifier is None
    assert "extensions" not in decoded(signed(challenge(), identifier=IDENTIFIER).value)
    malformed = challenge(extensions={"payment-identifier": {"info": {"required": "yes"}}})
    assert signed(malformed, identifier=IDENTIFIER).identifier is None
    optional = challenge(extensions={"payment-identifier": {"info": {"required": False}}})
    assert signed(optional).identifier is None
    assert signed(optional, identifier=IDENTIFIER).identifier == IDENTIFIER
    assert optional.extensions == {"payment-identifier": {"info": {"required": False}}}
    with pytest.raises(ValueError, match="wants a payment identifier"):
        signed(challenge(extensions={"payment-identifier": {"info": {"required": True}}}))


@pytest.mark.parametrize("identifier", ["short", "x" * 129, "sixteen chars ok", "sixteen-chars-ok\n", "ü" * 16])
def test_an_identifier_of_another_form_is_not_sent(identifier: str) -> None:
    with pytest.raises(ValueError, match="payment identifier"):
        signed(challenge(), identifier=identifier)


def test_an_offer_of_another_challenge_is_not_signed() -> None:
    wallet, cheap, dear = Wallet.from_hex(KEY), challenge(), challenge(entry(amount="900000"))
    with pytest.raises(ValueError, match="not one of this challenge"):
        sign(wallet, cheap, dear.offers[0], nonce=NONCE, valid_before=NOW)


@pytest.mark.parametrize(("nonce", "valid_before"), [(b"", NOW), (bytes(33), NOW), (NONCE, 0), (NONCE, 2**256)])
def test_a_nonce_or_deadline_out_of_range_is_not_signed(nonce: bytes, valid_before: int) -> None:
    asked = challenge()
    with pytest.raises(ValueError, match=r"32 bytes|positive"):
        sign(Wallet.from_hex(KEY), asked, asked.offers[0], nonce=nonce, valid_before=valid_before)


def test_a_nonce_belongs_to_key_token_purchase_and_serial() -> None:
    wallet, other = Wallet.from_hex(KEY), Wallet.from_hex("11" * 32)
    nonces = {
        nonce_for(wallet, token=BASE_USDC, purchase_key=b"p", serial=0),
        nonce_for(wallet, token=BASE_USDC, purchase_key=b"p", serial=1),
        nonce_for(wallet, token=BASE_USDC, purchase_key=b"q", serial=0),
        nonce_for(wallet, token=BASE_SEPOLIA_USDC, purchase_key=b"p", serial=0),
        nonce_for(other, token=BASE_USDC, purchase_key=b"p", serial=0),
    }
    assert len(nonces) == 5
    assert {len(nonce) for nonce in nonces} == {32}


def test_a_nonce_never_changes_between_versions() -> None:
    """A machine that is rebuilt asks the chain about this very nonce: changing the derivation could pay twice."""
    nonce = nonce_for(Wallet.from_hex(KEY), token=BASE_USDC, purchase_key=b"purchase", serial=0)
    assert nonce.hex() == "47f60e06a31bf783cc4218e260a9fcaf3e7e0c755a67209353d86e309d368a92"


def receipt(**changes: Any) -> dict[str, str]:
    whole = {"success": True, "transaction": TRANSACTION, "network": "eip155:8453", "payer": ADDRESS} | changes
    return {"payment-response": encoded({key: value for key, value in whole.items() if value is not ...})}


def test_a_receipt_is_read() -> None:
    assert read_receipt(receipt(amount=412_500)) == read_receipt(receipt(amount="412500"))
    found = read_receipt(receipt(amount="412500"), network="eip155:8453", payer=ADDRESS.lower())
    assert found is not None
    assert (found.success, found.transaction, found.network) == (True, TRANSACTION, "eip155:8453")
    assert (found.payer, found.amount, found.error_reason) == (ADDRESS, 412_500, None)


def test_a_failed_settlement_is_read_with_its_cleaned_reason() -> None:
    found = read_receipt(receipt(success=False, transaction="", network="", errorReason="settlement_pending\u202e\n"))
    assert found is not None
    assert (found.success, found.transaction, found.error_reason) == (False, None, "settlement_pending")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"payment-response": "rubbish"},
        {"payment-response": encoded([])},
        receipt(success="true"),
        receipt(success=1),
        receipt(success=...),
        receipt(transaction=""),
        receipt(transaction=...),
        receipt(transaction="0x12"),
        receipt(transaction=["0x" + "ab" * 32]),
        receipt(network="eip155:84532"),
        receipt(network=8453),
        receipt(payer="0x" + "11" * 20),
        receipt(amount="1e6"),
        receipt(amount=True),
    ],
)
def test_a_receipt_that_is_malformed_or_of_something_else_is_none(headers: dict[str, str]) -> None:
    assert read_receipt(headers, network="eip155:8453", payer=ADDRESS) is None


def test_the_reason_of_a_refusal_is_the_receipts_or_the_new_challenges() -> None:
    used = required(document(error="invalid_exact_evm_nonce_already_used"))
    assert refusal_reason(used) == "invalid_exact_evm_nonce_already_used"
    pending = receipt(success=False, transaction="", errorReason="settlement_pending")
    assert refusal_reason(pending) == "settlement_pending"
    assert refusal_reason(used | pending) == "settlement_pending"
    assert refusal_reason(required(document(error=...))) is None
    assert refusal_reason({"payment-required": "rubbish"}) is None


@given(
    st.text()
    | st.binary().map(encoded)
    | st.dictionaries(
        st.sampled_from(["success", "transaction", "network", "payer", "amount", "errorReason", "error"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.just(TRANSACTION),
    ).map(lambda value: encoded(json.dumps(value).encode()))
)
def test_no_header_breaks_the_reader_of_receipts(header: str) -> None:
    found = read_receipt({"payment-response": header})
    assert found is None or not found.success or found.transaction is not None
    refusal_reason({"payment-response": header, "payment-required": header})
