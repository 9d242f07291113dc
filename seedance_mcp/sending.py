"""Signed bytes on their way: the same ones each time, and what the answers to them prove."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress

import anyio
import httpx

from seedance_mcp.deliveries import context, delivery, seal_ticket
from seedance_mcp.errors import LedgerBusy, LedgerError, NotFound, OutcomeUnknown
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.states import LIVE, Payment, Purchase
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.rails.rail import Rail, Reading
from seedance_mcp.recovery import Recovery
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Answer, seller_words
from seedance_mcp.timing import elapsed

AGAIN_WITHIN = 22
"""Seconds into a call after which signed bytes are not sent a second time."""
RECORD_TRIES = 5


class Sender:
    """Presents what is signed and durable. ``owner`` names this process in the ledger, ``now`` gives epoch ms."""

    def __init__(
        self,
        *,
        studio: Studio,
        database: Database,
        wallet: Wallet | None,
        rails: Mapping[str, Rail],
        recovery: Recovery,
        owner: str,
        now: Callable[[], int],
    ) -> None:
        self._studio = studio
        self._database = database
        self._wallet = wallet
        self._rails = rails
        self._recovery = recovery
        self._owner = owner
        self._now = now

    async def present(self, purchase_id: str) -> Purchase:
        """Send a payment's signed bytes, the same ones each time, until its outcome is known or time is up."""
        assert self._wallet is not None
        # What was sent is recorded even if the caller goes away meanwhile.
        with anyio.CancelScope(shield=True):
            purchase = await self.send(self._wallet, purchase_id)
        return purchase

    async def send(self, wallet: Wallet, purchase_id: str) -> Purchase:
        """A ledger that fails once bytes may have left must not be told as a payment that was not made."""
        try:
            await self._present(wallet, purchase_id)
            return await self._find(purchase_id)
        except LedgerError as error:
            raise OutcomeUnknown(f"the payment was sent, and then {error.what}", purchase_id=purchase_id) from error

    async def _present(self, wallet: Wallet, purchase_id: str) -> None:
        for _ in range(2):
            purchase = await self._find(purchase_id)
            if not self._is_ours(purchase.payment, wallet):
                return
            payment = await self._database.write(self._take_and_send, purchase.payment)
            if payment is None:
                return
            answer = await self._post(wallet, payment)
            reading = (
                None
                if answer is None
                else self._rails[payment.rail].read(answer.headers, answer.status, wallet.address)
            )
            if await self._record(wallet, purchase, payment, answer, reading):
                return
            purchase = await self._recovery.look_up(purchase_id)
            # A first copy that may still be on its way to the chain would get a second job from a second one.
            on_its_way = reading is None or reading.on_its_way
            on_its_way = on_its_way or purchase.job is not None or purchase.upload is not None
            if on_its_way or elapsed() > AGAIN_WITHIN:
                return

    def _take_and_send(self, tx: Transaction, payment: Payment) -> Payment | None:
        """The payment with permission to put its bytes on the wire now; None where it may not be sent."""
        taken = payments.adopt(tx, payment, self._owner, self._now())
        if taken is None:
            return None
        verdict = payments.send(tx, taken, self._owner, self._now())
        if verdict is None:
            return taken
        payments.park(tx, taken, self._owner, self._now(), verdict.reason)
        return None

    def _is_ours(self, payment: Payment, wallet: Wallet) -> bool:
        """Whether this process may send the payment's bytes: signed by its wallet, for the seller it speaks to."""
        ours = (payment.payer, payment.origin) == (wallet.address, self._studio.origin)
        return ours and payment.state in LIVE

    async def _post(self, wallet: Wallet, payment: Payment) -> Answer | None:
        """One presentation; None when no answer came."""
        assert payment.sealed is not None
        assert payment.path is not None
        assert payment.body is not None
        headers = json.loads(wallet.unseal(payment.sealed, context(payment)))
        try:
            return await self._studio.post(payment.path, payment.body.encode(), headers)
        except httpx.TransportError:
            return None

    async def _record(
        self, wallet: Wallet, purchase: Purchase, payment: Payment, answer: Answer | None, reading: Reading | None
    ) -> bool:
        """Write down what the answer proves; True when the payment is no longer unknown."""
        if answer is None or reading is None:
            await self._park(payment, "the seller did not answer")
            return False
        job_id, ticket = delivery(payment, answer)
        reason = reading.reason or answer.words()
        why = f"the seller answered {answer.status}" + (f" and says: '{seller_words(reason)}'" if reason else "")
        sealed_ticket = seal_ticket(wallet, payment, ticket) if ticket is not None else None

        def record(tx: Transaction) -> None:
            now = self._now()
            if reading.claimed:
                payments.claim(tx, payment, reading.transaction, now)
            else:
                payments.park(tx, payment, self._owner, now, why)
            if job_id is not None:
                jobs.deliver(tx, payment.purchase, job_id, now)
            if ticket is not None and sealed_ticket is not None:
                jobs.keep_ticket(tx, purchase, sealed_ticket, ticket.expires_at)

        await self._insist(record)
        return reading.claimed

    async def _park(self, payment: Payment, why: str) -> None:
        await self._insist(lambda tx: payments.park(tx, payment, self._owner, self._now(), why))

    async def _insist(self, statement: Callable[[Transaction], object]) -> None:
        """Write down what happened to sent bytes, also when the ledger is busy for a while."""
        for _ in range(RECORD_TRIES - 1):
            with suppress(LedgerBusy):
                await self._database.write(statement)
                return
        await self._database.write(statement)

    async def _find(self, purchase_id: str) -> Purchase:
        purchase = await self._database.read(views.find, purchase_id)
        if purchase is None:
            raise NotFound(f"there is no purchase {purchase_id}")
        return purchase
