from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.alerts.receiver import Receiver, secret_file
from tests.e2e.home import Home
from tests.e2e.shop import Shop, open_shop


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().serving() as receiver:
        yield receiver


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


@pytest.fixture
def home(shop: Shop, receiver: Receiver, tmp_path: Path) -> Iterator[Home]:
    """Somebody who buys at ``shop``, without a chain to ask, and whose alerts go to ``receiver``."""
    nowhere = "http://127.0.0.1:9"
    home = shop.home(tmp_path / "home", ALERT_URL=receiver.url, ALERT_SECRET_FILE=str(secret_file(tmp_path)))
    home = home.having(BASE_RPC_URL=nowhere, TEMPO_RPC_URL=nowhere)
    yield home
    # What a killed server leaves behind ends by itself once its ledger is gone.
    home.ledger.unlink(missing_ok=True)
