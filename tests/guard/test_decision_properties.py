import re
from dataclasses import fields, replace
from typing import Any

from hypothesis import assume, event, given
from hypothesis import strategies as st

from seedance_mcp.guard.budget import budget
from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, WINDOWS, Outcome, Proposal, Spent, Usage
from seedance_mcp.money import parse_usd
from tests.guard.examples import AGENT, MODEL, PAY_TO, policy, proposal, usage
from tests.guard.strategies import caps, policies, proposals, usages

STRICTNESS = {Outcome.ALLOW: 0, Outcome.ASK: 1, Outcome.REFUSE: 2}


@st.composite
def mostly_allowed(draw: st.DrawFn) -> tuple[Policy, Usage, Proposal]:
    """Small clips under generous caps, so that a rule that is added can be the first to bite."""
    generous = policy(per_payment=5_000_000, per_hour=20_000_000, per_day=20_000_000, approval_above=None)
    spent = {
        (scope, window): Spent(total, 0, draw(st.integers(0, 20)))
        for scope in (WALLET, f"agent:{AGENT}", f"model:{MODEL}")
        for window in WINDOWS
        for total in [draw(st.integers(0, 10_000_000))]
    }
    price = draw(st.integers(1, 5_000_000))
    return generous, usage(spent=spent), proposal(price=price, table=price)


situations = st.tuples(policies(), usages(), proposals()) | mostly_allowed()


def assert_not_looser(before: Policy, after: Policy, used: Usage, asked: Proposal) -> None:
    first, second = decide(before, used, asked), decide(after, used, asked)
    event(f"{first.outcome} -> {second.outcome}")
    assert STRICTNESS[second.outcome] >= STRICTNESS[first.outcome]


@given(situations, caps())
def test_lowering_a_limit_never_admits_more(situation: tuple[Policy, Usage, Proposal], limits: Caps) -> None:
    rules, used, asked = situation
    lower = {
        field.name: limit if old is None else min(old, limit)
        for field in fields(Caps)
        if (limit := getattr(limits, field.name)) is not None
        # Without a number of its own the wallet bears a default number of unknown outcomes, which a number replaces.
        if not ((old := getattr(rules.caps, field.name)) is None and field.name == "unresolved")
    }
    assert_not_looser(rules, replace(rules, caps=replace(rules.caps, **lower)), used, asked)


@given(situations, caps())
def test_a_rule_for_a_model_or_an_agent_never_admits_more(
    situation: tuple[Policy, Usage, Proposal], limits: Caps
) -> None:
    rules, used, asked = situation
    rules = replace(rules, models={}, agents={})
    assert_not_looser(rules, replace(rules, models={MODEL: limits}), used, asked)
    assert_not_looser(rules, replace(rules, agents={AGENT: replace(limits, unresolved=None)}), used, asked)


@given(
    situations,
    st.sampled_from(
        [{"over_quote": 0}, {"over_table": 0}, {"approval_above": 0}, {"rails": ("mpp",)}, {"pay_to": (PAY_TO,)}]
    ),
)
def test_a_stricter_setting_never_admits_more(
    situation: tuple[Policy, Usage, Proposal], setting: dict[str, Any]
) -> None:
    rules, used, asked = situation
    # A list of recipients replaces trust on first use, so only a shorter list is stricter.
    assume("pay_to" not in setting or (rules.pay_to is not None and PAY_TO in rules.pay_to))
    assert_not_looser(rules, replace(rules, **setting), used, asked)


@given(situations, st.integers(0, 5_000_000))
def test_no_max_price_admits_more(situation: tuple[Policy, Usage, Proposal], limit: int) -> None:
    rules, used, asked = situation
    without = replace(asked, limit=None)
    first, second = decide(rules, used, without), decide(rules, used, replace(asked, limit=limit))
    assert STRICTNESS[second.outcome] >= STRICTNESS[first.outcome]


@given(situations, st.integers(0, 1_000_000), st.integers(0, 3))
def test_more_use_never_admits_more(situation: tuple[Policy, Usage, Proposal], more: int, times: int) -> None:
    rules, used, asked = situation
    spent = {key: Spent(old.total + more, old.held, old.count + times) for key, old in used.spent.items()}
    unresolved = {scope: count + times for scope, count in used.unresolved.items()}
    heavier = replace(used, spent=spent, unresolved=unresolved, outstanding=used.outstanding + more)
    first, second = decide(rules, used, asked), decide(rules, heavier, asked)
    assert STRICTNESS[second.outcome] >= STRICTNESS[first.outcome]


@given(situations)
def test_what_is_allowed_fits_under_every_cap(situation: tuple[Policy, Usage, Proposal]) -> None:
    rules, used, asked = situation
    outcome = decide(rules, used, asked).outcome
    event(str(outcome))
    if outcome is not Outcome.ALLOW:
        return
    assert used.frozen is None
    assert asked.price > 0
    assert asked.cost <= budget(rules, used, asked.model, asked.agent).left
    assert asked.limit is None or asked.already + asked.planned + asked.cost <= asked.limit
    assert asked.balance is None or used.outstanding + asked.planned + asked.cost <= asked.balance
    for scope, limits in scopes(rules, asked.model, asked.agent):
        assert limits.per_payment is None or asked.cost <= limits.per_payment
        for window, cap in limits.counts():
            assert used.spent.get((scope, window), Spent()).count < cap


@given(situations)
def test_the_numbers_of_a_full_window_are_right(situation: tuple[Policy, Usage, Proposal]) -> None:
    rules, used, asked = situation
    told = decide(rules, used, asked)
    if told.code not in {"total", *(f"per_{window}" for window in WINDOWS)}:
        return
    cost, *uploads, cap, total, held, left = map(parse_usd, re.findall(r"\$([0-9.]*[0-9])", told.reason))
    assert cost == asked.cost
    assert uploads in ([], [asked.planned])
    assert cost + sum(uploads) > left == max(cap - total, 0)
    window = told.code.removeprefix("per_")
    matching = [
        scope
        for scope, limits in scopes(rules, asked.model, asked.agent)
        if dict(limits.money()).get(window) == cap
        and used.spent.get((scope, window), Spent())
        == Spent(total, held, used.spent.get((scope, window), Spent()).count)
    ]
    assert matching


@given(situations)
def test_every_verdict_has_a_reason_and_a_refusal_a_remedy(situation: tuple[Policy, Usage, Proposal]) -> None:
    told = decide(*situation)
    assert told.code
    assert told.reason
    assert told.remedy or told.outcome is not Outcome.REFUSE
