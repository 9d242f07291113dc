"""An MPP offer, answered with a signed Tempo transaction; and what the seller says afterwards.

Sources: the Payment HTTP authentication scheme (draft-ietf-httpauth-payment), the tempo charge intent
(draft-tempo-charge-00), and the attribution memo that its SDKs (mppx, pympp) write and check.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

from seedance_mcp.payment.tempo import sign_transfer
from seedance_mcp.payment.wire import clean, decode_url_safe, encode_url_safe
from seedance_mcp.payment.x402 import Receipt

if TYPE_CHECKING:
    from seedance_mcp.payment.offer import Offer
    from seedance_mcp.payment.wallet import Wallet

RECEIPT_HEADER = "payment-receipt"

_MEMO_TAG = keccak(text="mpp")[:4] + b"\x01"
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Credential:
    """Signed bytes: whoever has ``value`` or ``raw`` can take the money until ``valid_before`` (epoch seconds).

    ``memo`` marks the transfer on the chain. ``transaction`` is the hash it will have there, which nobody knows of a
    sponsored one until the seller has signed too: None.
    """

    header: str
    value: str = field(repr=False)
    memo: bytes
    valid_before: int
    payer: str
    transaction: str | None
    raw: bytes = field(repr=False)


def sign(wallet: "Wallet", offer: "Offer", *, purchase_id: str, valid_before: int) -> Credential:
    """The answer to an MPP offer, valid from now until ``valid_before`` (epoch seconds, exclusive).

    The same arguments give the same bytes. Raises ValueError when the offer is of another rail or expires earlier, or
    an argument cannot be signed.
    """
    challenge = offer.mpp
    if challenge is None:
        raise ValueError("the offer is not one of MPP")
    if offer.expires is not None and valid_before > offer.expires:
        raise ValueError("the deadline is later than the challenge expires")
    memo = memo_for(realm=challenge.realm, challenge_id=challenge.id, purchase_id=purchase_id)
    raw = sign_transfer(
        wallet,
        offer.token,
        offer.pay_to,
        offer.amount,
        memo=memo,
        valid_before=valid_before,
        sponsored=challenge.sponsored,
    )
    document = {
        "challenge": challenge.parameters,
        "payload": {"type": "transaction", "signature": f"0x{raw.hex()}"},
        "source": f"did:pkh:{offer.network}:{wallet.address}",
    }
    return Credential(
        header=challenge.header,
        value=f"Payment {encode_url_safe(document)}",
        memo=memo,
        valid_before=valid_before,
        payer=wallet.address,
        transaction=None if challenge.sponsored else f"0x{keccak(raw).hex()}",
        raw=raw,
    )


def memo_for(*, realm: str, challenge_id: str, purchase_id: str) -> bytes:
    """The 32 bytes that tie a transfer to a seller, a purchase and a challenge, by hashes of their names.

    The seller checks its own part and the challenge's; the purchase's (bytes 15 to 25) is ours, and never changes
    between versions: recovery looks for it on the chain.
    """
    if not purchase_id:
        raise ValueError("a purchase has an id")
    return _MEMO_TAG + keccak(text=realm)[:10] + keccak(text=purchase_id)[:10] + keccak(text=challenge_id)[:7]


def read_receipt(headers: Mapping[str, str]) -> Receipt | None:
    """The receipt in an answer of any status; header names in lower case.

    None when there is none, or when it is malformed or of another method. It names neither network, payer nor amount.
    """
    try:
        receipt = decode_url_safe(headers.get(RECEIPT_HEADER, ""))
    except ValueError:
        return None
    if not isinstance(receipt, dict) or receipt.get("method") != "tempo":
        return None
    status, reference = receipt.get("status"), receipt.get("reference")
    success = status == "success"
    has_hash = isinstance(reference, str) and _TRANSACTION.fullmatch(reference) is not None
    if not isinstance(status, str) or (success and not has_hash):
        return None
    return Receipt(
        success=success,
        transaction=str(reference) if has_hash else None,
        network=None,
        payer=None,
        error_reason=None if success else clean(status) or None,
        amount=None,
    )
