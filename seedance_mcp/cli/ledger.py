"""What the operator asks of the ledger: what was spent, stop, go on, trust, look again."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import anyio
import click

from seedance_mcp.errors import SeedanceError
from seedance_mcp.ledger import audit as chain
from seedance_mcp.ledger import check, operator, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.money import dollars
from seedance_mcp.opening import open_ledger
from seedance_mcp.payment.tokens import BASE_USDC, address_bytes
from seedance_mcp.report.spend import spend_table
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seedance_mcp.app import App

T = TypeVar("T")


@click.command()
@click.option("--why", default="by the operator", help="Shown to agents that try to buy.")
def freeze(why: str) -> None:
    """Stop all purchases at once, in every running server."""
    on_ledger(lambda database: database.write(operator.freeze, why, now()))
    click.echo("Frozen: nothing is signed and nothing signed is sent, until `seedance-mcp unfreeze`.")


@click.command()
def unfreeze() -> None:
    """Allow purchases again, within the policy."""
    click.confirm("Let agents buy again?", abort=True, err=True)
    frozen = on_ledger(lambda database: database.write(operator.unfreeze, now()))
    click.echo("Purchases are allowed again." if frozen else "Nothing was frozen.")


@click.command()
@click.argument("address", required=False)
@click.option("--generation", type=click.Choice(["1", "2"]), help="Accept this generation of the seller's API.")
def trust(address: str | None, generation: str | None) -> None:
    """Send payments to ADDRESS from now on: the seller's new recipient."""
    if (address is None) == (generation is None):
        raise click.UsageError("give an address, or --generation")
    if generation is not None:
        click.confirm(f"Buy over generation {generation} of the seller's API, with its prices?", abort=True, err=True)
        on_ledger(lambda database: database.write(operator.accept_generation, int(generation), now()))
        click.echo(f"Generation {generation} is accepted.")
        return
    assert address is not None
    try:
        address_bytes(address)
    except ValueError:
        raise click.UsageError(f"{address!r} is not an address: 0x and 40 hex digits") from None
    settings = Settings.from_env()
    click.confirm(f"Send payments for {settings.studio_url} to {address}?", abort=True, err=True)
    before = on_ledger(
        lambda database: database.write(
            operator.trust,
            origin=settings.studio_url,
            rail=BASE_USDC.rail,
            token=BASE_USDC.address,
            pay_to=address,
            now=now(),
        ),
        settings,
    )
    click.echo(f"Payments go to {address}" + (f", no longer to {before}." if before else "."))


@click.command()
@click.option("--by", type=click.Choice(["day", "model", "agent", "rail"]), default="day", help="One row for each.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Leave out what was bought before this day (UTC).")
def spend(by: str, since: datetime | None) -> None:
    """Show what was spent."""
    start = int(since.replace(tzinfo=UTC).timestamp()) * 1000 if since else 0
    click.echo(spend_table(on_ledger(lambda database: database.read(operator.spend, start, by)), by))


@click.command()
def reconcile() -> None:
    """Look up every open payment on the chain, and every lost job."""
    for line in anyio.run(_reconcile):
        click.echo(line)


@click.group()
def audit() -> None:
    """The audit chain."""


@audit.command()
def verify() -> None:
    """Check that no row of the audit chain was changed, and that it tells what the ledger holds."""
    count = on_ledger(_verify)
    click.echo(f"{count} rows, all intact.")


async def _reconcile() -> list[str]:
    from seedance_mcp.app import open_app  # noqa: PLC0415 - the other commands need no wallet

    async with open_app(Settings.from_env()) as app:
        before = await app.database.read(views.open_payments)
        await app.recovery.sweep()
        lines = [await _told(app, payment.purchase, str(payment.state)) for payment in before]
    return lines or ["No payment is open."]


async def _told(app: "App", purchase_id: str, before: str) -> str:
    purchase = await app.corridor.find(purchase_id)
    payment = purchase.payment
    state = f"is {payment.state}" if payment.state == before else f"was {before} and is {payment.state}"
    job = f", job {purchase.job.id}" if purchase.job else ""
    return f"{purchase.id}: {dollars(payment.amount)} for {purchase.model} {state}{job}"


async def _verify(database: Database) -> int:
    found = await check.check_ledger(database)
    if found:
        raise SeedanceError(
            "; ".join(found[:5]), code="audit", next="Keep the file as it is, and compare it with a backup."
        )
    return await database.read(chain.verify)


def on_ledger(work: "Callable[[Database], Awaitable[T]]", settings: Settings | None = None) -> T:
    """Run ``work`` on the ledger that the settings name."""

    async def run() -> T:
        database = await open_ledger(settings or Settings.from_env(), None)
        try:
            return await work(database)
        finally:
            await database.close()

    return anyio.run(run)
