from hypothesis import event, given
from hypothesis import strategies as st

from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.explanation import explain
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.usage import WALLET, Outcome, Proposal, Spent, Usage
from tests.guard.examples import AGENT, MODEL, policy, proposal, usage
from tests.guard.strategies import policies, proposals, usages


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


def test_every_rule_is_told_with_its_numbers() -> None:
    rules = policy(models={MODEL: Caps(total=9_000_000)}, agents={AGENT: Caps(payments_per_day=4)})
    used = usage(
        spent={(WALLET, "day"): Spent(9_800_000), (f"agent:{AGENT}", "day"): Spent(count=2)}, unresolved={WALLET: 1}
    )
    explanation = explain(rules, used, proposal(balance=1_000_000, limit=400_000))
    numbers = {
        (rule.code, rule.scope): (rule.used, rule.asked, rule.limit)
        for rule in explanation.rules
        if rule.limit is not None
    }
    clip = 360_000
    assert numbers == {
        ("max_price", None): (0, clip, 400_000),
        ("over_table", None): (0, clip, 450_000),
        ("per_payment", WALLET): (0, clip, 2_500_000),
        ("per_hour", WALLET): (0, clip, 5_000_000),
        ("per_day", WALLET): (9_800_000, clip, 10_000_000),
        ("payments_per_day", WALLET): (0, 1, 60),
        ("unresolved", WALLET): (1, 1, 3),
        ("total", f"model:{MODEL}"): (0, clip, 9_000_000),
        ("payments_per_day", f"agent:{AGENT}"): (2, 1, 4),
        ("unresolved", f"agent:{AGENT}"): (0, 1, 1),
        ("balance", None): (0, clip, 1_000_000),
        ("above_approval", None): (0, clip, 1_500_000),
    }
    assert explanation.deciding is not None
    assert explanation.deciding.code == "per_day"
    assert {rule.code for rule in explanation.rules if rule.limit is None} == {
        "frozen", "clock", "rail", "pay_to", "amount", "no_table_price", "new_generation",
    }  # fmt: skip
