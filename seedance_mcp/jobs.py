"""Watches paid jobs and saves their clips before the links die."""

import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from seedance_mcp.background import going_on
from seedance_mcp.errors import LedgerError, NotFound, SeedanceError, StudioRejected
from seedance_mcp.eyes import Eyes
from seedance_mcp.fetching import Fetcher, is_mp4
from seedance_mcp.ledger import jobs, payments, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.states import ClipJob, Purchase
from seedance_mcp.recovery import Recovery
from seedance_mcp.studio.client import Studio

LINK_LIFE = 20 * 60_000
"""Milliseconds for which the links of a complete job were seen to work."""
GRACE = 10 * 60_000
FORGOTTEN = 24 * 3_600_000
UNHEARD = 5 * 60_000
"""Milliseconds without a word of the seller after which nobody waits for it who was not asked to."""
OUTAGE = 60 * 60_000
"""Milliseconds beyond the death of its link for which a clip is asked for at a host that cannot be reached."""
SWEEP_SECONDS = 30
BEAT_SECONDS = 5
PULSE_SECONDS = 10
_UNSAFE = re.compile(r"[^a-z0-9]+")


logger = logging.getLogger(__name__)


class Watcher:
    """Polls every unfinished job of the ledger, whoever bought it, each ``interval`` seconds."""

    def __init__(
        self,
        *,
        studio: Studio,
        database: Database,
        fetcher: Fetcher,
        recovery: Recovery,
        output_dir: Path,
        interval: int,
        owner: str,
        now: Callable[[], int],
        eyes: Eyes | None = None,
    ) -> None:
        self._eyes = eyes
        self._studio = studio
        self._database = database
        self._fetcher = fetcher
        self._recovery = recovery
        self._output_dir = output_dir
        self._interval = interval
        self._owner = owner
        self._now = now
        self._wake = anyio.Event()
        self._changed = anyio.Event()
        self._looking: set[str] = set()

    async def run(self) -> None:
        """Watch until cancelled. A fault of the seller, the chain or the ledger never ends it."""
        try:
            await self._watch()
        finally:
            # The next server need not wait until this one's turn is over.
            with anyio.CancelScope(shield=True), going_on(logger, "the jobs"):
                await self._database.write(jobs.leave, self._owner)

    async def _watch(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat)
            group.start_soon(self._sweep)
            while True:
                with going_on(logger, "the jobs"):
                    for job in await self._database.write(jobs.watch, self._owner, self._now()):
                        if job.id not in self._looking:
                            group.start_soon(self._look, job)
                with anyio.move_on_after(self._interval):
                    await self._wake.wait()
                self._wake = anyio.Event()

    async def collect(self) -> int:
        """Watch until no job waits for its clip any more; how many clips were saved, or cannot be had."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat)
            with going_on(logger, "open payments"):
                await self._recovery.sweep()
            first = waiting = await self._database.read(jobs.unfinished)
            while waiting:
                await self._look_at_all()
                waiting = await self._database.read(jobs.unfinished)
                if waiting:
                    await anyio.sleep(self._interval)
            group.cancel_scope.cancel()
        return first

    async def outlive(self, exists: Callable[[], bool]) -> None:
        """Watch after a server's end, until no clip can come any more.

        Ends too when the ledger is gone (``exists``), or the seller is not heard of for a while: the next server goes
        on then.
        """
        heard, before = self._now(), (0, 0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat)
            group.start_soon(self._sweep)
            while exists():
                with going_on(logger, "the jobs"):
                    await self._look_at_all()
                    left = await self._database.read(jobs.left)
                    if left[0] == 0:
                        break
                    heard, before = (self._now() if left != before else heard), left
                if self._now() - heard > UNHEARD:
                    break
                await anyio.sleep(self._interval)
            group.cancel_scope.cancel()

    async def _look_at_all(self) -> None:
        async with anyio.create_task_group() as looks:
            for job in await self._database.write(jobs.watch, self._owner, self._now()):
                looks.start_soon(self._look, job)

    async def _beat(self) -> None:
        """Keep this process's lease, so that nobody takes its payments over while it lives."""
        while True:
            with going_on(logger, "the lease"):
                await self._database.write(payments.beat, self._owner, self._now())
            await anyio.sleep(BEAT_SECONDS)

    async def _sweep(self) -> None:
        while True:
            with going_on(logger, "open payments"):
                await self._recovery.sweep()
            await anyio.sleep(SWEEP_SECONDS)

    def wake(self) -> None:
        """A job was bought: look at it now."""
        self._wake.set()

    async def follow(self, purchase: Purchase, seconds: float) -> AsyncIterator[Purchase]:
        """The purchase as it stands each time it changed, and now and then, until its clip is finished or ``seconds``
        are over."""
        deadline = anyio.current_time() + seconds
        told = anyio.current_time()
        while not (purchase.job is not None and purchase.job.finished):
            changed = self._changed
            left = deadline - anyio.current_time()
            # Another process may be the one that watches this job, so the ledger is read again all the same.
            with anyio.move_on_after(min(left, 1)):
                await changed.wait()
            seen = await self._database.read(views.find, purchase.id)
            if seen is not None and (seen != purchase or anyio.current_time() - told > PULSE_SECONDS):
                purchase, told = seen, anyio.current_time()
                yield purchase
            if left <= 1:
                return

    async def _look(self, job: ClipJob) -> None:
        self._looking.add(job.id)
        try:
            await self._update(job)
        except LedgerError:
            return
        except Exception:
            logger.exception("The job %s could not be looked at", job.id)
        finally:
            self._looking.discard(job.id)
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    async def _update(self, job: ClipJob) -> None:
        now = self._now()
        try:
            seen = await self._studio.job(job.id)
        except SeedanceError as error:
            gone = isinstance(error, NotFound) and now > job.found_at + FORGOTTEN
            await self._note(job, error.what, lost=gone)
            return
        complete = seen.status == "complete"
        await self._database.write(
            jobs.update,
            job.id,
            status=seen.status,
            progress=100 if complete else seen.progress,
            video_url=seen.video_url,
            thumbnail_url=seen.thumbnail_url,
            links_die_at=now + LINK_LIFE if complete else None,
            error=seen.error if seen.status == "failed" else None,
            now=now,
        )
        if complete:
            await self._save(job, seen.video_url)

    async def _save(self, job: ClipJob, url: str | None) -> None:
        dead_at = (job.links_die_at or self._now() + LINK_LIFE) + GRACE
        purchase = await self._database.read(jobs.of, job.id)
        if url is None or purchase is None:
            await self._note(
                job, "the seller says that the job is complete but gives no video", lost=self._now() > dead_at
            )
            return
        path = self._output_dir / file_name(purchase)
        try:
            # A process that was killed between renaming and recording has left the whole clip there.
            if not await run_sync(_is_saved, path):
                path = await self._fetcher.save(url, path)
        except SeedanceError as error:
            # A host that is out of order for now may still have it; nobody waits for that for ever.
            given_up = dead_at if isinstance(error, StudioRejected) else dead_at + OUTAGE
            await self._note(job, f"the clip could not be saved: {error.what}", lost=self._now() > given_up)
        except OSError as error:
            # A disk that refuses can be mended; the clip is lost only once its link is.
            await self._note(job, f"the clip could not be saved: {error.strerror or type(error).__name__}", lost=False)
        else:
            await self._database.write(jobs.save_clip, job.id, str(path), self._now())
            bought = await self._database.read(views.find, purchase.id)
            if self._eyes is not None and bought is not None:
                await self._eyes.look(bought)

    async def _note(self, job: ClipJob, what: str, *, lost: bool) -> None:
        await self._database.write(jobs.note_error, job.id, what, lost, self._now())


def _is_saved(path: Path) -> bool:
    return path.exists() and is_mp4(path) is None


def file_name(purchase: Purchase) -> str:
    """A name that a person recognises, unique by the purchase, with nothing of the seller's in it."""
    words = _UNSAFE.sub("-", str(purchase.request.get("prompt", "")).lower()).strip("-")[:40].rstrip("-")
    return f"{words or 'clip'}-{purchase.id.removeprefix('pur_')[:8]}.mp4"
