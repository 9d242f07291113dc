"""The MCP surface: four tools, thin. Heavy modules are imported when the first call wants them."""

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from seedance_mcp import __version__
from seedance_mcp.arguments import StrictTool, success
from seedance_mcp.errors import InvalidArgument
from seedance_mcp.money import from_number
from seedance_mcp.resources import add_resources
from seedance_mcp.results import (
    CheckResult,
    EstimateResult,
    GenerateResult,
    UploadResult,
    estimate_result,
    generate_result,
    job_result,
    upload_result,
)
from seedance_mcp.runtime import Runtime
from seedance_mcp.standing import progress
from seedance_mcp.timing import at_most, begin_call, elapsed

if TYPE_CHECKING:
    from seedance_mcp.app import App
    from seedance_mcp.ledger.states import Purchase

LONGEST_WAIT = 50
LONGEST_WATCH = 900
"""Seconds that a call may last for clients that ask for progress: it keeps their patience up."""
LOOK_SECONDS = 30
"""For looking at a saved clip."""
PULSE = 0.01
LARGEST_DATA = 40_000_000
INSTRUCTIONS = """\
Buys Seedance image-to-video clips, paid per clip from the operator's wallet within limits that no argument can change.
Work in this order: estimate_cost (free), upload_image for a picture that is not on the web ($0.01), generate_video,
then check_job with wait_seconds=50 until status is complete. Try an idea with model="seedance-fast" first. Repeating a
call is safe: the same request is never paid twice. After an error, do what its last sentence says.
"""

SANDBOX = """\
This is the sandbox: an embedded seller, play money, and clips that are drawn here. Say so when you show one.
"""

Model = Annotated[
    Literal["seedance", "seedance-fast"],
    Field(description='"seedance" for the final clip, "seedance-fast" for a cheap draft.'),
]
Duration = Annotated[int, Field(description="Length in whole seconds; the seller's live schema says which are sold.")]
Resolution = Annotated[str, Field(description='"480p", "720p" or "1080p", as far as the seller has it for the model.')]
Aspect = Annotated[str, Field(description='Such as "16:9" or "9:16"; "auto" is the nearest to the image.')]
Audio = Annotated[bool | None, Field(description="With sound or silent; leave it out for the seller's default.")]
Fixed = Annotated[bool | None, Field(description="Hold the camera still.")]
Seed = Annotated[
    int | None, Field(description="The same seed and request give a similar clip.", ge=-1, le=4_294_967_295)
]
Take = Annotated[
    int, Field(description="Raise it to buy the same request once more, for another result.", ge=1, le=1000)
]
QuoteId = Annotated[str | None, Field(description="From estimate_cost: the clip must not cost more than that quote.")]
MaxPrice = Annotated[
    Decimal | None,
    Field(description="Refuse if upload and clip together cost more dollars than this; can only lower the limit."),
]
ImageHelp = "an image_url from upload_image, a public https URL, or a path in a folder that the operator allowed"


class Consent(BaseModel):
    """What a human answers: to accept the question is to agree, unless this says otherwise."""

    approve: bool = Field(True, description="Pay this.")


async def clip_order(
    prompt: str | None,
    image: str | None,
    last_image: str | None,
    model: str,
    duration: int,
    resolution: str,
    aspect_ratio: str,
    generate_audio: bool | None,
    camera_fixed: bool | None,
    seed: int | None,
    quote_id: str | None,
    max_price_usd: Decimal | None,
    take: int,
) -> Any:
    # The SDK reads the annotations at start, when the order's module is not wanted yet: hence Any.
    from seedance_mcp.clip_order import ClipOrder  # noqa: PLC0415

    return ClipOrder(
        model=model,
        prompt=prompt,
        image=image,
        last_image=last_image,
        duration=duration,
        resolution=resolution,
        aspect_ratio=aspect_ratio,
        generate_audio=generate_audio,
        camera_fixed=camera_fixed,
        seed=seed,
        take=take,
        quote_id=quote_id,
        max_price=_limit(max_price_usd),
    )


def build_server(runtime: Runtime, instructions: str = INSTRUCTIONS) -> MCPServer[None]:
    """The server with its tools on an app that may not have started yet."""

    async def started() -> "App":
        begin_call()
        return await runtime.app()

    async def estimate_cost(
        model: Model,
        duration: Duration,
        resolution: Resolution,
        order: Annotated[Any, Resolve(clip_order)],
        prompt: Annotated[str | None, Field(description="What should move, and how; stood in for if left out.")] = None,
        image: Annotated[str | None, Field(description=f"First frame: {ImageHelp}. May be left out.")] = None,
        last_image: Annotated[str | None, Field(description=f"Last frame: {ImageHelp}.")] = None,
        aspect_ratio: Aspect = "auto",
        generate_audio: Audio = None,
        camera_fixed: Fixed = None,
        seed: Seed = None,
        quote_id: QuoteId = None,
        max_price_usd: MaxPrice = None,
        take: Take = 1,
    ) -> Annotated[CallToolResult, EstimateResult]:
        app = await started()
        from seedance_mcp.studio.prices import TABLE_DATE  # noqa: PLC0415

        return success(estimate_result(await app.clips.estimate(order), TABLE_DATE))

    async def upload_image(
        ctx: Context[None],
        path: Annotated[str | None, Field(description="An image in a folder that the operator allowed.")] = None,
        url: Annotated[str | None, Field(description="A public https URL of an image, to be copied.")] = None,
        data: Annotated[str | None, Field(description="The image's bytes as base64.")] = None,
        filename: Annotated[str | None, Field(description="A name for it at the seller's; no folder.")] = None,
    ) -> Annotated[CallToolResult, UploadResult]:
        given = [name for name, value in (("path", path), ("url", url), ("data", data)) if value is not None]
        if len(given) != 1:
            told = f"{', '.join(given)} were given" if given else "none was given"
            raise InvalidArgument(f"Give upload_image just one of path, url and data: {told}")
        app = await started()
        app.corridor.require_wallet()
        if data is not None:
            picture = await app.uploads.read(_decoded(data))
        else:
            picture = await app.uploads.source(path, url)
        hosted = await app.uploads.host(picture, name=filename, tell=ctx.report_progress)
        return success(upload_result(hosted, await app.clips.budget_now("upload")))

    async def purchase(order: Annotated[Any, Resolve(clip_order)]) -> Any:
        """What was bought, or waits for a human."""
        return await (await started()).clips.generate(order)

    async def consent(ctx: Context[None], bought: Annotated[Any, Resolve(purchase)]) -> Any:
        """The question to the human about that purchase: kept in the ledger, and so the same each time."""
        question = (await started()).clips.question(bought)
        return None if question is None or not _can_be_asked(ctx) else Elicit(question, Consent)

    async def generate_video(
        prompt: Annotated[str, Field(description="What should move, and how: subject, action, camera, mood.")],
        image: Annotated[str, Field(description=f"First frame: {ImageHelp} (uploaded for you, $0.01).")],
        order: Annotated[Any, Resolve(clip_order)],
        bought: Annotated[Any, Resolve(purchase)],
        outcome: Annotated[ElicitationResult[Consent], Resolve(consent)],
        last_image: Annotated[str | None, Field(description=f"Frame to end on: {ImageHelp}.")] = None,
        model: Model = "seedance",
        duration: Duration = 5,
        resolution: Resolution = "720p",
        aspect_ratio: Aspect = "auto",
        generate_audio: Audio = None,
        camera_fixed: Fixed = None,
        seed: Seed = None,
        quote_id: QuoteId = None,
        max_price_usd: MaxPrice = None,
        take: Take = 1,
    ) -> Annotated[CallToolResult, GenerateResult]:
        app = await started()
        from seedance_mcp.orders import outcome_unknown  # noqa: PLC0415

        if outcome.action != "accept" or outcome.data is not None:
            agreed = None if outcome.action == "cancel" else outcome.action == "accept" and outcome.data.approve
            bought = await app.clips.answered(order, bought, agreed)
        if bought.purchase.unanswered:
            return success(generate_result(bought, await app.clips.budget_now(model), app.now()))
        if bought.purchase.job is None and not bought.purchase.paid:
            raise outcome_unknown(bought.purchase, bought.upload)
        answer = success(generate_result(bought, await app.clips.budget_now(model), app.now()))
        app.watcher.wake()  # last, so that the answer does not queue behind the watcher's look at the job
        return answer

    async def check_job(
        ctx: Context[None],
        job_id: Annotated[str | None, Field(description="From generate_video.")] = None,
        purchase_id: Annotated[str | None, Field(description="From generate_video or an error, if no job_id.")] = None,
        wait_seconds: Annotated[
            int, Field(description="Wait up to this long for the end; at most 50, or 900 with progress.", ge=0)
        ] = 0,
    ) -> Annotated[CallToolResult, CheckResult]:
        app = await started()
        if job_id is None and purchase_id is None:
            pending = [job_result(purchase, app.now()) for purchase in await app.clips.pending()]
            return success(CheckResult(jobs=pending))
        purchase = await app.clips.purchase(job_id=job_id, purchase_id=purchase_id)
        longest = LONGEST_WATCH if _wants_progress(ctx) else LONGEST_WAIT
        told = 0.0
        async for purchase in app.watcher.follow(purchase, min(wait_seconds, longest) - elapsed()):  # noqa: B020
            done, total, words = progress(purchase, app.now())
            # Each number has to be above the one before, also where nothing but time has passed.
            told = max(told + PULSE, done)
            await ctx.report_progress(told, total, words)
        seconds = LOOK_SECONDS if _wants_progress(ctx) else at_most(LOOK_SECONDS)
        result = job_result(await _looked_at(app, purchase, seconds), app.now())
        return success(CheckResult(**result.model_dump()), links=result.resources)

    paying = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=True)

    server = MCPServer(
        "seedance",
        title="Seedance clips",
        instructions=instructions,
        version=__version__,
        log_level="WARNING",
        lifespan=lambda _: _serving(runtime),
        tools=[
            StrictTool.make(estimate_cost, pays=False, title="Estimate a clip's cost", annotations=reading,
                            description=ESTIMATE_COST),
            StrictTool.make(upload_image, pays=True, title="Upload an image", annotations=paying,
                            description=UPLOAD_IMAGE),
            StrictTool.make(generate_video, pays=True, title="Buy a video clip", annotations=paying,
                            description=GENERATE_VIDEO),
            StrictTool.make(check_job, pays=False, title="Check a clip", annotations=reading, description=CHECK_JOB),
        ],
    )  # fmt: skip
    add_resources(server, started)
    return server


ESTIMATE_COST = """\
Quote the exact price of one clip from the seller, free of charge, with the policy's verdict and the budget left.
Use it before generate_video, whenever the price or the budget is not known; it never pays or reserves anything. Pass
its quote_id on to generate_video to be charged no more than what was quoted. When the seller cannot be reached, the
answer comes from a dated price table instead (source says so)."""
UPLOAD_IMAGE = """\
Upload one image to the seller for $0.01 and return an image_url for generate_video. Use it when several clips start
from the same local picture; generate_video uploads a local path by itself, and a public https URL needs no upload. The
same bytes are paid for once while the link lives. The image is re-encoded, so its metadata stays here. If the
payment's outcome is unknown, the same call continues it and does not pay again."""
GENERATE_VIDEO = """\
Buy one image-to-video clip and return its job_id at once; rendering takes minutes, so follow with check_job. Charges
the operator's wallet the price that estimate_cost shows, if the policy allows it; a refusal charges nothing. The same
request is never paid twice: repeating a call returns the first purchase, and take=2 asks for another result on
purpose. A job that fails at the seller stays charged."""
CHECK_JOB = """\
Show how far a clip is, and where it was saved. Use it after generate_video with job_id and wait_seconds=50, again
until status is complete or failed; without an id it lists every unfinished clip. Free, and it changes nothing: clips
are saved even if nobody asks. After an error with an unknown payment, call it with purchase_id to learn what became
of it."""


async def _looked_at(app: "App", purchase: "Purchase", seconds: float) -> "Purchase":
    """The purchase with the findings of its clip; those that take longer are in the next answer."""
    with anyio.move_on_after(seconds):
        purchase = await app.eyes.look(purchase)
    return purchase


def _wants_progress(ctx: Context[None]) -> bool:
    meta = ctx.request_context.meta
    return meta is not None and meta.get("progress_token") is not None


def _can_be_asked(ctx: Context[None]) -> bool:
    """Whether the client shows forms to a human; one that names no kind of question means forms."""
    capabilities = ctx.client_capabilities
    asks = capabilities.elicitation if capabilities is not None else None
    return asks is not None and (asks.form is not None or asks.url is None)


@asynccontextmanager
async def _serving(runtime: Runtime) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(runtime.run)
        yield
        group.cancel_scope.cancel()


def _limit(price: Decimal | None) -> int | None:
    if price is None:
        return None
    try:
        return from_number(price)
    except (ValueError, ArithmeticError):
        raise InvalidArgument(
            "max_price_usd is not an amount in dollars with at most 6 decimals", next='Write it like "0.50".'
        ) from None


def _decoded(data: str) -> bytes:
    if len(data) > LARGEST_DATA:
        raise InvalidArgument(f"data has {len(data):,} characters, and {LARGEST_DATA:,} is the most")
    try:
        text = "".join((data.partition(",")[2] if data.startswith("data:") else data).split())
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(
            "data is not base64", next="Send the image's bytes as base64, or give path or url."
        ) from None
