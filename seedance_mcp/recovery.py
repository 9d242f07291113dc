"""Payments with an open outcome become settled or expired, from the chain; lost jobs are found in the seller's list."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import anyio

from seedance_mcp.chain import Block, Chain, Host, Transfer
from seedance_mcp.errors import ChainError, InvalidPolicy, SeedanceError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.states import Payment, Purchase, State
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Job
from seedance_mcp.timing import at_most

CHAIN_SECONDS = 5
LIST_SECONDS = 6
NONCE_SECONDS = 3
MARGIN = 60
"""Seconds beyond the deadline at which a finalised block proves that an unused authorization stays unused."""
_SKEW = 120_000
BLOCK_SECONDS = 2
"""Of Base; a chain with faster blocks takes a few questions more."""
SPAN = 1000
LISTED = 50
DEFAULT_AGREE = 2

logger = logging.getLogger(__name__)


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
        self._agree = DEFAULT_AGREE

    async def look_up(self, purchase_id: str) -> Purchase:
        """The purchase, after the chain was asked about its payment and the seller about its job."""
        purchase = await self._find(purchase_id)
        if purchase.payment.state in {State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED}:
            await self._ask_chain(purchase.payment)
            purchase = await self._find(purchase_id)
        if purchase.job is None and purchase.paid:
            await self._find_job(purchase)
            purchase = await self._find(purchase_id)
        return purchase

    async def was_used(self, token: str, payer: str, nonce: bytes) -> bool:
        """Whether the chain knows the nonce as used. False where no host answers: the seller will refuse it then."""
        with anyio.move_on_after(NONCE_SECONDS):
            try:
                return await self._chain.authorization_used(token, payer, nonce)
            except ChainError:
                return False
        return False

    async def sweep(self) -> None:
        """Take up whatever ended processes left, and look every open payment and every lost job up."""
        await self._database.write(payments.release_abandoned, self._owner, self._now())
        for payment in await self._database.read(views.open_payments):
            await self._safely(self._ask_chain(payment), payment.purchase)
        for purchase in await self._database.read(jobs.without_job):
            await self._safely(self._find_job(purchase), purchase.id)

    async def _safely(self, step: Awaitable[None], purchase_id: str) -> None:
        try:
            await step
        except Exception:
            logger.exception("%s could not be looked up", purchase_id)

    async def _ask_chain(self, payment: Payment) -> None:
        assert payment.nonce is not None
        assert payment.deadline is not None
        try:
            with anyio.fail_after(at_most(CHAIN_SECONDS)):
                latest, finalized = await self._chain.latest(), await self._chain.finalized()
                if not await self._chain.authorization_used(payment.token, payment.payer, payment.nonce):
                    if finalized.timestamp > payment.deadline + MARGIN and await self._agreed(payment, finalized):
                        await self._database.write(payments.expire, payment, self._now())
                    return
                transfer = await self._transfer(payment, latest)
        except (ChainError, TimeoutError):
            return
        # Without a transfer it was cancelled, which only the wallet's own key can do: not an outcome of ours to book.
        if transfer is None or (transfer.to.lower(), transfer.amount) != (payment.pay_to.lower(), payment.amount):
            return
        if transfer.block <= finalized.number:
            await self._database.write(payments.settle, payment, transfer.transaction, transfer.timestamp, self._now())
        elif payment.state is not State.CLAIMED:
            await self._database.write(payments.claim, payment, transfer.transaction, self._now())

    async def _transfer(self, payment: Payment, latest: Block) -> Transfer | None:
        """The transfer of a used authorization, looked for where it can be: from the reservation to the deadline.

        In pieces, since RPC hosts bound the blocks that one question may span.
        """
        assert payment.nonce is not None
        assert payment.deadline is not None
        first = await self._block_before(payment.reserved_at // 1000 - MARGIN, latest)
        while first <= latest.number:
            last = min(first + SPAN - 1, latest.number)
            transfer = await self._chain.authorization_transfer(
                payment.token, payment.payer, payment.nonce, first, to_block=last
            )
            if transfer is not None or (await self._chain.block(last)).timestamp > payment.deadline + MARGIN:
                return transfer
            first = last + 1
        return None

    async def _block_before(self, then: int, latest: Block) -> int:
        """A block that is not younger than ``then`` (epoch seconds), close to it on a chain of steady blocks."""
        back = max(latest.timestamp - then, 0) // BLOCK_SECONDS + 1
        while back < latest.number:
            if (await self._chain.block(latest.number - back)).timestamp <= then:
                return latest.number - back
            back *= 2
        return 0

    async def _agreed(self, payment: Payment, block: Block) -> bool:
        """Whether enough hosts see the same finalised block and the authorization unused in it."""
        agreeing = 0
        for host in self._chain.hosts:
            try:
                agreeing += await _unused(host, payment, block)
            except ChainError:
                continue
        return agreeing >= await self._needed()

    async def _needed(self) -> int:
        """How many hosts must agree. Recovery goes on without a policy, with no less than was asked before."""
        with suppress(InvalidPolicy):
            self._agree = (await self._policy()).rpc_agree
        return self._agree

    async def _find_job(self, purchase: Purchase) -> None:
        payment = purchase.payment
        if payment.body is None or payment.sent_at is None or payment.model == "upload":
            return
        try:
            with anyio.fail_after(at_most(LIST_SECONDS)):
                listed = await self._studio.jobs(LISTED)
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
        if body.items() <= job.body.items()
        and (job.type is None or job.type.startswith(f"{payment.model}-i2v"))
        and (job.created_at is None or job.created_at * 1000 >= earliest)
    ]
    return sorted(matching, key=lambda job: (job.status == "failed", job.created_at or 0))
