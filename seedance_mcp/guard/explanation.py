"""Every rule of a decision with its numbers, the ones that hold as well as the one that decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seedance_mcp.guard.decision import UNRESOLVED, UNRESOLVED_PER_AGENT, decide, scopes
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import Outcome, Proposal, Spent, Usage, Verdict
from seedance_mcp.money import raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: ``used`` and ``asked`` together may be ``limit`` at most. Micro-USD if ``money``, else payments.

    A rule without a limit is about a fact, and ``fact`` says which. ``code`` is the verdict's if the rule is broken,
    and ``outcome`` what it comes to then. ``scope`` is None where the rule is not about what some scope has spent.
    """

    code: str
    broken: bool
    scope: str | None = None
    outcome: Outcome = Outcome.REFUSE
    limit: int | None = None
    used: int = 0
    asked: int = 0
    money: bool = True
    fact: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """``rules`` are in the order in which they are asked; the first broken one decides, refusals before questions."""

    verdict: Verdict
    rules: Sequence[Rule]

    @property
    def deciding(self) -> Rule | None:
        return next((rule for rule in self.rules if rule.broken), None)


def explain(policy: Policy, usage: Usage, proposal: Proposal) -> Explanation:
    """What ``decide`` answers, and why."""
    rules = (*_refusals(policy, usage, proposal), *_questions(policy, usage, proposal))
    return Explanation(decide(policy, usage, proposal), rules)


def _refusals(policy: Policy, usage: Usage, proposal: Proposal) -> Iterator[Rule]:
    yield Rule(code="frozen", broken=usage.frozen is not None, fact=usage.frozen or "nothing is frozen")
    ahead = usage.clock_ahead
    yield Rule(
        code="clock",
        broken=ahead > 0,
        fact=f"the ledger is {ahead // 1000} s ahead" if ahead else "the ledger is not ahead",
    )
    yield Rule(
        code="rail", broken=proposal.rail not in policy.rails, fact=f"the policy allows {' and '.join(policy.rails)}"
    )
    yield _recipient(policy, usage, proposal)
    yield from _prices(policy, proposal)
    for scope, caps in scopes(policy, proposal.model, proposal.agent):
        yield from _caps(scope, caps, usage, proposal)
    if proposal.balance is not None:
        yield _limit("balance", proposal.balance, usage.outstanding, proposal.planned + proposal.cost)


def _questions(policy: Policy, usage: Usage, proposal: Proposal) -> Iterator[Rule]:
    missing = proposal.table is None
    yield Rule(
        code="no_table_price",
        broken=missing,
        outcome=Outcome.ASK,
        fact=f"the price table has {'no' if missing else 'a'} row for this",
    )
    new = usage.generation is not None and proposal.generation not in {None, usage.generation}
    yield Rule(
        code="new_generation",
        broken=new,
        outcome=Outcome.ASK,
        fact="no other is known" if usage.generation is None else f"generation {usage.generation} was paid last",
    )
    if policy.approval_above is not None:
        yield _limit("above_approval", policy.approval_above, 0, proposal.cost, outcome=Outcome.ASK)


def _recipient(policy: Policy, usage: Usage, proposal: Proposal) -> Rule:
    if policy.pay_to is not None:
        known, whose = policy.pay_to, "in the policy's list"
    elif usage.pinned is not None:
        known, whose = (usage.pinned,), "the one paid or trusted before"
    else:
        known, whose = (proposal.shipped_pay_to or "",), "the one known for this seller"
    right = proposal.pay_to.lower() in {one.lower() for one in known}
    return Rule(code="pay_to", broken=not right, fact=f"{proposal.pay_to} is {'' if right else 'not '}{whose}")


def _prices(policy: Policy, proposal: Proposal) -> Iterator[Rule]:
    bad = proposal.price <= 0 or proposal.fee < 0
    yield Rule(code="amount", broken=bad, fact=f"the amount is {'not ' if bad else ''}a price")
    if proposal.limit is not None:
        yield _limit("max_price", proposal.limit, proposal.already, proposal.planned + proposal.cost)
    if proposal.quoted is not None:
        yield _limit("over_quote", raised(proposal.quoted, policy.over_quote), 0, proposal.price)
    if proposal.table is not None:
        yield _limit("over_table", raised(proposal.table, policy.over_table), 0, proposal.price)


def _caps(scope: str, caps: Caps, usage: Usage, proposal: Proposal) -> Iterator[Rule]:
    # Uploads count under a model of their own.
    planned, payments = (0, 0) if scope.startswith("model:") else (proposal.planned, proposal.planned_payments)
    if caps.per_payment is not None:
        yield _limit("per_payment", caps.per_payment, 0, proposal.cost, scope)
    for window, cap in caps.money():
        code = "total" if window == "total" else f"per_{window}"
        yield _limit(code, cap, usage.spent.get((scope, window), Spent()).total, planned + proposal.cost, scope)
    for window, cap in caps.counts():
        used = usage.spent.get((scope, window), Spent()).count
        yield _limit(f"payments_per_{window}", cap, used, payments + 1, scope, money=False)
    unresolved = caps.unresolved
    if unresolved is None:
        unresolved = UNRESOLVED_PER_AGENT if scope.startswith("agent:") else UNRESOLVED.get(scope)
    if unresolved is not None:
        yield _limit("unresolved", unresolved, usage.unresolved.get(scope, 0), 1, scope, money=False)


def _limit(
    code: str,
    limit: int,
    used: int,
    asked: int,
    scope: str | None = None,
    *,
    money: bool = True,
    outcome: Outcome = Outcome.REFUSE,
) -> Rule:
    return Rule(
        code=code,
        broken=used + asked > limit,
        scope=scope,
        outcome=outcome,
        limit=limit,
        used=used,
        asked=asked,
        money=money,
    )
