"""The plain values that the decision is made of. The ledger fills in ``Usage``; nothing here computes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HOUR = 3_600_000
DAY = 24 * HOUR
WINDOWS: Mapping[str, int | None] = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "total": None}
"""Rolling windows in milliseconds; ``total`` has no end."""

RAILS = ("x402", "mpp")
"""Every way to pay, by its name in the policy and the ledger."""
WALLET = "wallet"
"""The scope of everything that this ledger ever paid, over all rails, models and agents."""


def model_scope(model: str) -> str:
    return f"model:{model}"


def agent_scope(agent: str) -> str:
    return f"agent:{agent}"


@dataclass(frozen=True, slots=True)
class Spent:
    """What counts in one window of one scope: micro-USD with fees, and the number of payments.

    ``held`` is the part whose outcome is open, neither claimed nor settled; it is contained in ``total``. ``rails``
    splits ``total`` by rail, where that is known.
    """

    total: int = 0
    held: int = 0
    count: int = 0
    rails: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """A snapshot of the ledger, taken inside the transaction that acts on the decision."""

    frozen: str | None
    """Why purchases are frozen, or None."""
    clock_ahead: int
    """Milliseconds by which the ledger's clock is ahead of the wall clock; 0 when it is not."""
    spent: Mapping[tuple[str, str], Spent]
    """By (scope, window)."""
    unresolved: Mapping[str, int]
    """Payments with an unknown outcome, by scope."""
    pinned: str | None
    """The payTo that this seller, rail and token were trusted with, or None before the first use."""
    generation: int | None
    """The API generation of the last purchase, or None."""
    outstanding: int = 0
    """Micro-USD with fees of this rail's payments that may still leave the wallet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A purchase that is about to be paid, as the decision sees it. Amounts are micro-USD."""

    agent: str
    model: str
    price: int
    fee: int
    rail: str
    pay_to: str
    shipped_pay_to: str | None
    """The payTo that this version was released with for this seller, rail and token."""
    quoted: int | None
    """What an earlier quote promised, when the call names one."""
    table: int | None
    """What the price table expects, or None when it has no row."""
    generation: int | None
    balance: int | None = None
    """What the wallet holds on this rail, or None where that could not be read."""
    limit: int | None = None
    """``max_price_usd`` of the call: can only refuse."""
    already: int = 0
    """What this call has spent before (an upload); counts against ``limit``."""
    planned: int = 0
    """What this call has yet to spend on uploads before this purchase can be made; not in the ledger yet."""
    planned_payments: int = 0

    @property
    def cost(self) -> int:
        return self.price + self.fee


class Outcome(StrEnum):
    ALLOW = "allow"
    ASK = "ask"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` for programs, ``reason`` a sentence with the numbers behind it, ``remedy`` who can do what about it."""

    outcome: Outcome
    code: str
    reason: str
    remedy: str = ""
