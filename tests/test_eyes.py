from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest

from seedance_mcp.eyes import Eyes
from seedance_mcp.ledger import jobs
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Purchase, State
from seedance_mcp.viewing import examine
from seedance_mcp.viewing.findings import Findings
from tests.ledger.examples import Desk, intent

REQUEST = {"prompt": "dawn", "duration": 5, "resolution": "720p", "aspect_ratio": "auto", "generate_audio": None}


class Looks:
    """Stands in for the decoders; a look takes until it ``may_end``."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = Event()

    def __call__(self, path: Path, *, expected: object) -> Findings:
        self.begun += 1
        assert self.may_end.wait(60)
        return Findings(remarks=("Seen in this test.",))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    monkeypatch.setattr(examine, "examine", looks)
    return looks


@pytest.fixture
async def saved(tmp_path: Path) -> Any:
    desk = Desk(await SQLite.open(tmp_path / "ledger.db", "real"))
    payment = await desk.at(State.CLAIMED, intent(request=REQUEST))
    await desk.database.write(jobs.add, payment.purchase, "job-1", desk.now)
    await desk.database.write(jobs.save_clip, "job-1", "/clips/1.mp4", desk.now)
    yield Eyes(desk.database, None), await desk.find(payment.purchase)  # type: ignore[arg-type]
    await desk.database.close()


async def test_who_comes_second_waits_for_the_first_look(saved: tuple[Eyes, Purchase], looks: Looks) -> None:
    eyes, purchase = saved
    seen = []

    async def look() -> None:
        seen.append(await eyes.look(purchase))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        group.start_soon(look)
        looks.may_end.set()
    assert looks.begun == 1
    assert [one.job is not None and one.job.findings is not None for one in seen] == [True, True]


async def test_a_look_that_takes_too_long_is_not_waited_for(saved: tuple[Eyes, Purchase], looks: Looks) -> None:
    eyes, purchase = saved
    with anyio.move_on_after(0.05) as scope:
        await eyes.look(purchase)
    looks.may_end.set()
    assert scope.cancelled_caught
