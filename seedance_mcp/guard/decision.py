"""May this be paid? One pure function of the policy, the ledger's usage and the proposal."""

from collections.abc import Iterator

from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import (
    WALLET,
    Outcome,
    Proposal,
    Spent,
    Usage,
    Verdict,
    agent_scope,
    model_scope,
)
from seedance_mcp.money import dollars, raised

ALLOWED = Verdict(Outcome.ALLOW, "allowed", "within every limit of the policy")
UNRESOLVED = {WALLET: 3}
UNRESOLVED_PER_AGENT = 1
"""One agent with bad luck must not stop the others, so it has less room than the wallet."""


def decide(policy: Policy, usage: Usage, proposal: Proposal) -> Verdict:
    """The first reason to refuse, else the first reason to ask, else allow.

    Refusals come first, so that nobody is asked about what a cap forbids anyway.
    """
    for verdict in (*_refusals(policy, usage, proposal), *_questions(policy, usage, proposal)):
        return verdict
    return ALLOWED


def scopes(policy: Policy, model: str, agent: str) -> list[tuple[str, Caps]]:
    """Every scope that a purchase counts under and that the policy limits, with its caps."""
    chosen = [(WALLET, policy.caps)]
    if model in policy.models:
        chosen.append((model_scope(model), policy.models[model]))
    chosen.append((agent_scope(agent), policy.agents.get(agent, Caps())))
    return chosen


def _refusals(policy: Policy, usage: Usage, proposal: Proposal) -> Iterator[Verdict]:
    if usage.frozen is not None:
        yield _refuse(
            "frozen", f"all purchases are frozen ({usage.frozen})", "The operator can run `seedance-mcp unfreeze`."
        )
    if usage.clock_ahead > 0:
        yield _refuse(
            "clock",
            f"the ledger's clock is {usage.clock_ahead // 1000} s ahead of this machine's",
            "The operator must set this machine's clock, or run `seedance-mcp doctor --reset-clock` if it is right.",
        )
    if proposal.rail not in policy.rails:
        yield _refuse("rail", f"the policy does not allow the rail {proposal.rail}", "Tell the operator.")
    yield from _recipient(policy, usage, proposal)
    yield from _prices(policy, proposal)
    for scope, caps in scopes(policy, proposal.model, proposal.agent):
        yield from _caps(scope, caps, usage, proposal)
        yield from _unresolved(scope, caps, usage)
    if proposal.balance is not None and usage.outstanding + proposal.planned + proposal.cost > proposal.balance:
        held = f", of which {dollars(usage.outstanding)} is held for other payments" if usage.outstanding else ""
        yield _refuse(
            "balance",
            f"{_cost(proposal)}{_uploads(proposal.planned)} is more than the wallet can pay: "
            f"it holds {dollars(proposal.balance)}{held}",
            "Ask the operator to fund it; `seedance-mcp wallet address` prints the address.",
        )


def _questions(policy: Policy, usage: Usage, proposal: Proposal) -> Iterator[Verdict]:
    if proposal.table is None:
        yield _ask(
            "no_table_price", f"the price table has no row for this request, so {_cost(proposal)} needs approval"
        )
    if usage.generation is not None and proposal.generation not in (None, usage.generation):
        yield _ask(
            "new_generation",
            f"the seller changed its API from generation {usage.generation} to {proposal.generation}, "
            f"so {_cost(proposal)} needs approval (`seedance-mcp trust --generation {proposal.generation}` gives it)",
        )
    if policy.approval_above is not None and proposal.cost > policy.approval_above:
        yield _ask(
            "above_approval", f"{_cost(proposal)} is above the approval limit of {dollars(policy.approval_above)}"
        )


def _recipient(policy: Policy, usage: Usage, proposal: Proposal) -> Iterator[Verdict]:
    pay_to = proposal.pay_to.lower()
    remedy = f"If the operator knows the new address to be right: `seedance-mcp trust {proposal.pay_to}`."
    if policy.pay_to is not None:
        if pay_to not in (known.lower() for known in policy.pay_to):
            yield _refuse(
                "pay_to", f"the recipient {proposal.pay_to} is not in the policy's studio.pay_to", "Tell the operator."
            )
    elif usage.pinned is not None:
        if pay_to != usage.pinned.lower():
            yield _refuse("pay_to", f"the recipient changed from {usage.pinned} to {proposal.pay_to}", remedy)
    elif proposal.shipped_pay_to is None or pay_to != proposal.shipped_pay_to.lower():
        yield _refuse("pay_to", f"the recipient {proposal.pay_to} is not the one known for this seller", remedy)


def _prices(policy: Policy, proposal: Proposal) -> Iterator[Verdict]:
    if proposal.price <= 0 or proposal.fee < 0:
        yield _refuse(
            "amount", f"the amount {dollars(proposal.price)} is not a price", "Do not retry; tell the operator."
        )
    uploads = proposal.already + proposal.planned
    if proposal.limit is not None and uploads + proposal.cost > proposal.limit:
        yield _refuse(
            "max_price",
            f"{_cost(proposal)}{_uploads(uploads)} is above the call's max_price_usd of {dollars(proposal.limit)}",
            "Raise max_price_usd, or ask for a shorter or smaller clip.",
        )
    if proposal.quoted is not None and proposal.price > raised(proposal.quoted, policy.over_quote):
        yield _refuse(
            "over_quote",
            f"the seller now asks {dollars(proposal.price)}, the quote was {dollars(proposal.quoted)}",
            "Call estimate_cost for a new quote.",
        )
    if proposal.table is not None and proposal.price > raised(proposal.table, policy.over_table):
        yield _refuse(
            "over_table",
            f"the seller asks {dollars(proposal.price)} where the price table expects {dollars(proposal.table)}",
            "Do not retry; tell the operator.",
        )


def _caps(scope: str, caps: Caps, usage: Usage, proposal: Proposal) -> Iterator[Verdict]:
    remedy = "Only the operator can raise the limit, in the policy file."
    # Uploads count under a model of their own.
    planned, payments = (0, 0) if scope.startswith("model:") else (proposal.planned, proposal.planned_payments)
    if caps.per_payment is not None and proposal.cost > caps.per_payment:
        yield _refuse(
            "per_payment",
            f"{_cost(proposal)} is above the limit of {dollars(caps.per_payment)} per payment{_of(scope)}",
            "Ask for a shorter or smaller clip. " + remedy,
        )
    for window, cap in caps.money():
        spent = usage.spent.get((scope, window), Spent())
        if spent.total + planned + proposal.cost > cap:
            yield _refuse(
                "total" if window == "total" else f"per_{window}",
                f"{_cost(proposal)}{_uploads(planned)} does not fit into the limit of "
                f"{dollars(cap)} {_per(window)}{_of(scope)}: "
                f"{dollars(spent.total)} is used{_over(spent)} ({dollars(spent.held)} of it held), "
                f"{dollars(max(cap - spent.total, 0))} is left",
                _when(window) + remedy,
            )
    for window, cap in caps.counts():
        spent = usage.spent.get((scope, window), Spent())
        if spent.count + payments + 1 > cap:
            needed = f", and {payments + 1} are needed" if payments else ""
            yield _refuse(
                f"payments_per_{window}",
                f"{spent.count} of {cap} payments {_per(window)}{_of(scope)} are used{needed}",
                _when(window) + remedy,
            )


def _unresolved(scope: str, caps: Caps, usage: Usage) -> Iterator[Verdict]:
    cap = caps.unresolved
    if cap is None:
        cap = UNRESOLVED_PER_AGENT if scope.startswith("agent:") else UNRESOLVED.get(scope)
    held = usage.unresolved.get(scope, 0)
    if cap is not None and held >= cap:
        noun = "payment has" if held == 1 else "payments have"
        yield _refuse(
            "unresolved",
            f"{held} {noun} an unknown outcome{_of(scope)}, and the limit is {cap}",
            "Call check_job until it is resolved.",
        )


def _refuse(code: str, reason: str, remedy: str) -> Verdict:
    return Verdict(Outcome.REFUSE, code, reason, remedy)


def _ask(code: str, reason: str) -> Verdict:
    return Verdict(Outcome.ASK, code, reason)


def _cost(proposal: Proposal) -> str:
    return f"{dollars(proposal.cost)} (fee included)" if proposal.fee else dollars(proposal.cost)


def _uploads(amount: int) -> str:
    return f" with {dollars(amount)} for uploads" if amount else ""


def _over(spent: Spent) -> str:
    """The parts of a sum over more than one rail."""
    parts = [f"{dollars(amount)} over {rail}" for rail, amount in sorted(spent.rails.items())]
    return f", {' and '.join(parts)}" if len(parts) > 1 else ""


def _of(scope: str) -> str:
    return "" if scope == WALLET else f" of {scope.replace(':', ' ')}"


def _per(window: str) -> str:
    return "in total" if window == "total" else f"per {window}"


def _when(window: str) -> str:
    return (
        "" if window == "total" else f"The {window} is a rolling one: budget returns as payments grow older than it. "
    )
