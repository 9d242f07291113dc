"""One clip for a shell or a cron job: the purchase of the tools, with the same policy and ledger."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import click

from seedance_mcp.cli.printing import print_json
from seedance_mcp.errors import OutcomeUnknown, SeedanceError
from seedance_mcp.guard.keys import MODELS
from seedance_mcp.money import dollars, parse_usd, usd

if TYPE_CHECKING:
    from seedance_mcp.library.studio import Studio
    from seedance_mcp.library.values import Job

CLIP_MODELS = [model for model in MODELS if model != "upload"]


def _image(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _is_url(value) and not Path(value).expanduser().is_file():
        raise click.BadParameter(f"{value!r} is neither a file nor an https URL.")
    return value


def _amount(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        parse_usd(value or "0")
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return value


@click.command()
@click.option("--prompt", required=True, help="What should move, and how.")
@click.option("--image", required=True, metavar="FILE|URL", callback=_image, help="The first frame.")
@click.option("--last-image", metavar="FILE|URL", callback=_image, help="The frame to end on.")
@click.option("--model", type=click.Choice(CLIP_MODELS), default="seedance", show_default=True)
@click.option("--duration", type=click.IntRange(min=1), default=5, show_default=True, help="Seconds.")
@click.option("--resolution", default="720p", show_default=True)
@click.option("--aspect-ratio", default="auto", show_default=True, help="Such as 9:16; auto is nearest to the image.")
@click.option(
    "--max-cost", "max_price_usd", metavar="USD", callback=_amount, help="Pay no more; only lowers the limits."
)
@click.option("--take", type=click.IntRange(1, 1000), default=1, show_default=True, help="Raise it to buy it again.")
@click.option(
    "--sandbox",
    is_flag=True,
    help="Buy from an embedded studio, which begins anew each time: no wallet, no network, no money.",
)
@click.option("--no-wait", is_flag=True, help="End once it is paid; the clip is saved in the background.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for programs.")
def buy(sandbox: bool, no_wait: bool, as_json: bool, **terms: Any) -> None:  # noqa: ANN401 - the options
    """Buy one clip and print its path last. Repeating the command never pays twice."""
    if sandbox and no_wait:
        raise click.UsageError("--no-wait has no effect with --sandbox: its seller ends with the command")
    from seedance_mcp.library.studio import Studio  # noqa: PLC0415 - after the usage was found right

    if sandbox and sys.stderr.isatty():
        click.echo("This is the sandbox: the money is play money, and the clip is drawn here.", err=True)
    opening = Studio.sandbox if sandbox else Studio.from_env
    with TemporaryDirectory(prefix="seedance-buy-") as name:
        folder = Path(name)
        request = _copied({key: value for key, value in terms.items() if value is not None}, folder)
        try:
            job = anyio.run(_buy, opening(image_roots=[folder]), request, not no_wait)
        except SeedanceError as error:
            if isinstance(error, OutcomeUnknown):
                error.next = "Run the same command again: it goes on with this payment and never makes a second one."
            if as_json:
                print_json({"error": _facts(error)})
            raise
    print_json(_document(job)) if as_json else _tell(job)


async def _buy(studio: "Studio", request: Any, wait: bool) -> "Job":  # noqa: ANN401 - checked by click
    async with studio:
        bought = await studio.generate(wait=False, **request)
        if not wait:
            return bought
        if sys.stderr.isatty():
            await _show(studio, bought)
        clip = await studio.wait(bought)
    # Waiting charges nothing: what this command has paid is what the purchase says.
    return replace(clip, charged=bought.charged, duplicate=bought.duplicate)


async def _show(studio: "Studio", bought: "Job") -> None:
    async for job in studio.watch(bought):
        click.echo(f"\r{job.status:<12} {job.progress or 0:>3} %", nl=False, err=True)
    click.echo(err=True)


def _copied(terms: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The request with its files in ``folder``, which images may be read from.

    Whoever types the command chooses the file; an agent's paths stay within SEEDANCE_IMAGE_ROOTS.
    """
    request = dict(terms)
    for name in ("image", "last_image"):
        if name in request and not _is_url(request[name]):
            source = Path(request[name]).expanduser()
            request[name] = str(shutil.copyfile(source, folder / f"{name}{source.suffix}"))
    return request


def _is_url(image: str) -> bool:
    return urlsplit(image).scheme in {"http", "https"}


def _tell(job: "Job") -> None:
    from seedance_mcp.library.values import Clip  # noqa: PLC0415

    before = " before" if job.duplicate and not job.charged else ""
    paid = dollars(job.price if before else job.charged)
    click.echo(f"{paid} was charged{before} over {job.rail} for {job.purchase_id}.")
    if not isinstance(job, Clip):
        click.echo(f"The clip is {job.status}; `seedance-mcp jobs` shows where it is saved.")
        click.echo(job.purchase_id)
        return
    for remark in job.remarks:
        click.echo(remark)
    click.echo(str(job.path))


def _document(job: "Job") -> dict[str, object]:
    path = getattr(job, "path", None)
    return {
        "purchase_id": job.purchase_id,
        "job_id": job.job_id,
        "status": job.status,
        "video_path": None if path is None else str(path),
        "price_usd": job.price.usd,
        "charged_usd": job.charged.usd,
        "rail": job.rail,
        "transaction": job.transaction,
        "duplicate": job.duplicate,
        "remarks": list(getattr(job, "remarks", ())),
    }


def _facts(error: SeedanceError) -> dict[str, object]:
    """As in ``_meta["seedance/error"]`` of the tools."""
    return {
        "what": error.what,
        "code": error.code,
        "money": str(error.money),
        "charged_usd": usd(error.charged),
        "purchase_id": error.purchase_id,
        "next": error.next,
    }
