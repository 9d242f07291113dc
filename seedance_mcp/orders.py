"""One thing to buy, its quote, and the words for what became of it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from seedance_mcp.errors import BadChallenge, OutcomeUnknown, Refused, SeedanceError, StudioUnavailable
from seedance_mcp.guard.budget import budget
from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import LONGEST_VALIDITY, Policy
from seedance_mcp.guard.usage import Outcome, Proposal, Usage, Verdict
from seedance_mcp.ledger.approvals import Asking
from seedance_mcp.ledger.audit import canonical
from seedance_mcp.ledger.states import Intent, Purchase, State
from seedance_mcp.money import dollars
from seedance_mcp.payment.challenge import Challenge, Offer
from seedance_mcp.payment.wire import clean

SHIPPED_PAY_TO = "0x07F067959297767c887dbfA3C72379c66E82a045"
"""Where StableStudio's challenges were seen to send money when this version was released."""
SHOWN_PROMPT = 120
"""Characters of a prompt that a question shows."""
CLOCK_TOLERANCE = 60
"""Seconds between this machine's clock and the seller's within which payments are signed."""
CHAIN_AHEAD, CHAIN_BEHIND = 600, 3000
"""The same for a chain's newest block, which says less: its makers set the time, and an idle local chain's is old."""
LONGEST_AHEAD = LONGEST_VALIDITY - CLOCK_TOLERANCE
"""Seconds for which a signature lasts at most by this machine's clock, so that it is no longer by the true time."""
SHORTEST_VALIDITY: Mapping[str, int] = {"x402": 30, "mpp": 15}
"""Seconds by rail, below which a signature would be worthless before it could be answered."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A 402 that was read: the free and exact price of one body, and the very object that would be signed.

    ``date`` is the seller's clock in epoch seconds, ``came_at`` when the answer came, in seconds of the event loop.
    """

    path: str
    body: bytes
    challenge: Challenge
    date: int | None
    came_at: float

    @property
    def offers(self) -> dict[str, Offer]:
        """The cheapest of each rail: a seller cannot make the dear one count by naming it first.

        Raises BadChallenge when there is none.
        """
        cheapest: dict[str, Offer] = {}
        for offer in self.challenge.require_offer():
            known = cheapest.setdefault(offer.rail, offer)
            if _cost(offer) < _cost(known):
                cheapest[offer.rail] = offer
        return cheapest

    @property
    def dearest(self) -> int:
        """The price on the rail where it is highest, in micro-USD."""
        return max(offer.amount for offer in self.offers.values())

    def choose(self, policy: Policy, funds: Mapping[str, int | None], bound: str | None = None) -> Offer:
        """The offer to pay: of the first rail in the policy's order that ``funds`` cover, decided before anything is
        signed.

        ``funds`` is what each rail's balance leaves, in micro-USD; None, unknown, stops nothing. ``bound`` is the rail
        that a credential for this purchase has left over before. Where no rail is covered, or none is in the policy,
        the answer is one that the decision then refuses.
        """
        offers = self.offers
        if bound is not None and bound not in offers:
            raise BadChallenge(f"the seller does not offer {bound} any more, which this purchase was signed for before")
        names = [bound] if bound else [rail for rail in policy.rails if rail in offers] or list(offers)
        usable = [rail for rail in names if offers[rail].max_timeout_seconds >= SHORTEST_VALIDITY[rail]] or names
        for rail in usable:
            fund = funds.get(rail)
            if fund is None or _cost(offers[rail]) <= fund:
                return offers[rail]
        return offers[usable[0]]

    def deadline(self, offer: Offer, policy: Policy, now: int) -> int:
        """Epoch seconds at which a signature made at ``now`` (epoch milliseconds) becomes worthless.

        Raises BadChallenge when the seller gives too little time.
        """
        begin, shortest = now // 1000, SHORTEST_VALIDITY[offer.rail]
        deadline = begin + min(offer.max_timeout_seconds, policy.valid_for, LONGEST_AHEAD)
        if offer.expires is not None:
            deadline = min(deadline, offer.expires)
        if deadline - begin < shortest:
            raise BadChallenge(
                f"the seller gives {max(deadline - begin, 0)} s to pay over {offer.rail}, too little to be safe",
                next="Call again; if it stays so, tell the operator.",
            )
        return deadline

    def check_clock(self, now: int, block: int | None = None) -> None:
        """A wrong clock (``now`` in milliseconds) would sign for longer than meant and forget what was spent.

        ``block`` is the time of the chain's newest block in epoch seconds, where it is known. Raises SeedanceError
        (``clock``), and StudioUnavailable where the seller does not tell the time.
        """
        ahead = 0 if block is None else block - now // 1000
        if not -CHAIN_BEHIND <= ahead <= CHAIN_AHEAD:
            way = "ahead of" if ahead > 0 else "behind"
            raise SeedanceError(
                f"the chain's newest block is {abs(ahead)} s {way} this machine's clock",
                next="Ask the operator to set the clock, or to name another RPC host.",
                code="clock",
            )
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

    def proposal(self, offer: Offer, balance: int | None) -> Proposal:
        """This order and ``offer`` as the decision sees them; ``balance`` of the offer's rail in micro-USD."""
        return Proposal(
            agent=self.agent,
            model=self.model,
            price=offer.amount,
            fee=offer.fee,
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

    def intent(self, offer: Offer, proposal: Proposal, *, origin: str, payer: str, policy: str, serial: int) -> Intent:
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
            fee=offer.fee,
            policy=policy,
            proposal=asdict(proposal),
            replaces=self.replaces,
            serial=serial,
        )

    def asking(self, policy: Policy, offer: Offer, origin: str) -> Asking:
        """How a human is asked about this order, where the decision wants that."""

        def question(usage: Usage, verdict: Verdict) -> str:
            fee = f" (and a network fee of at most {dollars(offer.fee)})" if offer.fee else ""
            left = budget(policy, usage, self.model, self.agent).left
            return (
                f"Pay {dollars(offer.amount)}{fee} for {self.described}? It goes to {origin} ({offer.pay_to}) over "
                f"{offer.rail}; {dollars(left)} may still be spent. You are asked because {verdict.reason}."
            )

        return Asking(policy.approval_expires * 1000, question)

    @property
    def described(self) -> str:
        """What is bought, in a few words; the prompt is the agent's and may say anything, so it is quoted."""
        if "prompt" not in self.request:
            return "the upload of an image"
        prompt = clean(self.request["prompt"], SHOWN_PROMPT)
        return (
            f"a clip of {self.request.get('duration')} s at {self.request.get('resolution')} ({self.model}, take "
            f'{self.take}, agent {self.agent}) with the prompt "{prompt}"'
        )

    def needed(self, policy: Policy) -> list[tuple[str, str]]:
        """Every (scope, window) whose sum the decision, or the budget that is shown with it, looks at."""
        pairs = []
        for scope, caps in scopes(policy, self.model, self.agent):
            windows = dict.fromkeys(window for window, _ in (*caps.money(), *caps.counts()))
            pairs += [(scope, window) for window in windows or ("hour",)]
        return pairs


def rule(policy: Policy, proposal: Proposal) -> Callable[[Usage], Verdict]:
    """The decision about ``proposal`` as a function of the usage alone."""
    return lambda usage: decide(policy, usage, proposal)


def refusal(verdict: Verdict) -> Refused:
    """The error for a verdict that is not to allow."""
    if verdict.outcome is Outcome.ASK:
        return Refused(
            f"a human has to approve this: {verdict.reason}", next="Ask for a cheaper clip.", code="needs_approval"
        )
    return Refused(f"the policy refuses this purchase: {verdict.reason}", next=verdict.remedy, code=verdict.code)


def awaiting_approval(purchase: Purchase) -> Refused:
    """The error for a payment that a human is asked about, where the answer cannot say so otherwise."""
    return Refused(
        f"the payment of {dollars(purchase.payment.amount)} waits for the operator's approval",
        next=f"Call again once the operator has run `seedance-mcp approve {purchase.id}`.",
        code="awaiting_approval",
        purchase_id=purchase.id,
    )


def outcome_unknown(purchase: Purchase, uploads: int = 0) -> OutcomeUnknown:
    """The error for a payment whose fate is open; ``uploads`` is what the call has paid besides it, in micro-USD."""
    payment = purchase.payment
    why = f": {payment.note}" if payment.note else ""
    paid = f" (and {dollars(uploads)} was charged for uploads)" if uploads else ""
    if payment.state is State.SIGNED:
        what = f"the payment of {dollars(payment.amount)} was signed and not sent{why}"
    else:
        what = f"the payment of {dollars(payment.amount)} was sent and not confirmed{why}"
    error = OutcomeUnknown(what + paid, purchase_id=purchase.id)
    error.charged = uploads
    return error


def _cost(offer: Offer) -> int:
    return offer.amount + offer.fee


def _digest(parts: list[object]) -> bytes:
    return hashlib.sha256(canonical({"purchase": parts}).encode()).digest()
