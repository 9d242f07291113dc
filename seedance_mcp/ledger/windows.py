"""What counts in a rolling window: whole spans of time that the ledger keeps sums of, and the rows before the first."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from seedance_mcp.guard.usage import RAILS, WALLET, WINDOWS, Spent
from seedance_mcp.ledger.database import Row, Transaction
from seedance_mcp.ledger.states import NEVER

WIDTHS = (60_000, 600_000, 7_200_000, 86_400_000)
"""Of the spans, in milliseconds; each divides the next."""
ENDED = "standing IN ('claimed', 'ended')"
"""SQL: counted at one time, and in the sums. What is open counts at any time, and is not."""

_RAILS = ", ".join(f"coalesce(sum({rail}), 0) AS {rail}" for rail in RAILS)
_SUMS = "coalesce(sum(amount), 0) AS amount, coalesce(sum(payments), 0) AS payments"


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


def spent(
    tx: Transaction, needed: Sequence[tuple[str, str]], held: Mapping[str, Sequence[Open]], now: int
) -> dict[tuple[str, str], Spent]:
    """The sums of the (scope, window) pairs in ``needed``. ``held`` is all that is open in each scope."""
    edges = dict(_edges(now))
    sums = {}
    for scope, pairs in groupby(needed, itemgetter(0)):
        kind, _, name = scope.partition(":")
        rows = tx.all(_past(tuple(window for _, window in pairs)), scope=scope, kind=kind, name=name, **edges)
        sums.update({(scope, row["window"]): _spent(row, held[scope]) for row in rows})
    return sums


def _spent(past: Row, held: Sequence[Open]) -> Spent:
    """``past`` is what ended, by rail where the ledger knows that."""
    pending = sum(one.amount for one in held)
    if WINDOWS[past["window"]] is None:
        return Spent(past["amount"], pending, past["payments"])
    rails = {rail: past[rail] for rail in RAILS if past[rail]}
    for one in held:
        rails[one.rail] = rails.get(one.rail, 0) + one.amount
    return Spent(past["amount"] + pending, pending, past["payments"] + sum(one.payments for one in held), rails)


def _edges(now: int) -> Iterator[tuple[str, int]]:
    """For each rolling window the time after which a payment counts, where the spans of each width begin, the first
    that are wholly inside, and where the last ones end."""
    for window, length in WINDOWS.items():
        if length is not None:
            yield f"{window}_since", now - length
            edge = now - length + 1
            for number, width in enumerate(WIDTHS):
                edge = -(-edge // width) * width
                yield f"{window}_{number}", edge
            yield f"{window}_{len(WIDTHS)}", NEVER


@cache
def _past(windows: tuple[str, ...]) -> str:
    """SQL: a row for each window of a scope."""
    return " UNION ALL ".join(_total() if WINDOWS[window] is None else _rolling(window) for window in windows)


def _total() -> str:
    unknown = ", ".join(f"NULL AS {rail}" for rail in RAILS)
    return f"SELECT 'total' AS window, {_SUMS}, {unknown} FROM totals WHERE scope = :scope"


def _rolling(window: str) -> str:
    by_rail = ", ".join(f"(amount + fee) * (rail = '{rail}') AS {rail}" for rail in RAILS)
    # What is open is counted at the end of time, and so is not among the rows.
    rows = f"""SELECT amount + fee AS amount, 1 AS payments, {by_rail} FROM payments
               WHERE standing <> 'void' AND counted_at > :{window}_since AND counted_at < :{window}_0
               AND CASE :kind WHEN 'model' THEN model = :name WHEN 'agent' THEN agent = :name ELSE true END"""
    spans = [
        f"""SELECT amount, payments, {", ".join(RAILS)} FROM sums
            WHERE scope = :scope AND width = {width} AND start >= :{window}_{n} AND start < :{window}_{n + 1}"""
        for n, width in enumerate(WIDTHS)
    ]
    return f"SELECT '{window}' AS window, {_SUMS}, {_RAILS} FROM ({' UNION ALL '.join((rows, *spans))})"
