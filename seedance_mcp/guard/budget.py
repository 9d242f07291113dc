"""What is left, in the words of the policy's limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from seedance_mcp.guard.decision import scopes
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import Spent, Usage


@dataclass(frozen=True, slots=True)
class Line:
    """One limit in money, micro-USD. ``spent`` is final or claimed, ``held`` is open; both count against ``cap``."""

    scope: str
    window: str
    cap: int
    spent: int
    held: int

    @property
    def left(self) -> int:
        return max(self.cap - self.spent - self.held, 0)


@dataclass(frozen=True, slots=True)
class Budget:
    """``left`` is the least that any limit leaves, in micro-USD; 0 while frozen."""

    frozen: bool
    left: int
    lines: Sequence[Line]


def budget(policy: Policy, usage: Usage, model: str, agent: str) -> Budget:
    """The limits that a purchase of ``agent`` counts under."""
    lines = []
    for scope, caps in scopes(policy, model, agent):
        for window, cap in caps.money():
            spent = usage.spent.get((scope, window), Spent())
            lines.append(Line(scope, window, cap, spent.total - spent.held, spent.held))
    frozen = usage.frozen is not None
    return Budget(frozen, 0 if frozen else min(line.left for line in lines), lines)
