"""Tempo's own transactions, taken apart: type 0x76, and the 0x78 envelope that a fee payer still has to sign.

Source: the Tempo transaction specification. Only what a payment needs is read: 65-byte secp256k1 signatures, no access
list, no authorizations, no key authorization.
"""

from dataclasses import dataclass, replace
from typing import Any

import rlp  # type: ignore[import-untyped]  # it carries no annotations
from eth_keys.datatypes import PrivateKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # it carries no annotations

from seedance_mcp.sandbox.signatures import recover

TRANSACTION = b"\x76"
FEE_PAYER_ENVELOPE = b"\x78"
FEE_PAYER_TO_COME = b"\0"

Fields = list[Any]


@dataclass(frozen=True, slots=True)
class Call:
    to: str
    value: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A signed transaction: checksummed addresses, epoch seconds, fees in attodollars (10^-18 USD) for one gas.

    ``sender`` is who signed it. ``fee_payer`` is the sender, or who else has signed to pay the fee; None while nobody
    has. ``digest`` is what the sender signed, whoever pays. ``hash`` is the transaction's on the chain.
    """

    chain_id: int
    max_priority_fee: int
    max_fee: int
    gas_limit: int
    calls: tuple[Call, ...]
    nonce_key: int
    nonce: int
    valid_before: int
    valid_after: int
    fee_token: str | None
    sender: str
    fee_payer: str | None
    digest: bytes
    hash: str
    fields: Fields

    def sponsored_by(self, key: PrivateKey, fee_token: str) -> "Envelope":
        """The same transaction with a fee payer's signature, as a node takes it."""
        token = bytes.fromhex(fee_token[2:])
        signature = key.sign_msg_hash(_fee_payer_digest(self.fields, token, self.sender))
        v, r, s = signature.vrs
        fields = [*self.fields[:10], token, [_bytes(v), _bytes(r), _bytes(s)], *self.fields[12:]]
        payer = key.public_key.to_checksum_address()
        return replace(self, fee_token=fee_token, fee_payer=payer, hash=_hash(fields), fields=fields)


def decode(raw: bytes) -> Envelope:
    """Raises ValueError for anything but one well-formed, signed transaction, with the reason."""
    kind, fields = raw[:1], _fields(raw[1:])
    awaited = kind == FEE_PAYER_ENVELOPE
    if kind != TRANSACTION and not awaited:
        raise ValueError("the transaction is neither of type 0x76 nor an envelope of type 0x78")
    if len(fields) != 14 or fields[5] != [] or fields[12] != []:
        raise ValueError("the transaction has an access list, authorizations or other fields than a payment")
    paid_by_other = awaited or fields[11] != b""
    unsigned = [*fields[:10], b"", FEE_PAYER_TO_COME, []] if paid_by_other else fields[:13]
    digest = keccak(TRANSACTION + rlp.encode(unsigned))
    sender = recover(digest, _leaf(fields[13]))
    if awaited and (fields[10] != b"" or _address(fields[11]) != sender):
        raise ValueError("the envelope names a fee token, or another sender than the one that signed")
    return Envelope(
        chain_id=_uint(fields[0]),
        max_priority_fee=_uint(fields[1]),
        max_fee=_uint(fields[2]),
        gas_limit=_uint(fields[3]),
        calls=tuple(_call(call) for call in _list(fields[4])),
        nonce_key=_uint(fields[6]),
        nonce=_uint(fields[7]),
        valid_before=_uint(fields[8]),
        valid_after=_uint(fields[9]),
        fee_token=_address(fields[10]) if fields[10] else None,
        sender=sender,
        fee_payer=None if awaited else _fee_payer(fields, sender),
        digest=digest,
        hash=_hash(fields),
        fields=fields,
    )


def _fee_payer(fields: Fields, sender: str) -> str:
    if fields[11] == b"":
        return sender
    v, r, s = (_uint(part) for part in _list(fields[11]))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v + 27])
    return recover(_fee_payer_digest(fields, _leaf(fields[10]), sender), signature)


def _fee_payer_digest(fields: Fields, fee_token: bytes, sender: str) -> bytes:
    signed = [*fields[:10], fee_token, bytes.fromhex(sender[2:]), fields[12]]
    return keccak(FEE_PAYER_ENVELOPE + rlp.encode(signed))


def _hash(fields: Fields) -> str:
    return "0x" + keccak(TRANSACTION + rlp.encode(fields)).hex()


def _fields(encoded: bytes) -> Fields:
    try:
        return _list(rlp.decode(encoded))
    except (RLPException, RecursionError) as error:
        raise ValueError("the transaction is not RLP") from error


def _call(fields: object) -> Call:
    to, value, data = _list(fields)
    return Call(_address(to), _uint(value), _leaf(data))


def _list(item: object) -> Fields:
    if not isinstance(item, list):
        raise ValueError("the transaction has a value in the place of a list")
    return item


def _leaf(item: object) -> bytes:
    if not isinstance(item, bytes):
        raise ValueError("the transaction has a list in the place of a value")
    return item


def _uint(item: object) -> int:
    digits = _leaf(item)
    if digits[:1] == b"\0" or len(digits) > 32:
        raise ValueError("the transaction has a number with leading zeros or of more than 256 bits")
    return int.from_bytes(digits, "big")


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _address(item: object) -> str:
    address = _leaf(item)
    if len(address) != 20:
        raise ValueError("the transaction has an address that has not 20 bytes")
    return to_checksum_address(address)
