"""The seller's side of x402 version 2: challenges, credentials and receipts of the ``exact`` scheme over EIP-3009."""

import re
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from starlette.datastructures import Headers

from seedance_mcp.sandbox.bank import NAME, NETWORK, USDC, VERSION, Authorization, Bank
from seedance_mcp.sandbox.chain import Reverted
from seedance_mcp.sandbox.faults import Faults
from seedance_mcp.sandbox.headers import pack, unpack
from seedance_mcp.sandbox.rails import Refused, Sale, Settlement

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


@dataclass(frozen=True, slots=True)
class Payment:
    till: "X402"
    authorization: Authorization
    signature: bytes

    @property
    def payer(self) -> str:
        return self.authorization.sender

    def settle(self) -> Settlement:
        return self.till.settle(self)


class X402:
    """The rail on Base."""

    def __init__(self, bank: Bank, faults: Faults) -> None:
        self.bank = bank
        self.faults = faults

    def credential(self, headers: Headers) -> str | None:
        return headers.get("payment-signature")

    def challenge(self, sale: Sale, error: str) -> dict[str, str]:
        resource = {"url": sale.url, "description": "StableStudio sandbox", "mimeType": "application/json"}
        challenge = {
            "x402Version": 2,
            "error": error,
            "resource": resource,
            "accepts": self._offers(sale),
            "extensions": sale.extensions,
        }
        return {"payment-required": pack(challenge)}

    def verify(self, credential: str, sale: Sale) -> Payment:
        """The payment in a ``PAYMENT-SIGNATURE`` header, good for exactly one offer. Raises Refused."""
        authorization, signature, accepted = _read(credential)
        if accepted not in self._offers(sale) or accepted["network"] != NETWORK:
            raise Refused("invalid_payment_requirements")
        if authorization.recipient != to_checksum_address(accepted["payTo"]):
            raise Refused("invalid_exact_evm_payload_recipient_mismatch")
        if str(authorization.value) != accepted["amount"]:
            raise Refused("invalid_exact_evm_payload_authorization_value_mismatch")
        if authorization.valid_before < self.bank.clock() + SETTLEMENT_MARGIN:
            raise Refused("invalid_exact_evm_payload_authorization_valid_before")
        try:
            self.bank.check(authorization, signature)
        except Reverted as revert:
            raise Refused(revert.args[0]) from revert
        return Payment(self, authorization, signature)

    def settle(self, payment: Payment) -> Settlement:
        if not self.faults.settle:
            return _settlement(payment, error="transaction_failed")
        try:
            transfer = self.bank.settle(payment.authorization, payment.signature)
        except Reverted as revert:
            return _settlement(payment, error=revert.args[0])
        return _settlement(payment, transaction=transfer.transaction)

    def _offers(self, sale: Sale) -> list[Offer]:
        """USDC on Base, and a Solana entry beside it."""
        base = {
            "scheme": "exact",
            "network": self.faults.network or NETWORK,
            "amount": str(sale.amount),
            "asset": self.faults.asset or USDC,
            "payTo": self.faults.pay_to or PAY_TO,
            "maxTimeoutSeconds": MAX_TIMEOUT_SECONDS,
            "extra": {"name": NAME, "version": VERSION},
        }
        return [base, {**_SOLANA, "amount": str(sale.amount)}]


def _settlement(payment: Payment, *, transaction: str = "", error: str | None = None) -> Settlement:
    """With the value of ``PAYMENT-RESPONSE``; without an error it says that the transfer was mined."""
    body: dict[str, object] = {
        "success": error is None,
        "transaction": transaction,
        "network": NETWORK,
        "payer": payment.payer,
    }
    body |= {"errorReason": error} if error else {"amount": str(payment.authorization.value)}
    return Settlement(error is None, {"payment-response": pack(body)})


def _read(credential: str) -> tuple[Authorization, bytes, Offer]:
    try:
        envelope = unpack(credential)
        if type(version := envelope.get("x402Version")) is not int or version != 2:
            raise Refused("invalid_x402_version")
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
        return authorization, signature, envelope["accepted"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("invalid_payload") from error


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is malformed")
    return text


def _uint(text: str) -> int:
    value = int(_matching(_DECIMAL, text))
    if value.bit_length() > 256:
        raise ValueError("more than 256 bits")
    return value
