"""What the seller owes: paid and not delivered, ready to be sent to it, and what came back."""

import json
import os
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import click

from seedance_mcp.app import open_rails
from seedance_mcp.cli.ledger import on_ledger
from seedance_mcp.cli.printing import json_option, print_json, print_table
from seedance_mcp.errors import NotFound, Refused, SeedanceError
from seedance_mcp.ledger import views
from seedance_mcp.ledger.claims import Claim
from seedance_mcp.ledger.database import Database
from seedance_mcp.policy_file import PolicyFile
from seedance_mcp.refunds import Looked, look_for_refunds
from seedance_mcp.report import claims as report
from seedance_mcp.report.claims import Claims
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now


@click.command()
@click.argument("purchase", required=False, metavar="[ID]")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="Leave out what is older, such as 2026-05-01."
)
@click.option(
    "--export",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write each claim to a JSON file in DIR. A file that is there already is left as it is.",
)
@json_option
def claims(purchase: str | None, since: datetime | None, folder: Path | None, as_json: bool) -> None:
    """Show what was paid and not delivered, or one claim (ID) as a letter to the seller.

    A claim is a payment for a job that failed or that the seller never named, for a clip whose link died before it was
    saved, or for an image that was never stored. The letter has the transaction, the job and the request, prompt
    included, and nothing secret.

    What the seller sends back is looked up first, from where the last look ended: a final transfer of the same token,
    from an address that was paid, on which as many RPC hosts agree as the policy's rpc_agree says. It is booked once,
    and is for the purchase that its memo names, or for the only claim of that amount; else it is listed on its own.
    What is less than a cent is not looked at. A refund never makes room in the budget: the limits count what was paid.
    """
    if purchase is not None and (since is not None or folder is not None):
        raise click.UsageError("an ID excludes --since and --export")
    settings = Settings.from_env()
    start = since.date() if since else None
    looked, found = on_ledger(lambda database: _read(database, settings, start), settings)
    if purchase is not None:
        _one(_claim(found, purchase, settings), looked, as_json=as_json)
        return
    if as_json:
        print_json(report.as_json(found, looked))
    else:
        _all(found, looked)
    if folder is not None:
        _export(found.claims, folder)


def _all(found: Claims, looked: Sequence[Looked]) -> None:
    if found.claims:
        print_table(report.as_table(found))
    else:
        click.echo("Nothing was paid that was not delivered.")
    for sentence in (*report.as_sentences(found), *report.as_looked(looked)):
        click.echo(sentence)


def _one(claim: Claim, looked: Sequence[Looked], *, as_json: bool) -> None:
    if as_json:
        print_json(report.bundle(claim))
    else:
        click.echo(report.as_text(claim))
    # The letter is for somebody else.
    for sentence in report.as_looked(looked):
        click.echo(sentence, err=True)


async def _read(database: Database, settings: Settings, since: date | None) -> tuple[list[Looked], Claims]:
    writable = (*settings.image_roots, settings.output_dir)
    policy = PolicyFile(settings.policy, named=settings.policy_named, writable=writable, database=database)
    async with open_rails(settings, None) as rails:
        looked = await look_for_refunds(database, rails, policy.current, now)
    return looked, await database.read(report.read_claims, since, now())


def _claim(found: Claims, purchase_id: str, settings: Settings) -> Claim:
    for claim in found.claims:
        if claim.purchase.id == purchase_id:
            return claim
    if on_ledger(lambda database: database.read(views.find, purchase_id), settings) is None:
        raise NotFound(f"there is no purchase {purchase_id}")
    raise Refused(f"{purchase_id} is no claim: it was not paid, was delivered, or may still be")


def _export(claims: Sequence[Claim], folder: Path) -> None:
    """One file for each claim, for this user alone."""
    written = 0
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for claim in claims:
            path = folder / f"{claim.purchase.id}.json"
            if _write_once(path, json.dumps(report.bundle(claim), indent=2)):
                written += 1
            else:
                click.echo(f"{path} is there already and was left as it is.", err=True)
    except OSError as error:
        raise SeedanceError(f"the claims cannot be written to {folder}: {error.strerror or error}") from None
    click.echo(f"{written} written to {folder}.", err=True)


def _write_once(path: Path, text: str) -> bool:
    """False where the file is there already. Raises OSError, and leaves no half of a file, which would be kept."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True
