import pytest

from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.states import Payment, Purchase, State
from tests.ledger.examples import CLIP, ME, NOW, VALID, Desk, intent

DEADLINE = (NOW // 1000 + VALID) * 1000
HOUR, YEAR = 3_600_000, 365 * 86_400_000
OPEN = [State.SIGNED, State.SENT, State.UNKNOWN]


async def given_up(desk: Desk, state: State = State.UNKNOWN) -> Payment:
    payment = await desk.at(state)
    desk.now = DEADLINE
    assert await write_off(desk, payment)
    return await desk.look(payment)


async def write_off(desk: Desk, payment: Payment) -> bool:
    return await desk.database.write(payments.write_off, payment, desk.now)


async def unresolved(desk: Desk) -> int:
    return (await desk.usage((WALLET, "hour"))).unresolved[WALLET]


@pytest.mark.parametrize("state", OPEN)
async def test_nothing_is_written_off_before_its_deadline(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    desk.now = DEADLINE - 1
    assert not await write_off(desk, payment)
    assert await desk.look(payment) == payment
    desk.now += 1
    assert await write_off(desk, payment)
    assert (await desk.look(payment)).state is State.WRITTEN_OFF


@pytest.mark.parametrize(
    "state", [State.RESERVED, State.RELEASED, State.CLAIMED, State.SETTLED, State.EXPIRED, State.WRITTEN_OFF]
)
async def test_only_what_is_open_is_written_off(desk: Desk, state: State) -> None:
    payment = await (given_up(desk) if state is State.WRITTEN_OFF else desk.at(state))
    desk.now = DEADLINE + YEAR
    assert not await write_off(desk, payment)
    assert await desk.look(payment) == payment


@pytest.mark.parametrize("state", OPEN)
async def test_what_is_written_off_is_no_longer_unresolved_and_forgets_its_signed_bytes(
    desk: Desk, state: State
) -> None:
    payment = await desk.at(state)
    desk.now = DEADLINE
    assert await unresolved(desk) == 1
    assert await write_off(desk, payment)
    assert await unresolved(desk) == 0
    assert (await desk.look(payment)).sealed is None
    assert await desk.database.read(views.open_payments) == []
    assert await check_ledger(desk.database) == []


async def test_what_is_written_off_stays_counted_at_its_deadline(desk: Desk) -> None:
    await given_up(desk)
    desk.now = DEADLINE + HOUR - 1
    spent = await desk.spent()
    assert (spent.total, spent.held) == (CLIP, 0)
    assert (await desk.usage()).outstanding == 0
    desk.now += 1
    assert (await desk.spent()).total == 0
    assert (await desk.spent(window="total")).total == CLIP


@pytest.mark.parametrize("delivered", [False, True])
async def test_its_purchase_stays_closed_to_repeated_calls(desk: Desk, delivered: bool) -> None:
    payment = await given_up(desk)
    if delivered:
        assert await desk.database.write(jobs.add, payment.purchase, "job-1", desk.now)
    desk.now += YEAR
    again = await desk.ask()
    assert isinstance(again, Purchase)
    assert (again.id, again.payment.state) == (payment.purchase, State.WRITTEN_OFF)
    assert (await desk.spent(window="total")).count == 1


async def test_another_take_is_free_again(desk: Desk) -> None:
    await given_up(desk)
    assert (await desk.reserve(intent(take=2))).payment.state is State.RESERVED


@pytest.mark.parametrize(("to", "counted"), [(State.SETTLED, CLIP), (State.EXPIRED, 0)])
async def test_the_chain_still_decides_it(desk: Desk, to: State, counted: int) -> None:
    payment = await given_up(desk)
    assert [given.id for given in await desk.database.read(views.given_up)] == [payment.id]
    assert await desk.move(payment, to)
    assert (await desk.look(payment)).state is to
    assert (await desk.spent(window="total")).total == counted
    assert await desk.database.read(views.given_up) == []
    assert await check_ledger(desk.database) == []


async def test_after_the_chain_proved_that_it_was_never_used_it_can_be_bought(desk: Desk) -> None:
    payment = await given_up(desk)
    await desk.move(payment, State.EXPIRED)
    again = await desk.reserve()
    assert (again.id, again.payment.attempt) == (payment.purchase, 2)


@pytest.mark.parametrize("to", [State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED, State.RELEASED])
async def test_no_process_and_no_seller_moves_it(desk: Desk, to: State) -> None:
    """Not even the one that is still waiting for the answer."""
    payment = await given_up(desk, State.SENT)
    assert not await desk.move(payment, to, owner=ME)
    assert await desk.look(payment) == payment
