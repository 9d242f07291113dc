"""Is everything right, and if not, what is to be done about it."""

import anyio
import click

from seedance_mcp.checkup import Status, examine
from seedance_mcp.checkup.run import clock_problem
from seedance_mcp.cli.ledger import on_ledger
from seedance_mcp.cli.printing import json_option, print_json
from seedance_mcp.cli.request import usual_prices
from seedance_mcp.errors import SeedanceError, capitalised
from seedance_mcp.ledger import clock
from seedance_mcp.opening import ledger_exists
from seedance_mcp.report import doctor as report
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now

_COLOURS = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "red"}


@click.command()
@click.option(
    "--reset-clock", is_flag=True, help="First set the ledger's clock back to this machine's, if it is ahead."
)
@json_option
@click.pass_context
def doctor(ctx: click.Context, reset_clock: bool, as_json: bool) -> None:
    """Look whether a clip could be bought, and say what to do where not.

    Looks at the key, the policy, the folder for clips, the ledger, the clocks, the seller, the RPC hosts, the balances,
    the alerts and the clients' files. Nothing is signed or bought. Exit code 1 if anything keeps the server from
    buying.
    """
    settings = Settings.from_env()
    if reset_clock:
        _reset_clock(settings)
    findings = anyio.run(examine, settings, usual_prices())
    if as_json:
        print_json(report.as_json(findings))
    else:
        click.echo(report.as_text(findings, _painted))
    ctx.exit(0 if report.is_ready(findings) else 1)


def _reset_clock(settings: Settings) -> None:
    """A ledger's clock that is ahead was set by a wrong clock, unless it is this machine's that is wrong now."""
    ahead = on_ledger(lambda database: database.read(clock.ahead, now()), settings) if ledger_exists(settings) else 0
    if ahead == 0:
        click.echo("The ledger's clock is not ahead; nothing was set.", err=True)
        return
    problem = anyio.run(clock_problem, settings)
    if problem is not None and problem.status is Status.FAILED:
        raise SeedanceError(problem.what, next=problem.todo, code="clock")
    if problem is not None:
        click.echo(f"{capitalised(problem.what)}.", err=True)
    click.confirm(f"Set the ledger's clock back by {ahead // 1000:,} s?", abort=True, err=True)
    on_ledger(lambda database: database.write(clock.reset, now()), settings)
    click.echo("The ledger's clock is set back. What is in the ledger keeps its times.", err=True)


def _painted(cell: str) -> str:
    return click.style(cell, fg=_COLOURS[Status(cell.strip())])
