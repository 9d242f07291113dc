from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from seedance_mcp.sandbox import Sandbox
from seedance_mcp.sandbox.render import Clip, Shot
from tests.sandbox.buyer import ORIGIN, Buyer, Clock
from tests.sandbox.tempo_buyer import TempoBuyer


class Shots(list[Shot]):
    """A renderer that keeps what it was asked for, and answers at once."""

    def __call__(self, shot: Shot, progress: Callable[[int], None]) -> Clip:
        progress(50)
        self.append(shot)
        return Clip(b"a clip", b"a thumbnail")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shots() -> Shots:
    return Shots()


@pytest.fixture
def sandbox(clock: Clock, shots: Shots) -> Sandbox:
    return Sandbox(clock=clock, renderer=shots)


@pytest.fixture
async def buyer(sandbox: Sandbox, clock: Clock) -> AsyncIterator[Buyer]:
    """With ten dollars on each of the sandbox's rails."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app), base_url=ORIGIN) as http:
        buyer = Buyer(http, clock)
        sandbox.fund(buyer.account.address, 10_000_000)
        yield buyer


@pytest.fixture
def tempo_buyer(buyer: Buyer) -> TempoBuyer:
    """The same account on Tempo, with its ten dollars."""
    return TempoBuyer(buyer)
