import pytest

from seedance_mcp.guard.usage import Verdict
from seedance_mcp.ledger import audit, jobs, operator, payments, views
from seedance_mcp.ledger.states import SAFETY, State
from tests.ledger.examples import ANOTHER, CLIP, ME, NOW, PATHS, VALID, Desk, intent

DEADLINE = NOW // 1000 + VALID
TARGETS = [state for state in State if state not in {State.INTENDED, State.RESERVED, State.WRITTEN_OFF}]
"""What the corridor and the chain move to; what the operator does has tests of its own."""
LEGAL = {
    State.RESERVED: {State.SIGNED, State.RELEASED},
    State.RELEASED: set(),
    State.SIGNED: {State.SENT, State.SETTLED, State.EXPIRED},
    State.SENT: {State.UNKNOWN, State.CLAIMED, State.SETTLED, State.EXPIRED},
    State.UNKNOWN: {State.CLAIMED, State.SETTLED, State.EXPIRED},
    State.CLAIMED: {State.SETTLED, State.EXPIRED},
    State.SETTLED: set(),
    State.EXPIRED: {State.SETTLED},
}
"""Written out again: what was signed is never released, and nothing leaves a settlement."""
OWNED = (State.SIGNED, State.SENT, State.UNKNOWN, State.RELEASED)
AGAIN = {(State.SENT, State.SENT), (State.UNKNOWN, State.SENT), (State.UNKNOWN, State.UNKNOWN),
         (State.SIGNED, State.UNKNOWN)}  # fmt: skip
"""Asking to send, or giving a payment up, where that is no new state: allowed, and the state stays."""


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("state", PATHS)
async def test_a_move_is_made_where_it_is_legal_and_changes_nothing_elsewhere(
    desk: Desk, state: State, to: State
) -> None:
    payment = await desk.at(state)
    if state in {State.UNKNOWN, State.SENT, State.SIGNED}:
        await desk.database.write(payments.adopt, payment, ME, desk.now)
        payment = await desk.look(payment)
    before = await desk.database.read(audit.verify)
    legal = to in LEGAL[state]
    made = await desk.move(payment, to)
    after = await desk.look(payment)
    if legal:
        assert made
        assert after.state is to
        assert await desk.database.read(audit.verify) == before + 1
    else:
        assert made is ((state, to) in AGAIN)
        assert after.state is state
        assert made or after == payment
        assert await desk.database.read(audit.verify) == before


@pytest.mark.parametrize("to", OWNED)
@pytest.mark.parametrize("state", [State.RESERVED, State.SIGNED, State.SENT, State.UNKNOWN])
async def test_a_process_that_lost_its_payment_changes_nothing(desk: Desk, state: State, to: State) -> None:
    payment = await desk.at(state)
    desk.now += payments.LEASE
    taken = await desk.database.write(payments.adopt, payment, ANOTHER, desk.now)
    assert taken is not None
    assert not await desk.move(payment, to, owner=ME)
    assert await desk.look(payment) == taken


async def test_signed_bytes_are_kept_until_the_payment_is_final(desk: Desk) -> None:
    payment = await desk.at(State.CLAIMED)
    assert (payment.sealed, payment.path, payment.body) == (b"sealed credential", "/api/generate", "{}")
    await desk.move(payment, State.SETTLED)
    assert (await desk.look(payment)).sealed is None


async def test_an_expired_payment_forgets_its_signed_bytes(desk: Desk) -> None:
    assert (await desk.at(State.EXPIRED)).sealed is None


async def test_the_chain_beats_what_the_seller_said(desk: Desk) -> None:
    payment = await desk.at(State.CLAIMED)
    await desk.move(payment, State.SETTLED)
    assert (await desk.look(payment)).transaction_hash == "0xsettled"


async def test_a_settlement_after_a_false_expiry_counts_again(desk: Desk) -> None:
    payment = await desk.at(State.EXPIRED)
    assert (await desk.spent()).total == 0
    assert await desk.move(payment, State.SETTLED)
    assert (await desk.spent()).total == CLIP


async def test_a_settlement_after_a_false_expiry_is_looked_after_again(desk: Desk) -> None:
    payment = await desk.at(State.EXPIRED)
    assert await desk.database.read(jobs.pending, "storyboard", desk.now) == []
    assert await desk.move(payment, State.SETTLED)
    (found,) = await desk.database.read(jobs.pending, "storyboard", desk.now)
    assert found.id == payment.purchase
    assert await desk.database.read(jobs.without_job) == [found]


async def test_nobody_owns_a_payment_that_was_given_up(desk: Desk) -> None:
    payment = await desk.at(State.SENT)
    assert payment.owner == ME
    await desk.move(payment, State.UNKNOWN)
    assert (await desk.look(payment)).owner == ""


async def test_giving_up_before_sending_leaves_it_signed_and_free(desk: Desk) -> None:
    payment = await desk.at(State.SIGNED)
    assert await desk.move(payment, State.UNKNOWN)
    assert ((await desk.look(payment)).state, (await desk.look(payment)).owner) == (State.SIGNED, "")


async def test_no_signature_is_recorded_while_frozen(desk: Desk) -> None:
    payment = (await desk.reserve()).payment
    await desk.database.write(operator.freeze, "a leak", desk.now)
    assert not await desk.sign(payment)
    assert (await desk.look(payment)).state is State.RESERVED


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT])
async def test_nothing_is_sent_while_frozen(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    await desk.database.write(operator.freeze, "a leak", desk.now)
    verdict = await desk.database.write(payments.send, payment, ME, desk.now)
    assert verdict is not None
    assert (verdict.code, verdict.reason) == ("frozen", "all purchases are frozen (a leak)")
    assert (await desk.look(payment)).state is state
    await desk.database.write(operator.unfreeze, desk.now)
    assert await desk.database.write(payments.send, payment, ME, desk.now) is None


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT])
async def test_nothing_is_sent_shortly_before_its_deadline(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    last = (DEADLINE - SAFETY) * 1000 - 1
    assert await desk.database.write(payments.send, payment, ME, last) is None
    verdict = await desk.database.write(payments.send, payment, ME, last + 1)
    assert verdict is not None
    assert verdict.code == "too_late"


async def test_only_the_first_sending_is_noted(desk: Desk) -> None:
    payment = await desk.at(State.SENT)
    desk.now += 5_000
    assert await desk.database.write(payments.send, payment, ME, desk.now) is None
    assert (await desk.look(payment)).sent_at == NOW


async def test_what_is_claimed_counts_at_its_deadline_and_what_is_settled_at_its_block(desk: Desk) -> None:
    payment = await desk.at(State.CLAIMED)
    hour = 3_600_000
    desk.now = DEADLINE * 1000 + hour - 1
    assert (await desk.spent()).total == CLIP
    desk.now += 1
    assert (await desk.spent()).total == 0
    block = NOW // 1000 + 7
    await desk.database.write(payments.settle, payment, "0xsettled", block, desk.now)
    desk.now = block * 1000 + hour - 1
    assert (await desk.spent()).total == CLIP
    desk.now += 1
    assert (await desk.spent()).total == 0


@pytest.mark.parametrize(("block", "counted"), [(0, NOW), (DEADLINE + 10**9, DEADLINE * 1000)])
async def test_a_lying_host_cannot_move_a_settlement_out_of_its_time(desk: Desk, block: int, counted: int) -> None:
    payment = await desk.at(State.SENT)
    await desk.database.write(payments.settle, payment, "0xsettled", block, desk.now)
    desk.now = counted + 3_600_000 - 1
    assert (await desk.spent()).total == CLIP
    desk.now += 1
    assert (await desk.spent()).total == 0


async def test_a_job_id_belongs_to_one_purchase_for_good(desk: Desk) -> None:
    first, second = await desk.at(State.CLAIMED, intent("one")), await desk.at(State.CLAIMED, intent("two"))
    assert await desk.database.write(jobs.add, first.purchase, "job-1", desk.now)
    assert not await desk.database.write(jobs.add, second.purchase, "job-1", desk.now)
    assert not await desk.database.write(jobs.add, first.purchase, "job-2", desk.now)
    assert await desk.database.read(jobs.of, "job-2") is None
    assert [payment.id for payment in await desk.database.read(views.open_payments)] == [first.id, second.id]


@pytest.mark.parametrize(("cost", "counted"), [(3_125, 3_125), (25_000, 25_000), (90_000, 25_000)])
async def test_a_settlement_counts_what_it_cost_and_never_more_than_was_held_for_it(
    desk: Desk, cost: int, counted: int
) -> None:
    payment = await desk.at(State.SENT, intent(rail="mpp", fee=25_000))
    assert (await desk.spent()).total == CLIP + 25_000
    await desk.database.write(payments.settle, payment, "0xsettled", NOW // 1000, desk.now, fee=cost)
    assert (await desk.look(payment)).fee == counted
    assert (await desk.spent()).total == (await desk.spent(window="total")).total == CLIP + counted


@pytest.mark.parametrize("state", [State.EXPIRED, State.SIGNED, State.SENT, State.UNKNOWN])
async def test_a_purchase_that_was_signed_for_stays_on_its_rail(desk: Desk, state: State) -> None:
    payment = await desk.at(state, intent(rail="mpp"))
    if state is not State.EXPIRED:
        await desk.move(payment, State.EXPIRED)
    assert await desk.database.read(views.rail_of, intent().key) == "mpp"
    verdict = await desk.ask(intent(rail="x402"))
    assert isinstance(verdict, Verdict)
    assert verdict.code == "rail_closed"
    again = await desk.reserve(intent(rail="mpp"))
    assert (again.id, again.payment.attempt) == (payment.purchase, 2)


async def test_a_purchase_stays_on_its_rail_though_an_unpaid_job_is_there(desk: Desk) -> None:
    payment = await desk.at(State.UNKNOWN, intent(rail="x402"))
    await desk.database.write(jobs.deliver, payment.purchase, "job-1", desk.now)
    await desk.move(payment, State.EXPIRED)
    verdict = await desk.ask(intent(rail="mpp"))
    assert isinstance(verdict, Verdict)
    assert verdict.code == "rail_closed"
    anew = await desk.reserve(intent(rail="x402"))
    assert anew.id != payment.purchase


async def test_a_purchase_that_was_never_signed_for_may_take_another_rail(desk: Desk) -> None:
    payment = await desk.at(State.RELEASED, intent(rail="mpp"))
    assert await desk.database.read(views.rail_of, intent().key) is None
    again = await desk.reserve(intent(rail="x402"))
    assert (again.id, again.payment.rail) == (payment.purchase, "x402")


async def test_a_purchase_stays_on_its_rail_after_an_attempt_that_was_not_signed(desk: Desk) -> None:
    await desk.at(State.EXPIRED, intent(rail="mpp"))
    await desk.at(State.RELEASED, intent(rail="mpp"))
    verdict = await desk.ask(intent(rail="x402"))
    assert isinstance(verdict, Verdict)
    assert verdict.code == "rail_closed"


async def test_what_is_paid_binds_no_later_purchase_to_its_rail(desk: Desk) -> None:
    await desk.at(State.SETTLED, intent(rail="mpp"))
    assert await desk.database.read(views.rail_of, intent().key) is None
