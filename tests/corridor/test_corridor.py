"""The rest of the corridor's manners."""

import anyio
import pytest

from seedance_mcp.errors import NotFound, SeedanceError
from tests.corridor.examples import ME, WALLET
from tests.corridor.world import Process, World


async def test_one_call_at_a_time_for_one_purchase(process: Process) -> None:
    at, seen = anyio.current_time, list[tuple[bytes, float]]()

    async def call(key: bytes) -> None:
        async with process.corridor.turn(key):
            await anyio.sleep(1)
            seen.append((key, at()))

    async with anyio.create_task_group() as group:
        for key in (b"one", b"two", b"one"):
            group.start_soon(call, key)
    assert seen == [(b"one", 1), (b"two", 1), (b"one", 2)]


async def test_a_purchase_that_does_not_exist_is_not_found(process: Process) -> None:
    with pytest.raises(NotFound, match="there is no purchase pur_0"):
        await process.corridor.find("pur_0")


async def test_the_key_is_seen_in_what_would_leave(world: World, process: Process) -> None:
    key = WALLET._key.to_bytes().hex()
    process.corridor.require_no_key("prompt", "waves")
    world.open(ME, wallet=None).corridor.require_no_key("prompt", key)
    with pytest.raises(SeedanceError, match="prompt contains the wallet's private key"):
        process.corridor.require_no_key("prompt", f"waves {key}")
