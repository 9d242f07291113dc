"""Alerts in the ledger: one for each happening, one sender at a time, none forgotten."""

from collections.abc import AsyncIterator
from contextlib import closing
from importlib import resources
from pathlib import Path

import apsw
import pytest

import seedance_mcp.ledger
from seedance_mcp.alerts import happenings
from seedance_mcp.ledger import alerts, audit
from seedance_mcp.ledger.alerts import KEPT, LEASE, LIFE, RECIPIENT, Alert, Parcel, Post
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import DAY
from tests.ledger.examples import NOW, Desk

ALERT = Alert("budget wallet day", "budget.threshold_reached", "80 % is reached", {"cap_usd": "10.00"})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield Desk(database)
    await database.close()


async def raised(desk: Desk, happening: str = ALERT.happening) -> None:
    await desk.database.write(alerts.add, Alert(happening, ALERT.type, ALERT.message, ALERT.facts), desk.now)


async def handed_out(desk: Desk) -> Parcel:
    parcel = await desk.database.write(alerts.hand_out, desk.now)
    assert parcel is not None
    return parcel


async def test_a_happening_is_raised_once_until_it_is_over(desk: Desk) -> None:
    for _ in range(2):
        await raised(desk)
    assert await desk.database.write(alerts.take_untold, desk.now) == [ALERT.message]
    stands = await desk.database.read(alerts.standing, [ALERT.happening, "another"])
    await desk.database.write(alerts.end, stands[ALERT.happening])
    await raised(desk)
    assert await desk.database.write(alerts.take_untold, desk.now) == [ALERT.message]
    assert await desk.database.read(alerts.post, desk.now) == Post(waiting=2)


async def test_an_alert_is_in_one_hand_at_a_time_and_after_its_lease_in_the_next(desk: Desk) -> None:
    await raised(desk)
    first = await handed_out(desk)
    assert not await desk.database.read(alerts.is_due, desk.now + LEASE - 1)
    assert await desk.database.write(alerts.hand_out, desk.now + LEASE - 1) is None
    desk.now += LEASE
    second = await handed_out(desk)
    assert (second.message_id, second.body) == (first.message_id, first.body)
    assert (first.attempt, second.attempt) == (1, 2)
    # The first one wakes up and says that it failed, which is nothing to the second.
    await desk.database.write(alerts.postpone, first, desk.now)
    assert not await desk.database.read(alerts.is_due, desk.now)
    await desk.database.write(alerts.delivered, second)
    assert await desk.database.read(alerts.post, desk.now + LEASE) == Post()


async def test_the_one_that_waits_longest_comes_first(desk: Desk) -> None:
    for happening in ("one", "two"):
        await raised(desk, happening)
        desk.now += 1
    first = await handed_out(desk)
    await desk.database.write(alerts.postpone, first, desk.now + 5)
    assert (await handed_out(desk)).id != first.id
    desk.now += 5
    assert (await handed_out(desk)).id == first.id


async def test_news_of_yesterday_is_neither_said_nor_sent_and_what_was_tried_is_counted_as_lost(desk: Desk) -> None:
    await raised(desk, "tried")
    await handed_out(desk)
    await raised(desk, "never tried")
    desk.now += LIFE
    assert not await desk.database.read(alerts.is_due, desk.now)
    assert await desk.database.write(alerts.hand_out, desk.now) is None
    assert await desk.database.write(alerts.take_untold, desk.now) == []
    assert await desk.database.read(alerts.post, desk.now) == Post(waiting=0, lost=1)
    assert await desk.database.read(alerts.post, desk.now + 7 * DAY) == Post()


async def test_each_freeze_is_one_alert_and_the_ledger_stays_sound(desk: Desk) -> None:
    for why in ("a leak", "a leak"):
        await desk.database.write(happenings.freeze, why, desk.now)
    messages = await desk.database.write(alerts.take_untold, desk.now)
    assert messages == ["All purchases were frozen (a leak); `seedance-mcp unfreeze` allows them again"] * 2
    assert (await desk.usage()).frozen == "a leak"
    assert await check_ledger(desk.database) == []


async def test_a_freeze_without_a_reason_keeps_the_one_that_stands(desk: Desk) -> None:
    assert await desk.database.write(happenings.freeze, "a leak", desk.now) == ("a leak", True)
    head = await desk.database.read(audit.head)
    assert await desk.database.write(happenings.freeze, None, desk.now) == ("a leak", False)
    assert await desk.database.read(audit.head) == head
    assert await desk.database.read(alerts.post, desk.now) == Post(waiting=1)
    assert await desk.database.write(happenings.freeze, "another", desk.now) == ("another", True)


async def test_an_unfreeze_silences_what_was_not_told_or_sent_and_loses_nothing(desk: Desk) -> None:
    await raised(desk)
    await handed_out(desk)
    for why in ("tried", "never tried"):
        await desk.database.write(happenings.freeze, why, desk.now)
    await handed_out(desk)
    assert await desk.database.write(happenings.unfreeze, desk.now)
    assert await desk.database.write(alerts.take_untold, desk.now) == [ALERT.message]
    assert await desk.database.read(alerts.post, desk.now) == Post(waiting=1)
    desk.now += LEASE
    await desk.database.write(alerts.delivered, await handed_out(desk))
    assert not await desk.database.read(alerts.is_due, desk.now)
    assert await desk.database.read(alerts.post, desk.now + LIFE) == Post()


async def test_a_freeze_that_was_sent_stays_so(desk: Desk) -> None:
    await desk.database.write(happenings.freeze, "a leak", desk.now)
    await desk.database.write(alerts.delivered, await handed_out(desk))
    await desk.database.write(happenings.unfreeze, desk.now)
    (row,) = await desk.database.read(lambda tx: tx.all("SELECT status FROM alerts"))
    assert row["status"] == "delivered"


async def test_recipients_are_sent_after_all_others(desk: Desk) -> None:
    for happening in (f"{RECIPIENT}one", f"{RECIPIENT}two", "budget"):
        await raised(desk, happening)
        desk.now += 1
    ids = [(await handed_out(desk)).id for _ in range(3)]
    assert ids == [3, 1, 2]


async def test_what_is_long_over_is_forgotten_and_what_stands_is_not(desk: Desk) -> None:
    names = ("over", "stands", f"{RECIPIENT}of a day")
    for happening in names:
        await raised(desk, happening)
    rows = await desk.database.read(alerts.standing, names)
    await desk.database.write(alerts.end, rows["over"])
    await desk.database.write(alerts.prune, desk.now + KEPT)
    assert len(await desk.database.read(lambda tx: tx.all("SELECT id FROM alerts"))) == 3
    await desk.database.write(alerts.prune, desk.now + KEPT + 1)
    (left,) = await desk.database.read(lambda tx: tx.all("SELECT happening FROM alerts"))
    assert left["happening"] == "stands"


async def test_a_ledger_of_the_schema_before_gets_its_place_for_alerts(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    scripts = resources.files(seedance_mcp.ledger) / "migrations"
    with closing(apsw.Connection(str(path))) as connection:
        for script in sorted(scripts.iterdir(), key=lambda script: script.name):
            if script.name < "0008":
                connection.execute(script.read_text(encoding="utf-8"))
        connection.execute("PRAGMA user_version = 7")
        connection.execute(
            """INSERT INTO ledger (only_row, id, kind, created_at, clock, frozen)
               VALUES (1, 'one', 'real', 1, 2, 'a leak')"""
        )
    old = Desk(await SQLite.open(path, "real"), NOW)
    assert (await old.usage()).frozen == "a leak"
    assert await old.database.read(alerts.untold, old.now) == []
    await raised(old)
    assert await old.database.read(alerts.untold, old.now) == [ALERT.message]
    await old.database.close()
