"""Payments that count, and their sums over rolling windows: the ledger's arithmetic, on what is not in a ledger."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from seedance_mcp.guard.usage import WALLET, WINDOWS, Spent, agent_scope, model_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a payment counts from here on. ``cost`` is micro-USD with its fee."""

    payment: int
    agent: str
    model: str
    rail: str
    cost: int
    counted_at: int | None = None
    """Epoch milliseconds; None while the outcome is open: it is in every window then."""
    unknown: bool = False
    """Nobody waits for the outcome any more."""
    gone: bool = False
    """It was released, or proven unpaid: it counts no more."""
    fee_of: int | None = None
    """The payment whose failed transaction this fee was for, where it is only that."""

    @property
    def scopes(self) -> tuple[str, ...]:
        return WALLET, model_scope(self.model), agent_scope(self.agent)


class Books:
    def __init__(self) -> None:
        self._open: dict[int, Standing] = {}
        self._ended: dict[int, Standing] = {}
        self._by_time: list[tuple[int, int]] = []
        """(counted_at, payment) of those that ended, in this order."""
        self._totals: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        """Micro-USD by rail of those that ended."""

    @property
    def open(self) -> Iterable[Standing]:
        return self._open.values()

    def put(self, standing: Standing) -> None:
        """The payment counts like this from now on, and no longer as it did before."""
        payment = standing.payment
        if payment in self._open:
            self._add(self._open.pop(payment), -1)
        elif payment in self._ended:
            before = self._ended.pop(payment)
            self._add(before, -1)
            del self._by_time[bisect_left(self._by_time, (before.counted_at, payment))]
        if standing.gone:
            return
        self._add(standing, 1)
        if standing.counted_at is None:
            self._open[payment] = standing
        else:
            self._ended[payment] = standing
            insort(self._by_time, (standing.counted_at, payment))

    @property
    def total(self) -> int:
        return self._totals[WALLET]

    def spent(self, scope: str, window: str, now: int) -> Spent:
        """What counts for ``scope`` at ``now`` (epoch milliseconds): open payments whatever their age."""
        held = sum(one.cost for one in self.open if scope in one.scopes)
        length = WINDOWS[window]
        if length is None:
            return Spent(self._totals[scope], held, self._counts[scope])
        first = bisect_right(self._by_time, now - length, key=lambda entry: entry[0])
        recent = [self._ended[payment] for _, payment in self._by_time[first:]]
        inside = [one for one in (*self.open, *recent) if scope in one.scopes]
        rails: Counter[str] = Counter()
        for one in inside:
            rails[one.rail] += one.cost
        return Spent(rails.total(), held, len(inside), rails)

    def _add(self, standing: Standing, sign: int) -> None:
        for scope in standing.scopes:
            self._totals[scope] += sign * standing.cost
            self._counts[scope] += sign
        if standing.counted_at is not None:
            self.paid[standing.rail] += sign * standing.cost
