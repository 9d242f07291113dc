"""The wallet that pays: make one, print its address, look at its balance."""

import anyio
import click

from seedance_mcp.app import open_chain, read_password
from seedance_mcp.errors import InvalidSettings, NoWallet
from seedance_mcp.money import usd
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wallet import Wallet, keystore_address
from seedance_mcp.settings import Settings


@click.group()
def wallet() -> None:
    """The wallet that pays."""


@wallet.command("new")
def wallet_new() -> None:
    """Make a key and keep it encrypted in the keystore."""
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
        async with open_chain(settings) as chain:
            return await chain.balance(BASE_USDC.address, address)

    click.echo(usd(anyio.run(ask)))


def _address(settings: Settings) -> str:
    if settings.private_key is not None:
        try:
            return Wallet.from_hex(settings.private_key.strip()).address
        except ValueError as error:
            raise InvalidSettings(f"SEEDANCE_PRIVATE_KEY cannot be used: {error}") from None
    if not settings.keystore.exists():
        raise NoWallet("there is no wallet yet", next="Run `seedance-mcp wallet new`.")
    return keystore_address(settings.keystore)
