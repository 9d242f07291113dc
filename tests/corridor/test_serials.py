"""What the chain knows of payments that this ledger may have lost."""

from dataclasses import replace

import anyio
import pytest

from seedance_mcp.errors import ChainError, SeedanceError
from seedance_mcp.ledger import payments
from seedance_mcp.ledger.states import DAY, State
from tests.corridor.examples import IMAGE, OTHER
from tests.corridor.world import Process, World


async def test_a_clip_that_was_paid_with_another_ledger_is_not_paid_again(world: World, process: Process) -> None:
    world.till.used = {0}
    with pytest.raises(SeedanceError) as told:
        await process.buy()
    assert (told.value.code, await world.last(), world.log) == ("paid_elsewhere", None, ["require"])


async def test_so_is_one_whose_only_attempt_here_was_given_back(world: World, process: Process) -> None:
    await world.at(State.RELEASED)
    world.till.used = {0}
    with pytest.raises(SeedanceError) as told:
        await process.buy()
    assert told.value.code == "paid_elsewhere"


async def test_a_clip_bought_anew_takes_the_next_free_serial(world: World, process: Process) -> None:
    first = await world.deliver(await world.at(State.CLAIMED))
    world.now += DAY
    world.seller.seconds += DAY // 1000
    world.till.used = {0, 1, 2}
    purchase, begun = await process.buy()
    assert (begun, purchase.payment.serial, world.till.asked) == (True, 3, [1, 2, 3])
    assert purchase.id != first.id


async def test_an_image_passes_over_what_is_used(world: World, process: Process) -> None:
    world.till.used = {0, 1}
    assert (await process.buy(IMAGE))[0].payment.serial == 2


async def test_an_image_that_replaces_another_one_takes_the_next_free_serial(world: World, process: Process) -> None:
    paid = await world.at(State.CLAIMED, IMAGE)
    world.till.used = {0, 1}
    purchase, begun = await process.buy(replace(IMAGE, replaces=paid.id))
    assert (begun, purchase.payment.serial) == (True, 2)


async def test_a_faster_process_answers_with_its_purchase(world: World, process: Process) -> None:
    theirs = await world.at(State.UNKNOWN)
    world.till.used = {0}
    purchase, begun = await process.buy()
    assert (purchase.id, begun, world.till.asked) == (theirs.id, False, [0])


async def test_twenty_lost_payments_are_believed(world: World, process: Process) -> None:
    world.till.used = set(range(20))
    assert (await process.buy(IMAGE))[0].payment.serial == 20


async def test_more_lost_payments_are_a_lie(world: World, process: Process) -> None:
    world.till.used = set(range(21))
    with pytest.raises(ChainError, match="whatever this purchase could be paid with"):
        await process.buy(IMAGE)
    assert await world.last(IMAGE) is None


async def test_a_chain_that_cannot_be_asked_stops_nothing(world: World, process: Process) -> None:
    world.till.dead = True
    assert (await process.buy())[1]


async def test_a_chain_is_waited_for_three_seconds(world: World, process: Process) -> None:
    world.till.hangs = True
    assert (await process.buy())[1]
    assert anyio.current_time() == 3


async def test_a_faster_process_that_gives_up_leaves_its_serial(world: World, process: Process) -> None:
    payment = (await world.at(State.RESERVED, owner=OTHER)).payment
    world.till.used = {0}
    world.ledger.before["_reserve"] = lambda tx: payments.release(tx, payment, OTHER, world.now, "it gave up")
    purchase, begun = await process.buy()
    assert (begun, purchase.payment.serial) == (True, 0)
