"""The corridor: the only way money leaves. Quote, decide and reserve, sign, send, record."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import anyio
import httpx

from seedance_mcp.deliveries import context, delivery, seal_ticket
from seedance_mcp.errors import (
    ChainError,
    LedgerBusy,
    LedgerError,
    NotFound,
    NoWallet,
    OutcomeUnknown,
    Refused,
    SeedanceError,
    StudioRejected,
    StudioUnavailable,
)
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import Outcome, Usage, Verdict
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.states import Intent, Payment, Purchase, State
from seedance_mcp.orders import Order, Quote, refusal
from seedance_mcp.payment import x402
from seedance_mcp.payment.challenge import Offer, parse_challenge
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.recovery import Recovery
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Answer, seller_words
from seedance_mcp.timing import at_most, elapsed

if TYPE_CHECKING:
    from seedance_mcp.balance import Balance

QUOTE_SECONDS = 10
SIGN_WITHIN = 22
"""Seconds into a call after which nothing new is signed: its answer would come after the client has gone."""
AGAIN_WITHIN = 22
"""Seconds into a call after which signed bytes are not sent a second time."""
LOST_SERIALS = 20
"""More payments for one purchase than a lost ledger can have made: a host that tells of more is lying."""
RECORD_TRIES = 5
OTHERS_SECONDS = 8
OTHERS_PAUSE = 0.2
_USED = "nonce_already_used"
_PENDING = "settlement_pending"


class Corridor:
    """Everything that a purchase needs, and nothing else may sign.

    ``owner`` names this process in the ledger, ``now`` gives epoch milliseconds, ``policy`` the policy in force or
    raises.
    """

    def __init__(
        self,
        *,
        studio: Studio,
        database: Database,
        wallet: Wallet | None,
        policy: Callable[[], Awaitable[Policy]],
        balance: "Balance",
        recovery: Recovery,
        owner: str,
        now: Callable[[], int],
    ) -> None:
        self.studio = studio
        self.database = database
        self.wallet = wallet
        self.policy = policy
        self.recovery = recovery
        self.now = now
        self._balance = balance
        self._owner = owner
        self._paying = anyio.Lock()
        self._turns: WeakValueDictionary[bytes, anyio.Lock] = WeakValueDictionary()

    def require_wallet(self) -> Wallet:
        if self.wallet is None:
            raise NoWallet("this server has no wallet, so it can estimate but not buy")
        return self.wallet

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[None]:
        """One call at a time for one purchase key in this process; others wait for its outcome."""
        lock = self._turns.setdefault(key, anyio.Lock())
        async with lock:
            yield

    async def known(self, order: Order) -> Purchase | None:
        """The purchase that a repeated call is answered with, or None."""
        last = await self.database.read(views.latest, order.key)
        if last is not None and last.payment.state is State.RESERVED:
            # Another process is about to sign this very purchase, or died before it could.
            last = await self._wait_for_others(last)
            await self.database.write(payments.release_abandoned, self._owner, self.now())
            last = await self.database.read(views.latest, order.key)
        return last if last is not None and last.answers(self.now()) else None

    async def find(self, purchase_id: str) -> Purchase:
        """Raises NotFound."""
        purchase = await self.database.read(views.find, purchase_id)
        if purchase is None:
            raise NotFound(f"there is no purchase {purchase_id}")
        return purchase

    async def resume(self, purchase: Purchase) -> tuple[Purchase, bool]:
        """Go on with a purchase that was begun before: ask the chain and the seller, then send the same bytes again.

        Answers the purchase as it stands then, and whether it was found out only now that it is paid.
        """
        purchase = await self._wait_for_others(purchase)
        paid_before = purchase.paid
        if self.wallet is None:
            return purchase, False
        if not purchase.paid or not purchase.delivered:
            purchase = await self.recovery.look_up(purchase.id)
        if purchase.payment.state in {State.SIGNED, State.SENT, State.UNKNOWN}:
            purchase = await self.present(purchase.id)
        return purchase, purchase.paid and not paid_before

    async def _wait_for_others(self, purchase: Purchase) -> Purchase:
        """Another process is paying right now: its outcome, or the purchase as it stands after a while."""
        with anyio.move_on_after(at_most(OTHERS_SECONDS)):
            while purchase.payment.state in {State.RESERVED, State.SIGNED, State.SENT}:
                if not await self.database.read(views.alive, purchase.payment.owner, self.now()):
                    break
                await anyio.sleep(OTHERS_PAUSE)
                purchase = await self.find(purchase.id)
        return purchase

    async def usage(self, order: Order) -> tuple[Policy, Usage]:
        """The policy in force, and what counts under it for such an order."""
        policy, token = await self.policy(), BASE_USDC
        usage = await self.database.read(
            views.usage, order.needed(policy), self.studio.origin, token.rail, token.address, self.now()
        )
        return policy, usage

    async def quote(self, path: str, body: Mapping[str, object]) -> Quote:
        """Ask for the price with an unpaid request. Costs nothing.

        Raises StudioRejected, StudioUnavailable, BadChallenge.
        """
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            with anyio.fail_after(at_most(QUOTE_SECONDS)):
                answer = await self.studio.post(path, raw)
        except (httpx.TransportError, TimeoutError):
            raise StudioUnavailable(f"{self.studio.origin} could not be reached for a price") from None
        if answer.status == 402:
            challenge = parse_challenge(answer.headers, answer.body, self.studio.origin + path)
            return Quote(path, raw, challenge, answer.date)
        complaint = answer.complaint()
        told = f"the seller answered {answer.status} when asked for a price" + (f"; {complaint}" if complaint else "")
        if answer.status in {400, 404, 413, 415, 422}:
            raise StudioRejected(told, next="Change the request.")
        raise StudioUnavailable(told)

    async def preview(self, order: Order, quote: Quote) -> tuple[Verdict, Usage, Policy]:
        """What ``buy`` would decide right now. Changes nothing."""
        policy, usage = await self.usage(order)
        verdict = order.rule(policy, quote.offer, await self._balance.read())(usage)
        try:
            quote.validity(policy)
            quote.check_clock(self.now())
        except SeedanceError as error:
            verdict = Verdict(Outcome.REFUSE, error.code, error.what, error.next)
        return verdict, usage, policy

    async def buy(self, order: Order, quote: Quote) -> tuple[Purchase, bool]:
        """Pay for ``order`` at most once, whatever happens and however often it is called.

        Answers the purchase as it stands, and whether this call began it: another process that was asked for the same
        may have been faster. Raises Refused when the guard says no (nothing is signed).
        """
        wallet, policy, offer = self.require_wallet(), await self.policy(), quote.offer
        validity = quote.validity(policy)
        # One payment at a time in a process: a seller that hangs gets one signature, not one for each parallel call.
        async with self._paying:
            balance = await self._balance.read()
            if elapsed() > SIGN_WITHIN:
                raise StudioUnavailable(
                    "the clip was not bought: it took so long to get there that the client would not see the answer",
                    next="Call again with the same arguments; what is paid is not paid twice.",
                )
            rule = order.rule(policy, offer, balance)
            serial = await self._serial(wallet, order, offer) if balance is not None else 0
            intent = order.intent(
                offer, origin=self.studio.origin, payer=wallet.address, policy=policy.digest, serial=serial
            )
            # From the reservation to the record nothing may stop half way: a cancelled call still records its outcome.
            with anyio.CancelScope(shield=True):
                outcome = await self.database.write(self._reserve, quote, intent, order.needed(policy), rule)
                if isinstance(outcome, Verdict):
                    raise refusal(outcome)
                purchase = outcome
                begun = purchase.payment.state is State.RESERVED and purchase.payment.owner == self._owner
                if begun:
                    self._balance.forget()
                    await self._sign(wallet, purchase, order, quote, validity)
                    await self._present_or_unknown(wallet, purchase.id)
        if begun:
            return await self.find(purchase.id), True
        return (await self.resume(purchase))[0], False

    async def _serial(self, wallet: Wallet, order: Order, offer: Offer) -> int:
        """The number of the next authorization, after the chain was asked what a lost ledger may have paid.

        Raises SeedanceError (``paid_elsewhere``) for a clip that was paid before and that this ledger knows nothing of,
        ChainError where the answers cannot be true.
        """
        serial = known = await self.database.read(views.next_serial, order.key)
        while await self.recovery.was_used(
            offer.token.address,
            wallet.address,
            x402.nonce_for(wallet, token=offer.token, purchase_key=order.key, serial=serial),
        ):
            last = await self.database.read(views.latest, order.key)
            if last is not None and last.answers(self.now()) and last.id != order.replaces:
                return serial  # another process was faster, and the reservation will answer with its purchase
            if serial == 0 and order.model != "upload":
                raise SeedanceError(
                    "this wallet has paid for this very clip before, and this ledger knows nothing of it",
                    next="Raise take to buy it once more.",
                    code="paid_elsewhere",
                )
            serial += 1
            if serial > known + LOST_SERIALS:
                raise ChainError("An RPC host says that whatever this purchase could be paid with was used before")
        return serial

    def _reserve(
        self, tx: Transaction, quote: Quote, intent: Intent, needed: Sequence[tuple[str, str]], rule: payments.Rule
    ) -> Purchase | Verdict:
        now = self.now()
        quote.check_clock(now)
        payments.release_own(tx, self._owner, now)
        return payments.reserve(tx, intent, needed, rule, self._owner, now)

    async def present(self, purchase_id: str) -> Purchase:
        """Send a payment's signed bytes, the same ones each time, until its outcome is known or time is up."""
        wallet = self.require_wallet()
        # What was sent is recorded even if the caller goes away meanwhile.
        with anyio.CancelScope(shield=True):
            await self._present_or_unknown(wallet, purchase_id)
        return await self.find(purchase_id)

    async def _present_or_unknown(self, wallet: Wallet, purchase_id: str) -> None:
        """A ledger that fails once bytes may have left must not be told as a payment that was not made."""
        try:
            await self._present(wallet, purchase_id)
        except LedgerError as error:
            raise OutcomeUnknown(f"the payment was sent, and then {error.what}", purchase_id=purchase_id) from error

    async def _present(self, wallet: Wallet, purchase_id: str) -> None:
        for last_try in (False, True):
            purchase = await self.find(purchase_id)
            if not self._is_ours(purchase.payment, wallet):
                return
            payment = await self.database.write(self._take_and_send, purchase.payment)
            if payment is None:
                return
            answer = await self._post(wallet, payment)
            if await self._record(wallet, purchase, payment, answer):
                return
            purchase = await self.recovery.look_up(purchase_id)
            # A first copy that may still be on its way to the chain would get a second job from a second one.
            on_its_way = answer is None or _PENDING in (x402.refusal_reason(answer.headers) or "")
            on_its_way = on_its_way or purchase.job is not None or purchase.upload is not None
            if on_its_way or last_try or elapsed() > AGAIN_WITHIN:
                return

    def _take_and_send(self, tx: Transaction, payment: Payment) -> Payment | None:
        """The payment with permission to put its bytes on the wire now; None where it may not be sent."""
        taken = payments.adopt(tx, payment, self._owner, self.now())
        if taken is None:
            return None
        verdict = payments.send(tx, taken, self._owner, self.now())
        if verdict is None:
            return taken
        payments.park(tx, taken, self._owner, self.now(), verdict.reason)
        return None

    def _is_ours(self, payment: Payment, wallet: Wallet) -> bool:
        """Whether this process may send the payment's bytes: signed by its wallet, for the seller it speaks to."""
        ours = (payment.payer, payment.origin) == (wallet.address, self.studio.origin)
        return ours and payment.state in {State.SIGNED, State.SENT, State.UNKNOWN}

    async def _sign(self, wallet: Wallet, purchase: Purchase, order: Order, quote: Quote, validity: int) -> None:
        payment, offer = purchase.payment, quote.offer
        # The clock as it was checked: one that is set meanwhile makes no signature last longer.
        deadline = payment.reserved_at // 1000 + validity
        try:
            nonce = x402.nonce_for(wallet, token=offer.token, purchase_key=order.key, serial=payment.serial)
            credential = x402.sign(
                wallet, quote.challenge, offer, nonce=nonce, valid_before=deadline, identifier=purchase.id
            )
            sealed = wallet.seal(json.dumps({credential.header: credential.value}).encode(), context(payment))
            signed = await self.database.write(
                payments.sign,
                payment,
                self._owner,
                nonce=nonce,
                deadline=deadline,
                path=quote.path,
                body=quote.body.decode(),
                sealed=sealed,
                now=self.now(),
            )
        except BaseException:
            # Nothing left the process, so nothing can be taken: the budget comes back at once.
            await self.database.write(payments.release, payment, self._owner, self.now(), "signing failed")
            raise
        if not signed:
            why = "purchases were frozen, or another process took this one over, before it was signed"
            await self.database.write(payments.release, payment, self._owner, self.now(), why)
            raise Refused(why, next="Call again.")

    async def _post(self, wallet: Wallet, payment: Payment) -> Answer | None:
        """One presentation; None when no answer came."""
        assert payment.sealed is not None
        assert payment.path is not None
        assert payment.body is not None
        headers = json.loads(wallet.unseal(payment.sealed, context(payment)))
        try:
            return await self.studio.post(payment.path, payment.body.encode(), headers)
        except httpx.TransportError:
            return None

    async def _record(self, wallet: Wallet, purchase: Purchase, payment: Payment, answer: Answer | None) -> bool:
        """Write down what the answer proves; True when the payment is no longer unknown."""
        if answer is None:
            await self._park(payment, "the seller did not answer")
            return False
        receipt = x402.read_receipt(answer.headers, network=payment.network, payer=wallet.address)
        used = answer.status == 402 and _USED in (x402.refusal_reason(answer.headers) or "")
        claimed = (receipt is not None and receipt.success) or used
        transaction_hash = receipt.transaction if receipt is not None and receipt.success else None
        job_id, ticket = delivery(payment, answer)
        reason = x402.refusal_reason(answer.headers) or answer.words()
        why = f"the seller answered {answer.status}" + (f" and says: '{seller_words(reason)}'" if reason else "")
        sealed_ticket = seal_ticket(wallet, payment, ticket) if ticket is not None else None

        def record(tx: Transaction) -> None:
            now = self.now()
            if claimed:
                payments.claim(tx, payment, transaction_hash, now)
            else:
                payments.park(tx, payment, self._owner, now, why)
            if job_id is not None:
                jobs.deliver(tx, payment.purchase, job_id, now)
            if ticket is not None and sealed_ticket is not None:
                jobs.keep_ticket(tx, purchase, sealed_ticket, ticket.expires_at)

        await self._insist(record)
        return claimed

    async def _park(self, payment: Payment, why: str) -> None:
        await self._insist(lambda tx: payments.park(tx, payment, self._owner, self.now(), why))

    async def _insist(self, statement: Callable[[Transaction], object]) -> None:
        """Write down what happened to sent bytes, also when the ledger is busy for a while."""
        for _ in range(RECORD_TRIES - 1):
            with suppress(LedgerBusy):
                await self.database.write(statement)
                return
        await self.database.write(statement)
