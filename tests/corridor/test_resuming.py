"""A purchase that was begun before, by this process or by another one."""

from collections.abc import Awaitable

import anyio
import pytest

from seedance_mcp.ledger.states import DAY, State
from seedance_mcp.studio.models import generate_path
from tests.corridor.examples import CLIP, ME, OTHER
from tests.corridor.seller import said
from tests.corridor.world import Process, World


async def test_nothing_is_known_of_a_first_call(process: Process) -> None:
    assert await process.corridor.known(CLIP) is None


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED])
async def test_a_repeated_call_is_answered_at_once(world: World, process: Process, state: State) -> None:
    known = await world.at(state, owner=OTHER)
    assert await process.corridor.known(CLIP) == known
    assert (anyio.current_time(), "release_abandoned" in world.ledger.written) == (0, False)


async def test_a_clip_of_yesterday_answers_nothing(world: World, process: Process) -> None:
    await world.deliver(await world.at(State.CLAIMED))
    world.now += DAY
    assert await process.corridor.known(CLIP) is None


async def test_what_was_given_back_answers_nothing(world: World, process: Process) -> None:
    await world.at(State.RELEASED)
    assert await process.corridor.known(CLIP) is None


async def test_a_reservation_of_a_dead_process_is_given_back(world: World, process: Process) -> None:
    left = await world.at(State.RESERVED)
    assert await process.corridor.known(CLIP) is None
    assert (await world.desk.find(left.id)).payment.state is State.RELEASED
    assert anyio.current_time() == 0


async def test_a_process_that_is_about_to_sign_is_waited_for(world: World, process: Process) -> None:
    theirs = await world.at(State.RESERVED, owner=OTHER)
    assert await process.corridor.known(CLIP) == theirs
    assert anyio.current_time() == 8


@pytest.mark.parametrize("state", [State.RESERVED, State.SIGNED, State.SENT])
async def test_others_are_waited_for_eight_seconds(world: World, process: Process, state: State) -> None:
    theirs = await world.at(state, owner=OTHER)
    assert await process.corridor.resume(theirs) == (theirs, False)
    assert (anyio.current_time(), world.seller.paid) == (8, [])


async def test_others_are_waited_for_until_they_are_paid(world: World, process: Process) -> None:
    theirs = await world.at(State.SENT, owner=OTHER)
    async with anyio.create_task_group() as group:
        group.start_soon(_later, 1, world.move(theirs, State.CLAIMED, OTHER))
        purchase, found = await process.corridor.resume(theirs)
    assert (purchase.payment.state, found, world.seller.paid) == (State.CLAIMED, False, [])
    assert 1 <= anyio.current_time() < 2


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT, State.UNKNOWN])
async def test_what_a_dead_process_left_is_sent_again(world: World, process: Process, state: State) -> None:
    left = await world.at(state)
    purchase, found = await process.corridor.resume(left)
    assert (purchase.payment.state, found) == (State.CLAIMED, True)
    assert purchase.job is not None
    [sent] = world.seller.paid
    assert (sent.path, sent.body, sent.credential) == (generate_path("seedance"), b'{"prompt": "dawn"}', left.id)
    assert (anyio.current_time(), world.till.signed) == (0, [])


async def test_the_chain_is_asked_before_anything_is_sent_again(world: World, process: Process) -> None:
    left = await world.deliver(await world.at(State.UNKNOWN))
    world.till.moves = {State.UNKNOWN}
    purchase, found = await process.corridor.resume(left)
    assert (purchase.payment.state, found, world.seller.paid) == (State.SETTLED, True, [])


async def test_what_stays_unknown_is_not_told_as_paid(world: World, process: Process) -> None:
    world.seller.answers = [said(500), said(500)]
    purchase, found = await process.corridor.resume(await world.at(State.UNKNOWN))
    assert (purchase.payment.state, found) == (State.UNKNOWN, False)


async def test_a_paid_clip_without_a_job_is_looked_for(world: World, process: Process) -> None:
    world.seller.listed = [{"id": "job-7", "status": "pending", "body": {"prompt": "dawn"}}]
    purchase, found = await process.corridor.resume(await world.at(State.CLAIMED))
    assert purchase.job is not None
    assert (purchase.job.id, found, world.seller.paid) == ("job-7", False, [])


async def test_nobody_is_asked_about_a_clip_that_is_paid_and_there(world: World, process: Process) -> None:
    done = await world.deliver(await world.at(State.CLAIMED))
    assert await process.corridor.resume(done) == (done, False)
    assert (world.till.looks, world.seller.requests) == (0, [])


async def test_without_a_wallet_nothing_is_resumed(world: World) -> None:
    left = await world.at(State.UNKNOWN)
    assert await world.open(ME, wallet=None).corridor.resume(left) == (left, False)
    assert (world.till.looks, world.seller.requests) == (0, [])


async def _later(seconds: int, work: Awaitable[None]) -> None:
    await anyio.sleep(seconds)
    await work
