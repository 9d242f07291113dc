"""When a limit is used up far enough for its operator to be told."""

from dataclasses import replace
from typing import Any

import pytest

from seedance_mcp.alerts.happenings import is_among, known_recipients
from seedance_mcp.alerts.thresholds import Threshold, needed, thresholds
from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, Spent, Usage
from tests.guard.examples import OTHER, PAY_TO, policy, proposal, usage

CAP = 10_000_000
DAY = (WALLET, "day")
SHIPPED = "0x07F067959297767c887dbfA3C72379c66E82a045"


def reached(seen: Usage, rules: Policy | None = None) -> list[Threshold]:
    return [one for one in thresholds(rules or policy(), seen) if one.is_reached]


def used(total: int, **parts: Any) -> Usage:
    return usage(spent={DAY: Spent(total, **parts)})


@pytest.mark.parametrize(
    ("total", "percents"),
    [(0, []), (7_999_999, []), (8_000_000, [80]), (9_499_999, [80]), (9_500_000, [80, 95]), (11_000_000, [80, 95])],
)
def test_a_threshold_is_reached_to_the_micro_dollar(total: int, percents: list[int]) -> None:
    assert [one.percent for one in reached(used(total))] == percents


def test_a_limit_of_nothing_is_no_news() -> None:
    assert reached(used(0), policy(per_day=0)) == []


def test_every_limit_of_the_policy_is_looked_at() -> None:
    caps = Caps(per_hour=1, per_day=1, per_week=1, per_month=1, total=1, payments_per_hour=1, payments_per_day=1)
    rules = replace(policy(), caps=caps, models={"upload": caps}, agents={"ada": caps, "ben": Caps(per_payment=1)})
    scopes = ("wallet", "model:upload", "agent:ada")
    windows = ("hour", "day", "week", "month", "total")
    assert needed(rules) == [(scope, window) for scope in scopes for window in windows]
    seen = usage(spent={pair: Spent(1, count=1) for pair in needed(rules)})
    found = reached(seen, rules)
    assert len({one.happening for one in found}) == len(found) == 3 * 7 * 2


def test_what_is_held_counts_and_is_told_apart() -> None:
    _, alert = (one.alert() for one in reached(used(9_600_000, held=600_000)))
    assert alert.type == "budget.threshold_reached"
    assert alert.message == (
        "95 % of the limit of $10.00 per day is reached: $9.60 is used ($0.60 of it held), $0.40 is left"
    )
    assert alert.facts == {
        "scope": "wallet",
        "window": "day",
        "threshold_percent": 95,
        "cap_usd": "10.00",
        "used_usd": "9.60",
        "held_usd": "0.60",
        "left_usd": "0.40",
    }


def test_payments_are_counted_in_words_of_their_own() -> None:
    rules = replace(policy(), agents={"ada": Caps(payments_per_hour=10)})
    (alert,) = (one.alert() for one in reached(usage(spent={("agent:ada", "hour"): Spent(1, count=8)}), rules))
    assert alert.type == "payments.threshold_reached"
    assert alert.message == "80 % of the 10 payments per hour of agent ada are reached: 8 are used"
    assert alert.facts["used_payments"] == 8


@pytest.mark.parametrize("named", [None, (PAY_TO,), (PAY_TO.lower(), OTHER), ()])
@pytest.mark.parametrize("pinned", [None, PAY_TO, OTHER])
@pytest.mark.parametrize("pay_to", [PAY_TO, PAY_TO.upper().replace("X", "x"), OTHER, SHIPPED])
def test_who_is_strange_here_is_refused_by_the_guard_and_nobody_else(
    named: tuple[str, ...] | None, pinned: str | None, pay_to: str
) -> None:
    rules = policy(pay_to=named)
    verdict = decide(rules, usage(pinned=pinned), proposal(pay_to=pay_to, shipped_pay_to=SHIPPED))
    assert is_among(pay_to, known_recipients(rules, pinned, SHIPPED)) == (verdict.code != "pay_to")
