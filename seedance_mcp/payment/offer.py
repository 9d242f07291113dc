"""One way to pay, as it was judged; and what every rail asks of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.address import to_checksum_address

from seedance_mcp.payment.tokens import Token, address_bytes

_AMOUNT = re.compile(r"[1-9][0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class MppChallenge:
    """What an answer over MPP is made of.

    ``parameters`` is the whole challenge, to be echoed: names in lower case, values as given. ``header`` is the field
    that carries the answer. ``sponsored``: the seller pays the fee, and adds its signature to ours.
    """

    id: str
    realm: str
    header: str
    sponsored: bool
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to pay: ``amount`` in micro-USD, ``pay_to`` checksummed, ``raw`` the entry as it was parsed.

    ``fee`` is the most, in micro-USD of the same token, that paying can cost on top. ``max_timeout_seconds`` is how
    long a signature may be valid: on x402 what the seller says, at least 1 and without an upper bound; on MPP what
    Tempo takes, and no longer than until ``expires`` (epoch seconds). ``mpp`` is set on that rail alone.
    """

    rail: str
    network: str
    amount: int
    token: Token
    pay_to: str
    max_timeout_seconds: int
    raw: Mapping[str, object]
    fee: int = 0
    expires: int | None = None
    mpp: MppChallenge | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """An entry that is never paid.

    ``network`` and ``scheme`` (on MPP method and intent) are the seller's words, cleaned.
    """

    network: str
    scheme: str
    reason: str


def require(holds: bool, reason: str) -> None:
    """Raises ValueError with the reason why an entry may not be paid."""
    if not holds:
        raise ValueError(reason)


def text(entry: Mapping[str, object], key: str) -> str:
    """A member that has to be a string. Raises ValueError."""
    value = entry.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a string")
    return value


def amount(entry: Mapping[str, object]) -> int:
    """The micro-USD of ``amount``: plain ASCII digits, at least 1 and below a million dollars. Raises ValueError."""
    digits = text(entry, "amount")
    require(_AMOUNT.fullmatch(digits) is not None, "the amount is not a plain positive number of at most 12 digits")
    return int(digits)


def recipient(entry: Mapping[str, object], key: str, token: Token) -> str:
    """The checksummed address in ``key`` that ``token`` goes to. Raises ValueError."""
    named = text(entry, key)
    try:
        address = address_bytes(named)
    except ValueError:
        raise ValueError(f"{key} is not an address") from None
    require(any(address), f"{key} is the zero address")
    require(address != address_bytes(token.address), f"{key} is the token itself")
    return to_checksum_address(named)
