from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedance_mcp.ledger.sqlite import SQLite
from tests.ledger.examples import Desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield Desk(database)
    await database.close()
