"""Which rail is paid over."""

from dataclasses import replace

import pytest

from seedance_mcp.errors import Refused
from seedance_mcp.ledger.states import State
from seedance_mcp.orders import SHIPPED_PAY_TO, Order
from tests.corridor.examples import CLIP, PRICE
from tests.corridor.world import Process, World
from tests.guard.examples import policy

UPLOAD_TOO = replace(CLIP, planned=PRICE)
SEQUEL = replace(CLIP, agent="trailer")


async def test_the_first_rail_of_the_policy_is_paid(world: World, process: Process) -> None:
    world.seller.rails = ["x402", "mpp"]
    assert (await process.buy())[0].payment.rail == "x402"
    world.policy = policy(rails=("mpp", "x402"))
    assert (await process.buy(SEQUEL))[0].payment.rail == "mpp"


@pytest.mark.parametrize(
    ("order", "held", "funds", "rail"),
    [
        (CLIP, False, PRICE, "x402"),
        (CLIP, False, PRICE - 1, "mpp"),
        (CLIP, False, None, "x402"),
        (CLIP, True, 2 * PRICE, "x402"),
        (CLIP, True, 2 * PRICE - 1, "mpp"),
        (UPLOAD_TOO, False, 2 * PRICE, "x402"),
        (UPLOAD_TOO, False, 2 * PRICE - 1, "mpp"),
    ],
)
async def test_the_first_rail_that_has_the_funds_is_paid(
    world: World, process: Process, order: Order, held: bool, funds: int | None, rail: str
) -> None:
    world.seller.rails = ["x402", "mpp"]
    if held:
        await world.at(State.UNKNOWN, SEQUEL)
    world.till.funds.held = funds
    assert (await process.buy(order))[0].payment.rail == rail


async def test_a_wallet_that_holds_too_little_is_told_so(world: World, process: Process) -> None:
    world.till.funds.held = PRICE - 1
    with pytest.raises(Refused) as told:
        await process.buy()
    assert told.value.code == "balance"


async def test_usage_is_of_the_rail_that_would_be_paid(world: World, process: Process) -> None:
    world.seller.rails = ["x402", "mpp"]
    await process.buy()
    offers = (await process.quote()).offers
    pinned = [(await process.corridor.usage(CLIP, offer))[1].pinned for offer in (None, offers["x402"], offers["mpp"])]
    assert pinned == [SHIPPED_PAY_TO, SHIPPED_PAY_TO, None]
