"""How far each limit of the policy is used up: the shares at which the operator is told."""

from collections.abc import Iterator
from dataclasses import dataclass

from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, Spent, Usage, agent_scope, model_scope
from seedance_mcp.ledger.alerts import Alert
from seedance_mcp.money import dollars, usd

THRESHOLDS = (80, 95)
"""Percent of a limit."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A share of one limit. ``cap`` is micro-USD, or payments where ``counts``."""

    scope: str
    window: str
    percent: int
    cap: int
    spent: Spent
    counts: bool = False

    @property
    def happening(self) -> str:
        """With the cap in it: servers on one ledger may have policies of their own."""
        limit = "payments" if self.counts else "budget"
        return f"{limit} {self.scope} {self.window} {self.cap} {self.percent}"

    @property
    def used(self) -> int:
        return self.spent.count if self.counts else self.spent.total

    @property
    def is_reached(self) -> bool:
        return self.used > 0 and 100 * self.used >= self.percent * self.cap

    def alert(self) -> Alert:
        facts = {"scope": self.scope, "window": self.window, "threshold_percent": self.percent}
        limit = f"{_per(self.window)}{_of(self.scope)}"
        if self.counts:
            message = f"{self.percent} % of the {self.cap} payments {limit} are reached: {self.used} are used"
            numbers: dict[str, object] = {"cap_payments": self.cap, "used_payments": self.used}
            return Alert(self.happening, "payments.threshold_reached", message, facts | numbers)
        held, left = self.spent.held, max(self.cap - self.used, 0)
        message = (
            f"{self.percent} % of the limit of {dollars(self.cap)} {limit} is reached: {dollars(self.used)} is used "
            f"({dollars(held)} of it held), {dollars(left)} is left"
        )
        amounts = {"cap_usd": usd(self.cap), "used_usd": usd(self.used), "held_usd": usd(held), "left_usd": usd(left)}
        return Alert(self.happening, "budget.threshold_reached", message, facts | amounts)


def needed(policy: Policy) -> list[tuple[str, str]]:
    """Every (scope, window) whose sum ``thresholds`` looks at."""
    pairs = [(scope, window) for scope, caps in _scopes(policy) for window, _ in (*caps.money(), *caps.counts())]
    return list(dict.fromkeys(pairs))


def thresholds(policy: Policy, usage: Usage) -> list[Threshold]:
    """Every threshold of every limit, whether it is reached or not."""
    found = []
    for scope, caps in _scopes(policy):
        limits = [(window, cap, False) for window, cap in caps.money()]
        limits += [(window, cap, True) for window, cap in caps.counts()]
        for window, cap, counts in limits:
            spent = usage.spent.get((scope, window), Spent())
            found += [Threshold(scope, window, percent, cap, spent, counts) for percent in THRESHOLDS]
    return found


def _scopes(policy: Policy) -> Iterator[tuple[str, Caps]]:
    """Those of every model and agent that the policy names: an alert is about no one purchase."""
    yield WALLET, policy.caps
    for model, caps in policy.models.items():
        yield model_scope(model), caps
    for agent, caps in policy.agents.items():
        yield agent_scope(agent), caps


def _per(window: str) -> str:
    return "in total" if window == "total" else f"per {window}"


def _of(scope: str) -> str:
    return "" if scope == WALLET else f" of {scope.replace(':', ' ')}"
