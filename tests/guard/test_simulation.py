from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from seedance_mcp.guard.books import Standing
from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.policy import Caps, Policy
from seedance_mcp.guard.simulation import Decided, Simulation, simulate
from seedance_mcp.guard.usage import DAY, HOUR, WALLET, WINDOWS, Outcome, Spent, Usage, Verdict
from tests.guard.examples import AGENT, MODEL, OTHER, PAY_TO, policy, proposal, usage
from tests.guard.strategies import policies

NOW = 1_700_000_000_000
CLIP = 360_000
ALLOW, ASK, REFUSE = Outcome.ALLOW, Outcome.ASK, Outcome.REFUSE


@dataclass
class Paid:
    """A payment as the recorder below knows it; ``counted_at`` None counts at any time."""

    agent: str
    model: str
    cost: int
    counted_at: int | None = None
    counts: bool = True
    unknown: bool = False


@dataclass
class Recorder:
    """Decides under ``rules`` like a ledger does, summing up all payments each time, and writes down what happened."""

    rules: Policy
    now: int = NOW
    paid: list[Paid] = field(default_factory=list)
    history: list[Decided | Standing] = field(default_factory=list)

    def ask(self, key: str = "dawn", seen: Usage | None = None, **asked: Any) -> Verdict:
        wanted, seen = proposal(**asked), seen or usage()
        held = sum(one.cost for one in self._counting(WALLET) if one.counted_at is None)
        unresolved = {
            scope: sum(one.unknown for one in self._counting(scope)) for scope in scopes_of(wanted.agent, wanted.model)
        }
        seen = replace(seen, outstanding=held, unresolved=unresolved)
        spent = {
            (scope, window): self._spent(scope, length) for scope in unresolved for window, length in WINDOWS.items()
        }
        verdict = decide(self.rules, replace(seen, spent=spent), wanted)
        reserved = None
        if verdict.outcome is ALLOW:
            self.paid.append(Paid(wanted.agent, wanted.model, wanted.cost))
            reserved = self._standing(len(self.paid))
        self.history.append(
            Decided(
                at=self.now, key=key, agent=wanted.agent, model=wanted.model, cost=wanted.cost,
                verdict=verdict, proposal=wanted, usage=seen, reserved=reserved,
            )
        )  # fmt: skip
        return verdict

    def move(self, number: int, **changes: Any) -> None:
        """The payment ``number``, counted from 1, counts otherwise from now on."""
        self.paid[number - 1] = replace(self.paid[number - 1], **changes)
        self.history.append(self._standing(number))

    def _standing(self, number: int) -> Standing:
        one = self.paid[number - 1]
        return Standing(
            payment=number, agent=one.agent, model=one.model, rail="x402", cost=one.cost,
            counted_at=one.counted_at, unknown=one.unknown, gone=not one.counts,
        )  # fmt: skip

    def _counting(self, scope: str) -> list[Paid]:
        return [one for one in self.paid if one.counts and scope in scopes_of(one.agent, one.model)]

    def _spent(self, scope: str, length: int | None) -> Spent:
        inside = [
            one
            for one in self._counting(scope)
            if one.counted_at is None or length is None or one.counted_at > self.now - length
        ]
        return Spent(sum(one.cost for one in inside), 0, len(inside))


def scopes_of(agent: str, model: str) -> tuple[str, ...]:
    return WALLET, f"model:{model}", f"agent:{agent}"


@st.composite
def recorders(draw: st.DrawFn, *, comes_back: bool = True) -> Recorder:
    """Hours to weeks of requests, and of what became of their payments.

    ``comes_back``: a payment may be settled after it was taken for expired, whatever the caps say by then.
    """
    recorder = Recorder(draw(policies() | st.just(policy(approval_above=None))))
    for _ in range(draw(st.integers(1, 25))):
        recorder.now += draw(st.sampled_from([1, 60_000, HOUR - 1, HOUR, DAY, 8 * DAY, -60_000]))
        living = [number for number, one in enumerate(recorder.paid, 1) if one.counts or comes_back]
        if draw(st.booleans()) and living:
            number = draw(st.sampled_from(living))
            recorder.move(number, **draw(st.sampled_from(moves(recorder, number))))
        else:
            recorder.ask(
                key=draw(st.sampled_from(["dawn", "dusk", "noon"])),
                seen=usage(
                    frozen=draw(st.sampled_from([None, None, None, "a leak"])),
                    clock_ahead=draw(st.sampled_from([0, 0, 0, 90_000])),
                    pinned=draw(st.sampled_from([None, PAY_TO, PAY_TO, OTHER])),
                    generation=draw(st.sampled_from([None, 1, 1, 2])),
                ),
                agent=draw(st.sampled_from([AGENT, "someone-else"])),
                model=draw(st.sampled_from([MODEL, "upload"])),
                price=draw(st.sampled_from([CLIP, CLIP, 10_000, 4_000_000])),
                table=draw(st.sampled_from([None, CLIP, 4_000_000, 4_000_000])),
                fee=draw(st.sampled_from([0, 1_500])),
                balance=draw(st.sampled_from([None, 2_000_000, 90_000_000])),
            )
    return recorder


def moves(recorder: Recorder, number: int) -> list[dict[str, Any]]:
    counted_at = recorder.now - 30_000
    settled = {"counted_at": counted_at, "counts": True, "unknown": False}
    return [
        {"unknown": True},
        settled,
        {**settled, "cost": recorder.paid[number - 1].cost - 1_000},
        {"counts": False, "unknown": False},
    ]


def outcomes(result: Simulation) -> list[str]:
    return [ruling.verdict.code for ruling in result.rulings]


def recorded(*keys: str, rules: Policy | None = None, **asked: Any) -> Recorder:
    """Clips asked for a minute apart, each settled at once."""
    recorder = Recorder(rules or policy())
    for key in keys:
        if recorder.ask(key, **asked).outcome is ALLOW:
            recorder.move(len(recorder.paid), counted_at=recorder.now)
        recorder.now += 60_000
    return recorder


def test_sums_are_of_what_the_other_policy_would_have_allowed() -> None:
    recorder = recorded("one", "two", "three", "four")
    result = simulate(policy(per_hour=2 * CLIP), recorder.history)
    assert outcomes(result) == ["allowed", "allowed", "per_hour", "per_hour"]
    assert [ruling.changed for ruling in result.rulings] == [False, False, True, True]
    assert (result.spent, result.recorded) == (2 * CLIP, 4 * CLIP)
    reason = result.rulings[2].verdict.reason
    assert reason.endswith("of $0.72 per hour: $0.72 is used ($0.00 of it held), $0.00 is left")


def test_a_payment_that_was_released_or_expired_makes_room_under_the_other_policy_too() -> None:
    recorder = Recorder(policy())
    recorder.ask("one")
    recorder.ask("two")
    recorder.move(1, counts=False)
    recorder.ask("three")
    assert outcomes(simulate(policy(per_hour=CLIP), recorder.history)) == ["allowed", "per_hour", "allowed"]


def test_a_payment_leaves_its_window_to_the_millisecond() -> None:
    recorder = recorded("one")
    for now in (NOW + HOUR - 1, NOW + HOUR):
        recorder.now = now
        recorder.ask(f"at {now}")
        recorder.move(len(recorder.paid), counts=False)
    assert outcomes(simulate(policy(per_hour=CLIP), recorder.history)) == ["allowed", "per_hour", "allowed"]


def test_an_open_payment_counts_at_any_age_and_a_settled_one_until_it_leaves_its_window() -> None:
    recorder = Recorder(policy(unresolved=9))
    recorder.ask("one")
    recorder.now += 2 * DAY
    recorder.ask("two")
    recorder.move(1, counted_at=NOW)
    recorder.ask("three")
    assert outcomes(simulate(policy(per_day=CLIP), recorder.history)) == ["allowed", "per_day", "allowed"]


def test_what_a_looser_policy_would_have_bought_counts_and_answers_the_same_request_for_a_day() -> None:
    recorder = recorded("one", "one", "two", rules=policy(per_payment=CLIP - 1))
    assert {entry.verdict.code for entry in decisions(recorder)} == {"per_payment"}
    result = simulate(policy(per_hour=CLIP), recorder.history)
    assert outcomes(result) == ["allowed", "repeated", "per_hour"]
    assert (result.spent, result.recorded) == (CLIP, 0)
    recorder.now = NOW + DAY
    recorder.ask("one")
    assert outcomes(simulate(policy(per_hour=CLIP), recorder.history))[-1] == "allowed"


def test_everything_that_a_looser_policy_would_have_bought_counts_and_leaves_the_wallet() -> None:
    recorder = recorded("one", "two", "three", rules=policy(per_payment=CLIP - 1), balance=3 * CLIP - 1)
    result = simulate(policy(), recorder.history)
    assert outcomes(result) == ["allowed", "allowed", "balance"]
    assert (result.spent, result.recorded) == (2 * CLIP, 0)


def test_a_purchase_that_was_made_in_the_end_is_not_bought_twice() -> None:
    recorder = recorded("one", rules=policy(per_payment=CLIP - 1))
    recorder.rules = policy()
    recorder.ask("one")
    recorder.move(1, counted_at=recorder.now)
    result = simulate(policy(), recorder.history)
    assert outcomes(result) == ["allowed", "repeated"]
    assert result.spent == result.recorded == CLIP


def test_the_wallet_keeps_what_would_not_have_been_spent() -> None:
    recorder = Recorder(policy())
    recorder.ask("one", price=2_000_000, table=2_000_000, balance=2_000_000)
    assert recorder.paid == [], "it needs approval"
    recorder.rules = policy(approval_above=None)
    recorder.ask("one", price=2_000_000, table=2_000_000, balance=2_300_000)
    recorder.move(1, counted_at=recorder.now)
    recorder.ask("two", balance=300_000)
    assert [entry.verdict.code for entry in decisions(recorder)] == ["above_approval", "allowed", "balance"]
    assert outcomes(simulate(policy(), recorder.history)) == ["above_approval", "above_approval", "allowed"]


def test_a_payment_that_would_not_have_been_made_holds_nothing() -> None:
    recorder = Recorder(policy())
    recorder.ask("one", price=1_000_000, table=1_000_000, balance=1_200_000)
    recorder.ask("two", balance=1_200_000)
    recorder.move(1, unknown=True)
    recorder.ask("three")
    assert [entry.verdict.code for entry in decisions(recorder)] == ["allowed", "balance", "unresolved"]
    strict = policy(per_payment=500_000)
    assert outcomes(simulate(strict, recorder.history)) == ["per_payment", "allowed", "allowed"]


@pytest.mark.parametrize(("agent", "changes"), [(AGENT, {}), ("someone-else", {"unknown": True})])
def test_only_its_own_outcome_is_no_question_any_more(agent: str, changes: dict[str, Any]) -> None:
    recorder = Recorder(policy())
    recorder.ask("one", agent=agent, price=1_000_000, table=1_000_000)
    recorder.ask("two")
    recorder.move(1, **changes)
    recorder.move(2, unknown=True)
    recorder.ask("three")
    strict = policy(per_payment=500_000)
    assert outcomes(simulate(strict, recorder.history)) == ["per_payment", "allowed", "unresolved"]


def test_what_was_approved_is_paid_again_but_not_past_a_cap() -> None:
    recorder = recorded("one")
    (entry,) = decisions(recorder)
    asked = Verdict(ASK, "above_approval", "it is dear")
    approved = [replace(entry, approved=True, verdict=asked), *recorder.history[1:]]
    for rules, code, spent in (
        (policy(approval_above=0), "above_approval", CLIP),
        (policy(), "allowed", CLIP),
        (policy(approval_above=0, per_payment=0), "per_payment", 0),
    ):
        result = simulate(rules, approved)
        assert (outcomes(result), result.spent, result.recorded) == ([code], spent, CLIP)
    assert simulate(policy(approval_above=0), recorder.history).spent == 0


def test_what_was_no_policy_s_decision_stays_as_it_was_and_counts() -> None:
    recorder = recorded("one", "two")
    one, two = decisions(recorder)
    taken = Verdict(REFUSE, "other_take_unresolved", "another take is open")
    history = [
        replace(one, proposal=None),
        *recorder.history[1:2],
        replace(two, verdict=taken, usage=None, reserved=None),
        replace(two, proposal=None, reserved=None),
    ]
    result = simulate(policy(per_hour=0), history)
    assert outcomes(result) == ["allowed", "other_take_unresolved", "allowed"]
    assert [ruling.judged for ruling in result.rulings] == [False, False, False]
    assert result.spent == CLIP


def test_what_left_the_wallet_by_other_means_counts_under_every_policy() -> None:
    recorder = recorded("one")
    outside = Standing(payment=99, agent="outside", model="outside", rail="x402", cost=5_000_000, counted_at=NOW)
    assert outcomes(simulate(policy(), [outside, *recorder.history])) == ["per_hour"]


def test_the_fee_of_a_payment_that_would_not_have_been_made_does_not_count() -> None:
    recorder = Recorder(policy())
    recorder.ask("one")
    recorder.move(1, counts=False)
    fee = Standing(payment=2, agent=AGENT, model=MODEL, rail="x402", cost=700, counted_at=NOW, fee_of=1)
    history = [*recorder.history, fee]
    assert simulate(policy(), history).spent == 700
    assert simulate(policy(per_payment=0), history).spent == 0


def test_limits_of_models_and_agents_are_judged_as_well() -> None:
    recorder = recorded("one", "two")
    for rules in (policy(models={MODEL: Caps(total=CLIP)}), policy(agents={AGENT: Caps(payments_per_hour=1)})):
        assert [ruling.verdict.outcome for ruling in simulate(rules, recorder.history).rulings] == [ALLOW, REFUSE]


def decisions(recorder: Recorder) -> list[Decided]:
    return [entry for entry in recorder.history if isinstance(entry, Decided)]


@given(recorders())
def test_under_its_own_policy_every_decision_is_the_recorded_one(recorder: Recorder) -> None:
    result = simulate(recorder.rules, recorder.history)
    for ruling in result.rulings:
        event(ruling.verdict.code)
        recorded = ruling.decided.verdict
        assert (ruling.verdict.outcome, ruling.verdict.code) == (recorded.outcome, recorded.code)
        assert not ruling.changed
    assert result.spent == result.recorded == sum(one.cost for one in recorder.paid if one.counts)


@given(recorders(comes_back=False), policies(), st.integers(0, 5_000_000))
def test_no_policy_would_have_spent_more_than_its_caps(recorder: Recorder, rules: Policy, cap: int) -> None:
    rules = replace(rules, caps=replace(rules.caps, total=cap))
    result = simulate(rules, recorder.history)
    assert result.spent <= cap
    assert result.recorded == sum(one.cost for one in recorder.paid if one.counts)


@given(recorders())
def test_a_policy_that_forbids_everything_would_have_spent_nothing(recorder: Recorder) -> None:
    result = simulate(policy(per_payment=0, approval_above=None), recorder.history)
    assert {ruling.verdict.outcome for ruling in result.rulings} <= {REFUSE}
    assert result.spent == 0
