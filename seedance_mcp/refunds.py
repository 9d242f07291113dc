"""Looks on the chains for what sellers sent back. Only when the operator asks: no purchase waits for it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from seedance_mcp.chain import Block, Chain, Incoming
from seedance_mcp.chain.scanning import scan
from seedance_mcp.errors import ChainError, InvalidPolicy
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import claims, refunds
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.refunds import Paid, Reached, Refund
from seedance_mcp.rails.rail import Rail
from seedance_mcp.recovery import DEFAULT_AGREE

LOOK_SECONDS = 60
"""For one wallet on one rail. What was looked through by then is kept, and the next look goes on from there."""
PIECE_SECONDS = 15
"""For one host's answer about one piece of the chain: a slow one is asked about fewer blocks next."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look at one wallet on one rail.

    ``until`` is the time of the last block that was looked through (epoch milliseconds), or None where none was;
    ``problem`` is why that is not the newest final one, or None where it is.
    """

    rail: str
    booked: int
    until: int | None
    problem: str | None


async def look_for_refunds(
    database: Database,
    rails: Mapping[str, Rail],
    policy: Callable[[], Awaitable[Policy]],
    now: Callable[[], int],
) -> list[Looked]:
    """Book what came back since the last look, for each wallet and rail that anything was paid with.

    ``now`` gives epoch milliseconds.
    """
    agree = DEFAULT_AGREE
    with suppress(InvalidPolicy):
        agree = (await policy()).rpc_agree
    looked = []
    for rail in rails.values():
        wallets = await database.read(refunds.wallets, rail.token.network, rail.token.address)
        looked += [await _Look(database, rail, wallet, agree, now).look() for wallet in wallets]
    # What an earlier look could not tell may be certain by now.
    pairs = await database.read(claims.plan, now())
    if pairs:
        await database.write(claims.assign, pairs, now())
    return looked


class _Look:
    """One wallet's chain, from the block that was reached to the newest that ``agree`` hosts call final."""

    def __init__(self, database: Database, rail: Rail, wallet: Paid, agree: int, now: Callable[[], int]) -> None:
        self._database = database
        self._rail = rail
        self._wallet = wallet
        self._agree = agree
        self._now = now
        self._booked = 0

    async def look(self) -> Looked:
        problem = None
        try:
            with anyio.fail_after(LOOK_SECONDS):
                await self._go_on()
        except ChainError as error:
            problem = error.what
        except TimeoutError:
            problem = f"It took longer than {LOOK_SECONDS} seconds, and the next look goes on from there"
        reached = await self._reached()
        return Looked(self._rail.name, self._booked, reached.at if reached else None, problem)

    async def _go_on(self) -> None:
        """Raises ChainError, also for a transfer that some hosts have and others have not."""
        finals = await self._ask(self._rail.chain.hosts, lambda host: host.finalized())
        last = sorted((block.number for block in finals.values()), reverse=True)[self._agree - 1]
        final = {host: block for host, block in finals.items() if block.number >= last}
        hosts = list(final)
        begin = await self._first(final)
        async for end, answers in scan(lambda first, last: self._listed(hosts, first, last), begin, last):
            found, sure = _agreed(answers, self._agree, end)
            if sure >= begin:
                block = await self._agreed_block(hosts, sure)
                reached = Reached(block.number, block.timestamp * 1000)
                self._booked += await self._database.write(self._book, found, reached)
            if sure < end:
                raise ChainError(
                    f"The RPC hosts of {self._rail.name} do not agree on the transfers in block {sure + 1}"
                )
            begin = end + 1

    async def _first(self, final: Mapping[Any, Block]) -> int:
        """The block after the one that was reached, or at first one that no host calls younger than any payment."""
        reached = await self._reached()
        if reached is not None:
            return reached.block + 1
        then = (self._wallet.since - claims.SKEW) // 1000
        starts = await self._ask(list(final), lambda host: Chain([host]).block_before(then, final[host]))
        return min(starts.values())

    async def _listed(self, hosts: Sequence[Any], first: int, last: int) -> list[list[Incoming]]:
        """What each host has in these blocks."""
        wallet = self._wallet
        answers = await self._ask(
            hosts, lambda host: self._rail.incoming(host, wallet.payer, wallet.recipients, first, last)
        )
        return list(answers.values())

    async def _agreed_block(self, hosts: Sequence[Any], number: int) -> Block:
        """What enough hosts say of one block, its time included. Raises ChainError."""
        answers: dict[Any, Block] = await self._ask(hosts, lambda host: host.block(number))
        ((block, count),) = Counter(answers.values()).most_common(1)
        if count < self._agree:
            raise ChainError(f"The RPC hosts of {self._rail.name} do not agree on block {number}")
        return block

    async def _ask(self, hosts: Sequence[Any], read: Callable[[Any], Awaitable[T]]) -> dict[Any, T]:
        """The answer of each host that gives one in time. Raises ChainError where too few do."""
        answers: dict[Any, T] = {}
        reasons = []

        async def ask(host: Any) -> None:  # noqa: ANN401 - of any chain
            try:
                with anyio.fail_after(PIECE_SECONDS):
                    answers[host] = await read(host)
            except ChainError as error:
                reasons.append(error.what)
            except TimeoutError:
                reasons.append(f"The RPC host {host.name} took longer than {PIECE_SECONDS} seconds")

        # All at once: a host that is slow each time keeps nobody else from an answer.
        async with anyio.create_task_group() as group:
            for host in hosts:
                group.start_soon(ask, host)
        if len(answers) < self._agree:
            few = f"{self._agree} RPC hosts of {self._rail.name} must agree, and {len(answers)} answered"
            raise ChainError("; ".join([few, *reasons]))
        return answers

    async def _reached(self) -> Reached | None:
        return await self._database.read(refunds.reached, self._wallet.payer, self._rail.token.network)

    def _book(self, tx: Transaction, found: Sequence[Incoming], reached: Reached) -> int:
        """How many were not booked before."""
        token, now = self._rail.token, self._now()
        some = [
            Refund(
                rail=token.rail,
                network=token.network,
                token=token.address,
                payer=self._wallet.payer,
                sender=transfer.sender,
                amount=transfer.amount,
                transaction=transfer.transaction,
                index=transfer.index,
                mined_at=transfer.block.timestamp * 1000,
                memo=transfer.memo,
            )
            for transfer in found
        ]
        refunds.reach(tx, self._wallet.payer, token.network, reached)
        return sum(refunds.book(tx, refund, now) for refund in some)


def _agreed(answers: Sequence[Sequence[Incoming]], agree: int, end: int) -> tuple[list[Incoming], int]:
    """The transfers that enough hosts have, and the last block up to which that is certain of each: ``end``, or less.

    What enough hosts do not have is not there, whatever another one says.
    """
    had = Counter(transfer for answer in answers for transfer in set(answer))
    doubtful = [transfer for transfer, count in had.items() if count < agree and len(answers) - count < agree]
    sure = min([end + 1, *(transfer.block.number for transfer in doubtful)]) - 1
    return [one for one, count in had.items() if count >= agree and one.block.number <= sure], sure
