"""A hostile seller, a chain to read, and somebody who buys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import seedance_mcp.app
from tests.attacks.hostile import Hostile, open_shop
from tests.attacks.rpc import Rpc, open_rpc
from tests.attacks.target import Clock, Target, open_target, settle_down, wall_clock


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(wall_clock())


@pytest.fixture(scope="module")
async def shop(clock: Clock) -> AsyncIterator[Hostile]:
    async with open_shop(clock) as seller:
        yield seller


@pytest.fixture
def seller(shop: Hostile) -> Hostile:
    """The module's seller, who has forgotten what the test before told it."""
    shop.behave()
    shop.requests.clear()
    return shop


@pytest.fixture(scope="module")
async def elsewhere(clock: Clock) -> AsyncIterator[Hostile]:
    """Another server of this machine, which nobody has any business with."""
    async with open_shop(clock) as other:
        yield other


@pytest.fixture(scope="module")
async def rpc(clock: Clock) -> AsyncIterator[Rpc]:
    async with open_rpc(clock) as host:
        yield host


@pytest.fixture(scope="module")
async def market(shop: Hostile, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """One app for the tables of a module."""
    home = settle_down(tmp_path_factory.mktemp("market") / "home", shop)
    async with open_target(home, shop, clock) as target:
        yield target


@pytest.fixture
def customer(market: Target, seller: Hostile) -> Target:
    """The module's customer at an honest seller, under a policy with room."""
    market.home.write_policy()
    return market


@pytest.fixture
async def newcomer(seller: Hostile, clock: Clock, tmp_path: Path) -> AsyncIterator[Target]:
    """Somebody with a ledger of their own, for what leaves traces."""
    async with open_target(settle_down(tmp_path / "home", seller), seller, clock) as target:
        yield target


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that waits a second for an answer."""
    monkeypatch.setattr(seedance_mcp.app, "ANSWER_SECONDS", 1)
