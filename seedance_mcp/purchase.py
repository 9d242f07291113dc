"""The corridor: the only way money leaves. Quote, decide and reserve, sign, and hand over to the sender."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import anyio
import httpx

from seedance_mcp.deliveries import context
from seedance_mcp.errors import (
    ChainError,
    InvalidArgument,
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
from seedance_mcp.guard.usage import Outcome, Proposal, Usage, Verdict
from seedance_mcp.ledger import payments, reservations, views
from seedance_mcp.ledger.approvals import Asking
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.states import LIVE, Intent, Purchase, State
from seedance_mcp.orders import Order, Quote, refusal, rule
from seedance_mcp.payment.challenge import Offer, parse_challenge
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.rails.rail import Rail
from seedance_mcp.recovery import Recovery
from seedance_mcp.sending import Sender
from seedance_mcp.studio.client import Studio
from seedance_mcp.timing import at_most, elapsed

if TYPE_CHECKING:
    from seedance_mcp.continuity import Continuity

QUOTE_SECONDS = 10
NONCE_SECONDS = 3
SIGN_WITHIN = 22
"""Seconds into a call after which nothing new is signed: its answer would come after the client has gone."""
FRESH = 20
"""Seconds for which a quote may wait for its turn to be paid."""
LOST_SERIALS = 20
"""More payments for one purchase than a lost ledger can have made: a host that tells of more is lying."""
OTHERS_SECONDS = 8
OTHERS_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Preview:
    """The offer that would be paid, and what the guard would say about it."""

    offer: Offer
    verdict: Verdict
    usage: Usage
    policy: Policy


class Corridor:
    """Everything that a purchase needs, and nothing else may sign.

    ``owner`` names this process in the ledger, ``now`` gives epoch milliseconds, ``policy`` the policy in force or
    raises; ``quoted`` is told of every quote before anything is decided, and must not wait. ``closed`` is a keystore
    that is there while its password is not.
    """

    def __init__(
        self,
        *,
        studio: Studio,
        database: Database,
        wallet: Wallet | None,
        policy: Callable[[], Awaitable[Policy]],
        rails: Mapping[str, Rail],
        continuity: "Continuity | None",
        sender: Sender,
        recovery: Recovery,
        owner: str,
        now: Callable[[], int],
        quoted: Callable[[Quote], object] = lambda _: None,
        closed: Path | None = None,
    ) -> None:
        self.studio = studio
        self.database = database
        self.wallet = wallet
        self.policy = policy
        self.recovery = recovery
        self.now = now
        self._rails = rails
        self._continuity = continuity
        self._sender = sender
        self._owner = owner
        self._quoted = quoted
        self._closed = closed
        self._paying = anyio.Lock()
        self._turns: WeakValueDictionary[bytes, anyio.Lock] = WeakValueDictionary()

    def require_wallet(self) -> Wallet:
        if self.wallet is not None:
            return self.wallet
        if self._closed is not None:
            raise NoWallet(
                f"the password of the wallet in {self._closed} is nowhere, so this server can estimate but not buy",
                next="Ask the operator to run `seedance-mcp doctor`, which says where it belongs.",
            )
        raise NoWallet("this server has no wallet, so it can estimate but not buy")

    async def require_ready(self) -> None:
        """Raises NoWallet or InvalidPolicy: what keeps anything from being bought, whatever the seller says."""
        self.require_wallet()
        await self.policy()

    def require_no_key(self, argument: str, text: str) -> None:
        """Raises InvalidArgument where somebody wrote the wallet's key into what would leave this machine."""
        if self.wallet is not None and self.wallet.appears_in(text):
            raise InvalidArgument(
                f"{argument} contains the wallet's private key", next="Take it out, and tell the operator."
            )

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
            if last.payment.owner == self._owner:
                # It could neither be signed nor given back, and nothing else is paid at this moment.
                async with self._paying:
                    await self.database.write(payments.release_own, self._owner, self.now())
            else:
                # Another process is about to sign this very purchase, or died before it could.
                await self._wait_for_others(last)
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
        try:
            if not purchase.paid or not purchase.delivered:
                purchase = await self.recovery.look_up(purchase.id)
        except LedgerError as error:
            if purchase.payment.state not in LIVE:
                raise
            raise OutcomeUnknown(f"it was signed for before, and now {error.what}", purchase_id=purchase.id) from error
        if purchase.payment.state in LIVE:
            purchase = await self._sender.present(purchase.id)
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

    async def usage(self, order: Order, offer: Offer | None = None) -> tuple[Policy, Usage]:
        """The policy in force, and what counts under it for such an order over the rail of ``offer``."""
        policy = await self.policy()
        token = offer.token if offer else self._rails[policy.rails[0]].token
        usage = await self.database.read(
            views.usage, order.needed(policy), self.studio.origin, token.rail, token.address, self.now()
        )
        return policy, usage

    async def quote(self, path: str, body: Mapping[str, object]) -> Quote:
        """Ask for the price with an unpaid request. Costs nothing.

        Raises StudioRejected, StudioUnavailable, BadChallenge.
        """
        return await self._ask_price(path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())

    async def _ask_price(self, path: str, raw: bytes) -> Quote:
        try:
            with anyio.fail_after(at_most(QUOTE_SECONDS)):
                answer = await self.studio.post(path, raw)
        except (httpx.TransportError, TimeoutError):
            raise StudioUnavailable(f"{self.studio.origin} could not be reached for a price") from None
        if answer.status == 402:
            challenge = parse_challenge(
                answer.headers,
                answer.body,
                self.studio.origin + path,
                request_body=raw,
                now=self.now() // 1000,
            )
            quote = Quote(path, raw, challenge, answer.date, anyio.current_time())
            self._quoted(quote)
            return quote
        complaint = answer.complaint()
        told = f"the seller answered {answer.status} when asked for a price" + (f"; {complaint}" if complaint else "")
        if answer.status in {400, 404, 413, 415, 422}:
            raise StudioRejected(told, next="Change the request.")
        raise StudioUnavailable(told)

    async def preview(self, order: Order, quote: Quote) -> Preview:
        """What ``buy`` would decide right now. Changes nothing."""
        policy = await self.policy()
        offer, balance = await self._choose(order, quote, policy)
        proposal = order.proposal(offer, balance)
        payer = self.wallet.address if self.wallet else ""
        intent = order.intent(offer, proposal, origin=self.studio.origin, payer=payer, policy=policy.digest, serial=0)
        verdict, usage = await self.database.read(
            reservations.foresee, intent, order.needed(policy), rule(policy, proposal), self.now()
        )
        try:
            quote.deadline(offer, policy, self.now())
            quote.check_clock(self.now())
        except SeedanceError as error:
            verdict = Verdict(Outcome.REFUSE, error.code, error.what, error.next)
        return Preview(offer, verdict, usage, policy)

    async def buy(self, order: Order, quote: Quote) -> tuple[Purchase, bool]:
        """Pay for ``order`` at most once, whatever happens and however often it is called.

        Answers the purchase as it stands, and whether this call began it: another process that was asked for the same
        may have been faster. Raises Refused when the guard says no (nothing is signed).
        """
        wallet = self.require_wallet()
        # One payment at a time in a process: a seller that hangs gets one signature, not one for each parallel call.
        async with self._paying:
            if self._continuity is not None:
                await self._continuity.require()
            if anyio.current_time() - quote.came_at > FRESH:
                # It waited for other payments, and neither its price nor its Date says anything of now.
                quote = await self._ask_price(quote.path, quote.body)
            policy, offer, intent, proposal = await self._terms(wallet, order, quote)
            # A limit that was lowered while the chain was asked is the one in force.
            while await self.policy() != policy:
                policy, offer, intent, proposal = await self._terms(wallet, order, quote)
            if elapsed() > SIGN_WITHIN:
                raise StudioUnavailable(
                    "the clip was not bought: it took so long to get there that the client would not see the answer",
                    next="Call again with the same arguments; what is paid is not paid twice.",
                )
            # From the reservation to the record nothing may stop half way: a cancelled call still records its outcome.
            with anyio.CancelScope(shield=True):
                asking = order.asking(policy, offer, self.studio.origin)
                outcome = await self.database.write(
                    self._reserve, quote, intent, order.needed(policy), rule(policy, proposal), asking
                )
                if isinstance(outcome, Verdict):
                    raise refusal(outcome)
                purchase = outcome
                begun = purchase.payment.state is State.RESERVED and purchase.payment.owner == self._owner
                if begun:
                    self._rails[offer.rail].balance.forget()
                    await self._sign(wallet, purchase, quote, offer, policy)
                    purchase = await self._sender.send(wallet, purchase.id)
                    self._rails[offer.rail].balance.forget()
        if begun:
            return purchase, True
        if purchase.payment.state is State.INTENDED:
            return purchase, False
        return (await self.resume(purchase))[0], False

    async def _terms(self, wallet: Wallet, order: Order, quote: Quote) -> tuple[Policy, Offer, Intent, Proposal]:
        """What would be paid under the policy in force, after the chain was asked what it knows."""
        policy = await self.policy()
        offer, balance = await self._choose(order, quote, policy)
        quote.deadline(offer, policy, self.now())
        serial = 0
        if balance is not None:  # a host answers
            serial = await self._serial(wallet, order, offer)
            quote.check_clock(self.now(), await self._rails[offer.rail].newest())
        proposal = order.proposal(offer, balance)
        intent = order.intent(
            offer, proposal, origin=self.studio.origin, payer=wallet.address, policy=policy.digest, serial=serial
        )
        return policy, offer, intent, proposal

    async def consent(self, order: Order, quote: Quote) -> Purchase | None:
        """Ask a human, where the policy wants one asked, before something else is paid for this order's sake.

        The purchase that waits for an answer, or None where nothing stands in its way. Raises Refused.
        """
        wallet, policy = self.require_wallet(), await self.policy()
        offer, balance = await self._choose(order, quote, policy)
        quote.deadline(offer, policy, self.now())
        quote.check_clock(self.now())
        proposal = order.proposal(offer, balance)
        intent = order.intent(
            offer, proposal, origin=self.studio.origin, payer=wallet.address, policy=policy.digest, serial=0
        )
        asking = order.asking(policy, offer, self.studio.origin)
        outcome = await self.database.write(
            reservations.consent, intent, order.needed(policy), rule(policy, proposal), asking, self.now()
        )
        if isinstance(outcome, Verdict):
            raise refusal(outcome)
        return outcome

    async def _choose(self, order: Order, quote: Quote, policy: Policy) -> tuple[Offer, int | None]:
        """The offer to pay, and its rail's balance in micro-USD where that is known."""
        bound = await self.database.read(views.rail_of, order.key)
        offers, balances = quote.offers, dict[str, int | None]()

        async def ask(name: str) -> None:
            balances[name] = await self._rails[name].balance.read()

        async with anyio.create_task_group() as group:
            for name in offers:
                group.start_soon(ask, name)
        funds = {}
        for name, balance in balances.items():
            where = (self.studio.origin, name, self._rails[name].token.address)
            held = (await self.database.read(views.usage, (), *where, self.now())).outstanding
            funds[name] = None if balance is None else balance - held - order.planned
        offer = quote.choose(policy, funds, bound)
        return offer, balances[offer.rail]

    async def _serial(self, wallet: Wallet, order: Order, offer: Offer) -> int:
        """The number of the next authorization, after the chain was asked what a lost ledger may have paid.

        Raises SeedanceError (``paid_elsewhere``) for a clip that was paid before and that this ledger knows nothing of,
        ChainError where the answers cannot be true.
        """
        serial = known = await self.database.read(views.next_serial, order.key)
        while await self._was_used(wallet, order, offer, serial):
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

    async def _was_used(self, wallet: Wallet, order: Order, offer: Offer, serial: int) -> bool:
        """False where no host answers: the seller will refuse what was used."""
        with anyio.move_on_after(NONCE_SECONDS), suppress(ChainError):
            return await self._rails[offer.rail].was_used(wallet, order.key, serial)
        return False

    def _reserve(
        self,
        tx: Transaction,
        quote: Quote,
        intent: Intent,
        needed: Sequence[tuple[str, str]],
        rule: reservations.Rule,
        asking: Asking,
    ) -> Purchase | Verdict:
        now = self.now()
        quote.check_clock(now)
        payments.release_own(tx, self._owner, now)
        return reservations.reserve(tx, intent, needed, rule, self._owner, now, asking)

    async def _sign(self, wallet: Wallet, purchase: Purchase, quote: Quote, offer: Offer, policy: Policy) -> None:
        payment = purchase.payment
        try:
            # By the clock as it was checked: one that is set meanwhile makes no signature last longer.
            deadline = quote.deadline(offer, policy, payment.reserved_at)
            signed = self._rails[offer.rail].sign(
                wallet,
                quote.challenge,
                offer,
                purchase_key=purchase.key,
                purchase_id=purchase.id,
                serial=payment.serial,
                deadline=deadline,
            )
            written = await self.database.write(
                payments.sign,
                payment,
                self._owner,
                nonce=signed.nonce,
                signed_hash=signed.transaction,
                deadline=deadline,
                path=quote.path,
                body=quote.body.decode(),
                sealed=wallet.seal(json.dumps(dict(signed.headers)).encode(), context(payment)),
                now=self.now(),
            )
        except BaseException:
            # Nothing left the process, so nothing can be taken: the budget comes back at once.
            await self.database.write(payments.release, payment, self._owner, self.now(), "signing failed")
            raise
        if not written:
            why = "purchases were frozen, or another process took this one over, before it was signed"
            await self.database.write(payments.release, payment, self._owner, self.now(), why)
            raise Refused(why, next="Call again.")
        if self._continuity is not None:
            await self._continuity.record()
