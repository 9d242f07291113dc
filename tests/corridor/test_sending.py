"""Signed bytes on their way, and what is written down of the answers."""

import anyio
import httpx
import pytest

from seedance_mcp.errors import NotFound, OutcomeUnknown
from seedance_mcp.ledger import operator
from seedance_mcp.ledger.states import SAFETY, Purchase, State
from seedance_mcp.ledger.views import must
from seedance_mcp.timing import begin_call
from tests.corridor.examples import IMAGE, OTHER, STRANGER
from tests.corridor.seller import said
from tests.corridor.world import Process, World

LOST = httpx.ReadTimeout("nothing came")


async def test_the_sellers_word_is_written_down_with_its_job(world: World, process: Process) -> None:
    left = await world.at(State.SIGNED)
    paid = await process.sender.present(left.id)
    assert (paid.payment.state, paid.payment.transaction_hash) == (State.CLAIMED, "0xclaimed")
    assert paid.job is not None
    assert (paid.job.id, world.till.looks, world.ledger.written.count("record")) == ("job-1", 0, 1)


async def test_a_claim_without_goods_asks_the_chain_nothing(world: World, process: Process) -> None:
    world.seller.answers = [said(500, x_paid="0xclaimed")]
    paid = await process.sender.present((await world.at(State.SIGNED)).id)
    assert (paid.payment.state, paid.job, world.till.looks) == (State.CLAIMED, None, 0)


async def test_a_ledger_that_cannot_be_read_once_it_is_paid_tells_of_no_free_purchase(
    world: World, process: Process
) -> None:
    world.ledger.unreadable = lambda: bool(world.seller.paid)
    with pytest.raises(OutcomeUnknown):
        await process.buy()
    world.ledger.unreadable = lambda: False
    assert must(await world.last()).payment.state is State.CLAIMED


@pytest.mark.parametrize("asks", [False, True])
async def test_a_ledger_that_cannot_be_read_while_a_payment_is_open_tells_of_no_free_purchase(
    world: World, process: Process, asks: bool
) -> None:
    left = await world.at(State.UNKNOWN)
    world.ledger.unreadable = lambda: asks or bool(world.seller.paid)
    with pytest.raises(OutcomeUnknown) as caught:
        await process.corridor.resume(left)
    assert caught.value.purchase_id == left.id


async def test_an_upload_keeps_its_ticket(world: World, process: Process) -> None:
    purchase, _ = await process.buy(IMAGE)
    assert purchase.upload is not None
    assert purchase.upload.ticket is not None
    assert (purchase.job, purchase.payment.state) == (None, State.CLAIMED)


async def test_a_seller_that_does_not_answer_is_not_asked_again(world: World, process: Process) -> None:
    world.seller.answers = [LOST]
    parked = await process.sender.present((await world.at(State.SIGNED)).id)
    assert _open(parked) == (State.UNKNOWN, "", "the seller did not answer")
    assert (len(world.seller.paid), world.till.looks) == (1, 1)


async def test_a_refusal_is_met_with_the_same_bytes_once(world: World, process: Process) -> None:
    world.seller.answers = [said(402), said(402), said(402)]
    parked = await process.sender.present((await world.at(State.SIGNED)).id)
    first, second = world.seller.paid
    assert first == second
    assert _open(parked) == (State.UNKNOWN, "", "the seller answered 402")
    assert world.till.looks == 2


async def test_the_second_presentation_may_be_the_one_that_is_paid(world: World, process: Process) -> None:
    world.seller.answers = [said(503)]
    paid = await process.sender.present((await world.at(State.SIGNED)).id)
    assert (paid.payment.state, len(world.seller.paid)) == (State.CLAIMED, 2)


async def test_what_settled_meanwhile_is_not_sent_again(world: World, process: Process) -> None:
    world.seller.answers, world.till.moves = [said(503)], {State.UNKNOWN}
    settled = await process.sender.present((await world.at(State.SIGNED)).id)
    assert (settled.payment.state, len(world.seller.paid)) == (State.SETTLED, 1)


async def test_what_is_on_its_way_to_the_chain_is_not_sent_again(world: World, process: Process) -> None:
    world.seller.answers = [said(402, x_pending="1", x_reason="settlement_pending")]
    parked = await process.sender.present((await world.at(State.SIGNED)).id)
    note = "the seller answered 402 and says: 'settlement_pending'"
    assert (_open(parked), len(world.seller.paid)) == ((State.UNKNOWN, "", note), 1)


async def test_a_clip_that_was_accepted_without_a_receipt_is_not_asked_for_again(
    world: World, process: Process
) -> None:
    world.seller.answers = [said(200, {"jobId": "job-0"})]
    parked = await process.sender.present((await world.at(State.SIGNED)).id)
    assert parked.job is not None
    assert (parked.payment.state, parked.job.id, len(world.seller.paid)) == (State.UNKNOWN, "job-0", 1)


async def test_an_upload_that_was_accepted_without_a_receipt_is_not_asked_for_again(
    world: World, process: Process
) -> None:
    world.seller.answers = [said(200, {"uploadId": "u1", "clientToken": "token", "pathname": "a.png"})]
    parked, _ = await process.buy(IMAGE)
    assert parked.upload is not None
    assert (parked.payment.state, len(world.seller.paid)) == (State.UNKNOWN, 1)


@pytest.mark.parametrize(("seconds", "times"), [(22, 2), (22.5, 1)])
async def test_nothing_is_sent_again_late_in_a_call(world: World, process: Process, seconds: float, times: int) -> None:
    async def late() -> httpx.Response:
        await anyio.sleep(seconds)
        return said(503)

    left = await world.at(State.SIGNED)
    world.seller.answers = [late]
    begin_call()
    await process.sender.present(left.id)
    assert len(world.seller.paid) == times


async def test_the_sellers_words_stand_in_the_note(world: World, process: Process) -> None:
    left = await world.at(State.SIGNED)
    for answer, words in (
        (said(500, {"error": "out of film"}), "out of film"),
        (said(500, {"error": "out of film"}, x_reason="insufficient"), "insufficient"),
    ):
        world.seller.answers = [answer]
        begin_call()
        await anyio.sleep(30)
        assert (await process.sender.present(left.id)).payment.note == f"the seller answered 500 and says: '{words}'"


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT, State.UNKNOWN])
async def test_what_is_open_and_ours_is_sent(world: World, process: Process, state: State) -> None:
    assert (await process.sender.present((await world.at(state)).id)).paid


@pytest.mark.parametrize("state", [State.RESERVED, State.RELEASED, State.CLAIMED, State.SETTLED, State.EXPIRED])
async def test_what_has_no_bytes_to_send_is_left_alone(world: World, process: Process, state: State) -> None:
    await _left_alone(world, process, await world.at(state))


async def test_a_payment_of_another_wallet_is_left_alone(world: World, process: Process) -> None:
    await _left_alone(world, process, await world.at(State.UNKNOWN, payer=STRANGER.address))


async def test_a_payment_to_another_seller_is_left_alone(world: World, process: Process) -> None:
    await _left_alone(world, process, await world.at(State.UNKNOWN, origin="https://elsewhere.example"))


async def test_a_payment_that_another_process_is_making_is_left_to_it(world: World, process: Process) -> None:
    theirs = await world.at(State.SENT, owner=OTHER)
    assert await process.sender.present(theirs.id) == theirs
    assert world.seller.requests == []


async def test_a_freeze_parks_what_is_signed(world: World, process: Process) -> None:
    left = await world.at(State.SIGNED)
    await world.ledger.write(operator.freeze, "in this test", world.now)
    parked = await process.sender.present(left.id)
    assert _open(parked) == (State.SIGNED, "", "all purchases are frozen (in this test)")
    assert world.seller.requests == []


async def test_what_is_about_to_expire_is_parked(world: World, process: Process) -> None:
    left = await world.at(State.SIGNED)
    world.now += (120 - SAFETY) * 1000
    parked = await process.sender.present(left.id)
    assert _open(parked) == (State.SIGNED, "", "the signed authorization is about to expire")
    assert world.seller.requests == []


@pytest.mark.parametrize(("answer", "statement"), [(said(500, x_paid="0x1"), "record"), (LOST, "<lambda>")])
async def test_a_ledger_that_is_busy_for_a_while_still_learns_the_outcome(
    world: World, process: Process, answer: httpx.Response | Exception, statement: str
) -> None:
    world.seller.answers, left = [answer], await world.at(State.SIGNED)
    world.ledger.busy[statement] = 4
    assert (await process.sender.present(left.id)).payment.owner == ""
    assert world.ledger.written.count(statement) == 5


async def test_a_ledger_that_stays_busy_is_not_told_as_a_payment_that_was_not_made(
    world: World, process: Process
) -> None:
    left = await world.at(State.SIGNED)
    world.ledger.busy["record"] = 99
    with pytest.raises(OutcomeUnknown, match="sent, and then another process holds the ledger") as told:
        await process.sender.present(left.id)
    assert told.value.purchase_id == left.id
    assert (world.ledger.written.count("record"), len(world.seller.paid)) == (5, 1)


async def test_a_caller_that_goes_away_does_not_keep_the_outcome_from_the_ledger(
    world: World, process: Process
) -> None:
    left = await world.at(State.SIGNED)
    with anyio.CancelScope() as scope:

        async def late() -> httpx.Response:
            scope.cancel()
            await anyio.sleep(1)
            return world.seller.accepted()

        world.seller.answers = [late]
        await process.sender.present(left.id)
    assert (await world.desk.find(left.id)).payment.state is State.CLAIMED


async def test_a_purchase_that_does_not_exist_is_not_sent(process: Process) -> None:
    with pytest.raises(NotFound, match="there is no purchase pur_0"):
        await process.sender.present("pur_0")


async def _left_alone(world: World, process: Process, purchase: Purchase) -> None:
    """Not a word to the ledger, the chain or the seller."""
    written = len(world.ledger.written)
    assert await process.sender.present(purchase.id) == purchase
    assert (len(world.ledger.written), world.till.looks, world.seller.requests) == (written, 0, [])


def _open(purchase: Purchase) -> tuple[State, str, str | None]:
    return purchase.payment.state, purchase.payment.owner, purchase.payment.note
