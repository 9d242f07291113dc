"""What is true of any chain: its blocks, what is final, who took what; and how a host may lie about it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import anyio

from seedance_mcp.chain import Block, Transfer
from seedance_mcp.errors import ChainError
from tests.machine.clock import Clock
from tests.machine.seams import Seam

PATIENCE = 100
"""Questions about one payment after which a host answers nothing any more."""
FORGED = "0xf0e6ed"


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a seller holds once it was sent a signature.

    ``purchase`` is the purchase's mark, see ``credentials.mark``; ``nonce`` what the chain knows the payment by;
    ``amount`` micro-USD, ``valid_before`` epoch seconds. ``transaction`` is the hash that it will have on Tempo;
    ``pays_fee``: its fee comes out of the wallet.
    """

    rail: str
    purchase: str
    nonce: bytes
    pay_to: str
    amount: int
    valid_before: int
    transaction: str | None = None
    pays_fee: bool = False


Wanted = Mapping[bytes, tuple[str, int]]
"""Recipient and amount of each authorization by its nonce, as a lying host can know them."""


class Lie(StrEnum):
    NONE = "none"
    DOWN = "answers nothing"
    UNUSED = "says that nothing happened"
    AHEAD = "calls a block of the future final"
    FORK = "is on another fork"
    FORGE = "makes up the transfer that was hoped for"
    ELSEWHERE = "makes up a transfer to somebody else"
    STALE = "stands still an hour ago"
    FAILED = "makes up that a transaction failed"
    FREE = "says that no transaction cost anything"
    LOST = "has logs, and no receipts"


class Ground:
    """The truth of one chain. Blocks above ``final`` can still be undone; each nonce moves money once at most."""

    seconds = 2
    """Between two blocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lag = 10
        self.final = self.head - self.lag
        self.transfers: dict[bytes, Transfer] = {}
        self.failures: dict[bytes, Transfer] = {}
        """Transactions that were mined and moved nothing but their fees."""
        self.fees: dict[bytes, int] = {}
        """What mined transactions cost the wallet beside what they moved."""
        self.cancelled: set[bytes] = set()
        self.elsewhere: list[Transfer] = []
        """What left the wallet by other means; this is never undone."""
        self._taken: dict[bytes, Authorization] = {}
        self._forks: list[int] = []

    @property
    def head(self) -> int:
        return self._clock.true // 1000 // self.seconds

    @property
    def final_time(self) -> int:
        return self.final * self.seconds

    def block(self, number: int, fork: int = 0) -> Block:
        turns = sum(number >= fork_point for fork_point in self._forks) + fork
        return Block(number, f"0x{number:x}.{turns}", number * self.seconds)

    def grow(self) -> None:
        """Time has passed: older blocks become final."""
        self.final = max(self.final, self.head - self.lag)

    def take(self, authorization: Authorization, *, fails: bool = False) -> None:
        """Mine what was signed in the next block, as the chain would: once, and before its deadline."""
        block = self.block(self.head + 1)
        if self.is_used(authorization.nonce) or block.timestamp >= authorization.valid_before:
            return
        mined = Transfer(
            authorization.transaction or f"0x{len(self.transfers):024x}{authorization.nonce.hex()[:40]}",
            block.number,
            block.timestamp,
            authorization.pay_to,
            authorization.amount,
        )
        self._taken[authorization.nonce] = authorization
        (self.failures if fails else self.transfers)[authorization.nonce] = mined
        self.fees[authorization.nonce] = self.fee(authorization)

    def fee(self, authorization: Authorization) -> int:
        return 0

    def cancel(self, authorization: Authorization) -> None:
        """The wallet's owner makes an authorization void by another program, where the chain has a way to do it."""

    def spend(self, amount: int) -> None:
        """The wallet's owner sends money to somebody by another program."""
        block = self.block(self.final)
        name = f"elsewhere {len(self.elsewhere)} on {self.seconds}"
        self.elsewhere.append(Transfer(name, block.number, block.timestamp, "0x" + "5" * 40, amount))

    def charged(self) -> list[Transfer]:
        """The fees, which are transfers too."""
        mined = {**self.transfers, **self.failures}
        paid = [(mined[nonce], fee) for nonce, fee in self.fees.items() if fee]
        return [replace(transfer, to="0x" + "f" * 40, amount=fee) for transfer, fee in paid]

    def reorganise(self) -> None:
        """Everything above the finalised block never happened."""
        self._forks.append(self.final + 1)
        for mined in (self.transfers, self.failures):
            for nonce in [nonce for nonce, seen in mined.items() if seen.block > self.final]:
                del mined[nonce], self.fees[nonce]

    def is_used(self, nonce: bytes) -> bool:
        return nonce in self.fees or nonce in self.cancelled

    def is_taken(self, nonce: bytes, valid_before: int) -> bool:
        """Whether the money moved by just this signature; a nonce is signed anew once its first one is worthless."""
        return nonce in self.transfers and self._taken[nonce].valid_before == valid_before

    def moved(self, nonce: bytes, *, by: int | None = None) -> Transfer | None:
        """The transfer that used the nonce, in a block up to ``by`` (else the newest)."""
        transfer = self.transfers.get(nonce)
        return transfer if transfer is not None and transfer.block <= (self.head if by is None else by) else None

    @property
    def gone(self) -> int:
        """Micro-USD that have left the wallet."""
        moved = sum(transfer.amount for transfer in (*self.transfers.values(), *self.elsewhere))
        return moved + sum(self.fees.values())


class Witness:
    """How a host of a chain tells its blocks to one process. ``lie`` may change at any time."""

    def __init__(self, ground: Ground, gate: Callable[[Seam], Awaitable[object]], wanted: Wanted) -> None:
        self._ground = ground
        self._gate = gate
        self._wanted = wanted
        self._patience = PATIENCE
        self.lie = Lie.NONE
        self.name = "one of the hosts"

    async def block(self, block: int | str) -> Block:
        if block == "latest":
            self._patience = PATIENCE
        await self._listen()
        if isinstance(block, int):
            if block > self._ground.head and self.lie is not Lie.AHEAD:
                raise ChainError("this host knows no such block")
            return self._ground.block(block, fork=self.lie is Lie.FORK)
        number = self._ground.final if block == "finalized" else self._ground.head
        if self.lie is Lie.AHEAD:
            number = self._ground.head + 2_000
        if self.lie is Lie.STALE:
            number -= 3600 // self._ground.seconds
        return self._ground.block(number, fork=self.lie is Lie.FORK)

    def _seen(self, nonce: bytes, first: int, last: int | str) -> Transfer | None:
        """The transfer of ``nonce`` in these blocks, as this host tells it."""
        if self.lie is Lie.UNUSED:
            return None
        if self.lie in {Lie.FORGE, Lie.ELSEWHERE} and nonce in self._wanted:
            pay_to, amount = self._wanted[nonce]
            to = pay_to.lower() if self.lie is Lie.FORGE else "0x" + "e" * 40
            return Transfer(FORGED, self._ground.final, 0, to, amount)
        transfer = self._ground.moved(nonce)
        until = last if isinstance(last, int) else self._ground.head
        return transfer if transfer is not None and first <= transfer.block <= until else None

    async def _listen(self) -> None:
        await self._gate(Seam.ASK_CHAIN)
        self._patience -= 1
        if self._patience < 0:
            await anyio.sleep_forever()
        if self.lie is Lie.DOWN:
            raise ChainError("this host is down")
