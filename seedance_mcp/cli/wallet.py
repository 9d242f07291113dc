"""The wallet that pays: make one or bring one, print its address, look at its balances."""

import sys
from collections.abc import Mapping

import anyio
import click

from seedance_mcp.app import open_rails
from seedance_mcp.checkup.balances import place, read_balances
from seedance_mcp.cli.printing import json_option, print_json, tell
from seedance_mcp.continuity import Mark, Marker
from seedance_mcp.errors import ChainError, InvalidSettings, NoWallet
from seedance_mcp.money import dollars, usd
from seedance_mcp.passwords import Ring, read_password, system_keyring
from seedance_mcp.payment.wallet import Wallet, keystore_address
from seedance_mcp.rails.rail import Rail
from seedance_mcp.settings import Settings

ENOUGH = "$10"
"""What a wallet is well begun with: some clips, and no more to lose."""

keyring_option = click.option(
    "--keyring/--keystore",
    "keyring",
    default=None,
    help="Where the keystore's password is kept: in the keyring of the operating system, or by you.  "
    "[default: the keyring, where there is one and SEEDANCE_KEYSTORE_PASSWORD_FILE is not set]",
)


@click.group()
def wallet() -> None:
    """The wallet that pays."""


@wallet.command("new")
@keyring_option
@json_option
def wallet_new(keyring: bool | None, as_json: bool) -> None:
    """Make a key and keep it encrypted in the keystore.

    The key is never printed. A keystore that exists is never overwritten.
    """
    settings = Settings.from_env()
    require_no_wallet(settings)
    ring = chosen_keyring(settings, keyring)
    made = Wallet.create()
    keep(made, settings, ring)
    # Nobody else has this key, so that nothing can have been spent elsewhere.
    Marker(settings.keystore).write(Mark())
    _tell_kept(made, settings, ring, as_json=as_json)


@wallet.command("import")
@keyring_option
@json_option
def wallet_import(keyring: bool | None, as_json: bool) -> None:
    """Keep a key that you have, encrypted in the keystore.

    The key, 64 hexadecimal digits, is typed where nobody sees it, or is the first line of the standard input. What it
    spent before is looked up on the chain before the first purchase.
    """
    settings = Settings.from_env()
    require_no_wallet(settings)
    ring = chosen_keyring(settings, keyring)
    brought = _typed_key()
    keep(brought, settings, ring)
    _tell_kept(brought, settings, ring, as_json=as_json)


@wallet.command("address")
@json_option
def wallet_address(as_json: bool) -> None:
    """Print the wallet's address."""
    address = address_of(Settings.from_env())
    tell({"address": address}, address, as_json=as_json)


@wallet.command("balance")
@json_option
def wallet_balance(as_json: bool) -> None:
    """Print what the wallet holds on each rail, in dollars.

    A chain that no host answers for is told as that; exit code 1 if there is no answer for any.
    """
    settings = Settings.from_env()
    address = address_of(settings)
    rails, balances = anyio.run(_balances, settings, address)
    if as_json:
        print_json({name: _balance_json(rails[name], address, found) for name, found in balances.items()})
    else:
        for name, found in balances.items():
            if isinstance(found, int):
                click.echo(f"{dollars(found)} {place(rails[name].token)}")
            else:
                click.echo(f"{place(rails[name].token)} is not known: {found.what}", err=True)
    if not any(isinstance(found, int) for found in balances.values()):
        raise ChainError("no balance could be read")


def address_of(settings: Settings) -> str:
    """The wallet's, without its password. Raises InvalidSettings or NoWallet."""
    if settings.private_key is not None:
        try:
            return Wallet.from_hex(settings.private_key.strip()).address
        except ValueError as error:
            raise InvalidSettings(f"SEEDANCE_PRIVATE_KEY cannot be used: {error}") from None
    if not settings.keystore.exists():
        raise NoWallet("there is no wallet yet", next="Run `seedance-mcp wallet new`.")
    return keystore_address(settings.keystore)


def require_no_wallet(settings: Settings) -> None:
    """Raises InvalidSettings where a new key would have no place, or would not be the one that pays."""
    if settings.private_key is not None:
        raise InvalidSettings(
            "SEEDANCE_PRIVATE_KEY is set, and would be used in the place of any other key",
            next="Take it out of the environment first.",
        )
    if settings.keystore.exists():
        raise InvalidSettings(f"{settings.keystore} exists already; a key is never overwritten")


def chosen_keyring(settings: Settings, wanted: bool | None) -> Ring | None:
    """The keyring that is to keep the password, or None for none. Raises click.UsageError."""
    if wanted is False or (wanted is None and settings.keystore_password_file is not None):
        return None
    if settings.keystore_password_file is not None:
        raise click.UsageError("--keyring has no effect: SEEDANCE_KEYSTORE_PASSWORD_FILE says where the password is")
    ring = system_keyring()
    if ring is None and wanted:
        raise click.UsageError(
            "--keyring: no keyring runs here, or seedance-mcp[keyring] is not installed; leave it out"
        )
    return ring


def keep(wallet: Wallet, settings: Settings, ring: Ring | None) -> None:
    """Write the keystore, under the keyring's password, or the one in the operator's file, or one that is typed."""
    if ring is not None:
        password = ring.make(wallet.address)
    elif settings.keystore_password_file is not None:
        password = read_password(settings.keystore_password_file)
    else:
        hidden = sys.stdin.isatty()  # what is piped in is on no screen
        password = click.prompt("Password for the keystore", hide_input=hidden, confirmation_prompt=True, err=True)
    wallet.to_keystore(password, settings.keystore)


def _typed_key() -> Wallet:
    typed = click.prompt("Private key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    try:
        return Wallet.from_hex(typed.strip())
    except ValueError as error:
        raise InvalidSettings(f"this key cannot be used: {error}") from None


def how_to_fund(address: str) -> str:
    return (
        f"To fund it, send USDC on Base, or USDC.e on Tempo, to {address}. "
        "No ETH is needed on Base; on Tempo the fee is taken in USDC.e. "
        f"A small balance is the last limit, whatever goes wrong: start with {ENOUGH}."
    )


def _tell_kept(wallet: Wallet, settings: Settings, ring: Ring | None, *, as_json: bool) -> None:
    click.echo(f"Keystore: {settings.keystore}", err=True)
    if ring is not None:
        click.echo(f"Its password is in the keyring ({ring.name}).", err=True)
    elif settings.keystore_password_file is None:
        click.echo(
            f"For the server, put the password into {settings.policy.with_name('password')}, for you alone to read, or "
            "name another such file in SEEDANCE_KEYSTORE_PASSWORD_FILE.",
            err=True,
        )
    click.echo(how_to_fund(wallet.address), err=True)
    tell({"address": wallet.address, "keystore": str(settings.keystore)}, wallet.address, as_json=as_json)


async def _balances(settings: Settings, address: str) -> tuple[Mapping[str, Rail], Mapping[str, int | ChainError]]:
    async with open_rails(settings, address) as rails:
        return rails, await read_balances(rails, address)


def _balance_json(rail: Rail, address: str, found: int | ChainError) -> dict[str, object]:
    return {
        "address": address,
        "network": rail.token.network,
        "token": rail.token.symbol,
        "balance_usd": usd(found) if isinstance(found, int) else None,
        "error": None if isinstance(found, int) else found.what,
    }
