"""What a seller sends with a 402 on each rail, and what it reads out of the bytes that it gets back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import rlp  # type: ignore[import-untyped]  # it carries no annotations
from eth_utils.crypto import keccak

from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.payment.wire import decode, decode_url_safe, encode, encode_url_safe
from tests.machine.chain import Authorization

ORIGIN = "https://seller.example"
CHALLENGE_SECONDS = 300
_SPONSORED = 0x78


def mark(purchase: str) -> str:
    """How both rails name a purchase here: the memo on Tempo has room for a hash only."""
    return keccak(text=purchase)[:10].hex()


def base_challenge(path: str, price: int, pay_to: str, error: str | None) -> dict[str, str]:
    offer = {
        "scheme": "exact",
        "network": BASE_USDC.network,
        "asset": BASE_USDC.address,
        "amount": str(price),
        "payTo": pay_to.lower(),
        "maxTimeoutSeconds": 300,
        "extra": {"name": BASE_USDC.name, "version": BASE_USDC.version},
    }
    document = {
        "x402Version": 2,
        "resource": {"url": ORIGIN + path},
        "accepts": [offer],
        "extensions": {"payment-identifier": {"info": {"required": False}}},
        **({"error": error} if error else {}),
    }
    return {"payment-required": encode(document)}


def tempo_challenge(name: str, price: int, pay_to: str, *, sponsored: bool, now: int) -> dict[str, str]:
    request = {
        "amount": str(price),
        "currency": TEMPO_USDCE.address.lower(),
        "recipient": pay_to.lower(),
        "methodDetails": {"chainId": TEMPO_USDCE.chain_id, "feePayer": sponsored},
    }
    expires = datetime.fromtimestamp(now + CHALLENGE_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    parameters = {
        "id": name,
        "realm": urlsplit(ORIGIN).netloc,
        "method": "tempo",
        "intent": "charge",
        "request": encode_url_safe(request),
        "expires": expires,
    }
    return {"www-authenticate": "Payment " + ", ".join(f'{key}="{value}"' for key, value in parameters.items())}


def read_credential(headers: Mapping[str, str]) -> Authorization:
    if "PAYMENT-SIGNATURE" in headers:
        return _of_base(headers["PAYMENT-SIGNATURE"])
    document = decode_url_safe(headers["Authorization"].removeprefix("Payment "))
    assert isinstance(document, dict)
    return _of_tempo(bytes.fromhex(document["payload"]["signature"][2:]))


def _of_base(header: str) -> Authorization:
    document = decode(header)
    assert isinstance(document, dict)
    signed = document["payload"]["authorization"]
    return Authorization(
        "x402",
        mark(document["extensions"]["payment-identifier"]["info"]["id"]),
        bytes.fromhex(signed["nonce"][2:]),
        signed["to"].lower(),
        int(signed["value"]),
        int(signed["validBefore"]),
    )


def _of_tempo(raw: bytes) -> Authorization:
    fields, sponsored = rlp.decode(raw[1:]), raw[0] == _SPONSORED
    ((_, _, call),) = fields[4]
    memo = call[68:100]
    # A sponsor adds a signature of its own, which makes another hash.
    transaction = keccak(raw + b"sponsor" if sponsored else raw)
    return Authorization(
        "mpp",
        memo[15:25].hex(),
        memo,
        f"0x{call[16:36].hex()}",
        int.from_bytes(call[36:68]),
        int.from_bytes(fields[8]),
        f"0x{transaction.hex()}",
        pays_fee=not sponsored,
    )


def receipt(paid: Authorization, transaction: str) -> dict[str, str]:
    """What a seller says once it was paid, true or not."""
    if paid.rail == "x402":
        return {"payment-response": encode({"success": True, "transaction": transaction, "network": BASE_USDC.network})}
    return {"payment-receipt": encode_url_safe({"method": "tempo", "status": "success", "reference": transaction})}
