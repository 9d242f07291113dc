"""Tempo transactions: one TIP-20 transfer with a memo, signed offline.

Sources: the Tempo transaction specification (types 0x76 and, for a fee payer, 0x78; expiring nonces, TIP-1009), TIP-20.
"""

from typing import TYPE_CHECKING

import rlp  # type: ignore[import-untyped]  # it carries no annotations
from eth_utils.crypto import keccak

from seedance_mcp.payment.charge import GAS_LIMIT, MAX_FEE_PER_GAS
from seedance_mcp.payment.tokens import Token, address_bytes

if TYPE_CHECKING:
    from seedance_mcp.payment.wallet import Wallet

PRIORITY_FEE_PER_GAS = 1_000_000_000
"""Attodollars: the usual tip of a node's own estimate, and a tenth of what sponsors take at most."""

_TRANSACTION = b"\x76"
_FEE_PAYER_ENVELOPE = b"\x78"
_FEE_PAYER_TO_COME = b"\0"
_TRANSFER_WITH_MEMO = keccak(text="transferWithMemo(address,uint256,bytes32)")[:4]
_EXPIRING_NONCE_KEY = 2**256 - 1


def sign_transfer(
    wallet: "Wallet", token: Token, to: str, amount: int, *, memo: bytes, valid_before: int, sponsored: bool
) -> bytes:
    """A signed transfer, good in blocks before ``valid_before`` (epoch seconds), its fee paid in ``token``.

    A sponsored one is an envelope for the fee payer, who adds its token and signature before a node takes it. The same
    arguments give the same bytes. Raises ValueError when an argument does not fit its field.
    """
    if len(memo) != 32:
        raise ValueError("a memo is 32 bytes")
    if not (0 < amount < 1 << 256 and 0 < valid_before < 1 << 64):
        raise ValueError("the amount or the deadline is out of range")
    call = [address_bytes(token.address), 0, _transfer(to, amount, memo)]

    def fields(fee_token: bytes, fee_payer: bytes) -> list[object]:
        return [
            token.chain_id,
            PRIORITY_FEE_PER_GAS,
            MAX_FEE_PER_GAS,
            GAS_LIMIT,
            [call],
            [],  # access list
            _EXPIRING_NONCE_KEY,
            0,  # nonce
            valid_before,
            b"",  # valid after
            fee_token,
            fee_payer,
            [],  # authorizations
        ]

    if not sponsored:
        signed = fields(address_bytes(token.address), b"")
        return _TRANSACTION + _encode([*signed, _sign(wallet, signed)])
    signature = _sign(wallet, fields(b"", _FEE_PAYER_TO_COME))
    return _FEE_PAYER_ENVELOPE + _encode([*fields(b"", address_bytes(wallet.address)), signature])


def _transfer(to: str, amount: int, memo: bytes) -> bytes:
    return _TRANSFER_WITH_MEMO + address_bytes(to).rjust(32, b"\0") + amount.to_bytes(32, "big") + memo


def _sign(wallet: "Wallet", fields: list[object]) -> bytes:
    return wallet.sign_digest(keccak(_TRANSACTION + _encode(fields)))


def _encode(fields: list[object]) -> bytes:
    return bytes(rlp.encode(fields))
