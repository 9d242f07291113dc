"""Digests of EIP-712 and EIP-191, and ECDSA recovery as strict as the token contract's."""

from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

HALF_ORDER = SECPK1_N // 2


def word(value: int) -> bytes:
    """An unsigned integer as one 32-byte word of the ABI."""
    return value.to_bytes(32, "big")


def address_word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address[2:])


def typed_data_digest(domain_separator: bytes, struct_hash: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain_separator + struct_hash)


def text_digest(text: str) -> bytes:
    """EIP-191, version 0x45."""
    message = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)


def recover(digest: bytes, signature: bytes) -> str:
    """The checksummed address that signed ``digest``.

    Takes 65 bytes r, s, v with v 27 or 28 and s in the lower half of the order (EIP-2), as Circle's ECRecover does.
    Raises ValueError for anything else.
    """
    if len(signature) != 65:
        raise ValueError("a signature has 65 bytes")
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (27, 28):
        raise ValueError("v is neither 27 nor 28")
    if not 0 < s <= HALF_ORDER:
        raise ValueError("s is not in the lower half of the curve's order")
    try:
        return Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(digest).to_checksum_address()
    except (BadSignature, ValidationError) as error:
        raise ValueError("no key made this signature") from error
