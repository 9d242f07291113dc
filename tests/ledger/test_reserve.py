import json

import pytest

from seedance_mcp.guard.decision import decide
from seedance_mcp.guard.usage import WALLET, Usage, Verdict
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.states import DAY, OPEN, PAID, State
from tests.guard.examples import PAY_TO, policy, proposal
from tests.ledger.examples import ANOTHER, CLIP, REFUSAL, Desk, allow, intent, nonce_of, refuse

SIGNED_STATES, PAID_STATES = sorted(OPEN - {State.RESERVED}), sorted(PAID)


async def test_a_reservation_is_written_as_it_was_asked_for(desk: Desk) -> None:
    purchase = await desk.reserve(intent(fee=700))
    payment = purchase.payment
    assert purchase.id.startswith("pur_")
    assert (purchase.request, purchase.take, purchase.generation) == ({"prompt": "dawn"}, 1, 1)
    assert (payment.state, payment.owner, payment.attempt, payment.serial) == (State.RESERVED, "me", 1, 0)
    assert (payment.amount, payment.fee, payment.pay_to, payment.reserved_at) == (CLIP, 700, PAY_TO, desk.now)
    assert not purchase.paid
    assert not purchase.delivered


async def test_a_refusal_reserves_nothing_and_is_noted_with_its_reason(desk: Desk) -> None:
    assert await desk.ask(rule=refuse) is REFUSAL
    assert (await desk.spent()).count == 0
    assert await desk.database.read(views.latest, intent().key) is None
    entry = await desk.database.read(lambda tx: tx.one("SELECT entry FROM audit"))
    assert entry is not None
    noted = json.loads(entry["entry"])
    assert (noted["event"], noted["verdict"], noted["code"]) == ("decision", "refuse", "no")
    assert (noted["reason"], noted["amount"], noted["policy"]) == ("because of this test", CLIP, "digest")


async def test_the_rule_sees_the_sums_it_needs_as_they_are_at_that_moment(desk: Desk) -> None:
    await desk.at(State.SETTLED, intent("before"))
    seen: list[Usage] = []

    def watch(usage: Usage) -> Verdict:
        seen.append(usage)
        return allow(usage)

    await desk.ask(rule=watch, needed=[(WALLET, "day"), ("agent:storyboard", "hour")])
    assert {key: spent.total for key, spent in seen[0].spent.items()} == {
        (WALLET, "day"): CLIP,
        ("agent:storyboard", "hour"): CLIP,
    }


async def test_a_cap_admits_exactly_what_fits(desk: Desk) -> None:
    rules, asked = policy(per_hour=3 * CLIP), proposal()
    answers = [
        await desk.ask(intent(str(number)), rule=lambda usage: decide(rules, usage, asked)) for number in range(5)
    ]
    refused = [answer.reason for answer in answers if isinstance(answer, Verdict)]
    assert len(refused) == 2
    assert refused[0].endswith("$1.08 is used ($1.08 of it held), $0.00 is left")


async def test_a_reservation_of_a_living_process_answers_a_repeated_call(desk: Desk) -> None:
    first = await desk.reserve()
    desk.now += payments.LEASE - 1
    assert await desk.reserve(owner=ANOTHER) == first


async def test_a_reservation_of_a_dead_process_is_made_again_by_the_next_call(desk: Desk) -> None:
    first = await desk.reserve()
    desk.now += payments.LEASE
    second = await desk.reserve(owner=ANOTHER)
    assert (second.id, second.payment.attempt, second.payment.owner) == (first.id, 2, ANOTHER)
    assert (await desk.look(first.payment)).state is State.RELEASED
    assert (await desk.spent()).count == 1


@pytest.mark.parametrize("state", SIGNED_STATES)
async def test_an_open_purchase_answers_a_repeated_call_at_any_age(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    desk.now += 400 * DAY
    again = await desk.reserve(owner=ANOTHER)
    assert (again.id, again.payment.state, again.payment.attempt) == (payment.purchase, state, 1)


@pytest.mark.parametrize("state", PAID_STATES)
async def test_a_clip_that_was_paid_and_not_delivered_answers_at_any_age(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    desk.now += 400 * DAY
    assert (await desk.reserve()).id == payment.purchase


@pytest.mark.parametrize("state", PAID_STATES)
async def test_a_delivered_clip_answers_for_a_day_after_it_was_paid(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    await desk.database.write(jobs.add, payment.purchase, "job-1", desk.now)
    desk.now += DAY - 1
    assert (await desk.reserve()).id == payment.purchase
    desk.now += 1
    fresh = await desk.reserve()
    assert fresh.id != payment.purchase
    assert fresh.payment.state is State.RESERVED


async def test_the_newest_of_two_purchases_answers(desk: Desk) -> None:
    old = await desk.at(State.CLAIMED)
    await desk.database.write(jobs.add, old.purchase, "job-1", desk.now)
    desk.now += DAY
    new = await desk.reserve()
    assert (await desk.reserve()).id == new.id
    assert await desk.database.read(views.since, intent().key, desk.now - 1) == 1


@pytest.mark.parametrize("state", [State.RELEASED, State.EXPIRED])
async def test_an_attempt_that_ended_unpaid_is_followed_by_another_of_the_same_purchase(
    desk: Desk, state: State
) -> None:
    first = await desk.at(state)
    second = (await desk.reserve()).payment
    assert (second.purchase, second.attempt, second.id != first.id) == (first.purchase, 2, True)
    assert second.serial == first.serial, "the same nonce, so even a wrong expiry cannot charge twice"
    assert await desk.sign(second, nonce=nonce_of(first))


async def test_a_purchase_that_has_a_job_is_not_paid_again(desk: Desk) -> None:
    first = await desk.at(State.EXPIRED)
    await desk.database.write(jobs.add, first.purchase, "job-1", desk.now)
    second = await desk.reserve()
    assert (second.id != first.purchase, second.payment.serial, second.job) == (True, first.serial, None)


async def test_the_nonce_moves_on_only_past_paid_purchases(desk: Desk) -> None:
    first = await desk.at(State.CLAIMED)
    await desk.database.write(jobs.add, first.purchase, "job-1", desk.now)
    desk.now += DAY
    second = await desk.at(State.EXPIRED)
    third = (await desk.reserve()).payment
    assert [first.serial, second.serial, third.serial] == [0, 1, 1]
    other = await desk.reserve(intent("another clip"))
    assert other.payment.serial == 0


async def test_a_paid_purchase_that_delivers_nothing_more_can_be_replaced_by_name(desk: Desk) -> None:
    first = await desk.at(State.CLAIMED, intent(model="upload"))
    assert (await desk.reserve(intent(model="upload"))).id == first.purchase
    second = await desk.reserve(intent(model="upload", replaces=first.purchase))
    assert (second.id != first.purchase, second.payment.serial) == (True, 1)
    third = await desk.reserve(intent(model="upload", replaces=first.purchase))
    assert third.id == second.id, "a name that is out of date replaces nothing"


async def test_an_upload_answers_for_good(desk: Desk) -> None:
    request = {"sha256": "ab" * 32, "width": 2, "height": 1}
    payment = await desk.at(State.SETTLED, intent(model="upload", request=request))
    purchase = await desk.find(payment.purchase)
    await desk.database.write(jobs.keep_ticket, purchase, b"sealed ticket", None)
    await desk.database.write(jobs.finish_upload, purchase.id, "https://images.example/1.jpg")
    desk.now += 400 * DAY
    again = await desk.reserve(intent(model="upload", request=request))
    assert (again.id, again.delivered) == (purchase.id, True)


async def test_no_other_take_is_bought_while_one_has_an_unknown_outcome(desk: Desk) -> None:
    payment = await desk.at(State.UNKNOWN)
    answer = await desk.ask(intent(take=2))
    assert isinstance(answer, Verdict)
    assert (answer.code, answer.outcome) == ("other_take_unresolved", "refuse")
    assert payment.purchase in answer.reason
    await desk.reserve(intent("another clip", take=2))
    await desk.move(payment, State.EXPIRED)
    await desk.reserve(intent(take=2))


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT])
async def test_another_take_waits_for_the_payment_of_a_dead_process(desk: Desk, state: State) -> None:
    await desk.at(state)
    await desk.reserve(intent(take=2))
    desk.now += payments.LEASE
    answer = await desk.ask(intent(take=3), owner=ANOTHER)
    assert isinstance(answer, Verdict)
    assert answer.code == "other_take_unresolved"


async def test_two_agents_never_share_a_purchase(desk: Desk) -> None:
    mine = await desk.reserve(intent(key=b"storyboard's", agent="storyboard"))
    theirs = await desk.reserve(intent(key=b"trailer's", agent="trailer"))
    assert mine.id != theirs.id
    assert [purchase.id for purchase in await desk.database.read(jobs.pending, "trailer", desk.now)] == [theirs.id]


async def test_the_first_use_pins_the_recipient_and_later_ones_do_not_move_it(desk: Desk) -> None:
    assert (await desk.usage()).pinned is None
    await desk.reserve(intent("one"))
    assert (await desk.usage()).pinned == PAY_TO
    await desk.reserve(intent("two", pay_to="0xother"))
    assert (await desk.usage()).pinned == PAY_TO


async def test_a_refusal_pins_nothing(desk: Desk) -> None:
    await desk.ask(rule=refuse)
    assert (await desk.usage()).pinned is None


async def test_pins_are_of_one_seller_rail_and_token(desk: Desk) -> None:
    await desk.reserve()
    for where in (("https://other.example", "x402", "0xtoken"), (intent().origin, "mpp", "0xtoken"),
                  (intent().origin, "x402", "0xelse")):  # fmt: skip
        assert (await desk.database.read(views.usage, [], *where, desk.now)).pinned is None
