import pytest

from seedance_mcp.ledger import audit, health, operator
from seedance_mcp.ledger.states import State
from tests.ledger.examples import Desk


async def test_a_sound_ledger_is_told_to_be_sound(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    found = await desk.database.read(health.health)
    assert found.problems == ()
    assert found.identity == await desk.database.read(operator.ledger_id)
    assert (found.kind, found.journal) == ("real", "wal")
    assert found.rows == (await desk.database.read(audit.head))[0]
    assert found.schema > 0


async def test_a_ledger_that_was_changed_is_found_out(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    await desk.database.write(lambda tx: tx.do("UPDATE totals SET amount = 2"))
    found = await desk.database.read(health.health)
    assert found.problems is not None
    assert "the total of" in found.problems[0]


async def test_a_large_ledger_is_not_read_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.at(State.SETTLED)
    monkeypatch.setattr(health, "LARGE", 1)
    assert (await desk.database.read(health.health)).problems is None
