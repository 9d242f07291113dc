"""A chain that is the truth about money, and hosts that may lie about it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import anyio

from seedance_mcp.chain import Block, Chain, Transfer
from seedance_mcp.chain.eip3009 import AuthorizationHost
from seedance_mcp.errors import ChainError
from tests.machine.clock import Clock
from tests.machine.seams import Seam

BLOCK_SECONDS = 2
PATIENCE = 100
"""Questions about one payment after which a host answers nothing any more."""
FORGED = "0xf0e6ed"


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a seller holds once it was sent a signature. ``amount`` in micro-USD, ``valid_before`` epoch seconds."""

    purchase: str
    nonce: bytes
    pay_to: str
    amount: int
    valid_before: int


Wanted = Mapping[bytes, tuple[str, int]]
"""Recipient and amount of each authorization by its nonce, as a lying host can know them."""


class Lie(StrEnum):
    NONE = "none"
    DOWN = "answers nothing"
    UNUSED = "says that nothing was used"
    AHEAD = "calls a block of the future final"
    FORK = "is on another fork"
    FORGE = "makes up the transfer that was hoped for"
    ELSEWHERE = "makes up a transfer to somebody else"
    STALE = "stands still an hour ago"


class Base:
    """The truth: who used which authorization in which block. Blocks above ``final`` can still be undone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lag = 10
        self.final = self.head - self.lag
        self.transfers: dict[bytes, Transfer] = {}
        self.cancelled: set[bytes] = set()
        self._taken: dict[bytes, Authorization] = {}
        self._forks: list[int] = []

    @property
    def head(self) -> int:
        return self._clock.true // 1000 // BLOCK_SECONDS

    def block(self, number: int, fork: int = 0) -> Block:
        turns = sum(number >= fork_point for fork_point in self._forks) + fork
        return Block(number, f"0x{number:x}.{turns}", number * BLOCK_SECONDS)

    def grow(self) -> None:
        """Time has passed: older blocks become final."""
        self.final = max(self.final, self.head - self.lag)

    def take(self, authorization: Authorization) -> str | None:
        """Move the money in the next block, as a token contract would: once, and before the deadline."""
        block = self.block(self.head + 1)
        if self.is_used(authorization.nonce) or block.timestamp >= authorization.valid_before:
            return None
        transaction = f"0x{len(self.transfers):024x}{authorization.nonce.hex()[:40]}"
        self._taken[authorization.nonce] = authorization
        self.transfers[authorization.nonce] = Transfer(
            transaction, block.number, block.timestamp, authorization.pay_to.lower(), authorization.amount
        )
        return transaction

    def cancel(self, authorization: Authorization) -> None:
        """The wallet's owner cancels the authorization by another program."""
        if not self.is_used(authorization.nonce):
            self.cancelled.add(authorization.nonce)

    def reorganise(self) -> None:
        """Everything above the finalised block never happened."""
        self._forks.append(self.final + 1)
        self.transfers = {nonce: seen for nonce, seen in self.transfers.items() if seen.block <= self.final}

    def is_used(self, nonce: bytes) -> bool:
        return nonce in self.transfers or nonce in self.cancelled

    def is_taken(self, nonce: bytes, valid_before: int) -> bool:
        """Whether the money moved by just this signature; a nonce is signed anew once its first one is worthless."""
        return nonce in self.transfers and self._taken[nonce].valid_before == valid_before

    def moved(self, nonce: bytes, *, by: int | None = None) -> Transfer | None:
        """The transfer that used the nonce, in a block up to ``by`` (else the newest)."""
        transfer = self.transfers.get(nonce)
        return transfer if transfer is not None and transfer.block <= (self.head if by is None else by) else None


class Witness(AuthorizationHost):
    """A host of ``base`` as one process asks it. ``lie`` may change at any time."""

    # What a host can know of a payment, by nonce: its recipient and amount.
    def __init__(
        self, base: Base, gate: Callable[[Seam], Awaitable[object]], wanted: Mapping[bytes, tuple[str, int]]
    ) -> None:
        self._base = base
        self._gate = gate
        self._wanted = wanted
        self._patience = PATIENCE
        self._in_a_row = 0
        self._asking: asyncio.Task[object] | None = None
        self.lie = Lie.NONE

    async def block(self, block: int | str) -> Block:
        if block == "latest":
            self._patience = PATIENCE
        self._in_a_row = 0
        await self._listen()
        if isinstance(block, int):
            if block > self._base.head and self.lie is not Lie.AHEAD:
                raise ChainError("this host knows no such block")
            return self._base.block(block, fork=self.lie is Lie.FORK)
        number = self._base.final if block == "finalized" else self._base.head
        if self.lie is Lie.AHEAD:
            number = self._base.head + 2_000
        if self.lie is Lie.STALE:
            number -= 1800
        return self._base.block(number, fork=self.lie is Lie.FORK)

    async def authorization_used(self, token: str, payer: str, nonce: bytes, *, block: int | str = "latest") -> bool:
        await self._listen()
        # Each call is a task of its own.
        asking = asyncio.current_task()
        self._in_a_row, self._asking = (self._in_a_row + 1 if asking is self._asking else 1), asking
        if self._in_a_row > PATIENCE // 2:
            raise AssertionError("it asks for one nonce after the other, without end")
        if self.lie in {Lie.UNUSED, Lie.FORGE, Lie.ELSEWHERE}:
            return self.lie is not Lie.UNUSED
        by = block if isinstance(block, int) else self._base.head
        return nonce in self._base.cancelled or self._base.moved(nonce, by=by) is not None

    async def authorization_transfer(
        self, token: str, payer: str, nonce: bytes, from_block: int, *, to_block: int | str = "latest"
    ) -> Transfer | None:
        await self._listen()
        if self.lie is Lie.UNUSED:
            return None
        if self.lie in {Lie.FORGE, Lie.ELSEWHERE} and nonce in self._wanted:
            pay_to, amount = self._wanted[nonce]
            to = pay_to.lower() if self.lie is Lie.FORGE else "0x" + "e" * 40
            return Transfer(FORGED, self._base.final, 0, to, amount)
        transfer = self._base.moved(nonce)
        last = to_block if isinstance(to_block, int) else self._base.head
        return transfer if transfer is not None and from_block <= transfer.block <= last else None

    async def _listen(self) -> None:
        await self._gate(Seam.ASK_CHAIN)
        self._patience -= 1
        if self._patience < 0:
            await anyio.sleep_forever()
        if self.lie is Lie.DOWN:
            raise ChainError("this host is down")


Witnesses = Chain[Witness]
