"""The tokens that may be paid in, pinned: what a seller says about a token can only agree with this."""

import re
from dataclasses import dataclass

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token and, on the x402 rail, its EIP-712 domain.

    ``network`` is CAIP-2, ``address`` checksummed; ``name`` and ``version`` are those of the contract's domain, which
    need not be its display name. On Tempo transactions are signed, and no domain, so ``version`` is empty there. All
    have six decimals, so an atomic unit is a micro-dollar.
    """

    rail: str
    network: str
    chain_id: int
    address: str
    name: str
    version: str
    symbol: str
    decimals: int = 6


BASE_USDC = Token(
    rail="x402",
    network="eip155:8453",
    chain_id=8453,
    address="0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
    name="USD Coin",
    version="2",
    symbol="USDC",
)


def _tempo(address: str, symbol: str) -> Token:
    return Token("mpp", "eip155:4217", 4217, address, name=symbol, version="", symbol=symbol)


TEMPO_USDCE = _tempo("0x20C000000000000000000000b9537d11c60E8b50", "USDC.e")
TEMPO_PATH_USD = _tempo("0x20C0000000000000000000000000000000000000", "pathUSD")
TEMPO_ALPHA_USD = _tempo("0x20C0000000000000000000000000000000000001", "AlphaUSD")

ACCEPTED: tuple[Token, ...] = (BASE_USDC,)
"""On the x402 rail."""
ACCEPTED_MPP: tuple[Token, ...] = (TEMPO_USDCE,)
NOT_ACCEPTED_MPP: tuple[Token, ...] = (TEMPO_PATH_USD, TEMPO_ALPHA_USD)
"""Dollars of other issuers, which sellers on Tempo ask for too: named here so that a refusal can name them."""


def address_bytes(address: str) -> bytes:
    """The 20 bytes of a ``0x`` address in any case. Raises ValueError for anything else."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("is not an address")
    return bytes.fromhex(address[2:])


def token_for(network: str, asset: str, among: tuple[Token, ...] = ACCEPTED) -> Token | None:
    """The token at ``asset`` on a CAIP-2 ``network``; upper and lower case do not matter."""
    try:
        wanted = address_bytes(asset)
    except ValueError:
        return None
    return next((t for t in among if t.network == network and address_bytes(t.address) == wanted), None)
