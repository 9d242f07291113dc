"""Asking for a price."""

import anyio
import httpx
import pytest

from seedance_mcp.errors import StudioRejected, StudioUnavailable
from tests.corridor.seller import said
from tests.corridor.world import Process, World
from tests.machine.credentials import ORIGIN


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
async def test_the_seller_rejects_a_request(world: World, process: Process, status: int) -> None:
    world.seller.price = said(status, {"error": "too long"})
    with pytest.raises(StudioRejected) as told:
        await process.quote()
    words = f'the seller answered {status} when asked for a price; the seller says: "too long"'
    assert (told.value.what, told.value.next) == (words, "Change the request.")


@pytest.mark.parametrize("status", [200, 307, 399, 401, 403, 405, 412, 414, 416, 421, 423, 429, 500])
async def test_any_other_answer_is_an_outage(world: World, process: Process, status: int) -> None:
    world.seller.price = said(status)
    with pytest.raises(StudioUnavailable) as told:
        await process.quote()
    assert told.value.what == f"the seller answered {status} when asked for a price"


async def test_a_price_is_asked_for_with_compact_utf_8(world: World, process: Process) -> None:
    quote = await process.corridor.quote("/api/x", {"prompt": "dämmerung", "seed": 1})
    [request] = world.seller.requests
    assert request.body == quote.body == '{"prompt":"dämmerung","seed":1}'.encode()
    assert (request.path, request.credential, quote.date) == ("/api/x", None, world.now // 1000)


async def test_a_seller_that_cannot_be_reached_has_no_price(world: World, process: Process) -> None:
    world.seller.price = httpx.ConnectError("refused")
    with pytest.raises(StudioUnavailable, match=f"^{ORIGIN} could not be reached for a price"):
        await process.quote()


async def test_a_price_is_waited_for_ten_seconds(world: World, process: Process) -> None:
    async def late() -> httpx.Response:
        await anyio.sleep(60)
        return said(500)

    world.seller.price = late
    with pytest.raises(StudioUnavailable, match="could not be reached"):
        await process.quote()
    assert anyio.current_time() == 10


async def test_a_challenge_ends_by_the_clock_of_this_process(world: World, process: Process) -> None:
    world.seller.rails = ["mpp"]
    assert (await process.quote()).offers["mpp"].max_timeout_seconds == 20
