"""Payments with an open outcome become settled or expired, from the chain; lost jobs are found in the seller's list."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

import anyio

from seedance_mcp.chain import Block, Chain, Host
from seedance_mcp.errors import ChainError, SeedanceError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.states import PAID, Payment, Purchase, State
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Job

CHAIN_SECONDS = 5
LIST_SECONDS = 6
MARGIN = 60
"""Seconds beyond the deadline at which a finalised block proves that an unused authorization stays unused."""
_SKEW = 120_000
_BLOCKS_BEFORE = 300


class Recovery:
    """Asks the chain and the seller, and moves nothing that they do not prove. Safe to run anywhere, however often."""

    def __init__(
        self,
        *,
        studio: Studio,
        database: Database,
        chain: Chain,
        policy: Callable[[], Awaitable[Policy]],
        owner: str,
        now: Callable[[], int],
    ) -> None:
        self._studio = studio
        self._database = database
        self._chain = chain
        self._policy = policy
        self._owner = owner
        self._now = now

    async def look_up(self, purchase_id: str) -> Purchase:
        """The purchase, after the chain was asked about its payment and the seller about its job."""
        purchase = await self._find(purchase_id)
        if purchase.payment.state in {State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED}:
            await self._ask_chain(purchase.payment)
            purchase = await self._find(purchase_id)
        if purchase.job is None and purchase.payment.state in {State.SENT, State.UNKNOWN, *PAID}:
            await self._find_job(purchase)
            purchase = await self._find(purchase_id)
        return purchase

    async def sweep(self) -> None:
        """Take up whatever ended processes left, and look every open payment and every lost job up."""
        await self._database.write(payments.release_abandoned, self._owner, self._now())
        for payment in await self._database.read(views.open_payments):
            await self._ask_chain(payment)
        for purchase in await self._database.read(jobs.without_job):
            await self._find_job(purchase)

    async def _ask_chain(self, payment: Payment) -> None:
        assert payment.nonce is not None
        assert payment.deadline is not None
        try:
            with anyio.fail_after(CHAIN_SECONDS):
                latest, finalized = await self._chain.latest(), await self._chain.finalized()
                # A chain of at most one block a second: never starts too late, and asks for few blocks too many.
                age = max(latest.timestamp - payment.reserved_at // 1000, 0)
                transfer = await self._chain.authorization_transfer(
                    payment.token, payment.payer, payment.nonce, max(latest.number - age - _BLOCKS_BEFORE, 0)
                )
                if transfer is None:
                    if finalized.timestamp > payment.deadline + MARGIN and await self._agreed(payment, finalized):
                        await self._database.write(payments.expire, payment, self._now())
                    return
        except (ChainError, TimeoutError):
            return
        if (transfer.to.lower(), transfer.amount) != (payment.pay_to.lower(), payment.amount):
            return
        if transfer.block <= finalized.number:
            await self._database.write(payments.settle, payment, transfer.transaction, transfer.timestamp, self._now())
        elif payment.state is not State.CLAIMED:
            await self._database.write(payments.claim, payment, transfer.transaction, self._now())

    async def _agreed(self, payment: Payment, block: Block) -> bool:
        """Whether enough hosts see the same finalised block and the authorization unused in it."""
        agreeing = 0
        for host in self._chain.hosts:
            try:
                agreeing += await _unused(host, payment, block)
            except ChainError:
                continue
        return agreeing >= (await self._policy()).rpc_agree

    async def _find_job(self, purchase: Purchase) -> None:
        payment = purchase.payment
        if payment.body is None or payment.sent_at is None or payment.model == "upload":
            return
        try:
            with anyio.fail_after(LIST_SECONDS):
                listed = await self._studio.jobs()
        except (SeedanceError, TimeoutError):
            return
        for job in _candidates(listed, json.loads(payment.body), payment):
            if await self._database.write(jobs.add, purchase.id, job.id, self._now()):
                return

    async def _find(self, purchase_id: str) -> Purchase:
        purchase = await self._database.read(views.find, purchase_id)
        assert purchase is not None
        return purchase


async def _unused(host: Host, payment: Payment, block: Block) -> bool:
    assert payment.nonce is not None
    seen = await host.block(block.number)
    return seen == block and not await host.authorization_used(
        payment.token, payment.payer, payment.nonce, block=block.number
    )


def _candidates(listed: Sequence[Job], body: Mapping[str, object], payment: Payment) -> list[Job]:
    """Jobs that can be this payment's: of the same body and model, made after it was sent; failed ones come last."""
    assert payment.sent_at is not None
    earliest = payment.sent_at - _SKEW
    matching = [
        job
        for job in listed
        if dict(job.body) == dict(body)
        and (job.type is None or job.type.startswith(f"{payment.model}-i2v"))
        and (job.created_at is None or job.created_at * 1000 >= earliest)
    ]
    return sorted(matching, key=lambda job: (job.status == "failed", job.created_at or 0))
