from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.explanation import Rule, explain
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, Outcome, Proposal, Spent, Usage
from tests.guard.examples import AGENT, MODEL, OTHER, PAY_TO, policy, proposal, usage
from tests.guard.strategies import policies, proposals, usages

CLIP, UPLOAD = 360_000, 10_000


def limits(rules: Policy, used: Usage, asked: Proposal) -> Mapping[tuple[str, str | None], tuple[int, int, int]]:
    """Every rule with a limit: what is used, what is asked for, and the limit."""
    return {
        (rule.code, rule.scope): (rule.used, rule.asked, rule.limit)
        for rule in explain(rules, used, asked).rules
        if rule.limit is not None
    }


def fact(code: str, rules: Policy, used: Usage, asked: Proposal) -> Rule:
    [rule] = [rule for rule in explain(rules, used, asked).rules if rule.code == code]
    assert (rule.scope, rule.limit, rule.used, rule.asked) == (None, None, 0, 0), "it is not about numbers"
    return rule


def test_every_rule_is_told_with_its_numbers() -> None:
    rules = policy(models={MODEL: Caps(total=9_000_000)}, agents={AGENT: Caps(payments_per_day=4)})
    used = usage(
        spent={(WALLET, "day"): Spent(9_800_000), (f"agent:{AGENT}", "day"): Spent(count=2)}, unresolved={WALLET: 1}
    )
    asked = proposal(balance=1_000_000, limit=400_000, quoted=370_000)
    assert limits(rules, used, asked) == {
        ("max_price", None): (0, CLIP, 400_000),
        ("over_quote", None): (0, CLIP, 370_000),
        ("over_table", None): (0, CLIP, 450_000),
        ("per_payment", WALLET): (0, CLIP, 2_500_000),
        ("per_hour", WALLET): (0, CLIP, 5_000_000),
        ("per_day", WALLET): (9_800_000, CLIP, 10_000_000),
        ("payments_per_day", WALLET): (0, 1, 60),
        ("unresolved", WALLET): (1, 1, 3),
        ("total", f"model:{MODEL}"): (0, CLIP, 9_000_000),
        ("payments_per_day", f"agent:{AGENT}"): (2, 1, 4),
        ("unresolved", f"agent:{AGENT}"): (0, 1, 1),
        ("balance", None): (0, CLIP, 1_000_000),
        ("above_approval", None): (0, CLIP, 1_500_000),
    }
    explanation = explain(rules, used, asked)
    assert explanation.deciding is not None
    assert explanation.deciding.code == "per_day"
    facts = [rule for rule in explanation.rules if rule.limit is None]
    assert {rule.code for rule in facts} == {
        "frozen", "clock", "rail", "pay_to", "amount", "no_table_price", "new_generation",
    }  # fmt: skip
    assert [rule for rule in explanation.rules if rule.fact] == facts, "numbers speak for themselves"


def test_payments_are_counted_and_everything_else_is_money() -> None:
    counts = Caps(payments_per_hour=9, payments_per_day=9, unresolved=9)
    rules = explain(policy(agents={AGENT: counts}), usage(), proposal(balance=0, limit=0, quoted=0)).rules
    numbers = [rule for rule in rules if rule.limit is not None]
    assert {rule.code for rule in numbers if not rule.money} == {"payments_per_hour", "payments_per_day", "unresolved"}
    assert {rule.code for rule in numbers if rule.money} == {
        "max_price", "over_quote", "over_table", "per_payment", "per_hour", "per_day", "balance", "above_approval",
    }  # fmt: skip


def test_uploads_that_are_yet_to_be_paid_count_except_under_the_model_of_the_clip() -> None:
    rules = policy(models={MODEL: Caps(per_day=9_000_000, payments_per_day=9)})
    asked = proposal(planned=UPLOAD, planned_payments=2, already=3, limit=400_000, balance=1_000_000)
    told = limits(rules, usage(outstanding=5), asked)
    assert told["max_price", None] == (3, CLIP + UPLOAD, 400_000)
    assert told["balance", None] == (5, CLIP + UPLOAD, 1_000_000)
    assert told["per_day", WALLET] == (0, CLIP + UPLOAD, 10_000_000)
    assert told["payments_per_day", WALLET] == (0, 3, 60)
    assert told["per_day", f"model:{MODEL}"] == (0, CLIP, 9_000_000)
    assert told["payments_per_day", f"model:{MODEL}"] == (0, 1, 9)


@pytest.mark.parametrize(
    ("code", "used", "broken", "told"),
    [
        ("frozen", {}, False, "nothing is frozen"),
        ("frozen", {"frozen": "a leak"}, True, "a leak"),
        ("clock", {}, False, "the ledger is not ahead"),
        ("clock", {"clock_ahead": 1}, True, "the ledger is 0 s ahead"),
        ("clock", {"clock_ahead": 999_000}, True, "the ledger is 999 s ahead"),
        ("pay_to", {"pinned": PAY_TO.lower()}, False, f"{PAY_TO} is the one paid or trusted before"),
        ("pay_to", {"pinned": OTHER}, True, f"{PAY_TO} is not the one paid or trusted before"),
        ("new_generation", {}, False, "no other is known"),
        ("new_generation", {"generation": 1}, False, "generation 1 was paid last"),
        ("new_generation", {"generation": 2}, True, "generation 2 was paid last"),
    ],
)
def test_what_the_ledger_knows_is_told(code: str, used: dict[str, Any], broken: bool, told: str) -> None:
    rule = fact(code, policy(), usage(**used), proposal())
    assert (rule.broken, rule.fact) == (broken, told)


@pytest.mark.parametrize(
    ("code", "asked", "broken", "told"),
    [
        ("rail", {}, False, "the policy allows x402 and mpp"),
        ("rail", {"rail": "cash"}, True, "the policy allows x402 and mpp"),
        ("pay_to", {}, False, f"{PAY_TO} is the one known for this seller"),
        ("pay_to", {"pay_to": OTHER}, True, f"{OTHER} is not the one known for this seller"),
        ("pay_to", {"shipped_pay_to": None}, True, f"{PAY_TO} is not the one known for this seller"),
        ("amount", {"price": 1}, False, "the amount is a price"),
        ("amount", {"price": 0}, True, "the amount is not a price"),
        ("amount", {"fee": -1}, True, "the amount is not a price"),
        ("no_table_price", {}, False, "the price table has a row for this"),
        ("no_table_price", {"table": None}, True, "the price table has no row for this"),
        ("new_generation", {"generation": None}, False, "generation 1 was paid last"),
    ],
)
def test_what_the_seller_asks_is_told(code: str, asked: dict[str, Any], broken: bool, told: str) -> None:
    rule = fact(code, policy(), usage(generation=1), proposal(**asked))
    assert (rule.broken, rule.fact) == (broken, told)


@given(policies(), usages() | st.just(usage()), proposals() | st.just(proposal()))
def test_the_first_broken_rule_is_the_one_that_decides(rules: Policy, used: Usage, asked: Proposal) -> None:
    explanation = explain(rules, used, asked)
    verdict = explanation.verdict
    event(verdict.code)
    assert verdict == decide(rules, used, asked)
    deciding = explanation.deciding
    if deciding is None:
        assert verdict.outcome is Outcome.ALLOW
    else:
        assert (deciding.code, deciding.outcome) == (verdict.code, verdict.outcome)
