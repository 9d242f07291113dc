"""The operator's commands. Heavy modules are imported by the command that needs them."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import click

from seedance_mcp import __version__
from seedance_mcp.errors import InvalidPolicy, InvalidSettings, LedgerError, NoWallet, SeedanceError
from seedance_mcp.money import dollars, usd
from seedance_mcp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seedance_mcp.ledger.database import Database

T = TypeVar("T")
FAULTS = ("answer-lost", "402-after-settlement", "500-after-settlement", "slow", "failed-job")


class Commands(click.Group):
    """``seedance-mcp`` alone is ``seedance-mcp serve``; our errors become exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in {"--help", "-h", "--version"}):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        try:
            return super().invoke(ctx)
        except SeedanceError as error:
            click.echo(f"seedance-mcp: {told(error)}", err=True)
            ctx.exit(2 if isinstance(error, InvalidSettings | InvalidPolicy) else 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(__version__, prog_name="seedance-mcp")
def main() -> None:
    """Lets an agent buy Seedance clips within limits that only you can change."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="seedance-mcp: %(message)s")


@main.command()
@click.option("--sandbox", is_flag=True, help="Sell from an embedded studio: no wallet, no network, no money.")
@click.option("--generation", type=click.Choice(["1", "2"]), default="1", help="The API generation of the sandbox.")
@click.option("--fault", "faults", multiple=True, type=click.Choice(FAULTS), help="Make the sandbox misbehave.")
def serve(sandbox: bool, generation: str, faults: tuple[str, ...]) -> None:
    """Run the MCP server on stdio (the default command)."""
    from seedance_mcp.policy_file import read_policy  # noqa: PLC0415
    from seedance_mcp.runtime import Runtime, opener  # noqa: PLC0415
    from seedance_mcp.server import build_server  # noqa: PLC0415

    if faults and not sandbox:
        raise click.UsageError("--fault needs --sandbox")
    settings = Settings.for_sandbox() if sandbox else Settings.from_env()
    read_policy(settings.policy, (*settings.image_roots, settings.output_dir))
    if settings.private_key is not None:
        logging.getLogger(__name__).warning(
            "SEEDANCE_PRIVATE_KEY is set: other programs of this user can read it; a keystore is safer"
        )
    if sandbox:
        load = opener("seedance_mcp.app:open_sandbox", settings, generation=int(generation), faults=faults)
    else:
        load = opener("seedance_mcp.app:open_app", settings)
    build_server(Runtime(load)).run("stdio")


@main.command()
@click.argument("image", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def demo(image: Path | None) -> None:
    """Buy a clip on the embedded sandbox, start to end: no wallet, no network, no money."""
    from seedance_mcp.demo import run_demo  # noqa: PLC0415

    sys.exit(anyio.run(run_demo, image))


@main.group()
def wallet() -> None:
    """The wallet that pays."""


@wallet.command("new")
def wallet_new() -> None:
    """Make a key and keep it encrypted in the keystore."""
    from seedance_mcp.app import read_password  # noqa: PLC0415
    from seedance_mcp.payment.wallet import Wallet  # noqa: PLC0415

    settings = Settings.from_env()
    if settings.keystore.exists():
        raise InvalidSettings(f"{settings.keystore} exists already; a key is never overwritten")
    if settings.keystore_password_file is not None:
        password = read_password(settings.keystore_password_file)
    else:
        password = click.prompt("Password for the keystore", hide_input=True, confirmation_prompt=True, err=True)
    made = Wallet.create()
    made.to_keystore(password, settings.keystore)
    click.echo(f"Keystore: {settings.keystore}", err=True)
    click.echo("Fund the address below with USDC on Base. A small balance is the last limit; start with $10.", err=True)
    if settings.keystore_password_file is None:
        click.echo(
            "For the server, put the password into a file that only you can read and name it in "
            "SEEDANCE_KEYSTORE_PASSWORD_FILE.",
            err=True,
        )
    click.echo(made.address)


@wallet.command("address")
def wallet_address() -> None:
    """Print the wallet's address."""
    click.echo(_address(Settings.from_env()))


@wallet.command("balance")
def wallet_balance() -> None:
    """Print the wallet's USDC on Base, in dollars."""
    settings = Settings.from_env()
    address = _address(settings)

    async def ask() -> int:
        from seedance_mcp.app import open_chain  # noqa: PLC0415
        from seedance_mcp.payment.tokens import BASE_USDC  # noqa: PLC0415

        async with open_chain(settings) as chain:
            return await chain.balance(BASE_USDC.address, address)

    click.echo(usd(anyio.run(ask)))


@main.command()
@click.option("--why", default="by the operator", help="Shown to agents that try to buy.")
def freeze(why: str) -> None:
    """Stop all purchases at once, in every running server."""
    from seedance_mcp.ledger import operator  # noqa: PLC0415

    on_ledger(lambda database: database.write(operator.freeze, why, _now()))
    click.echo("Frozen: nothing is signed and nothing signed is sent, until `seedance-mcp unfreeze`.")


@main.command()
def unfreeze() -> None:
    """Allow purchases again, within the policy."""
    from seedance_mcp.ledger import operator  # noqa: PLC0415

    click.confirm("Let agents buy again?", abort=True, err=True)
    frozen = on_ledger(lambda database: database.write(operator.unfreeze, _now()))
    click.echo("Purchases are allowed again." if frozen else "Nothing was frozen.")


@main.command()
@click.argument("address")
def trust(address: str) -> None:
    """Send payments to ADDRESS from now on: the seller's new recipient."""
    from seedance_mcp.ledger import operator  # noqa: PLC0415
    from seedance_mcp.payment.tokens import BASE_USDC, address_bytes  # noqa: PLC0415

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
            now=_now(),
        ),
        settings,
    )
    click.echo(f"Payments go to {address}" + (f", no longer to {before}." if before else "."))


@main.command()
@click.option("--by", type=click.Choice(["day", "model", "agent", "rail"]), default="day", help="One row for each.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Leave out what was bought before this day (UTC).")
def spend(by: str, since: datetime | None) -> None:
    """Show what was spent."""
    from seedance_mcp.ledger import operator  # noqa: PLC0415
    from seedance_mcp.report.spend import spend_table  # noqa: PLC0415

    start = int(since.replace(tzinfo=UTC).timestamp()) * 1000 if since else 0
    click.echo(spend_table(on_ledger(lambda database: database.read(operator.spend, start, by)), by))


@main.command()
def collect() -> None:
    """Save the clips of all paid jobs, and end when none is left (for cron; needs no server)."""

    async def run() -> int:
        from seedance_mcp.app import open_app  # noqa: PLC0415

        async with open_app(Settings.from_env()) as app:
            if app.wallet is None:
                raise NoWallet("without its wallet the jobs cannot be asked for")
            return await app.watcher.collect()

    count = anyio.run(run)
    click.echo(f"{count} job{'' if count == 1 else 's'} done." if count else "No job was waiting for its clip.")


def on_ledger(work: "Callable[[Database], Awaitable[T]]", settings: Settings | None = None) -> T:
    """Run ``work`` on the ledger that the settings name."""

    async def run() -> T:
        from seedance_mcp.app import open_ledger  # noqa: PLC0415

        database = await open_ledger(settings or Settings.from_env(), None)
        try:
            return await work(database)
        finally:
            await database.close()

    return anyio.run(run)


def told(error: SeedanceError) -> str:
    """An error for an operator: what is wrong and what to do; money is only spoken of where some moved."""
    parts = [error.what.rstrip(".") + "."]
    if error.charged:
        parts.append(f"{dollars(error.charged)} was charged.")
    if error.next and not isinstance(error, LedgerError):
        parts.append(error.next)
    return " ".join(parts)


def _address(settings: Settings) -> str:
    from seedance_mcp.payment.wallet import Wallet, keystore_address  # noqa: PLC0415

    if settings.private_key is not None:
        try:
            return Wallet.from_hex(settings.private_key.strip()).address
        except ValueError as error:
            raise InvalidSettings(f"SEEDANCE_PRIVATE_KEY cannot be used: {error}") from None
    if not settings.keystore.exists():
        raise NoWallet("there is no wallet yet", next="Run `seedance-mcp wallet new`.")
    return keystore_address(settings.keystore)


def _now() -> int:
    from seedance_mcp.app import now  # noqa: PLC0415

    return now()
