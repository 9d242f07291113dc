"""The seller's side of x402 version 2: challenges, credentials and receipts of the ``exact`` scheme over EIP-3009."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from seedance_mcp.sandbox.bank import NAME, NETWORK, USDC, VERSION, Authorization, Bank, Reverted
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.headers import pack, unpack

PAY_TO = "0x07f067959297767c887dbfa3c72379c66e82a045"
MAX_TIMEOUT_SECONDS = 300
SETTLEMENT_MARGIN = 6
"""Seconds that an authorization must still be valid for when it reaches the facilitator."""

Offer = dict[str, Any]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_NONCE = re.compile(r"0x[0-9a-fA-F]{64}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)

_SOLANA = {
    "scheme": "exact",
    "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "asset": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "payTo": "11111111111111111111111111111111",
    "maxTimeoutSeconds": MAX_TIMEOUT_SECONDS,
    "extra": {"feePayer": "11111111111111111111111111111111"},
}


class BadCredential(Exception):
    """The credential is not accepted; ``args[0]`` is the word that stands in the next challenge's ``error``."""


@dataclass(frozen=True, slots=True)
class Payment:
    authorization: Authorization
    signature: bytes

    @property
    def payer(self) -> str:
        return self.authorization.sender


def offers(amount: int, faults: Faults) -> list[Offer]:
    """What a challenge accepts for ``amount`` micro-USD: USDC on Base, and a Solana entry beside it."""
    amount += faults.quote_extra
    base = {
        "scheme": "exact",
        "network": faults.network or NETWORK,
        "amount": str(amount),
        "asset": faults.asset or USDC,
        "payTo": faults.pay_to or PAY_TO,
        "maxTimeoutSeconds": MAX_TIMEOUT_SECONDS,
        "extra": {"name": NAME, "version": VERSION},
    }
    return [base, {**_SOLANA, "amount": str(amount)}]


def payment_required(
    url: str, accepts: Sequence[Offer], *, extensions: Mapping[str, object], error: str = "Payment required"
) -> str:
    """The value of ``PAYMENT-REQUIRED``."""
    resource = {"url": url, "description": "StableStudio sandbox", "mimeType": "application/json"}
    return pack(
        {"x402Version": 2, "error": error, "resource": resource, "accepts": list(accepts), "extensions": extensions}
    )


def payment_response(payment: Payment, *, transaction: str = "", error: str | None = None) -> str:
    """The value of ``PAYMENT-RESPONSE``; without an error it says that the transfer was mined."""
    body: dict[str, object] = {
        "success": error is None,
        "transaction": transaction,
        "network": NETWORK,
        "payer": payment.payer,
    }
    return pack(body | ({"errorReason": error} if error else {"amount": str(payment.authorization.value)}))


def verify(credential: str, offered: Sequence[Offer], bank: Bank) -> Payment:
    """The payment in a ``PAYMENT-SIGNATURE`` header, good for exactly one of ``offered``. Raises BadCredential."""
    payment, accepted = _read(credential)
    if accepted not in offered or accepted["network"] != NETWORK:
        raise BadCredential("invalid_payment_requirements")
    authorization = payment.authorization
    if authorization.recipient != to_checksum_address(accepted["payTo"]):
        raise BadCredential("invalid_exact_evm_payload_recipient_mismatch")
    if str(authorization.value) != accepted["amount"]:
        raise BadCredential("invalid_exact_evm_payload_authorization_value_mismatch")
    if authorization.valid_before < bank.clock() + SETTLEMENT_MARGIN:
        raise BadCredential("invalid_exact_evm_payload_authorization_valid_before")
    try:
        bank.check(authorization, payment.signature)
    except Reverted as revert:
        raise BadCredential(revert.args[0]) from revert
    return payment


def _read(credential: str) -> tuple[Payment, Offer]:
    try:
        envelope = unpack(credential)
        if type(version := envelope.get("x402Version")) is not int or version != 2:
            raise BadCredential("invalid_x402_version")
        payload = envelope["payload"]
        fields = payload["authorization"]
        authorization = Authorization(
            sender=to_checksum_address(_matching(_ADDRESS, fields["from"])),
            recipient=to_checksum_address(_matching(_ADDRESS, fields["to"])),
            value=_uint(fields["value"]),
            valid_after=_uint(fields["validAfter"]),
            valid_before=_uint(fields["validBefore"]),
            nonce=bytes.fromhex(_matching(_NONCE, fields["nonce"])[2:]),
        )
        signature = bytes.fromhex(_matching(_SIGNATURE, payload["signature"])[2:])
        return Payment(authorization, signature), envelope["accepted"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadCredential("invalid_payload") from error


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is malformed")
    return text


def _uint(text: str) -> int:
    value = int(_matching(_DECIMAL, text))
    if value.bit_length() > 256:
        raise ValueError("more than 256 bits")
    return value
