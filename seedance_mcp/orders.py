"""One thing to buy, its quote, and the words for what became of it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from seedance_mcp.errors import BadChallenge, OutcomeUnknown, Refused, SeedanceError, StudioUnavailable
from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import LONGEST_VALIDITY, Policy
from seedance_mcp.guard.usage import Outcome, Proposal, Usage, Verdict
from seedance_mcp.ledger.audit import canonical
from seedance_mcp.ledger.states import Intent, Purchase, State
from seedance_mcp.money import dollars
from seedance_mcp.payment.challenge import Challenge, Offer

SHIPPED_PAY_TO = "0x07F067959297767c887dbfA3C72379c66E82a045"
"""Where StableStudio's challenges were seen to send money when this version was released."""
CLOCK_TOLERANCE = 60
SHORTEST_VALIDITY = 30
"""Seconds."""
RAILS = ("x402",)
"""The rails that this version pays over."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A 402 that was read: the free and exact price of one body, and the very object that would be signed."""

    path: str
    body: bytes
    challenge: Challenge
    date: int | None

    @property
    def offer(self) -> Offer:
        """The cheapest that may be paid: a seller cannot make the dear one count by naming it first."""
        offers = [offer for offer in self.challenge.require_offer() if offer.rail in RAILS]
        if not offers:
            raise BadChallenge("the seller offers only rails that this version does not pay over")
        return min(offers, key=lambda offer: offer.amount)

    @property
    def price(self) -> int:
        return self.offer.amount

    def validity(self, policy: Policy) -> int:
        """Seconds for which an authorization is signed. Raises BadChallenge when the seller gives too few."""
        given = self.offer.max_timeout_seconds
        validity = min(given, policy.valid_for, LONGEST_VALIDITY)
        if validity < SHORTEST_VALIDITY:
            raise BadChallenge(f"the seller gives {given} s to pay, which is too short to be safe")
        return validity

    def check_clock(self, now: int) -> None:
        """A wrong clock (``now`` in milliseconds) would sign for longer than meant and forget what was spent.

        Raises SeedanceError (``clock``), and StudioUnavailable where the seller does not tell the time.
        """
        if self.date is None:
            raise StudioUnavailable(
                "the seller's answer has no Date, so this machine's clock cannot be checked",
                next="Do not retry; tell the operator.",
            )
        apart = now // 1000 - self.date
        if abs(apart) > CLOCK_TOLERANCE:
            way = "ahead of" if apart > 0 else "behind"
            raise SeedanceError(
                f"this machine's clock is {abs(apart)} s {way} the seller's",
                next="Ask the operator to set the clock.",
                code="clock",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One thing to buy. ``request`` is canonical and without the take; amounts are micro-USD."""

    agent: str
    model: str
    request: Mapping[str, object]
    take: int = 1
    generation: int | None = None
    table: int | None
    limit: int | None = None
    already: int = 0
    planned: int = 0
    planned_payments: int = 0
    quoted: int | None = None
    replaces: str | None = None

    @property
    def subject(self) -> bytes:
        return _digest([self.agent, self.model, self.request])

    @property
    def key(self) -> bytes:
        return _digest([self.agent, self.model, self.request, self.take])

    def replacing(self, purchase_id: str | None) -> "Order":
        return replace(self, replaces=purchase_id)

    def rule(self, policy: Policy, offer: Offer, balance: int | None) -> Callable[[Usage], Verdict]:
        """The decision about this order and ``offer``, as a function of the usage alone; ``balance`` in micro-USD."""
        proposal = Proposal(
            agent=self.agent,
            model=self.model,
            price=offer.amount,
            fee=0,
            rail=offer.rail,
            pay_to=offer.pay_to,
            shipped_pay_to=SHIPPED_PAY_TO,
            quoted=self.quoted,
            table=self.table,
            generation=self.generation,
            balance=balance,
            limit=self.limit,
            already=self.already,
            planned=self.planned,
            planned_payments=self.planned_payments,
        )
        return lambda usage: decide(policy, usage, proposal)

    def intent(self, offer: Offer, *, origin: str, payer: str, policy: str, serial: int) -> Intent:
        """What the ledger writes down when it reserves; ``policy`` is the digest of the one in force."""
        return Intent(
            key=self.key,
            subject=self.subject,
            agent=self.agent,
            model=self.model,
            take=self.take,
            generation=self.generation,
            request=self.request,
            rail=offer.rail,
            network=offer.network,
            token=offer.token.address,
            origin=origin,
            payer=payer,
            pay_to=offer.pay_to,
            amount=offer.amount,
            fee=0,
            policy=policy,
            replaces=self.replaces,
            serial=serial,
        )

    def needed(self, policy: Policy) -> list[tuple[str, str]]:
        """Every (scope, window) whose sum the decision, or the budget that is shown with it, looks at."""
        pairs = []
        for scope, caps in scopes(policy, self.model, self.agent):
            windows = dict.fromkeys(window for window, _ in (*caps.money(), *caps.counts()))
            pairs += [(scope, window) for window in windows or ("hour",)]
        return pairs


def refusal(verdict: Verdict) -> Refused:
    """The error for a verdict that is not to allow."""
    if verdict.outcome is Outcome.ASK:
        return Refused(
            f"the operator's approval is needed and cannot be given in this version: {verdict.reason}",
            next="Ask for a cheaper clip, or ask the operator to change the policy file.",
            code="needs_approval",
        )
    return Refused(f"the policy refuses this purchase: {verdict.reason}", next=verdict.remedy, code=verdict.code)


def outcome_unknown(purchase: Purchase, uploads: int = 0) -> OutcomeUnknown:
    """The error for a payment whose fate is open; ``uploads`` is what the call has paid besides it, in micro-USD."""
    payment = purchase.payment
    why = f": {payment.note}" if payment.note else ""
    paid = f" (and {dollars(uploads)} was charged for uploads)" if uploads else ""
    if payment.state is State.SIGNED:
        what = f"the payment of {dollars(payment.amount)} was signed and not sent{why}"
    else:
        what = f"the seller did not confirm the payment of {dollars(payment.amount)}{why}"
    error = OutcomeUnknown(what + paid, purchase_id=purchase.id)
    error.charged = uploads
    return error


def _digest(parts: list[object]) -> bytes:
    return hashlib.sha256(canonical({"purchase": parts}).encode()).digest()
