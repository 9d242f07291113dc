"""Sellers, and homes to buy from."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.home import KEY, PAYER, Agent, Home, make_home
from tests.e2e.shop import Shop, open_shop

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil
    from tests.peers.x402_seller import X402Seller


@pytest.fixture(autouse=True)
def no_heir_stays(tmp_path: Path) -> Iterator[None]:
    """What a killed server leaves behind ends by itself once its ledger is gone."""
    yield
    for ledger in tmp_path.rglob("ledger.db"):
        ledger.unlink()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """The first generation's seller."""
    async with open_shop() as shop:
        yield shop


@pytest.fixture
def home(shop: Shop, tmp_path: Path) -> Home:
    """Somebody with a thousand dollars at ``shop``, under the built-in policy."""
    return shop.home(tmp_path / "home")


@pytest.fixture
async def agent(home: Home) -> AsyncIterator[Agent]:
    """An agent on a server in ``home``."""
    async with home.server() as agent:
        yield agent


@pytest.fixture
def chain_home(chain: "Anvil", x402_seller: "X402Seller", payer: "LocalAccount", tmp_path: Path) -> Home:
    """Somebody whose money is on ``chain`` and who buys from ``x402_seller``."""
    assert payer.address == PAYER
    return make_home(
        tmp_path / "home",
        STUDIO_URL=x402_seller.origin,
        BLOB_URL=f"{x402_seller.origin}/blob/",
        BASE_RPC_URL=chain.url,
        PRIVATE_KEY=KEY,
    )
