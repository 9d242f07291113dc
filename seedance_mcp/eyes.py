"""Looks at saved clips for those who cannot: findings, a contact sheet, a thumbnail, the bytes in pieces."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from seedance_mcp.errors import NotFound, SeedanceError
from seedance_mcp.fetching import Fetcher
from seedance_mcp.ledger import jobs, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.ledger.states import ClipJob, Purchase

FETCH_SECONDS = 10
WHOLE = 16 * 1024 * 1024
"""Bytes of a clip that is handed out in one piece."""
PIECE = 4 * 1024 * 1024


class Eyes:
    """``fetcher`` gets the images that a clip was made of, which are not kept here."""

    def __init__(self, database: Database, fetcher: Fetcher) -> None:
        self._database = database
        self._fetcher = fetcher
        # One at a time: decoding takes a core, and the server has others to answer.
        self._limiter = anyio.CapacityLimiter(1)
        self._looking = anyio.Lock()

    async def look(self, purchase: Purchase) -> Purchase:
        """The purchase with the findings of its saved clip, which is looked at only once. Changes nothing else."""
        if not _is_unseen(purchase):
            return purchase
        async with self._looking:
            # Somebody else may have looked at it meanwhile.
            now = await self._database.read(views.find, purchase.id)
            return await self._examined(purchase) if now is None or _is_unseen(now) else now

    async def _examined(self, purchase: Purchase) -> Purchase:
        job = purchase.job
        assert job is not None
        assert job.video_path is not None
        from seedance_mcp.viewing.examine import examine  # noqa: PLC0415 - decoders take a while to import
        from seedance_mcp.viewing.findings import Expected  # noqa: PLC0415

        asked, images = purchase.request, await self._images(purchase)
        expected = Expected(
            seconds=int(str(asked["duration"])),
            resolution=str(asked["resolution"]),
            aspect_ratio=None if asked["aspect_ratio"] == "auto" else str(asked["aspect_ratio"]),
            audio=asked["generate_audio"] if isinstance(asked["generate_audio"], bool) else None,
            first=images[0] if images else None,
            last=images[1] if len(images) > 1 else None,
        )
        look = partial(examine, Path(job.video_path), expected=expected)
        findings = await run_sync(look, limiter=self._limiter, abandon_on_cancel=True)
        await self._database.write(jobs.keep_findings, job.id, asdict(findings))
        return await self._database.read(views.find, purchase.id) or purchase

    async def contact_sheet(self, job: ClipJob) -> bytes:
        """Frames of the clip with their times, as one JPEG. Raises NotFound."""
        from seedance_mcp.viewing.footage import Unreadable  # noqa: PLC0415
        from seedance_mcp.viewing.sheet import contact_sheet  # noqa: PLC0415

        try:
            return await run_sync(contact_sheet, saved(job), limiter=self._limiter)
        except Unreadable as error:
            raise NotFound(f"the clip of job {job.id} cannot be looked at: {error}") from None

    async def thumbnail(self, job: ClipJob) -> bytes:
        """One frame of the clip, as a JPEG. Raises NotFound."""
        from seedance_mcp.viewing.footage import Unreadable  # noqa: PLC0415
        from seedance_mcp.viewing.sheet import thumbnail  # noqa: PLC0415

        try:
            return await run_sync(thumbnail, saved(job), limiter=self._limiter)
        except Unreadable as error:
            raise NotFound(f"the clip of job {job.id} cannot be looked at: {error}") from None

    async def piece(self, job: ClipJob, number: int | None) -> bytes:
        """The clip, or its ``number``-th piece of 4 MiB, counted from 1. Raises NotFound."""
        return await run_sync(_piece, saved(job), number, limiter=self._limiter)

    async def _images(self, purchase: Purchase) -> list[bytes]:
        """The images as the seller was given them, as far as they are still there."""
        found = []
        for url in _image_urls(purchase.payment.body):
            try:
                with anyio.fail_after(FETCH_SECONDS):
                    found.append(await self._fetcher.image(url))
            except (SeedanceError, TimeoutError):
                break
        return found


def _is_unseen(purchase: Purchase) -> bool:
    return purchase.job is not None and purchase.job.video_path is not None and purchase.job.findings is None


def saved(job: ClipJob) -> Path:
    """The clip's file. Raises NotFound."""
    if job.video_path is None or not Path(job.video_path).is_file():
        raise NotFound(f"the clip of job {job.id} is not on this disk", next="Call check_job with job_id.")
    return Path(job.video_path)


def pieces(path: Path) -> int:
    """How many pieces a clip has."""
    return max(-(-path.stat().st_size // PIECE), 1)


def _piece(path: Path, number: int | None) -> bytes:
    count = pieces(path)
    if number is None:
        if path.stat().st_size > WHOLE:
            raise NotFound(f"the clip is too large for one answer: read its pieces, …/video/1 to …/video/{count}")
        return path.read_bytes()
    if not 1 <= number <= count:
        raise NotFound(f"the clip has the pieces 1 to {count}")
    with path.open("rb") as file:
        file.seek((number - 1) * PIECE)
        return file.read(PIECE)


def _image_urls(body: str | None) -> list[str]:
    """The first and last image of either generation's request."""
    document = json.loads(body) if body is not None else {}
    if not isinstance(document, Mapping):
        return []
    urls = document.get("urls") or [document.get("image"), document.get("last_image")]
    return [url for url in urls[:2] if isinstance(url, str)] if isinstance(urls, list) else []
