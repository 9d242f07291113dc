import json

from seedance_mcp.ledger import audit, check, clock
from seedance_mcp.ledger.states import DAY, State
from tests.ledger.examples import NOW, Desk


async def test_a_ledger_s_clock_that_is_ahead_is_set_back(desk: Desk) -> None:
    desk.now = NOW + DAY
    await desk.at(State.SETTLED)
    desk.now = NOW
    assert await desk.database.read(clock.ahead, NOW) == DAY
    assert (await desk.usage()).clock_ahead == DAY
    assert await desk.database.write(clock.reset, NOW) == NOW + DAY
    assert await desk.database.read(clock.ahead, NOW) == 0
    assert (await desk.usage()).clock_ahead == 0
    assert await desk.database.write(clock.reset, NOW) is None


async def test_setting_it_back_frees_no_budget_and_is_audited(desk: Desk) -> None:
    desk.now = NOW + DAY
    await desk.at(State.SETTLED)
    desk.now = NOW
    before = await desk.spent()
    await desk.database.write(clock.reset, NOW)
    assert await desk.spent() == before
    assert before.total > 0
    last = await desk.database.read(lambda tx: tx.one("SELECT entry FROM audit ORDER BY seq DESC LIMIT 1"))
    assert last is not None
    assert json.loads(last["entry"]) == {"event": "clock", "at": NOW, "from": NOW + DAY, "to": NOW}
    assert await check.check_ledger(desk.database) == []
    assert await desk.database.read(audit.verify) > 0


async def test_a_clock_that_is_behind_is_left_alone(desk: Desk) -> None:
    await desk.at(State.SETTLED)
    before = await desk.database.read(audit.head)
    assert await desk.database.read(clock.ahead, NOW + DAY) == 0
    assert await desk.database.write(clock.reset, NOW + DAY) is None
    assert await desk.database.read(audit.head) == before
