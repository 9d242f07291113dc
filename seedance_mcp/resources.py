"""What a client may read besides calling tools: budget, policy, jobs, pictures, receipts. Current at each read."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError

from seedance_mcp.errors import SeedanceError
from seedance_mcp.results import budget_result, job_result, receipt

if TYPE_CHECKING:
    from seedance_mcp.app import App
    from seedance_mcp.ledger.states import ClipJob

JSON, JPEG, MP4, BYTES = "application/json", "image/jpeg", "video/mp4", "application/octet-stream"
T = TypeVar("T")


def add_resources(server: MCPServer[None], started: "Callable[[], Awaitable[App]]") -> None:
    """Register all of them; ``started`` gives the app."""

    @server.resource("seedance://budget", mime_type=JSON, title="Budget")
    async def budget() -> str:
        """What may still be spent, by every limit that counts for this agent."""
        app = await _started(started)
        return _text(budget_result(await _told(app.clips.budget("seedance"))).model_dump())

    @server.resource("seedance://policy", mime_type=JSON, title="Policy")
    async def policy() -> str:
        """The operator's limits, which no tool can change."""
        app = await _started(started)
        from seedance_mcp.guard.document import document  # noqa: PLC0415

        return _text(document(await _told(app.policy.current())))

    @server.resource("seedance://jobs", mime_type=JSON, title="Unfinished clips")
    async def jobs() -> str:
        """Every clip of this agent that is not finished."""
        app = await _started(started)
        return _text([job_result(one, app.now()).model_dump() for one in await _told(app.clips.pending())])

    @server.resource("seedance://jobs/{job_id}", mime_type=JSON, title="Clip")
    async def job(job_id: str) -> str:
        """One clip of this agent, as check_job tells it."""
        app = await _started(started)
        purchase = await _told(app.clips.purchase(job_id=job_id, purchase_id=None))
        return _text(job_result(await _told(app.eyes.look(purchase)), app.now()).model_dump())

    @server.resource("seedance://jobs/{job_id}/contact-sheet", mime_type=JPEG, title="Contact sheet")
    async def contact_sheet(job_id: str) -> bytes:
        """Frames of a saved clip with their times: enough to judge a take."""
        app, own = await _own_job(started, job_id)
        return await _told(app.eyes.contact_sheet(own))

    @server.resource("seedance://jobs/{job_id}/thumbnail", mime_type=JPEG, title="Thumbnail")
    async def thumbnail(job_id: str) -> bytes:
        """One frame of a saved clip."""
        app, own = await _own_job(started, job_id)
        return await _told(app.eyes.thumbnail(own))

    @server.resource("seedance://jobs/{job_id}/video", mime_type=MP4, title="Video")
    async def video(job_id: str) -> bytes:
        """A saved clip of at most 16 MiB, for clients on another machine."""
        app, own = await _own_job(started, job_id)
        return await _told(app.eyes.piece(own, None))

    @server.resource("seedance://jobs/{job_id}/video/{piece}", mime_type=BYTES, title="Video, in pieces")
    async def video_piece(job_id: str, piece: int) -> bytes:
        """One piece of 4 MiB of a saved clip, counted from 1."""
        app, own = await _own_job(started, job_id)
        return await _told(app.eyes.piece(own, piece))

    @server.resource("seedance://receipts/{purchase_id}", mime_type=JSON, title="Receipt")
    async def receipts(purchase_id: str) -> str:
        """What was paid for one purchase, to whom, over which rail, and the transaction that proves it."""
        app = await _started(started)
        return _text(receipt(await _told(app.clips.purchase(job_id=None, purchase_id=purchase_id))).model_dump())


async def _own_job(started: "Callable[[], Awaitable[App]]", job_id: str) -> "tuple[App, ClipJob]":
    app = await _started(started)
    purchase = await _told(app.clips.purchase(job_id=job_id, purchase_id=None))
    assert purchase.job is not None
    return app, purchase.job


async def _started(started: "Callable[[], Awaitable[App]]") -> "App":
    return await _told(started())


async def _told(work: Awaitable[T]) -> T:
    """The SDK shows the words of a ResourceError only."""
    try:
        return await work
    except SeedanceError as error:
        raise ResourceError(" ".join(part for part in (f"{error.what}.", error.next) if part)) from error


def _text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1)
