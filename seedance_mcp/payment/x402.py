"""An x402 v2 offer, answered with a signed EIP-3009 authorization; and what the seller says afterwards.

Sources: x402 v2 specification, scheme exact on EVM (EIP-3009); EIP-712; the payment-identifier extension.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from seedance_mcp.payment.challenge import HEADER as CHALLENGE_HEADER
from seedance_mcp.payment.challenge import Challenge, Offer
from seedance_mcp.payment.tokens import Token, address_bytes
from seedance_mcp.payment.wire import clean, decode, encode

if TYPE_CHECKING:
    from seedance_mcp.payment.wallet import Wallet

HEADER = "PAYMENT-SIGNATURE"
RECEIPT_HEADER = "payment-response"

_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_AUTHORIZATION = (
    "TransferWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
_IDENTIFIER_EXTENSION = "payment-identifier"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{16,128}")
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")
_RECEIPT_AMOUNT = re.compile(r"0|[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Credential:
    """Signed bytes: whoever has ``value`` can take the money until ``valid_before`` (epoch seconds)."""

    header: str
    value: str = field(repr=False)
    nonce: bytes
    valid_before: int
    payer: str
    identifier: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the seller says about a settlement: a claim, not a proof. ``amount`` in micro-USD."""

    success: bool
    transaction: str | None
    network: str | None
    payer: str | None
    error_reason: str | None
    amount: int | None


def nonce_for(wallet: "Wallet", *, token: Token, purchase_key: bytes, serial: int) -> bytes:
    """The EIP-3009 nonce of a purchase's ``serial``-th authorization: the same on every machine with this key."""
    # Fixed widths come first, so that no two purchases can give the same message.
    message = _word(token.chain_id) + _address_word(token.address) + _word(serial) + purchase_key
    return hmac.digest(wallet.derive(b"x402 nonce"), message, hashlib.sha256)


def sign(
    wallet: "Wallet",
    challenge: Challenge,
    offer: Offer,
    *,
    nonce: bytes,
    valid_before: int,
    identifier: str | None = None,
) -> Credential:
    """The answer to one offer of ``challenge``, valid from now until ``valid_before`` (epoch seconds, exclusive).

    ``identifier`` is sent where the seller offers the payment-identifier extension. The same arguments give the same
    bytes. Raises ValueError when the offer is not one of the challenge, or an argument cannot be signed.
    """
    if offer not in challenge.offers or offer.mpp is not None:
        raise ValueError("the offer is not one of this challenge, or of another rail")
    extensions, sent_identifier = _answer_extensions(challenge.extensions, identifier)
    digest = authorization_digest(
        offer.token, wallet.address, offer.pay_to, offer.amount, valid_after=0, valid_before=valid_before, nonce=nonce
    )
    document: dict[str, object] = {
        "x402Version": 2,
        "accepted": offer.raw,
        "payload": {
            "signature": f"0x{wallet.sign_digest(digest).hex()}",
            "authorization": {
                "from": wallet.address,
                "to": offer.pay_to,
                "value": str(offer.amount),
                "validAfter": "0",
                "validBefore": str(valid_before),
                "nonce": f"0x{nonce.hex()}",
            },
        },
    }
    if challenge.resource is not None:
        document["resource"] = challenge.resource
    if extensions:
        document["extensions"] = extensions
    return Credential(HEADER, encode(document), nonce, valid_before, wallet.address, sent_identifier)


def authorization_digest(
    token: Token, payer: str, pay_to: str, amount: int, *, valid_after: int, valid_before: int, nonce: bytes
) -> bytes:
    """The EIP-712 hash of EIP-3009's TransferWithAuthorization in the token's pinned domain."""
    if len(nonce) != 32:
        raise ValueError("a nonce is 32 bytes")
    if min(amount, valid_before) < 1:
        raise ValueError("the amount and the deadline are positive")
    authorization = keccak(
        keccak(text=_AUTHORIZATION)
        + _address_word(payer)
        + _address_word(pay_to)
        + _word(amount)
        + _word(valid_after)
        + _word(valid_before)
        + nonce
    )
    return keccak(b"\x19\x01" + domain_separator(token) + authorization)


def domain_separator(token: Token) -> bytes:
    """What the token's contract calls DOMAIN_SEPARATOR."""
    return keccak(
        keccak(text=_DOMAIN)
        + keccak(text=token.name)
        + keccak(text=token.version)
        + _word(token.chain_id)
        + _address_word(token.address)
    )


def read_receipt(headers: Mapping[str, str], *, network: str | None = None, payer: str | None = None) -> Receipt | None:
    """The receipt in an answer of any status; header names in lower case.

    None when there is none, when it is malformed, or when it names another ``network`` or ``payer`` than expected.
    """
    receipt = _document(headers, RECEIPT_HEADER)
    success, transaction = receipt.get("success"), receipt.get("transaction")
    has_hash = isinstance(transaction, str) and _TRANSACTION.fullmatch(transaction) is not None
    if not isinstance(success, bool) or (success and not has_hash):
        return None
    named_network, named_payer, amount = receipt.get("network"), receipt.get("payer"), receipt.get("amount")
    if not _agrees(named_network, network) or not _agrees(named_payer, payer):
        return None
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = str(amount)
    if amount is not None and not (isinstance(amount, str) and _RECEIPT_AMOUNT.fullmatch(amount)):
        return None
    return Receipt(
        success=success,
        transaction=str(transaction) if has_hash else None,
        network=clean(named_network) or None,
        payer=clean(named_payer) or None,
        error_reason=clean(receipt.get("errorReason")) or None,
        amount=None if amount is None else int(amount),
    )


def refusal_reason(headers: Mapping[str, str]) -> str | None:
    """Why the seller refused a credential, in its own cleaned words.

    ``errorReason`` of a receipt comes before ``error`` of a new challenge: it is a code, and about these very bytes.
    """
    receipt, challenge = _document(headers, RECEIPT_HEADER), _document(headers, CHALLENGE_HEADER)
    return clean(receipt.get("errorReason")) or clean(challenge.get("error")) or None


def _answer_extensions(
    offered: Mapping[str, object], identifier: str | None
) -> tuple[Mapping[str, object], str | None]:
    if identifier is not None and not _IDENTIFIER.fullmatch(identifier):
        raise ValueError("a payment identifier is 16 to 128 of A-Z a-z 0-9 _ -")
    extension = offered.get(_IDENTIFIER_EXTENSION)
    info = extension.get("info") if isinstance(extension, dict) else None
    if not isinstance(extension, dict) or not isinstance(info, dict) or not isinstance(info.get("required"), bool):
        return offered, None
    if identifier is None:
        if info["required"]:
            raise ValueError("the seller wants a payment identifier")
        return offered, None
    return {**offered, _IDENTIFIER_EXTENSION: {**extension, "info": {**info, "id": identifier}}}, identifier


def _document(headers: Mapping[str, str], header: str) -> Mapping[str, object]:
    value = headers.get(header)
    try:
        document = decode(value) if value is not None else None
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _agrees(named: object, expected: str | None) -> bool:
    if named is None or named == "":
        return True
    return isinstance(named, str) and (expected is None or named.lower() == expected.lower())


def _word(number: int) -> bytes:
    if not 0 <= number < 1 << 256:
        raise ValueError("the number does not fit 32 bytes")
    return number.to_bytes(32, "big")


def _address_word(address: str) -> bytes:
    return address_bytes(address).rjust(32, b"\0")
