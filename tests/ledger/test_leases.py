import pytest

from seedance_mcp.ledger import payments
from seedance_mcp.ledger.states import OPEN, State
from tests.ledger.examples import ANOTHER, CLIP, ME, Desk, intent

WORKED_ON = [State.RESERVED, State.SIGNED, State.SENT]


@pytest.mark.parametrize("state", WORKED_ON)
async def test_nobody_takes_the_payment_of_a_living_process(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    desk.now += payments.LEASE - 1
    assert await desk.database.write(payments.adopt, payment, ANOTHER, desk.now) is None
    assert (await desk.look(payment)).owner == ME


@pytest.mark.parametrize("state", WORKED_ON)
async def test_the_payment_of_a_dead_process_is_taken_over(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    desk.now += payments.LEASE
    taken = await desk.database.write(payments.adopt, payment, ANOTHER, desk.now)
    assert taken is not None
    assert (taken.id, taken.owner, taken.state, taken.sealed) == (payment.id, ANOTHER, state, payment.sealed)


async def test_a_sign_of_life_keeps_a_payment(desk: Desk) -> None:
    payment = await desk.at(State.SENT)
    desk.now += payments.LEASE - 1
    await desk.database.write(payments.beat, ME, desk.now)
    desk.now += payments.LEASE - 1
    assert await desk.database.write(payments.adopt, payment, ANOTHER, desk.now) is None


async def test_one_takes_over_and_the_next_comes_too_late(desk: Desk) -> None:
    payment = await desk.at(State.SENT)
    desk.now += payments.LEASE
    assert await desk.database.write(payments.adopt, payment, ANOTHER, desk.now)
    assert await desk.database.write(payments.adopt, payment, "a third", desk.now) is None
    assert await desk.database.write(payments.adopt, payment, ME, desk.now) is None


async def test_a_payment_that_moved_meanwhile_is_not_taken_over(desk: Desk) -> None:
    seen = await desk.at(State.SENT)
    await desk.move(seen, State.UNKNOWN)
    assert await desk.database.write(payments.adopt, seen, ANOTHER, desk.now) is None


async def test_a_payment_that_was_given_up_is_free_at_once(desk: Desk) -> None:
    payment = await desk.at(State.UNKNOWN)
    assert await desk.database.write(payments.adopt, payment, ANOTHER, desk.now)
    assert await desk.database.write(payments.send, payment, ANOTHER, desk.now) is None


@pytest.mark.parametrize("state", [State.CLAIMED, State.SETTLED, State.EXPIRED, State.RELEASED])
async def test_nobody_takes_over_what_is_decided(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    assert await desk.database.write(payments.adopt, payment, ANOTHER, desk.now) is None
    assert await desk.look(payment) == payment


async def test_a_process_that_wakes_up_too_late_sends_nothing(desk: Desk) -> None:
    payment = await desk.at(State.SIGNED)
    desk.now += payments.LEASE
    await desk.database.write(payments.adopt, payment, ANOTHER, desk.now)
    verdict = await desk.database.write(payments.send, payment, ME, desk.now)
    assert verdict is not None
    assert verdict.code == "taken_over"


async def test_a_process_that_wakes_up_too_late_signs_nothing(desk: Desk) -> None:
    payment = await desk.at(State.RESERVED)
    desk.now += payments.LEASE
    assert await desk.database.write(payments.release_abandoned, ANOTHER, desk.now) == 1
    assert not await desk.sign(payment)
    assert (await desk.look(payment)).state is State.RELEASED


async def test_the_answer_of_a_process_that_lost_its_payment_is_evidence_all_the_same(desk: Desk) -> None:
    payment = await desk.at(State.SENT)
    desk.now += payments.LEASE
    await desk.database.write(payments.adopt, payment, ANOTHER, desk.now)
    assert await desk.database.write(payments.claim, payment, "0xreceipt", desk.now)
    assert (await desk.look(payment)).state is State.CLAIMED


async def test_abandoned_reservations_give_the_budget_back(desk: Desk) -> None:
    await desk.at(State.RESERVED, intent("dead"))
    await desk.at(State.RESERVED, intent("alive"), owner="alive")
    mine = await desk.at(State.RESERVED, intent("mine"), owner=ANOTHER)
    desk.now += payments.LEASE
    await desk.database.write(payments.beat, "alive", desk.now)
    assert await desk.database.write(payments.release_abandoned, ANOTHER, desk.now) == 1
    assert (await desk.spent()).total == 2 * CLIP
    assert await desk.look(mine) == mine
    assert await desk.database.write(payments.release_abandoned, ANOTHER, desk.now) == 0


async def test_a_process_gives_back_what_it_reserved_and_never_signed(desk: Desk) -> None:
    await desk.at(State.RESERVED, intent("mine"))
    signed = await desk.at(State.SIGNED, intent("mine and signed"))
    other = await desk.at(State.RESERVED, intent("another's"), owner=ANOTHER)
    await desk.database.write(payments.release_own, ME, desk.now)
    assert (await desk.spent()).total == 2 * CLIP
    assert await desk.look(signed) == signed
    assert await desk.look(other) == other


@pytest.mark.parametrize("state", sorted(OPEN - {State.RESERVED}))
async def test_time_alone_never_gives_signed_money_back(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    desk.now += 10**12
    assert await desk.database.write(payments.release_abandoned, ANOTHER, desk.now) == 0
    assert (await desk.look(payment)).state is state
    assert (await desk.spent()).held == CLIP
