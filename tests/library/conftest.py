"""A seller, and somebody who buys from it with a program of their own."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from seedance_mcp.app import App, open_app
from seedance_mcp.library.studio import Studio
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.settings import Settings
from tests.e2e.home import KEY, Home
from tests.e2e.shop import Shop, open_shop


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


@pytest.fixture
def home(shop: Shop, tmp_path: Path) -> Home:
    """Somebody with a thousand dollars at ``shop``, whose ledger is a sandbox's, so that jobs are looked at often."""
    return shop.home(tmp_path / "home")


@pytest.fixture
def studio(home: Home) -> Studio:
    """Not entered yet: its settings are read when it is."""

    def opening() -> AbstractAsyncContextManager[App]:
        settings = Settings.from_env(dict(home.env))
        return open_app(settings, wallet=Wallet.from_hex(KEY), sandbox=True)

    return Studio(opening)
