from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from seedance_mcp.ledger.states import (
    MOVES,
    NEVER,
    OPEN,
    PAID,
    UNCOUNTED,
    Approval,
    ClipJob,
    Payment,
    Purchase,
    State,
    Upload,
)
from tests.ledger.examples import VALID, Desk

NOON = 1_700_049_600_000
A_DAY = 24 * 60 * 60 * 1000
ASKED = Approval("pur_1", "May this be paid?", NOON, NOON + 900_000, None, None, None, None)
APPROVED = replace(ASKED, answer="approved", answered_at=NOON + 1, answered_by="the operator")
JOB = ClipJob("job-1", "pur_1", "pending", None, None, None, None, None, None, False, NOON, NOON)
TICKET = Upload("pur_1", "ab" * 32, 640, 360, b"sealed", NOON, None, None)
UPLOAD = replace(TICKET, ticket=None, url="https://images.example/1.jpg")


def purchase(state: State, ended_at: int | None = None, **changes: Any) -> Purchase:
    values: dict[str, Any] = dict.fromkeys(Payment.__dataclass_fields__)
    payment = Payment(**(values | {"state": state, "ended_at": ended_at}))
    return replace(Purchase("pur_1", b"key", "ada", "seedance", 1, 1, {}, NOON, payment, None, None), **changes)


def reached_from(state: State) -> set[State]:
    """Every state that can follow, after however many moves."""
    reached: set[State] = set()
    ahead = set(MOVES[state])
    while ahead:
        reached.add(latest := ahead.pop())
        ahead |= MOVES[latest] - reached
    return reached


SIGNED = reached_from(State.SIGNED) | {State.SIGNED}


def test_a_ledger_of_an_older_version_can_be_read() -> None:
    assert [str(state) for state in State] == [
        "intended", "reserved", "released", "signed", "sent", "unknown", "claimed", "settled", "expired", "written_off",
    ]  # fmt: skip


def test_the_end_of_time_is_the_last_moment_that_sqlite_can_hold() -> None:
    assert (NEVER.bit_length(), (NEVER + 1).bit_length()) == (63, 64)


def test_a_payment_is_not_due_or_open_or_paid_or_given_up() -> None:
    groups = [UNCOUNTED, OPEN, PAID, {State.WRITTEN_OFF}]
    assert sorted(state for group in groups for state in group) == sorted(State)


def test_only_what_was_never_signed_is_released() -> None:
    assert {state for state in State if State.RELEASED in MOVES[state]} == {State.INTENDED, State.RESERVED}
    assert not {State.INTENDED, State.RESERVED, State.RELEASED} & SIGNED


@pytest.mark.parametrize("state", sorted(SIGNED - {State.SETTLED}))
def test_the_chain_can_settle_whatever_was_signed_in_one_move(state: State) -> None:
    assert State.SETTLED in MOVES[state]


async def test_nothing_is_sent_in_the_last_ten_seconds_of_its_authorization(desk: Desk) -> None:
    payment = await desk.at(State.SIGNED)
    desk.now += (VALID - 10) * 1000
    assert not await desk.move(payment, State.SENT)
    desk.now -= 1
    assert await desk.move(payment, State.SENT)


def test_nothing_follows_a_settlement_or_a_release() -> None:
    assert not reached_from(State.SETTLED) | reached_from(State.RELEASED)


@pytest.mark.parametrize("state", sorted(SIGNED - {State.SETTLED, State.EXPIRED}))
def test_whatever_was_signed_expires_unless_it_settles(state: State) -> None:
    assert State.EXPIRED in MOVES[state]


def test_the_operator_gives_up_only_what_is_signed_and_open() -> None:
    assert {state for state in State if State.WRITTEN_OFF in MOVES[state]} == OPEN - {State.RESERVED}


def test_only_what_was_sent_can_be_claimed_or_have_an_unknown_outcome() -> None:
    assert {state for state in State if State.CLAIMED in MOVES[state]} == {State.SENT, State.UNKNOWN}
    assert {state for state in State if State.UNKNOWN in MOVES[state]} == {State.SENT}


def test_the_way_of_a_purchase_that_a_person_approves() -> None:
    way = [State.INTENDED, State.RESERVED, State.SIGNED, State.SENT]
    for now, then in pairwise(way):
        assert {state for state in State if then in MOVES[state]} == {now}


@pytest.mark.parametrize("state", State)
def test_a_purchase_is_paid_once_the_seller_or_the_chain_says_so(state: State) -> None:
    assert purchase(state).paid is (state in {State.CLAIMED, State.SETTLED})


def test_a_purchase_is_delivered_with_a_job_or_with_the_link_to_an_image() -> None:
    assert purchase(State.CLAIMED).delivered is False
    assert purchase(State.CLAIMED, job=JOB).delivered is True
    assert purchase(State.CLAIMED, upload=TICKET).delivered is False
    assert purchase(State.CLAIMED, upload=UPLOAD).delivered is True


@pytest.mark.parametrize("state", State)
def test_a_purchase_is_unanswered_while_a_person_is_asked(state: State) -> None:
    assert purchase(state).unanswered is (state is State.INTENDED)


@pytest.mark.parametrize(
    ("approval", "stands"),
    [
        (ASKED, True),
        (APPROVED, True),
        (replace(APPROVED, answer="denied"), False),
        (replace(APPROVED, used_at=NOON + 2), False),
    ],
)
def test_a_question_stands_until_it_is_denied_or_its_yes_is_used_or_time_is_up(
    approval: Approval, stands: bool
) -> None:
    assert approval.stands(approval.expires_at - 1) is stands
    assert approval.stands(approval.expires_at) is False


@pytest.mark.parametrize("state", State)
def test_only_a_purchase_that_cost_and_brought_nothing_is_paid_again(state: State) -> None:
    assert purchase(state).may_be_paid_again is (state in {State.INTENDED, State.RELEASED, State.EXPIRED})
    assert purchase(state, job=JOB).may_be_paid_again is False
    assert purchase(state, upload=TICKET).may_be_paid_again is False


@pytest.mark.parametrize(
    ("job", "finished"),
    [
        (JOB, False),
        (replace(JOB, status="complete"), False),
        (replace(JOB, status="complete", video_path="/clips/dawn.mp4"), True),
        (replace(JOB, status="complete", lost=True), True),
        (replace(JOB, status="failed"), True),
    ],
)
def test_a_job_is_finished_once_its_clip_is_on_disk_or_never_will_be(job: ClipJob, finished: bool) -> None:
    assert job.finished is finished


@pytest.mark.parametrize("state", [State.INTENDED, State.RELEASED, State.EXPIRED])
def test_a_purchase_that_cost_nothing_answers_no_other_call(state: State) -> None:
    assert purchase(state, NOON, job=JOB).answers(NOON) is False


@pytest.mark.parametrize("state", [*sorted(OPEN), State.WRITTEN_OFF])
def test_a_purchase_that_may_yet_cost_something_answers_at_any_age(state: State) -> None:
    for delivered in ({}, {"job": JOB}, {"upload": UPLOAD}):
        assert purchase(state, NOON, **delivered).answers(NOON + 400 * A_DAY) is True


@pytest.mark.parametrize("state", sorted(PAID))
def test_a_paid_purchase_answers_for_a_day_if_it_is_a_clip_that_was_delivered(state: State) -> None:
    clip = purchase(state, NOON, job=JOB)
    assert clip.answers(NOON + A_DAY - 1) is True
    assert clip.answers(NOON + A_DAY) is False
    assert purchase(state, NOON).answers(NOON + 400 * A_DAY) is True
    assert purchase(state, NOON, upload=UPLOAD).answers(NOON + 400 * A_DAY) is True
    assert purchase(state, NOON, upload=TICKET).answers(NOON + 400 * A_DAY) is True


def test_a_clip_whose_payment_has_no_end_yet_answers() -> None:
    assert purchase(State.CLAIMED, None, job=JOB).answers(NOON + 400 * A_DAY) is True
