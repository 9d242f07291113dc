"""What the watcher writes down of a clip that cannot be fetched."""

from pathlib import Path
from typing import Any

import pytest

from seedance_mcp.errors import SeedanceError, StudioRejected, StudioUnavailable
from seedance_mcp.jobs import GRACE, LINK_LIFE, OUTAGE, Watcher
from seedance_mcp.ledger import jobs
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import ClipJob, State
from seedance_mcp.studio.models import Job
from tests.ledger.examples import ME, Desk

GONE = StudioRejected("the link is dead: it was answered with 404", code="link_dead")
SILENT = StudioUnavailable("the host could not be reached")


class Seller:
    """Has a finished clip, and a host for it that answers with ``problem``."""

    problem: SeedanceError

    async def job(self, job_id: str) -> Job:
        return Job(job_id, "complete", 100, "https://clips.example/1.mp4", None)

    async def save(self, url: str, path: Path) -> Path:
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "later", "lost"),
    [
        (GONE, 0, False),
        (GONE, LINK_LIFE + GRACE + 1, True),
        (SILENT, LINK_LIFE + GRACE + 1, False),
        (SILENT, LINK_LIFE + GRACE + OUTAGE, False),
        (SILENT, LINK_LIFE + GRACE + OUTAGE + 1, True),
    ],
)
async def test_a_clip_is_lost_once_its_link_is_dead_and_not_because_its_host_is_silent(
    tmp_path: Path, problem: SeedanceError, later: int, lost: bool
) -> None:
    desk, seller = Desk(await SQLite.open(tmp_path / "ledger.db", "real")), Seller()
    payment = await desk.at(State.CLAIMED)
    await desk.database.write(jobs.add, payment.purchase, "job-1", desk.now)
    stand_ins: dict[str, Any] = {"studio": seller, "fetcher": seller, "recovery": None}
    watcher = Watcher(
        **stand_ins, database=desk.database, output_dir=tmp_path, interval=1, owner=ME, now=lambda: desk.now
    )

    async def look() -> ClipJob:
        job = (await desk.find(payment.purchase)).job
        assert job is not None
        await watcher._update(job)
        seen = (await desk.find(payment.purchase)).job
        assert seen is not None
        return seen

    seller.problem = SILENT
    assert not (await look()).lost
    desk.now += later
    seller.problem = problem
    seen = await look()
    assert (seen.lost, seen.error) == (lost, f"the clip could not be saved: {problem.what}")
    await desk.database.close()
