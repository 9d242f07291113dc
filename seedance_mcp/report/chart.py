"""What a picture of the spending shows: each day's, and how much of the longer caps was used."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.ledger import history
from seedance_mcp.ledger.database import Transaction
from seedance_mcp.report.days import day_of

WINDOWS: Mapping[str, int | None] = {"day": 1, "week": 7, "month": 30, "total": None}
"""The windows of the caps in whole days of the operator's, which the last day of ends."""
MOST = 7
"""Groups with a colour of their own; the smaller ones are shown together."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A cap and what counted against it at the end of each day, micro-USD."""

    name: str
    cap: int
    spent: Sequence[int]


@dataclass(frozen=True, slots=True)
class Chart:
    """``groups`` have one amount a day, micro-USD: all that counts, with fees and with what is open."""

    by: str
    days: Sequence[date]
    groups: Mapping[str, Sequence[int]]
    day_cap: int | None
    limits: Sequence[Limit]


def read_chart(tx: Transaction, by: str, since: date | None, today: date, policy: Policy) -> Chart | None:
    """A statement: the days from ``since``, or from the first payment, to ``today``. None if nothing was spent."""
    spent: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    days: dict[int, date] = {}
    for (quarter, group), sums in history.spend(tx, 0, ["quarter", by]).items():
        if sums.total:
            spent[group][days.setdefault(quarter, day_of(quarter))] += sums.total
    if not spent:
        return None
    # The windows of the first day that is shown began before it.
    first, last = min(days.values()), max(today, *days.values())
    every = [first + timedelta(number) for number in range((last - first).days + 1)]
    groups = {group: [by_day.get(day, 0) for day in every] for group, by_day in spent.items()}
    whole = [sum(amounts) for amounts in zip(*groups.values(), strict=True)]
    limits = list(_limits("", policy.caps, whole, ("week", "month", "total")))
    for group, caps in {"model": policy.models, "agent": policy.agents}.get(by, {}).items():
        limits += _limits(f"{group}, ", caps, groups.get(group, [0] * len(every)), WINDOWS)
    hidden = max(0, (since - first).days) if since else 0
    if hidden >= len(every):
        return None
    return Chart(
        by=by,
        days=every[hidden:],
        groups=_largest({group: amounts[hidden:] for group, amounts in groups.items()}),
        day_cap=policy.caps.per_day,
        limits=[Limit(limit.name, limit.cap, limit.spent[hidden:]) for limit in limits],
    )


def _limits(prefix: str, caps: Caps, spent: Sequence[int], windows: Iterable[str]) -> Iterable[Limit]:
    for window, cap in caps.money():
        if window in windows and cap:
            length = WINDOWS[window]
            name = "in all" if length is None else "a day" if length == 1 else f"last {length} days"
            yield Limit(prefix + name, cap, _running(spent, length))


def _running(spent: Sequence[int], length: int | None) -> Sequence[int]:
    """For each day the sum of the last ``length`` ones."""
    sums = [0, *accumulate(spent)]
    return [sums[end] - sums[0 if length is None else max(0, end - length)] for end in range(1, len(sums))]


def _largest(groups: Mapping[str, Sequence[int]]) -> Mapping[str, Sequence[int]]:
    shown = {group: amounts for group, amounts in groups.items() if any(amounts)}
    ordered = sorted(shown, key=lambda group: (-sum(shown[group]), group))
    if len(ordered) <= MOST + 1:
        return {group: shown[group] for group in ordered}
    others = [sum(amounts) for amounts in zip(*(shown[group] for group in ordered[MOST:]), strict=True)]
    return {**{group: shown[group] for group in ordered[:MOST]}, f"{len(ordered) - MOST} others": others}
