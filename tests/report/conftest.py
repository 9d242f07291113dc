import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from seedance_mcp.ledger.sqlite import SQLite
from tests.ledger.examples import Desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield Desk(database)
    await database.close()


@pytest.fixture
def live_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Moves this process into a time zone: a rule of POSIX, which needs no database of zones."""
    with monkeypatch.context() as patch:

        def move(rule: str) -> None:
            patch.setenv("TZ", rule)
            time.tzset()

        yield move
    time.tzset()
