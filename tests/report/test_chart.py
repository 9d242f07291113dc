from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from seedance_mcp.guard.policy import Caps
from seedance_mcp.ledger.states import DAY, State
from seedance_mcp.report.chart import Chart, read_chart
from tests.guard.examples import policy
from tests.ledger.examples import Desk, intent

FIRST = date(2023, 11, 14)


@pytest.fixture(autouse=True)
def utc(live_in: Callable[[str], None]) -> None:
    live_in("UTC0")


async def buy(desk: Desk, *amounts: int, **changes: Any) -> None:
    """One clip a day for each amount; none for 0."""
    for number, amount in enumerate(amounts):
        if amount:
            await desk.at(State.SETTLED, intent(f"{changes} {number}", amount=amount, **changes))
        desk.now += DAY
    desk.now -= DAY * len(amounts)


async def read(
    desk: Desk, by: str = "model", since: date | None = None, today: date = FIRST, caps: Caps | None = None
) -> Chart:
    changed = replace(policy(), caps=caps) if caps else policy()
    chart = await desk.database.read(read_chart, by, since, today, changed)
    assert chart is not None
    return chart


async def test_every_day_from_the_first_payment_to_today_has_its_place(desk: Desk) -> None:
    await buy(desk, 5, 0, 7)
    await buy(desk, 0, 1, model="upload")
    chart = await read(desk, today=FIRST + timedelta(3))
    assert chart.days == [FIRST + timedelta(number) for number in range(4)]
    assert chart.groups == {"seedance": [5, 0, 7, 0], "upload": [0, 1, 0, 0]}
    assert (chart.day_cap, chart.limits) == (10_000_000, [])


async def test_nothing_spent_is_no_chart(desk: Desk) -> None:
    assert await desk.database.read(read_chart, "model", None, FIRST, policy()) is None
    await buy(desk, 5)
    assert await desk.database.read(read_chart, "model", FIRST + timedelta(1), FIRST, policy()) is None


async def test_windows_reach_back_behind_the_first_day_that_is_shown(desk: Desk) -> None:
    await buy(desk, *range(1, 11))
    caps = Caps(per_day=50, per_week=100, per_month=300, total=1_000)
    chart = await read(desk, since=FIRST + timedelta(7), today=FIRST + timedelta(9), caps=caps)
    assert chart.groups == {"seedance": [8, 9, 10]}
    assert {limit.name: (limit.cap, limit.spent) for limit in chart.limits} == {
        "last 7 days": (100, [35, 42, 49]),
        "last 30 days": (300, [36, 45, 55]),
        "in all": (1_000, [36, 45, 55]),
    }


async def test_caps_of_single_models_are_shown_with_the_models(desk: Desk) -> None:
    await buy(desk, 5, 6)
    await buy(desk, 1, 2, model="upload")
    one = replace(policy(), models={"upload": Caps(per_day=4, total=0), "seedance-fast": Caps(per_week=9)})
    by_model = await desk.database.read(read_chart, "model", None, FIRST + timedelta(1), one)
    assert by_model is not None
    assert {limit.name: (limit.cap, limit.spent) for limit in by_model.limits} == {
        "upload, a day": (4, [1, 2]),
        "seedance-fast, last 7 days": (9, [0, 0]),
    }
    by_rail = await desk.database.read(read_chart, "rail", None, FIRST, one)
    assert by_rail is not None
    assert by_rail.limits == []


async def test_the_smallest_of_many_groups_are_shown_together(desk: Desk) -> None:
    for number in range(1, 11):
        await buy(desk, number, agent=f"agent-{number}")
    chart = await read(desk, "agent")
    assert [(name, sum(amounts)) for name, amounts in chart.groups.items()] == [
        *((f"agent-{number}", number) for number in range(10, 3, -1)),
        ("3 others", 6),
    ]
