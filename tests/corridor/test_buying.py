"""From a quote to signed bytes."""

from dataclasses import replace

import anyio
import httpx
import pytest

from seedance_mcp.errors import BadChallenge, NoWallet, Refused, SeedanceError, StudioUnavailable
from seedance_mcp.ledger import operator, payments
from seedance_mcp.ledger.states import State
from seedance_mcp.timing import begin_call
from tests.corridor.examples import CLIP, FUNDS, ME, OTHER, PRICE
from tests.corridor.world import Process, World
from tests.guard.examples import policy

SEQUEL = replace(CLIP, agent="trailer")


async def test_money_leaves_in_one_order_of_steps(world: World, process: Process) -> None:
    purchase, begun = await process.buy()
    assert world.log == ["require", "sign", "record", "send"]
    assert (begun, purchase.payment.state, purchase.payment.serial) == (True, State.CLAIMED, 0)
    assert purchase.job is not None
    assert world.till.signed == [(0, world.now // 1000 + 120)]
    assert (world.till.asked, world.till.looks, world.till.funds.forgotten) == ([0], 0, 2)


async def test_a_process_without_a_mark_beside_its_key_buys_too(world: World, process: Process) -> None:
    process.corridor._continuity = None
    assert (await process.buy())[0].paid


async def test_a_limit_that_is_lowered_while_a_payment_waits_binds_it(world: World, process: Process) -> None:
    """Before its turn came, and while the chain was asked."""
    dusk = replace(CLIP, request={"prompt": "dusk"})
    quotes = {"dawn": await process.quote(), "dusk": await process.quote(dusk)}
    refused = []

    async def hang() -> httpx.Response:
        await anyio.sleep(10)
        world.policy = policy(per_payment=PRICE - 1)
        return world.seller.accepted()

    async def wait() -> None:
        with pytest.raises(Refused) as caught:
            await process.corridor.buy(dusk, quotes["dusk"])
        refused.append(caught.value.code)

    world.seller.answers = [hang]
    async with anyio.create_task_group() as group:
        group.start_soon(process.corridor.buy, CLIP, quotes["dawn"])
        await anyio.sleep(1)
        group.start_soon(wait)
    world.policy = policy()
    world.till.when_asked = lambda: setattr(world, "policy", policy(per_payment=PRICE - 1))
    with pytest.raises(Refused) as caught:
        await process.buy(dusk)
    assert (refused, caught.value.code) == (["per_payment"], "per_payment")
    assert len(world.till.signed) == 1


async def test_a_quote_that_waited_for_other_payments_is_asked_for_again(world: World, process: Process) -> None:
    """Its Date would be taken for a wrong clock, and its price for the seller's."""
    quote = await process.quote()
    await anyio.sleep(90)
    world.now += 90_000
    world.seller.seconds += 90
    world.seller.cost = PRICE - 1
    purchase, _ = await process.corridor.buy(CLIP, quote)
    assert (purchase.payment.amount, purchase.payment.state) == (PRICE - 1, State.CLAIMED)


async def test_what_could_neither_be_signed_nor_given_back_is_given_back_by_the_next_call(
    world: World, process: Process
) -> None:
    left = await world.at(State.RESERVED, owner=ME)
    await world.ledger.write(payments.beat, ME, world.now)
    before = anyio.current_time()
    assert await process.corridor.known(CLIP) is None
    assert anyio.current_time() == before, "it waits for nobody"
    assert (await world.desk.find(left.id)).payment.state is State.RELEASED


async def test_a_seller_that_hangs_gets_one_signature(world: World, process: Process) -> None:
    hanging = anyio.Event()

    async def late() -> httpx.Response:
        await hanging.wait()
        return world.seller.accepted()

    world.seller.answers = [late]
    async with anyio.create_task_group() as group:
        group.start_soon(process.buy, CLIP)
        group.start_soon(process.buy, SEQUEL)
        await anyio.sleep(30)
        assert world.log.count("sign") == 1
        hanging.set()
    assert world.log.count("sign") == 2


async def test_a_call_that_is_cancelled_records_its_outcome(world: World, process: Process) -> None:
    quote = await process.quote()
    with anyio.CancelScope() as scope:

        async def late() -> httpx.Response:
            scope.cancel()
            await anyio.sleep(1)
            return world.seller.accepted()

        world.seller.answers = [late]
        await process.corridor.buy(CLIP, quote)
    last = await world.last()
    assert last is not None
    assert last.payment.state is State.CLAIMED


@pytest.mark.parametrize("seconds", [22.5, 40])
async def test_nothing_is_signed_late_in_a_call(world: World, process: Process, seconds: float) -> None:
    begin_call()
    await anyio.sleep(seconds)
    with pytest.raises(StudioUnavailable, match="it took so long"):
        await process.buy()
    assert await world.last() is None


async def test_a_clip_is_signed_until_22_seconds_into_a_call(world: World, process: Process) -> None:
    begin_call()
    await anyio.sleep(22)
    assert (await process.buy())[1]


async def test_an_offer_with_too_little_time_reserves_nothing(world: World, process: Process) -> None:
    world.seller.patience = 20
    with pytest.raises(BadChallenge):
        await process.buy()
    assert await world.last() is None


@pytest.mark.parametrize("funds", [FUNDS, None])
@pytest.mark.parametrize("seconds", [-61, 61])
async def test_a_clock_unlike_the_sellers_signs_nothing(
    world: World, process: Process, funds: int | None, seconds: int
) -> None:
    world.till.funds.held = funds
    world.seller.seconds += seconds
    with pytest.raises(SeedanceError) as told:
        await process.buy()
    assert (told.value.code, await world.last()) == ("clock", None)


async def test_a_chain_ahead_of_the_clock_signs_nothing(world: World, process: Process) -> None:
    world.till.block = world.now // 1000 + 601
    with pytest.raises(SeedanceError) as told:
        await process.buy()
    assert (told.value.code, await world.last()) == ("clock", None)


async def test_a_clock_that_is_set_while_the_chain_is_asked_signs_nothing(world: World, process: Process) -> None:
    def set_the_clock() -> None:
        world.now += 3_600_000

    world.till.when_asked = set_the_clock
    with pytest.raises(SeedanceError) as told:
        await process.buy()
    assert (told.value.code, await world.last()) == ("clock", None)


async def test_what_no_host_answers_for_is_paid_with_the_first_serial(world: World, process: Process) -> None:
    world.till.funds.held = None
    purchase, _ = await process.buy()
    assert (purchase.payment.serial, world.till.asked, world.till.signed[0][0]) == (0, [], 0)


async def test_the_guard_says_no(world: World, process: Process) -> None:
    await world.ledger.write(operator.freeze, "in this test", world.now)
    with pytest.raises(Refused) as told:
        await process.buy()
    assert (told.value.code, world.log, world.till.funds.forgotten) == ("frozen", ["require"], 0)


async def test_a_human_is_asked_and_nothing_is_signed(world: World, process: Process) -> None:
    world.policy = policy(approval_above=0)
    purchase, begun = await process.buy()
    assert (purchase.payment.state, begun, world.log) == (State.INTENDED, False, ["require"])


async def test_a_signature_that_fails_gives_the_budget_back(world: World, process: Process) -> None:
    world.till.fails = ValueError("no such offer")
    with pytest.raises(ValueError, match="no such offer"):
        await process.buy()
    last = await world.last()
    assert last is not None
    assert last.payment.state is State.RELEASED
    assert world.log == ["require", "sign"]


async def test_a_freeze_before_the_signature_is_durable_gives_the_budget_back(world: World, process: Process) -> None:
    world.ledger.before["sign"] = lambda tx: operator.freeze(tx, "in this test", world.now)
    with pytest.raises(Refused, match="before it was signed"):
        await process.buy()
    last = await world.last()
    assert last is not None
    assert last.payment.state is State.RELEASED
    assert (world.log, world.seller.paid) == (["require", "sign"], [])


async def test_what_this_process_left_reserved_is_given_back(world: World, process: Process) -> None:
    left = await world.at(State.RESERVED, SEQUEL, owner=ME)
    await process.buy()
    assert (await world.desk.find(left.id)).payment.state is State.RELEASED


async def test_what_another_process_has_reserved_is_its_to_sign(world: World, process: Process) -> None:
    theirs = await world.at(State.RESERVED, owner=OTHER)
    purchase, begun = await process.buy()
    assert (purchase.id, purchase.payment.state, begun) == (theirs.id, State.RESERVED, False)
    assert "sign" not in world.log


async def test_what_this_process_has_sent_is_not_signed_again(world: World, process: Process) -> None:
    mine = await world.at(State.SENT, owner=ME)
    world.ledger.gone.add(ME)
    purchase, begun = await process.buy()
    assert (purchase.id, purchase.paid, begun) == (mine.id, True, False)
    assert world.log == ["require", "send"]


async def test_without_a_wallet_nothing_is_bought(world: World) -> None:
    with pytest.raises(NoWallet):
        await world.open(ME, wallet=None).buy()
