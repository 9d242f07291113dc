"""What the operator tells the ledger: stop, go on, trust, look again, give up."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import anyio
import click

from seedance_mcp.alerts import happenings
from seedance_mcp.cli.printing import json_option, print_json, tell
from seedance_mcp.errors import LedgerError, NotFound, NoWallet, Refused, SeedanceError
from seedance_mcp.ledger import audit as chain
from seedance_mcp.ledger import check, operator, payments, views
from seedance_mcp.ledger.database import Database, Transaction
from seedance_mcp.ledger.states import Payment
from seedance_mcp.money import dollars, usd
from seedance_mcp.opening import open_ledger
from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE, address_bytes
from seedance_mcp.report.claims import as_looked
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now
from seedance_mcp.words import visible

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seedance_mcp.app import App

T = TypeVar("T")

ALERT_SECONDS = 3
LONGEST_WHY = 200


@click.command()
@click.option("--why", help="Shown to agents that try to buy.  [default: by the operator]")
@json_option
def freeze(why: str | None, as_json: bool) -> None:
    """Stop all purchases at once, in every running server."""
    settings = Settings.from_env()
    said = visible(why or "", LONGEST_WHY) or None
    why, is_new = on_ledger(lambda database: database.write(happenings.freeze, said, now()), settings)
    words = "Frozen: nothing is signed and nothing signed is sent, until `seedance-mcp unfreeze`."
    tell({"frozen": True, "why": why}, words if is_new else f"Frozen already ({why}).", as_json=as_json)
    if is_new and settings.alert_url is not None:
        # Frozen it is; a server sends the alert if this command cannot.
        with suppress(LedgerError):
            on_ledger(lambda database: _send_alerts(database, settings), settings)


@click.command()
@json_option
def unfreeze(as_json: bool) -> None:
    """Allow purchases again, within the policy."""
    click.confirm("Let agents buy again?", abort=True, err=True)
    was_frozen = on_ledger(lambda database: database.write(happenings.unfreeze, now()))
    words = "Purchases are allowed again." if was_frozen else "Nothing was frozen."
    tell({"frozen": False, "was_frozen": was_frozen}, words, as_json=as_json)


@click.command()
@click.argument("address", required=False)
@click.option("--generation", type=click.Choice(["1", "2"]), help="Accept this generation of the seller's API.")
@json_option
def trust(address: str | None, generation: str | None, as_json: bool) -> None:
    """Send payments to ADDRESS from now on: the seller's new recipient."""
    if (address is None) == (generation is None):
        raise click.UsageError("give an address, or --generation")
    if generation is not None:
        click.confirm(f"Buy over generation {generation} of the seller's API, with its prices?", abort=True, err=True)
        on_ledger(lambda database: database.write(operator.accept_generation, int(generation), now()))
        tell({"generation": int(generation)}, f"Generation {generation} is accepted.", as_json=as_json)
        return
    assert address is not None
    try:
        address_bytes(address)
    except ValueError:
        raise click.UsageError(f"{address!r} is not an address: 0x and 40 hex digits") from None
    _require_checksum(address)
    settings = Settings.from_env()
    known = on_ledger(lambda database: database.read(_known, settings.studio_url), settings)
    instead = f", no longer to {known}" if known.lower() != address.lower() else ""
    click.confirm(f"Send payments for {settings.studio_url} to {address}{instead}?", abort=True, err=True)
    before = on_ledger(lambda database: _trust(database, settings.studio_url, address), settings)
    words = f"Payments go to {address}" + (f", no longer to {before}." if before else ".")
    tell({"seller": settings.studio_url, "pay_to": address, "before": before}, words, as_json=as_json)


@click.command()
@click.option("--write-off", "given_up", metavar="ID", help="Give a purchase's payment up after its deadline.")
@click.option("--new-ledger", is_flag=True, help="Vouch for this ledger, whatever lies beside the key.")
@json_option
def reconcile(given_up: str | None, new_ledger: bool, as_json: bool) -> None:
    """Look up every open payment on the chains, every lost job, and what sellers sent back.

    A payment that is given up stays counted, and its purchase stays closed; it only makes room for others to be open.
    A new ledger pays once the wallet's transfers of the longest window were looked up, or once you vouch for it.
    """
    if new_ledger:
        click.confirm("Pay over this ledger from now on, and forget any other?", abort=True, err=True)
    if given_up is not None:
        held = on_ledger(lambda database: database.read(_payment, given_up))
        paid_for = f"{dollars(held.amount + held.fee)} for {held.model}"
        click.confirm(f"Give the payment of {given_up} ({paid_for}) up? It stays counted.", abort=True, err=True)
    looked = anyio.run(_reconcile, given_up, new_ledger)
    if as_json:
        print_json(looked)
    for payment in () if as_json else looked:
        click.echo(_told(payment))
    if not looked and not as_json:
        click.echo("No payment is open.")


@click.group()
def audit() -> None:
    """The audit chain."""


@audit.command()
@json_option
def verify(as_json: bool) -> None:
    """Check that no row of the audit chain was changed, and that it tells what the ledger holds."""
    problems, count = on_ledger(_verify)
    if as_json:
        print_json({"intact": not problems, "rows": count, "problems": problems})
    if problems:
        raise SeedanceError(
            "; ".join(problems[:5]), code="audit", next="Keep the file as it is, and compare it with a backup."
        )
    if not as_json:
        click.echo(f"{count} row{'' if count == 1 else 's'}, all intact.")


async def _send_alerts(database: Database, settings: Settings) -> None:
    """What waits for the webhook and no server has taken up yet, as far as that goes in a few seconds."""
    from seedance_mcp.alerts.webhook import open_webhook  # noqa: PLC0415 - no other command here speaks to anybody

    async with open_webhook(settings, now) as webhook:
        if webhook is not None:
            with anyio.move_on_after(ALERT_SECONDS):
                await webhook.deliver(database)


async def _verify(database: Database) -> tuple[list[str], int | None]:
    """What is wrong, and the number of rows where the chain itself is intact."""
    problems = await check.check_ledger(database)
    return problems, None if problems else await database.read(chain.verify)


async def _trust(database: Database, seller: str, address: str) -> str | None:
    """Pin the recipient on both rails: whoever has an address has it on every chain. The one before on Base."""
    before = [
        await database.write(
            operator.trust, origin=seller, rail=token.rail, token=token.address, pay_to=address, now=now()
        )
        for token in (BASE_USDC, TEMPO_USDCE)
    ]
    return before[0]


def _known(tx: Transaction, seller: str) -> str:
    """The recipient until now: the one that was paid or trusted before, else the one that this version knows."""
    return views.usage(tx, (), seller, BASE_USDC.rail, BASE_USDC.address, now()).pinned or SHIPPED_PAY_TO


def _require_checksum(address: str) -> None:
    """Raises click.UsageError for a slip in an address that is spelled with its checksum (EIP-55)."""
    from eth_utils.address import is_checksum_formatted_address, to_checksum_address  # noqa: PLC0415 - takes a while

    if is_checksum_formatted_address(address) and to_checksum_address(address) != address:
        raise click.UsageError(f"{address} has a slip in it: its capitals, which are its checksum, are wrong")


def _payment(tx: Transaction, purchase_id: str) -> Payment:
    purchase = views.find(tx, purchase_id)
    if purchase is None:
        raise NotFound(f"there is no purchase {purchase_id[:60]!r}", next="Run `seedance-mcp reconcile` to see all.")
    return purchase.payment


async def _reconcile(given_up: str | None, new_ledger: bool) -> list[dict[str, object]]:
    from seedance_mcp.app import open_app  # noqa: PLC0415 - the other commands need no wallet
    from seedance_mcp.refunds import look_for_refunds  # noqa: PLC0415 - nor the chains

    async with open_app(Settings.from_env()) as app:
        before = await app.database.read(views.open_payments)
        if new_ledger:
            if app.continuity is None:
                raise NoWallet("without its wallet a ledger cannot be vouched for")
            for line in await app.continuity.begin_anew():
                click.echo(line, err=True)
        await app.recovery.sweep()
        for payment in await app.database.read(views.given_up):
            await app.recovery.look_up(payment.purchase)
        if given_up is not None:
            await _write_off(app, given_up)
        looked = [await _looked_up(app, payment) for payment in before]
        try:
            sentences = as_looked(await look_for_refunds(app.database, app.rails, app.policy.current, app.now))
        except SeedanceError as error:
            sentences = [f"Refunds could not be looked up: {error.what}."]
        for sentence in sentences:
            click.echo(sentence, err=True)
        return looked


async def _write_off(app: "App", purchase_id: str) -> None:
    """After the chains were asked once more. Raises NotFound, Refused."""
    purchase = await app.corridor.find(purchase_id)
    if not await app.database.write(payments.write_off, purchase.payment, now()):
        state, deadline = purchase.payment.state, purchase.payment.deadline
        early = f" before {datetime.fromtimestamp(deadline, UTC):%Y-%m-%d %H:%M:%S} UTC" if deadline else ""
        raise Refused(f"the payment of {purchase_id} is {state} and cannot be given up{early}")


async def _looked_up(app: "App", payment: Payment) -> dict[str, object]:
    purchase = await app.corridor.find(payment.purchase)
    return {
        "purchase_id": purchase.id,
        "model": purchase.model,
        "amount_usd": usd(payment.amount),
        "state_before": str(payment.state),
        "state": str(purchase.payment.state),
        "job_id": purchase.job.id if purchase.job else None,
    }


def _told(looked: dict[str, object]) -> str:
    before, after = looked["state_before"], looked["state"]
    state = f"is {after}" if before == after else f"was {before} and is {after}"
    job = f", job {looked['job_id']}" if looked["job_id"] else ""
    return f"{looked['purchase_id']}: ${looked['amount_usd']} for {looked['model']} {state}{job}"


def on_ledger(work: "Callable[[Database], Awaitable[T]]", settings: Settings | None = None) -> T:
    """Run ``work`` on the ledger that the settings name."""

    async def run() -> T:
        database = await open_ledger(settings or Settings.from_env(), None)
        try:
            return await work(database)
        finally:
            await database.close()

    return anyio.run(run)
