"""What counts in a rolling window: whole spans of time that the ledger keeps sums of, and the rows before the first."""

from collections.abc import Sequence
from typing import NamedTuple

from seedance_mcp.guard.usage import WALLET, WINDOWS, Spent
from seedance_mcp.ledger.database import Row, Transaction

WIDTHS = (600_000, 7_200_000, 86_400_000)
"""Of the spans, in milliseconds; each divides the next."""
ENDED = "state IN ('claimed', 'settled', 'written_off')"
"""SQL: counted at one time, and in the sums. What is open counts at any time, and is not."""

_PAST = f"""
SELECT rail, sum(amount) AS amount, sum(payments) AS payments FROM (
    SELECT rail, amount + fee AS amount, 1 AS payments FROM payments
    WHERE state NOT IN ('intended', 'released', 'expired') AND {ENDED} AND counted_at > :since AND counted_at < :small
      AND CASE :kind WHEN 'model' THEN model = :name WHEN 'agent' THEN agent = :name ELSE true END
    UNION ALL
    SELECT rail, amount, payments FROM sums
    WHERE scope = :scope AND width = {WIDTHS[0]} AND start >= :small AND start < :middle
    UNION ALL
    SELECT rail, amount, payments FROM sums
    WHERE scope = :scope AND width = {WIDTHS[1]} AND start >= :middle AND start < :large
    UNION ALL
    SELECT rail, amount, payments FROM sums WHERE scope = :scope AND width = {WIDTHS[2]} AND start >= :large
) GROUP BY rail"""


class Open(NamedTuple):
    """Payments whose outcome is open, of one agent, model and rail. ``amount`` is micro-USD with fees."""

    agent: str
    model: str
    rail: str
    amount: int
    payments: int
    unresolved: int

    def is_in(self, scope: str) -> bool:
        return scope in {WALLET, f"model:{self.model}", f"agent:{self.agent}"}


def spent(tx: Transaction, scope: str, window: str, held: Sequence[Open], now: int) -> Spent:
    """The sum of one window. ``held`` is all that is open in ``scope``."""
    pending = sum(one.amount for one in held)
    length = WINDOWS[window]
    if length is None:
        row = tx.one("SELECT amount, payments FROM totals WHERE scope = :scope", scope=scope)
        return Spent(row["amount"], pending, row["payments"]) if row else Spent()
    past = _past(tx, scope, now - length)
    rails = {row["rail"]: row["amount"] for row in past}
    for one in held:
        rails[one.rail] = rails.get(one.rail, 0) + one.amount
    count = sum(row["payments"] for row in past) + sum(one.payments for one in held)
    return Spent(sum(rails.values()), pending, count, rails)


def _past(tx: Transaction, scope: str, since: int) -> list[Row]:
    """By rail, what ended and is counted after ``since``."""
    kind, _, name = scope.partition(":")
    small, middle, large = _starts(since + 1)
    return tx.all(_PAST, scope=scope, kind=kind, name=name, since=since, small=small, middle=middle, large=large)


def _starts(first: int) -> Sequence[int]:
    """Of each width, the first span that begins at ``first`` or later and where one of the width before it does."""
    starts = []
    for width in WIDTHS:
        first = -(-first // width) * width
        starts.append(first)
    return starts
