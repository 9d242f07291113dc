"""What the operator reads: what was spent, and the clips that were bought."""

from datetime import date, datetime
from pathlib import Path

import click

from seedance_mcp.cli.ledger import on_ledger
from seedance_mcp.cli.printing import json_option, painted, print_json, print_table
from seedance_mcp.errors import SeedanceError
from seedance_mcp.ledger import history
from seedance_mcp.ledger.database import Database
from seedance_mcp.policy_file import PolicyFile
from seedance_mcp.report import jobs as job_report
from seedance_mcp.report import spend as spend_report
from seedance_mcp.report.chart import Chart, read_chart
from seedance_mcp.report.days import today
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now


@click.command()
@click.option("--by", type=click.Choice(spend_report.GROUPS), default="day", help="One row for each.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="Leave out what is older, such as 2026-05-01."
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw each day's spending against the caps: a .png, .svg or .pdf file. Needs the extra `plot`.",
)
def spend(by: str, since: datetime | None, as_json: bool, as_csv: bool, plot: Path | None) -> None:
    """Show what was spent, in dollars.

    Days are those of this machine's time zone. Settled is final on the chain, claimed is what the seller says, held has
    an open outcome, and fees are what the network took for what is settled. The price of a finished second is all that
    was paid, also for uploads and for clips that failed, divided by the seconds of the clips that were saved. Refunded
    is what sellers sent back, as far as `seedance-mcp claims` has looked; it is taken off nothing.
    """
    if as_json + as_csv + (plot is not None) > 1:
        raise click.UsageError("--json, --csv and --plot exclude one another")
    start = since.date() if since else None
    if plot is not None:
        _plot(plot, "model" if by == "day" else by, start)
        return
    spent = on_ledger(lambda database: database.read(spend_report.read_spend, by, start))
    if as_json:
        print_json(spend_report.as_json(spent))
    elif as_csv:
        click.echo(spend_report.as_csv(spent), nl=False)
    elif spent.lines:
        print_table(spend_report.as_table(spent))
    else:
        click.echo("Nothing has been spent.")


@click.command()
@click.option(
    "--last", default=20, show_default=True, type=click.IntRange(0, 10_000), metavar="N", help="How many others."
)
@json_option
def jobs(last: int, as_json: bool) -> None:
    """Show the clips that were bought, newest first.

    All that more is to come of, and the last of the others.
    """
    from seedance_mcp.results import job_result  # noqa: PLC0415 - the other commands need none of its machinery

    listed = on_ledger(lambda database: database.read(history.clips, last, now()))
    clips = [(clip, job_result(clip, now())) for clip in listed]
    if as_json:
        print_json([job_report.as_json(clip, result) for clip, result in clips])
    elif clips:
        print_table(job_report.as_table(clips, painted))
    else:
        click.echo("No clip has been bought.")


def _plot(file: Path, by: str, since: date | None) -> None:
    if file.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise click.UsageError(f"--plot {str(file)!r} must end in .png, .svg or .pdf")
    try:
        from seedance_mcp.report.plot import draw  # noqa: PLC0415 - an extra, and slow to start
    except ModuleNotFoundError as error:
        raise SeedanceError(
            f"a plot needs {error.name}, which is not installed",
            next="Install it with the extra `plot`, in a checkout with `uv tool install --reinstall '.[plot]'`.",
        ) from None
    settings = Settings.from_env()
    chart = on_ledger(lambda database: _chart(database, settings, by, since), settings)
    if chart is None:
        raise SeedanceError("nothing has been spent in that time, so there is nothing to draw")
    try:
        draw(chart, file)
    except OSError as error:
        raise SeedanceError(f"the plot {file} cannot be written: {error.strerror or error}") from None
    click.echo(str(file))


async def _chart(database: Database, settings: Settings, by: str, since: date | None) -> Chart | None:
    writable = (*settings.image_roots, settings.output_dir)
    policy = PolicyFile(settings.policy, named=settings.policy_named, writable=writable, database=database)
    return await database.read(read_chart, by, since, today(), await policy.current())
