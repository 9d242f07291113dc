"""Payments with an open outcome become settled or expired, from the chain; lost jobs are found in the seller's list."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import anyio

from seedance_mcp.chain import PATIENCE
from seedance_mcp.errors import ChainError, InvalidPolicy, SeedanceError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.ledger import entries, jobs, payments, views
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.states import Payment, Purchase, State
from seedance_mcp.rails.rail import MARGIN, Absent, Failed, Moved, Rail, Sight
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Job
from seedance_mcp.timing import at_most

CHAIN_SECONDS = 8
LIST_SECONDS = 6
_SKEW = 120_000
LISTED = 50
LOOKED_UP = frozenset({State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED, State.WRITTEN_OFF})
DEFAULT_AGREE = 2

logger = logging.getLogger(__name__)


class Recovery:
    """Asks the chains and the seller, and moves nothing that they do not prove. Safe to run anywhere, however often."""

    def __init__(
        self,
        *,
        studio: Studio,
        database: Database,
        rails: Mapping[str, Rail],
        policy: Callable[[], Awaitable[Policy]],
        owner: str,
        now: Callable[[], int],
    ) -> None:
        self._studio = studio
        self._database = database
        self._rails = rails
        self._policy = policy
        self._owner = owner
        self._now = now
        self._agree = DEFAULT_AGREE

    async def look_up(self, purchase_id: str) -> Purchase:
        """The purchase, after the chain was asked about its payment and the seller about its job."""
        purchase = await self._find(purchase_id)
        if purchase.payment.state in LOOKED_UP:
            await self._ask_chain(purchase.payment)
            purchase = await self._find(purchase_id)
        if purchase.job is None and purchase.paid:
            await self._find_job(purchase)
            purchase = await self._find(purchase_id)
        return purchase

    async def is_proven(self, payment: Payment) -> bool:
        """Whether as many hosts as must agree see the payment's final transfer: nothing can take its authorization
        again. One host's word is enough to count a payment, and not to make another in its place."""
        rail = self._rails[payment.rail]
        try:
            with anyio.fail_after(at_most(CHAIN_SECONDS)):
                sight = await rail.look(payment)
                return isinstance(sight, Moved) and sight.final and await self._agreed(rail, payment, sight)
        except (ChainError, TimeoutError):
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
        assert payment.deadline is not None
        rail = self._rails[payment.rail]
        try:
            with anyio.fail_after(at_most(CHAIN_SECONDS)):
                sight = await rail.look(payment)
                match sight:
                    case Absent(finalized) if finalized.timestamp <= payment.deadline + MARGIN:
                        return
                    case Absent() | Failed() if not await self._agreed(rail, payment, sight):
                        return
                    case Moved(final=True) if payment.fee and not await self._agreed(rail, payment, sight):
                        # The rest of the fee's bound would come back on one host's word.
                        sight = replace(sight, final=False)
        except (ChainError, TimeoutError):
            return
        await self._database.write(self._book, payment, sight)

    def _book(self, tx: Transaction, payment: Payment, sight: Sight) -> None:
        """Write down what the chain proves."""
        now = self._now()
        match sight:
            case Moved(transfer, fee, final) if final:
                payments.settle(tx, payment, transfer.transaction, transfer.timestamp, now, fee=fee)
            case Moved(transfer) if payment.state is not State.CLAIMED:
                payments.claim(tx, payment, transfer.transaction, now)
            case Failed(transaction, fee, block):
                if payments.expire(tx, payment, now):
                    entries.book_fee(tx, payment, fee, transaction, block.timestamp, now)
            case Absent():
                payments.expire(tx, payment, now)

    async def _agreed(self, rail: Rail, payment: Payment, sight: Absent | Failed | Moved) -> bool:
        """Whether enough hosts see the same: nothing gives budget back on the word of one."""
        agreeing = 0
        for host in rail.chain.hosts:
            # One that is silent keeps the others from nothing.
            with anyio.move_on_after(PATIENCE), suppress(ChainError):
                agreeing += await rail.confirms(host, payment, sight)
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
