from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.guard.budget import Line, budget
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, Spent, Usage
from tests.guard.examples import AGENT, MODEL, policy, usage
from tests.guard.strategies import policies, usages


def test_a_fresh_ledger_leaves_what_the_tightest_cap_allows() -> None:
    left = budget(policy(), usage(), MODEL, AGENT)
    assert (left.left, left.frozen) == (5_000_000, False)
    assert left.lines == [
        Line(WALLET, "hour", cap=5_000_000, spent=0, held=0),
        Line(WALLET, "day", cap=10_000_000, spent=0, held=0),
    ]


def test_open_payments_are_told_apart_and_count() -> None:
    used = usage(spent={(WALLET, "hour"): Spent(total=1_360_000, held=360_000, count=3)})
    line = budget(policy(), used, MODEL, AGENT).lines[0]
    assert (line.spent, line.held, line.left) == (1_000_000, 360_000, 3_640_000)


def test_caps_of_the_model_and_of_the_agent_are_among_the_lines() -> None:
    rules = policy(models={MODEL: Caps(per_week=700_000)}, agents={AGENT: Caps(total=500_000)})
    left = budget(rules, usage(), MODEL, AGENT)
    assert [(line.scope, line.window) for line in left.lines[2:]] == [
        (f"model:{MODEL}", "week"),
        (f"agent:{AGENT}", "total"),
    ]
    assert left.left == 500_000


def test_caps_of_others_are_not() -> None:
    rules = policy(models={"upload": Caps(total=1)}, agents={"someone-else": Caps(total=1)})
    assert budget(rules, usage(), MODEL, AGENT).left == 5_000_000


def test_nothing_is_left_while_frozen() -> None:
    left = budget(policy(), usage(frozen="by the operator"), MODEL, AGENT)
    assert (left.left, left.frozen) == (0, True)
    assert left.lines[0].left == 5_000_000


@given(policies(), usages(), st.sampled_from([MODEL, "upload"]))
def test_what_is_left_is_never_negative_and_never_above_a_cap(rules: Policy, used: Usage, model: str) -> None:
    left = budget(rules, used, model, AGENT)
    assert left.left >= 0
    for line in left.lines:
        assert 0 <= left.left <= line.left <= line.cap
        assert line.spent >= 0
        assert line.left == 0 or line.left + line.spent + line.held == line.cap
