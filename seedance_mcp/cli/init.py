"""Wallet, policy and client, step by step: asks, shows what it would write, writes it, and can prove that it works."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import click

from seedance_mcp.checkup.balances import place
from seedance_mcp.cli.funding import prove as prove_it
from seedance_mcp.cli.funding import wait_for_deposit
from seedance_mcp.cli.printing import json_option, print_json
from seedance_mcp.cli.questions import CLIENTS, Dollars, image_folders, policy_text, wanted_clients
from seedance_mcp.cli.setup import Plan, shown, write
from seedance_mcp.cli.wallet import address_of, chosen_keyring, how_to_fund, keyring_option
from seedance_mcp.clients import NAME, Client, Entry, read_entries
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.money import dollars, usd
from seedance_mcp.passwords import Ring, find_password
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.settings import PREFIX, Settings
from seedance_mcp.studio.prices import UPLOAD

_TOKENS = {token.rail: token for token in (BASE_USDC, TEMPO_USDCE)}
_PASSWORD = f"{PREFIX}KEYSTORE_PASSWORD_FILE"
_PATHS = {"POLICY": "policy", "KEYSTORE": "keystore", "OUTPUT_DIR": "output_dir"}


@click.command()
@click.option("--per-payment", type=Dollars(), help="What one payment may cost.")
@click.option("--per-day", type=Dollars(), help="What may be spent within 24 hours.")
@click.option("--ask-above", type=Dollars(), help="Ask you before a payment above this.")
@click.option(
    "--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where pictures may be read from."
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    type=click.Choice([*CLIENTS, "none"]),
    help="What is to start the server; may be repeated. claude-code is for the folder that you are in.",
)
@keyring_option
@click.option("--wait/--no-wait", default=None, help="Wait for a deposit at the end.")
@click.option("--prove/--no-prove", default=None, help="Prove it at the end with one upload, which costs $0.01.")
@json_option
def init(
    per_payment: int | None,
    per_day: int | None,
    ask_above: int | None,
    images: Path | None,
    clients: Sequence[str],
    keyring: bool | None,
    wait: bool | None,
    prove: bool | None,
    as_json: bool,
) -> None:
    """Set up wallet, policy and client, step by step.

    Asks for what no option says, shows what it would write, and writes it once you agree. Files that are there stay as
    they are; to a client's file one entry is added.
    """
    say = partial(click.echo, err=as_json)
    given = Settings.from_env()
    settings, ring, is_new = _wallet(given, keyring)
    say(f"Wallet: {'a new one' if is_new else address_of(settings)}.")
    policy = policy_text(settings, say, per_payment, per_day, ask_above)
    settings = replace(settings, image_roots=image_folders(settings, images))
    entry = _entry(settings)
    wanted = [client for client in wanted_clients(clients) if not _is_there(client, say)]
    # Each client's spending is counted under a name of its own.
    entries = [(client, replace(entry, env={f"{PREFIX}AGENT": client.name} | dict(entry.env))) for client in wanted]
    plan = Plan(settings=settings, new_wallet=is_new, ring=ring, policy=policy, entries=entries)
    written = _agreed_and_written(plan, say)
    address = address_of(settings)
    if is_new and ring is None:
        both = f"{settings.keystore} and {settings.keystore_password_file}"
        say(f"\nKeep a copy of {both} in a safe place now: without both the money is lost.")
    say(f"\n{how_to_fund(address)}")
    if wanted:
        say(f"Restart {' and '.join(client.title for client in wanted)}, which will start the server then.")
    funds = proof = None
    if _wanted(wait, "Wait here for the deposit?"):
        funds = _deposit(settings, address, say)
    if _wanted(prove, f"Prove it now with one upload, for {dollars(UPLOAD)}?"):
        proof = _proof(settings, say)
    say("At any time, `seedance-mcp doctor` looks whether everything is right.")
    if as_json:
        print_json({"address": address, "written": written, "balances": funds, "proof": proof})


def _wallet(settings: Settings, keyring: bool | None) -> tuple[Settings, Ring | None, bool]:
    """The settings that open the wallet, the keyring that is to keep its password, and whether it has to be made."""
    beside = settings.policy.with_name("password")
    if settings.private_key is not None:
        return settings, None, False
    if not settings.keystore.exists():
        ring = chosen_keyring(settings, keyring)
        if ring is None and settings.keystore_password_file is None:
            settings = replace(settings, keystore_password_file=beside)
        return settings, ring, True
    if settings.keystore_password_file is None and beside.exists():
        settings = replace(settings, keystore_password_file=beside)
    if find_password(settings) is None:
        raise InvalidSettings(
            f"{settings.keystore} is there, and its password is nowhere",
            next=f"Put it into {beside}, for you alone to read, and run this again.",
        )
    return settings, None, False


def _is_there(client: Client, say: Callable[[str], object]) -> bool:
    """A file that cannot be read has an entry, or none, that only its owner knows of."""
    try:
        entries = read_entries(client)
    except InvalidSettings:
        return False
    if entries:
        say(f"{client.title}: {client.path} starts this server already, and stays as it is.")
    return bool(entries)


def _entry(settings: Settings) -> Entry:
    """How a client starts the server with these settings; a private key left the environment when they were read."""
    env = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    # A client starts the server in another folder, where a relative path would be another place.
    env |= {
        f"{PREFIX}{name}": str(getattr(settings, field)) for name, field in _PATHS.items() if f"{PREFIX}{name}" in env
    }
    if settings.keystore_password_file not in {None, settings.policy.with_name("password")}:
        env[_PASSWORD] = str(settings.keystore_password_file)
    if settings.image_roots:
        env[f"{PREFIX}IMAGE_ROOTS"] = os.pathsep.join(map(str, settings.image_roots))
    program = shutil.which("seedance-mcp")
    if program is None:
        return Entry(NAME, sys.executable, ("-m", "seedance_mcp", "serve"), env)
    return Entry(NAME, str(Path(program).absolute()), ("serve",), env)


def _agreed_and_written(plan: Plan, say: Callable[[str], object]) -> list[str]:
    places = list(shown(plan))
    if not places:
        say("There is nothing to write.")
        return []
    say("\nThis would be written:")
    for where, what in places:
        say(click.style(f"\n  {where}", bold=True))
        say("\n".join(f"    {line}" for line in what.rstrip().splitlines()))
    say("")
    click.confirm("Write it?", abort=True, err=True)
    written = write(plan)
    say("".join(f"Wrote {path}\n" for path in written).rstrip())
    return written


def _wanted(given: bool | None, question: str) -> bool:
    if given is not None:
        return given
    return sys.stdin.isatty() and click.confirm(question, err=True)


def _deposit(settings: Settings, address: str, say: Callable[[str], object]) -> Mapping[str, str]:
    say("Waiting for the deposit; stop with Ctrl-C, and nothing is lost.")
    held = anyio.run(wait_for_deposit, settings, address, say)
    for rail, amount in held.items():
        say(f"{dollars(amount)} {place(_TOKENS[rail])}")
    return {rail: usd(amount) for rail, amount in held.items()}


def _proof(settings: Settings, say: Callable[[str], object]) -> Mapping[str, object]:
    hosted = anyio.run(prove_it, settings)
    paid = hosted.purchase.payment
    say(f"It works: {dollars(hosted.charged)} paid over {paid.rail}, and the picture is at {hosted.url}")
    return {
        "purchase_id": hosted.purchase.id,
        "charged_usd": usd(hosted.charged),
        "rail": paid.rail,
        "image_url": hosted.url,
    }
