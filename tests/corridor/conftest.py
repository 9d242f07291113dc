from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.corridor.examples import ME
from tests.corridor.skipping import SkippingLoop
from tests.corridor.world import Process, World


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": SkippingLoop}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


@pytest.fixture
def process(world: World) -> Process:
    return world.open(ME)
