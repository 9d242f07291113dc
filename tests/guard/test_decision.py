from typing import Any

import pytest

from seedance_mcp.guard.decision import decide, scopes
from seedance_mcp.guard.policy import Caps
from seedance_mcp.guard.usage import WALLET, WINDOWS, Outcome, Spent, Verdict
from tests.guard.examples import AGENT, MODEL, OTHER, PAY_TO, policy, proposal, usage

CLIP = 360_000


def verdict(rules: dict[str, Any] | None = None, used: dict[str, Any] | None = None, **asked: Any) -> Verdict:
    return decide(policy(**(rules or {})), usage(**(used or {})), proposal(**asked))


def refused(rules: dict[str, Any] | None = None, used: dict[str, Any] | None = None, **asked: Any) -> tuple[str, str]:
    told = verdict(rules, used, **asked)
    assert told.outcome is Outcome.REFUSE
    return told.code, told.reason


def test_a_clip_within_every_limit_is_allowed() -> None:
    assert verdict().outcome is Outcome.ALLOW


def test_a_price_at_the_limit_is_allowed_and_a_micro_dollar_more_is_not() -> None:
    assert verdict({"per_payment": CLIP}).outcome is Outcome.ALLOW
    assert refused({"per_payment": CLIP - 1}) == (
        "per_payment",
        "$0.36 is above the limit of $0.359999 per payment",
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_full_at_its_cap_and_not_before(window: str) -> None:
    name = "total" if window == "total" else f"per_{window}"
    used = {"spent": {(WALLET, window): Spent(total=2_000_000, held=250_000, count=6)}}
    assert verdict({name: 2_000_000 + CLIP}, used).outcome is Outcome.ALLOW
    code, reason = refused({name: 2_000_000 + CLIP - 1}, used)
    assert code == name
    assert reason == (
        f"$0.36 does not fit into the limit of $2.359999 {'in total' if window == 'total' else f'per {window}'}: "
        "$2.00 is used ($0.25 of it held), $0.359999 is left"
    )


def test_a_window_that_is_overdrawn_leaves_nothing() -> None:
    _, reason = refused({"per_day": 1_000_000}, {"spent": {(WALLET, "day"): Spent(total=3_000_000)}})
    assert reason.endswith("$3.00 is used ($0.00 of it held), $0.00 is left")


@pytest.mark.parametrize("window", ["hour", "day"])
def test_payments_are_counted(window: str) -> None:
    used = {"spent": {(WALLET, window): Spent(count=5)}}
    assert verdict({f"payments_per_{window}": 6}, used).outcome is Outcome.ALLOW
    assert refused({f"payments_per_{window}": 5}, used) == (
        f"payments_per_{window}",
        f"5 of 5 payments per {window} are used",
    )


def test_fees_count_and_are_named() -> None:
    assert refused({"per_payment": CLIP}, fee=1) == (
        "per_payment",
        "$0.360001 (fee included) is above the limit of $0.36 per payment",
    )


def test_limits_of_the_model_and_of_the_agent_bind_as_well() -> None:
    assert refused({"models": {MODEL: Caps(per_payment=1)}})[1].endswith("per payment of model seedance")
    assert refused({"agents": {AGENT: Caps(per_payment=1)}})[1].endswith("per payment of agent storyboard")
    others = {"models": {"upload": Caps(per_payment=1)}, "agents": {"someone-else": Caps(per_payment=1)}}
    assert verdict(others).outcome is Outcome.ALLOW


def test_an_agent_without_caps_of_its_own_is_still_a_scope() -> None:
    assert [scope for scope, _ in scopes(policy(), MODEL, AGENT)] == [WALLET, f"agent:{AGENT}"]


def test_unknown_outcomes_stop_an_agent_before_they_stop_the_wallet() -> None:
    assert refused(used={"unresolved": {f"agent:{AGENT}": 1}}) == (
        "unresolved",
        "1 payment has an unknown outcome of agent storyboard, and the limit is 1",
    )
    assert verdict(used={"unresolved": {WALLET: 2}}).outcome is Outcome.ALLOW
    assert refused(used={"unresolved": {WALLET: 3}})[1] == "3 payments have an unknown outcome, and the limit is 3"


def test_the_policy_sets_how_many_unknown_outcomes_are_borne() -> None:
    used = {"unresolved": {WALLET: 1, f"agent:{AGENT}": 1}}
    assert verdict({"agents": {AGENT: Caps(unresolved=2)}}, used).outcome is Outcome.ALLOW
    assert refused({"agents": {AGENT: Caps(unresolved=2)}, "unresolved": 1}, used)[0] == "unresolved"
    assert refused({"unresolved": None}, {"unresolved": {WALLET: 3}})[0] == "unresolved"


def test_frozen_beats_everything() -> None:
    told = verdict({"per_payment": 0}, {"frozen": "a leak", "clock_ahead": 90_000}, price=-1, rail="cash")
    assert (told.code, told.reason) == ("frozen", "all purchases are frozen (a leak)")
    assert "unfreeze" in told.remedy


def test_a_ledger_from_the_future_refuses() -> None:
    assert refused(used={"clock_ahead": 90_000}) == ("clock", "the ledger's clock is 90 s ahead of this machine's")


def test_a_rail_outside_the_policy_is_refused() -> None:
    assert refused({"rails": ("mpp",)}) == ("rail", "the policy does not allow the rail x402")


@pytest.mark.parametrize("price", [0, -1])
def test_a_price_that_is_none_is_refused(price: int) -> None:
    assert refused(price=price, table=None)[0] == "amount"


def test_the_first_use_trusts_the_shipped_recipient_alone() -> None:
    assert verdict(pay_to=PAY_TO.lower()).outcome is Outcome.ALLOW
    assert refused(pay_to=OTHER) == ("pay_to", f"the recipient {OTHER} is not the one known for this seller")
    assert refused(shipped_pay_to=None)[0] == "pay_to"


def test_a_pinned_recipient_beats_the_shipped_one() -> None:
    assert verdict(used={"pinned": OTHER.lower()}, pay_to=OTHER).outcome is Outcome.ALLOW
    code, reason = refused(used={"pinned": OTHER})
    assert (code, reason) == ("pay_to", f"the recipient changed from {OTHER} to {PAY_TO}")


def test_a_list_of_recipients_beats_what_was_pinned() -> None:
    for written in (PAY_TO, PAY_TO.lower()):
        assert verdict({"pay_to": (OTHER, written)}, {"pinned": OTHER}).outcome is Outcome.ALLOW
    assert refused({"pay_to": (OTHER,)}, {"pinned": PAY_TO})[0] == "pay_to"


def test_a_price_above_the_quote_by_more_than_the_share_is_refused() -> None:
    assert refused(quoted=CLIP - 1) == ("over_quote", "the seller now asks $0.36, the quote was $0.359999")
    assert verdict({"over_quote": 100_000}, quoted=327_273).outcome is Outcome.ALLOW
    assert refused({"over_quote": 100_000}, quoted=327_272)[0] == "over_quote"


def test_a_price_above_the_table_by_more_than_the_share_is_refused() -> None:
    assert verdict(table=288_000).outcome is Outcome.ALLOW
    assert refused(table=287_999) == (
        "over_table",
        "the seller asks $0.36 where the price table expects $0.287999",
    )


def test_max_price_covers_what_the_call_has_paid_for_uploads() -> None:
    assert verdict(limit=CLIP + 10_000, already=10_000).outcome is Outcome.ALLOW
    assert refused(limit=CLIP + 9_999, already=10_000) == (
        "max_price",
        "$0.36 with $0.01 for uploads is above the call's max_price_usd of $0.369999",
    )


def test_max_price_never_raises_a_limit() -> None:
    assert refused({"per_payment": 1}, limit=50_000_000)[0] == "per_payment"


def test_the_balance_must_bear_what_is_already_held() -> None:
    used = {"outstanding": 1_000_000}
    assert verdict(used=used, balance=1_000_000 + CLIP).outcome is Outcome.ALLOW
    assert refused(used=used, balance=1_000_000 + CLIP - 1) == (
        "balance",
        "$0.36 is more than the wallet can pay: it holds $1.359999, of which $1.00 is held for other payments",
    )
    assert refused(balance=0)[1] == "$0.36 is more than the wallet can pay: it holds $0.00"


UPLOAD: dict[str, Any] = {"planned": 10_000, "planned_payments": 1}
"""A picture that must still be uploaded before the clip can be bought."""


def test_a_planned_upload_must_fit_with_the_clip_into_every_limit() -> None:
    fits = {"per_day": CLIP + 10_000, "payments_per_day": 2, "per_payment": CLIP}
    assert verdict(fits, **UPLOAD, limit=CLIP + 10_000, balance=CLIP + 10_000).outcome is Outcome.ALLOW
    code, reason = refused(fits | {"per_day": CLIP + 9_999}, **UPLOAD)
    assert code == "per_day"
    assert reason.startswith("$0.36 with $0.01 for uploads does not fit into the limit of $0.369999 per day: ")
    assert refused(fits | {"payments_per_day": 1}, **UPLOAD) == (
        "payments_per_day",
        "0 of 1 payments per day are used, and 2 are needed",
    )
    assert refused(fits, **UPLOAD, limit=CLIP + 9_999)[0] == "max_price"
    assert refused(fits, **UPLOAD, balance=CLIP + 9_999) == (
        "balance",
        "$0.36 with $0.01 for uploads is more than the wallet can pay: it holds $0.369999",
    )


def test_a_planned_upload_does_not_count_under_the_clip_s_model() -> None:
    assert verdict({"models": {MODEL: Caps(total=CLIP, payments_per_day=1)}}, **UPLOAD).outcome is Outcome.ALLOW
    assert refused({"agents": {AGENT: Caps(total=CLIP)}}, **UPLOAD)[0] == "total"


def test_a_clip_without_a_table_price_needs_a_person() -> None:
    told = verdict(table=None)
    assert (told.outcome, told.code) == (Outcome.ASK, "no_table_price")


def test_another_generation_than_last_time_needs_a_person() -> None:
    told = verdict(used={"generation": 1}, generation=2)
    assert (told.outcome, told.code) == (Outcome.ASK, "new_generation")
    assert "from generation 1 to 2" in told.reason
    assert verdict(used={"generation": 1}, generation=None).outcome is Outcome.ALLOW


def test_a_price_above_the_approval_limit_needs_a_person() -> None:
    assert verdict({"approval_above": CLIP}).outcome is Outcome.ALLOW
    told = verdict({"approval_above": CLIP - 1})
    assert (told.outcome, told.reason) == (Outcome.ASK, "$0.36 is above the approval limit of $0.359999")


def test_nobody_is_asked_about_what_a_cap_forbids() -> None:
    assert refused({"approval_above": 0, "per_payment": 1})[0] == "per_payment"


def test_every_verdict_has_a_code_of_its_own_for_programs() -> None:
    assert verdict().code == "allowed"
    assert verdict({"approval_above": 0}).code == "above_approval"


def test_a_ledger_a_millisecond_ahead_refuses_and_counts_whole_seconds() -> None:
    assert refused(used={"clock_ahead": 1})[0] == "clock"
    assert refused(used={"clock_ahead": 90_999})[1] == "the ledger's clock is 90 s ahead of this machine's"


def test_an_address_is_the_same_in_either_case_wherever_it_was_written() -> None:
    for written, asked in ((OTHER, OTHER.lower()), (OTHER.lower(), OTHER)):
        assert verdict(pay_to=asked, shipped_pay_to=written).outcome is Outcome.ALLOW
        assert verdict(used={"pinned": written}, pay_to=asked).outcome is Outcome.ALLOW
        assert verdict({"pay_to": (written,)}, pay_to=asked).outcome is Outcome.ALLOW


def test_a_micro_dollar_is_a_price_and_a_fee_below_nothing_is_not() -> None:
    assert verdict(price=1, table=1).outcome is Outcome.ALLOW
    assert refused(fee=-1)[0] == "amount"


def test_a_limit_of_the_model_is_full_to_the_micro_dollar_and_to_the_payment() -> None:
    assert refused({"models": {MODEL: Caps(total=CLIP - 1)}})[0] == "total"
    assert refused({"models": {MODEL: Caps(payments_per_day=0)}}) == (
        "payments_per_day",
        f"0 of 0 payments per day of model {MODEL} are used",
    )


def test_a_policy_without_a_number_bears_two_unknown_outcomes_of_the_wallet() -> None:
    assert verdict({"unresolved": None}, {"unresolved": {WALLET: 2}}).outcome is Outcome.ALLOW


def test_a_policy_that_bears_no_unknown_outcome_from_the_start_buys_nothing() -> None:
    assert refused({"unresolved": 0})[1] == "0 payments have an unknown outcome, and the limit is 0"


@pytest.mark.parametrize(
    ("rails", "told"),
    [
        ({}, "$1.50 is used ($0.00 of it held)"),
        ({"x402": 1_500_000}, "$1.50 is used ($0.00 of it held)"),
        ({"x402": 500_000, "mpp": 1_000_000}, "$1.50 is used, $1.00 over mpp and $0.50 over x402 ($0.00 of it held)"),
    ],
)
def test_a_sum_is_split_where_it_went_over_two_rails(rails: dict[str, int], told: str) -> None:
    _, reason = refused({"per_day": CLIP}, {"spent": {(WALLET, "day"): Spent(total=1_500_000, rails=rails)}})
    assert told in reason


def test_a_full_window_empties_with_time_and_a_full_total_never_does() -> None:
    operator = "Only the operator can raise the limit, in the policy file."
    assert verdict({"total": 0}).remedy == operator
    assert verdict({"per_day": 0}).remedy == (
        f"The day is a rolling one: budget returns as payments grow older than it. {operator}"
    )
