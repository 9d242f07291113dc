"""The whole job on the embedded sandbox, through a real MCP client: ``seedance-mcp demo``."""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from seedance_mcp.guard.policy import BUILT_IN
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.mp4 import is_mp4
from seedance_mcp.report.spend import as_table, read_spend
from seedance_mcp.settings import Settings

POLICY = BUILT_IN.replace('per_payment = "2.50"', 'per_payment = "0.75"')
PROMPT = "Slow push-in over the lake at dawn, mist drifting, light growing warmer"
BAR = 32


class Failed(Exception):
    """A step of the demo did not do what it shows."""


async def run_demo(image: Path | None) -> int:
    """The exit code: 0 only if every step worked. The clip's path is printed last."""
    with TemporaryDirectory(prefix="seedance-demo-") as name:
        folder = Path(name)
        try:
            clip = await _Demo(folder, _picture(folder, image)).run()
        except (Failed, ExceptionGroup) as failure:
            click.secho(f"\nThe demo failed: {_first(failure)}", fg="red", err=True)
            return 1
    click.echo()
    click.echo(clip)
    return 0


def _first(failure: Exception) -> Failed:
    """What failed: the client's tasks end together, as a group. Anything else is raised again."""
    if isinstance(failure, ExceptionGroup):
        return _first(failure.exceptions[0])
    if not isinstance(failure, Failed):
        raise failure
    return failure


class _Demo:
    def __init__(self, folder: Path, picture: Path) -> None:
        self._picture = picture
        self._ledger = folder / "ledger.db"
        self._policy = folder / "policy.toml"
        self._policy.write_text(POLICY)
        self._policy.chmod(0o600)
        self._server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "seedance_mcp", "serve", "--sandbox"],
            env={
                **os.environ,
                "SEEDANCE_POLICY": str(self._policy),
                "SEEDANCE_LEDGER": f"sqlite:{self._ledger}",
                "SEEDANCE_IMAGE_ROOTS": str(picture.parent),
                "SEEDANCE_OUTPUT_DIR": str(Settings.for_sandbox(dict(os.environ)).output_dir),
                "SEEDANCE_AGENT": "demo",
            },
        )

    async def run(self) -> Path:
        click.secho("seedance-mcp demo", bold=True, nl=False)
        click.echo(" - an agent buys a clip on an embedded studio. No wallet, no network, no money.")
        async with Client(self._server) as self._client:
            _step("An MCP client starts the server")
            tools = await self._client.list_tools()
            _told(f"tools: {', '.join(tool.name for tool in tools.tools)}")
            clip = await self._buy()
            await self._repeat()
            await self._be_refused()
            await self._buy_over_tempo()
        await self._report()
        return clip

    async def _buy(self) -> Path:
        _step("estimate_cost: 5 seconds at 720p, free to ask")
        quote = await self._call("estimate_cost", model="seedance", duration=5, resolution="720p")
        _told(f"${quote['price_usd']}, {quote['verdict']}; ${quote['budget']['left_usd']} may be spent")
        _step(f"upload_image: {self._picture.name}")
        upload = await self._call("upload_image", path=str(self._picture))
        _told(f"{upload['width']}x{upload['height']}, ${upload['charged_usd']} paid")
        self._arguments = {"prompt": PROMPT, "image": upload["image_url"], "quote_id": quote["quote_id"]}
        _step(f'generate_video: "{PROMPT}"')
        bought = await self._call("generate_video", **self._arguments)
        self._purchase = bought["purchase_id"]
        _told(f"${bought['charged_usd']} paid over {bought['rail']}, job {bought['job_id']}")
        _told(f"transaction {bought['transaction']}")
        _step("check_job: wait for the clip")
        job = await self._call("check_job", progress=_bar, job_id=bought["job_id"], wait_seconds=50)
        click.echo(err=True)
        if job["status"] != "complete" or job["video_path"] is None:
            raise Failed(f"the job is {job['status']}: {job['error']}")
        clip = Path(job["video_path"])
        _told(f"saved, {_checked(clip) // 1024:,} KB")
        seen = job["findings"]
        _told(f"looked at: {seen['width']}x{seen['height']}, {seen['length_ms'] // 1000} s, sound {seen['audio']}")
        for remark in seen["remarks"]:
            _told(remark)
        return clip

    async def _repeat(self) -> None:
        _step("generate_video again, as a client does after a time-out")
        again = await self._call("generate_video", **self._arguments)
        if again["purchase_id"] != self._purchase or again["charged_usd"] != "0.00":
            raise Failed("the repeated call was paid twice")
        _told("the same purchase, $0.00 charged")

    async def _be_refused(self) -> None:
        _step("generate_video, 12 seconds: more than the policy allows for one payment")
        asked = {**self._arguments, "duration": 12, "quote_id": None}
        answer = await self._client.call_tool("generate_video", asked)
        text = getattr(answer.content[0], "text", "") if answer.content else ""
        if not answer.is_error or "Nothing was charged" not in text:
            raise Failed("the policy did not refuse what it should")
        _told(text)

    async def _buy_over_tempo(self) -> None:
        _step('The operator prefers the other rail: order = ["mpp", "x402"] in the policy file')
        self._policy.write_text(POLICY.replace('order = ["x402", "mpp"]', 'order = ["mpp", "x402"]'))
        draft = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}
        quote = await self._call("estimate_cost", **draft)
        offers = [f"${offer['amount_usd']} over {offer['rail']}" for offer in quote["offers"]]
        _told(f"a draft costs {' or '.join(offers)}, by the seller's quote")
        _step("generate_video, as a draft, paid on Tempo")
        asked = {"prompt": PROMPT, "image": self._arguments["image"], **draft}
        bought = await self._call("generate_video", **asked)
        if bought["rail"] != "mpp":
            raise Failed(f"the draft was paid over {bought['rail']}")
        _told(f"${bought['charged_usd']} paid over {bought['rail']}, job {bought['job_id']}")
        _told(f"transaction {bought['transaction']}")
        job = await self._call("check_job", progress=_bar, job_id=bought["job_id"], wait_seconds=50)
        click.echo(err=True)
        if job["status"] != "complete" or job["video_path"] is None:
            raise Failed(f"the job is {job['status']}: {job['error']}")
        _told(f"saved, {_checked(Path(job['video_path'])) // 1024:,} KB")
        (fee,) = (offer["fee_usd"] for offer in quote["offers"] if offer["rail"] == "mpp")
        _told(f"until the chain tells the network's fee, the most that it can be counts too: ${fee}")

    async def _report(self) -> None:
        _step("seedance-mcp spend --by rail")
        database = await SQLite.open(self._ledger, "sandbox")
        try:
            spent = await database.read(read_spend, "rail", None)
        finally:
            await database.close()
        if not spent.lines:
            raise Failed("the ledger has no payments")
        for line in as_table(spent).splitlines():
            _told(line)

    async def _call(self, tool: str, progress: Any = None, **arguments: object) -> dict[str, Any]:  # noqa: ANN401
        answer = await self._client.call_tool(tool, arguments, progress_callback=progress)
        if answer.is_error or answer.structured_content is None:
            raise Failed(f"{tool} answered: {getattr(answer.content[0], 'text', '') if answer.content else ''}")
        return dict(answer.structured_content)


def _checked(clip: Path) -> int:
    """The size of a clip that can be played."""
    if problem := is_mp4(clip):
        raise Failed(f"{clip} cannot be played: {problem}")
    return clip.stat().st_size


def _picture(folder: Path, image: Path | None) -> Path:
    """The image in a folder of its own, which is all that the server may read."""
    images = folder / "images"
    images.mkdir()
    if image is not None:
        return Path(shutil.copy(image, images / image.name))
    from seedance_mcp.sandbox.render import sample_image  # noqa: PLC0415 - not wanted with an image given

    picture = images / "sample.jpg"
    sample_image(picture)
    return picture


async def _bar(progress: float, total: float | None, message: str | None) -> None:
    done = int(progress * BAR // (total or 100))
    end = "" if sys.stderr.isatty() else "\n"
    start = "\r" if sys.stderr.isatty() else ""
    click.echo(f"{start}  [{'#' * done}{'.' * (BAR - done)}] {message or '':<40}{end}", nl=False, err=True)


def _step(text: str) -> None:
    click.secho(f"\n> {text}", fg="cyan")


def _told(text: str) -> None:
    click.echo(f"  {text}")
