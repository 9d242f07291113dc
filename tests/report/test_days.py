from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from seedance_mcp.ledger.history import QUARTER, Sums
from seedance_mcp.ledger.states import State
from seedance_mcp.report.days import day_of, start_of, zone
from seedance_mcp.report.spend import read_spend
from tests.ledger.examples import CLIP, Desk, intent
from tests.report.examples import BERLIN, KATHMANDU

HOUR = 3_600_000
SPRING, AUTUMN = date(2024, 3, 31), date(2024, 10, 27)


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000


def test_a_day_of_a_clock_change_has_23_or_25_hours(live_in: Callable[[str], None]) -> None:
    live_in(BERLIN)
    assert start_of(SPRING) == at(2024, 3, 30, 23)
    assert start_of(date(2024, 4, 1)) - start_of(SPRING) == 23 * HOUR
    assert start_of(AUTUMN) == at(2024, 10, 26, 22)
    assert start_of(date(2024, 10, 28)) - start_of(AUTUMN) == 25 * HOUR
    assert zone() == "CET/CEST"


@pytest.mark.parametrize("rule", [BERLIN, KATHMANDU, "UTC0", "EST5EDT,M3.2.0,M11.1.0"])
@pytest.mark.parametrize("day", [SPRING, AUTUMN, date(2024, 2, 29)])
def test_a_day_begins_with_the_quarter_that_its_start_lies_in(
    live_in: Callable[[str], None], rule: str, day: date
) -> None:
    live_in(rule)
    first, rest = divmod(start_of(day), QUARTER)
    assert rest == 0
    assert day_of(first) == day
    assert day_of(first - 1) < day


def test_a_day_that_begins_with_a_clock_change_begins_at_one(live_in: Callable[[str], None]) -> None:
    live_in("<-03>3<-02>,M10.3.0/0,M2.3.0/0")
    assert start_of(date(2024, 10, 20)) == at(2024, 10, 20, 3)
    assert day_of(at(2024, 10, 20, 3) // QUARTER) == date(2024, 10, 20)


async def test_payments_around_a_clock_change_are_told_under_the_operator_s_days(
    desk: Desk, live_in: Callable[[str], None]
) -> None:
    live_in(BERLIN)
    moments = {
        "the last moment of the 30th": at(2024, 3, 30, 23) - 1,
        "midnight": at(2024, 3, 30, 23),
        "before the change": at(2024, 3, 31, 1) - 1,
        "after it": at(2024, 3, 31, 1),
        "the last moment of the 31st, which is summer": at(2024, 3, 31, 22) - 1,
        "midnight in summer": at(2024, 3, 31, 22),
    }
    for name, moment in moments.items():
        desk.now = moment
        await desk.at(State.SETTLED, intent(name))
    spent = await desk.database.read(read_spend, "day", None)
    assert spent.lines == {
        "2024-03-30": Sums(1, settled=CLIP),
        "2024-03-31": Sums(4, settled=4 * CLIP),
        "2024-04-01": Sums(1, settled=CLIP),
    }
    since = await desk.database.read(read_spend, "day", SPRING)
    assert list(since.lines) == ["2024-03-31", "2024-04-01"]
    assert since.whole == Sums(5, settled=5 * CLIP)


async def test_the_same_payments_are_told_under_other_days_elsewhere(
    desk: Desk, live_in: Callable[[str], None]
) -> None:
    desk.now = at(2024, 3, 30, 18, 14)
    await desk.at(State.SETTLED, intent("before midnight"))
    desk.now = at(2024, 3, 30, 18, 15)
    await desk.at(State.SETTLED, intent("at midnight"))
    live_in("UTC0")
    assert list((await desk.database.read(read_spend, "day", None)).lines) == ["2024-03-30"]
    live_in(KATHMANDU)
    assert list((await desk.database.read(read_spend, "day", None)).lines) == ["2024-03-30", "2024-03-31"]
