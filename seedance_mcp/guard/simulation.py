"""What another policy would have decided about what was asked, one request after the other.

Each request is judged with what its own decision saw, but for the sums: those are of the payments that the other policy
would have allowed. What nobody can know is taken as it was: the recipient and the generation that were known, the
clock, and whether a refused agent would have asked for something else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from seedance_mcp.guard.books import Books, Standing
from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import (
    DAY,
    WINDOWS,
    Outcome,
    Proposal,
    Usage,
    Verdict,
)

REPEATED = "repeated"
"""The code of a request that is answered with a purchase which was never made in truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision as it was recorded, at ``at`` (epoch milliseconds), about the purchase ``key``; ``cost`` is micro-USD.

    ``proposal`` and ``usage`` (without its sums) are what it was made of. Without both it was not the policy's
    decision, or was recorded by a version that did not keep them: no other policy changes it.
    """

    at: int
    key: str
    agent: str
    model: str
    cost: int
    verdict: Verdict
    proposal: Proposal | None = None
    usage: Usage | None = None
    approved: bool = False
    """A human had been asked and had said yes, so that it was paid although the verdict is to ask."""
    reserved: Standing | None = None
    """The payment that was reserved by it."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision, and what it would have been."""

    decided: Decided
    verdict: Verdict

    @property
    def changed(self) -> bool:
        return self.verdict.outcome is not self.decided.verdict.outcome

    @property
    def judged(self) -> bool:
        """Whether the policy had a say."""
        return self.decided.proposal is not None and self.decided.usage is not None


@dataclass(frozen=True, slots=True)
class Simulation:
    """``spent`` is what counts at the end, in micro-USD and open payments included; ``recorded`` the same in truth."""

    rulings: Sequence[Ruling]
    spent: int
    recorded: int


def simulate(policy: Policy, history: Iterable[Decided | Standing]) -> Simulation:
    """Judge every decision of ``history``, which is in the order in which it was recorded.

    A payment that the other policy would have refused counts no more from there on; one that it would have allowed and
    that was never made counts as paid at once, and answers the same request for a day.
    """
    replay = _Replay(policy)
    rulings = []
    for event in history:
        if isinstance(event, Decided):
            rulings.append(Ruling(event, replay.rule(event)))
        else:
            replay.move(event)
    spent = replay.counted.total
    return Simulation(rulings, spent, spent - replay.invented.total + replay.missing.total)


class _Replay:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.counted = Books()
        self.missing = Books()
        """Payments that were made in truth, and would not have been."""
        self._refused: set[int] = set()
        self.invented = Books()
        """Payments that were not made in truth, and would have been."""
        self._answers: dict[str, int] = {}
        """By purchase key, when it was last bought without having been bought in truth."""
        self._number = 0
        """Of the last invented payment; a ledger's are above 0."""

    def move(self, standing: Standing) -> None:
        refused = standing.payment in self._refused or standing.fee_of in self._refused
        (self.missing if refused else self.counted).put(standing)

    def rule(self, decided: Decided) -> Verdict:
        verdict = self._verdict(decided)
        approved = verdict.outcome is Outcome.ASK and decided.approved
        bought = approved or (verdict.outcome is Outcome.ALLOW and verdict.code != REPEATED)
        if decided.reserved is not None:
            if not bought:
                self._refused.add(decided.reserved.payment)
            self.move(decided.reserved)
        elif bought and decided.proposal is not None:
            self._invent(decided, decided.proposal)
        return verdict

    def _verdict(self, decided: Decided) -> Verdict:
        if decided.proposal is None or decided.usage is None:
            return decided.verdict
        bought_at = self._answers.get(decided.key)
        if bought_at is not None and decided.at < bought_at + DAY:
            return Verdict(Outcome.ALLOW, REPEATED, "answered with the purchase that was allowed before")
        proposal = self._proposal(decided.proposal)
        return decide(self._policy, self._usage(decided.usage, proposal, decided.at), proposal)

    def _proposal(self, proposal: Proposal) -> Proposal:
        """With the balance of a wallet that paid for other things."""
        if proposal.balance is None:
            return proposal
        kept, given = self.missing.paid[proposal.rail], self.invented.paid[proposal.rail]
        return replace(proposal, balance=proposal.balance + kept - given)

    def _usage(self, usage: Usage, proposal: Proposal, now: int) -> Usage:
        pairs = [
            (scope, window) for scope, _ in scopes(self._policy, proposal.model, proposal.agent) for window in WINDOWS
        ]
        missing = self.missing.open
        return replace(
            usage,
            spent={(scope, window): self.counted.spent(scope, window, now) for scope, window in pairs},
            unresolved={
                scope: count - sum(one.unknown and scope in one.scopes for one in missing)
                for scope, count in usage.unresolved.items()
            },
            outstanding=usage.outstanding - sum(one.cost for one in missing if one.rail == proposal.rail),
        )

    def _invent(self, decided: Decided, proposal: Proposal) -> None:
        self._number -= 1
        standing = Standing(
            payment=self._number,
            agent=proposal.agent,
            model=proposal.model,
            rail=proposal.rail,
            cost=proposal.cost,
            counted_at=decided.at,
        )
        self._answers[decided.key] = decided.at
        self.invented.put(standing)
        self.counted.put(standing)
