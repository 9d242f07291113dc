"""What the corridor asks of a rail, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from seedance_mcp.balance import Balance
from seedance_mcp.chain import Block, Chain, Incoming, Outgoing, Transfer
from seedance_mcp.errors import ChainError
from seedance_mcp.ledger.states import Payment
from seedance_mcp.payment.challenge import Challenge, Offer
from seedance_mcp.payment.tokens import Token
from seedance_mcp.payment.wallet import Wallet

CLOCK_SECONDS = 3
MARGIN = 60
"""Seconds beyond the deadline at which a final block without the payment proves that it will never be in one."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What is written down before a byte of it leaves.

    ``headers`` carry the credential; ``nonce`` is what the chain will know the payment by; ``transaction`` its hash,
    where that is known before it is mined.
    """

    headers: Mapping[str, str] = field(repr=False)
    nonce: bytes
    deadline: int
    transaction: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the seller says about a payment: a claim, not a proof. ``on_its_way``: it will be settled later."""

    claimed: bool
    transaction: str | None
    on_its_way: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """The payment's transfer is on the chain. ``fee`` in micro-USD; ``final``: no reorganisation can undo it."""

    transfer: Transfer
    fee: int
    final: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The payment's transaction is in ``block``, which is final, and moved nothing but its fee."""

    transaction: str
    fee: int
    block: Block


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing of the payment is on the chain, as one host sees it; ``finalized`` is the newest final block there."""

    finalized: Block


Sight = Moved | Failed | Absent | None
"""None: something is there, and it is not an outcome of ours to book."""


class Rail(ABC):
    """One token on one chain, and one way to pay with it."""

    def __init__(self, token: Token, chain: Chain[Any], balance: Balance) -> None:
        self.token = token
        self.chain = chain
        self.balance = balance

    @property
    def name(self) -> str:
        return self.token.rail

    async def newest(self) -> int | None:
        """The time of the newest block in epoch seconds; None where no host can be asked soon enough."""
        with anyio.move_on_after(CLOCK_SECONDS), suppress(ChainError):
            return (await self.chain.latest()).timestamp
        return None

    async def outgoing(self, payer: str, first: int, last: int) -> list[Outgoing]:
        """Every transfer of the token out of ``payer`` in these blocks. Raises ChainError."""
        found: list[Outgoing] = await self.chain.first(
            lambda host: host.outgoing(self.token.address, payer, first, last)
        )
        return found

    async def incoming(
        self,
        host: Any,  # noqa: ANN401 - of this chain
        owner: str,
        senders: Collection[str],
        first: int,
        last: int,
    ) -> list[Incoming]:
        """Every transfer of the token from ``senders`` to ``owner`` that one host has in these blocks, oldest first.

        Raises ChainError.
        """
        found: list[Incoming] = await host.incoming(self.token.address, owner, senders, first, last)
        return found

    async def marks(self, transaction: str) -> tuple[bytes, ...]:
        """What payments of ours in a transaction would be known by: the 32-byte words of its events' topics.

        Raises ChainError.
        """
        found: tuple[bytes, ...] = await self.chain.first(lambda host: host.topics(transaction, self.token.address))
        return found

    @abstractmethod
    def sign(
        self,
        wallet: Wallet,
        challenge: Challenge,
        offer: Offer,
        *,
        purchase_key: bytes,
        purchase_id: str,
        serial: int,
        deadline: int,
    ) -> Signed:
        """The answer to ``offer``, worthless from ``deadline`` (epoch seconds) on. Raises ValueError."""

    @abstractmethod
    def read(self, headers: Mapping[str, str], status: int, payer: str) -> Reading:
        """What an answer to signed bytes says; header names in lower case."""

    @abstractmethod
    async def look(self, payment: Payment) -> Sight:
        """What the chain shows of a payment. Raises ChainError."""

    @abstractmethod
    async def confirms(self, host: Any, payment: Payment, sight: Absent | Failed | Moved) -> bool:  # noqa: ANN401 - of this chain
        """Whether one host sees the same: the budget comes back on it. Raises ChainError."""

    @abstractmethod
    async def was_used(self, wallet: Wallet, purchase_key: bytes, serial: int) -> bool:
        """Whether the chain knows that this wallet paid for this purchase before, whatever the ledger says.

        Raises ChainError.
        """
