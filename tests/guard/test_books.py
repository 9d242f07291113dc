from dataclasses import replace
from typing import Any

import pytest

from seedance_mcp.guard.books import Books, Standing
from seedance_mcp.guard.usage import DAY, HOUR, WALLET, WINDOWS, Spent
from tests.guard.examples import AGENT, MODEL

NOW = 1_700_000_000_000


def standing(payment: int, **changes: Any) -> Standing:
    """A clip for $0.36 that is open."""
    return replace(Standing(payment=payment, agent=AGENT, model=MODEL, rail="x402", cost=360_000), **changes)


def books(*standings: Standing) -> Books:
    made = Books()
    for one in standings:
        made.put(one)
    return made


def test_nothing_is_spent_at_first() -> None:
    empty = books()
    assert (empty.total, list(empty.open), dict(empty.paid)) == (0, [], {})
    assert empty.spent(WALLET, "day", NOW) == empty.spent(WALLET, "total", NOW) == Spent()


def test_somebody_waits_for_a_payment_unless_it_is_told_otherwise() -> None:
    assert [one.unknown for one in books(standing(1), standing(2, unknown=True)).open] == [False, True]


def test_an_open_payment_is_held_in_every_window() -> None:
    one = standing(1)
    held = books(one)
    for window in ("hour", "day", "week", "month"):
        assert held.spent(WALLET, window, NOW) == Spent(360_000, 360_000, 1, {"x402": 360_000})
    assert held.spent(WALLET, "total", NOW) == Spent(360_000, 360_000, 1)
    assert (list(held.open), held.total, dict(held.paid)) == ([one], 360_000, {})


@pytest.mark.parametrize("window", [name for name, length in WINDOWS.items() if length is not None])
def test_what_ended_leaves_a_window_to_the_millisecond(window: str) -> None:
    length = WINDOWS[window] or 0
    paid = books(standing(1, counted_at=NOW))
    assert paid.spent(WALLET, window, NOW + length - 1) == Spent(360_000, 0, 1, {"x402": 360_000})
    assert paid.spent(WALLET, window, NOW + length) == Spent()
    assert paid.spent(WALLET, "total", NOW + length) == Spent(360_000, 0, 1)
    assert (list(paid.open), paid.total, dict(paid.paid)) == ([], 360_000, {"x402": 360_000})


def test_windows_are_of_the_time_that_a_payment_counts_from_in_whatever_order_it_came() -> None:
    paid = books(
        standing(1, counted_at=NOW, cost=1),
        standing(2, counted_at=NOW - HOUR, cost=20),
        standing(3, counted_at=NOW - DAY, cost=300),
        standing(4, counted_at=NOW - HOUR + 1, cost=4_000),
    )
    assert paid.spent(WALLET, "hour", NOW).total == 4_001
    assert paid.spent(WALLET, "day", NOW).total == 4_021
    assert paid.spent(WALLET, "week", NOW).total == 4_321


def test_each_scope_has_sums_of_its_own_and_windows_tell_the_rails_apart() -> None:
    mixed = books(
        standing(1),
        standing(2, agent="someone-else", rail="mpp", cost=20),
        standing(3, model="upload", counted_at=NOW, cost=10_000),
    )
    assert mixed.spent(WALLET, "day", NOW) == Spent(370_020, 360_020, 3, {"x402": 370_000, "mpp": 20})
    assert mixed.spent("model:upload", "day", NOW) == Spent(10_000, 0, 1, {"x402": 10_000})
    assert mixed.spent(f"agent:{AGENT}", "day", NOW) == Spent(370_000, 360_000, 2, {"x402": 370_000})
    assert mixed.spent("agent:someone-else", "total", NOW) == Spent(20, 20, 1)
    assert mixed.spent(f"model:{MODEL}", "total", NOW) == Spent(360_020, 360_020, 2)


def test_a_payment_counts_only_as_it_stood_last() -> None:
    settled = books(standing(1), standing(1, unknown=True), standing(1, counted_at=NOW, cost=359_000))
    assert settled.spent(WALLET, "hour", NOW) == Spent(359_000, 0, 1, {"x402": 359_000})
    assert settled.spent(WALLET, "total", NOW) == Spent(359_000, 0, 1)
    assert (settled.total, list(settled.open), dict(settled.paid)) == (359_000, [], {"x402": 359_000})


def test_what_counts_no_more_leaves_no_trace_and_its_neighbours_stay() -> None:
    left = books(*(standing(number, counted_at=NOW, cost=number) for number in (1, 2, 3)), standing(4, cost=4))
    for payment in (2, 4):
        left.put(standing(payment, gone=True))
    assert left.spent(WALLET, "hour", NOW) == Spent(4, 0, 2, {"x402": 4})
    assert left.spent(WALLET, "total", NOW) == Spent(4, 0, 2)
    assert (left.total, list(left.open), dict(left.paid)) == (4, [], {"x402": 4})
    left.put(standing(5, gone=True))
    assert left.total == 4


def test_what_ended_can_be_open_again() -> None:
    again = books(standing(1, counted_at=NOW - DAY), standing(1, unknown=True))
    assert again.spent(WALLET, "hour", NOW) == Spent(360_000, 360_000, 1, {"x402": 360_000})
    assert [one.unknown for one in again.open] == [True]
    assert again.paid["x402"] == 0
