"""The operator's policy: is the file right, what does it say, what does it decide, what would another one have."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from seedance_mcp.cli.ledger import on_ledger
from seedance_mcp.cli.printing import json_option, print_json
from seedance_mcp.cli.request import parse_request, usual_prices
from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.contradictions import contradictions
from seedance_mcp.guard.decision import scopes
from seedance_mcp.guard.document import as_toml, document
from seedance_mcp.guard.explanation import Explanation, explain
from seedance_mcp.guard.policy import BUILT_IN, RAILS, Mistake, Policy, mistakes, parse_policy
from seedance_mcp.guard.positions import nearest, positions
from seedance_mcp.guard.schema import policy_schema
from seedance_mcp.guard.simulation import simulate as simulated
from seedance_mcp.guard.usage import WINDOWS, Proposal
from seedance_mcp.ledger import operator, views
from seedance_mcp.ledger.database import Database
from seedance_mcp.money import dollars, parse_usd, usd
from seedance_mcp.payment.tokens import ACCEPTED, ACCEPTED_MPP
from seedance_mcp.policy_file import LARGEST, read_policy
from seedance_mcp.report import policy as report
from seedance_mcp.report.recorded import history
from seedance_mcp.settings import Settings
from seedance_mcp.timing import now

_COLOURS = {"refuses": "red", "refused": "red", "asks": "yellow", "needs": "yellow", "allowed": "green"}
_TOKENS = {token.rail: token.address for token in (*ACCEPTED_MPP, *ACCEPTED)}

file_argument = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def policy() -> None:
    """The limits that agents spend within."""


@policy.command()
@click.argument("file", required=False, type=file_argument)
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Find mistakes and contradictions.

    FILE is the policy file that the server reads if none is given. A mistake ends with exit code 2; a contradiction,
    such as a limit that can never bind, is only a warning.
    """
    settings = Settings.from_env()
    path = file or settings.policy
    if file is None and not settings.policy_named and not path.exists():
        errors: Sequence[Mistake] = ()
        warnings: Sequence[Mistake] = ()
    else:
        errors, warnings = _examined(path, (*settings.image_roots, settings.output_dir))
    if as_json:
        print_json(
            {
                "file": str(path),
                "exists": path.exists(),
                "valid": not errors,
                "errors": [report.mistake_json(mistake) for mistake in errors],
                "warnings": [report.mistake_json(mistake) for mistake in warnings],
            }
        )
    else:
        _print_check(path, errors, warnings)
    ctx.exit(2 if errors else 0)


@policy.command()
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead, for an editor.")
@json_option
def show(schema: bool, as_json: bool) -> None:
    """Print the policy in force.

    Every default is filled in, and what is printed is a policy file itself. Nothing in it is secret.
    """
    if schema:
        click.echo(json.dumps(policy_schema(), indent=2))
        return
    settings = Settings.from_env()
    rules, path = _in_force(settings)
    content = document(rules)
    if as_json:
        source = "built-in" if path is None else "file"
        print_json({"source": source, "file": str(path) if path else None, "digest": rules.digest, "policy": content})
        return
    origin = f"the file {path}" if path else f"built in, since there is no file {settings.policy}"
    click.secho(f"# In force: {origin}\n# SHA-256 of its text: {rules.digest}", dim=True)
    click.echo(as_toml(content), nl=False)


@policy.command("explain")
@click.argument("request", nargs=-1)
@click.option("--agent", metavar="NAME", help="Who would buy it.  [default: SEEDANCE_AGENT]")
@click.option("--price", metavar="USD", help="What the seller would ask.  [default: as in the price table]")
@click.option("--rail", type=click.Choice(RAILS), help="What it would be paid over.  [default: the policy's first]")
@click.option("--generation", type=click.Choice(["1", "2"]), help="Of the seller's API.  [default: the last one seen]")
@json_option
def explain_(
    request: tuple[str, ...],
    agent: str | None,
    price: str | None,
    rail: str | None,
    generation: str | None,
    as_json: bool,
) -> None:
    """Tell what would be decided now, and why.

    REQUEST is a model, a duration and a resolution, such as: seedance-fast 5s 720p. What is left out is as usual, and
    "upload" is an image. Every rule is printed with its numbers, as is the one that decides. Nothing is bought or
    changed.
    """
    settings = Settings.from_env()
    try:
        wanted, amount = parse_request(request), None if price is None else parse_usd(price)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    rules, _ = _in_force(settings)
    rail = rail or rules.rails[0]
    agent = agent or settings.agent

    async def work(database: Database) -> tuple[Proposal, Explanation]:
        pairs = [(scope, window) for scope, _ in scopes(rules, wanted.model, agent) for window in WINDOWS]
        usage = await database.read(views.usage, pairs, settings.studio_url, rail, _TOKENS[rail], now())
        known = int(generation) if generation else usage.generation or wanted.assumed
        asked = wanted.proposal(agent, rail, known, amount, usage.pinned)
        return asked, explain(rules, usage, asked)

    asked, explanation = on_ledger(work, settings)
    if as_json:
        told = {"agent": agent, "model": wanted.model, "rail": rail, "generation": asked.generation}
        clip = {} if wanted.is_upload else {"duration": wanted.duration, "resolution": wanted.resolution}
        amounts = {"price_usd": usd(asked.price), "table_usd": None if asked.table is None else usd(asked.table)}
        print_json({"request": {**told, **clip, **amounts}, **report.explanation_json(explanation)})
        return
    table = "no row" if asked.table is None else dollars(asked.table)
    of = f"generation {asked.generation}, " if asked.generation else ""
    click.echo(f"{wanted} for {agent}: {dollars(asked.price)} over {rail} ({of}price table: {table})\n")
    click.echo(report.explanation_text(explanation, _painted))


@policy.command()
@click.argument("file", type=file_argument)
@json_option
def simulate(file: Path, as_json: bool) -> None:
    """Judge the past under another policy.

    Every decision in the ledger is made again under the policy in FILE, with what was spent until then under that
    policy: what would have been allowed, asked and refused, and what would have been spent. Nothing is changed.
    """
    settings = Settings.from_env()
    rules = _candidate(file)
    result = simulated(rules, on_ledger(lambda database: database.read(history), settings))
    if as_json:
        print_json({"file": str(file), "digest": rules.digest, **report.simulation_json(result)})
    else:
        click.echo(report.simulation_text(result, _painted))


def _examined(path: Path, writable: Sequence[Path]) -> tuple[Sequence[Mistake], Sequence[Mistake]]:
    """The mistakes of a policy file, and if there are none its contradictions."""
    text = _text(path)
    if text is not None and (errors := mistakes(text)):
        return errors, ()
    try:
        rules = read_policy(path, writable)
    except InvalidPolicy as error:
        return [Mistake((), error.what)], ()
    if rules is None:
        return [Mistake((), "there is no such file, and SEEDANCE_POLICY names it")], ()
    places = positions(text or "")
    found = [replace(warning, place=nearest(places, warning.key)) for warning in contradictions(rules, usual_prices())]
    return (), sorted(found, key=lambda warning: warning.place or (0, 0))


def _text(path: Path) -> str | None:
    """None for what ``read_policy`` has more to say about."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        return content.decode() if len(content) <= LARGEST else None
    except (OSError, UnicodeDecodeError):
        return None


def _candidate(path: Path) -> Policy:
    """A policy that is not in force, so it may lie anywhere and be anybody's."""
    text = _text(path)
    if text is None:
        raise InvalidPolicy(f"{path} is not a text of at most {LARGEST:,} bytes")
    try:
        return parse_policy(text)
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{path}: {error.what}") from None


def _in_force(settings: Settings) -> tuple[Policy, Path | None]:
    """The policy that a server started now would work under, and its file. The ledger is not told of it."""
    rules = read_policy(settings.policy, (*settings.image_roots, settings.output_dir))
    if rules is not None:
        return rules, settings.policy
    if settings.policy_named or on_ledger(lambda database: database.read(operator.policy_seen, file=False), settings):
        raise InvalidPolicy(f"the policy file {settings.policy} is not there, so nothing is bought")
    return parse_policy(BUILT_IN), None


def _print_check(path: Path, errors: Sequence[Mistake], warnings: Sequence[Mistake]) -> None:
    for kind, colour, found in (("error", "red", errors), ("warning", "yellow", warnings)):
        for mistake in found:
            place = "".join(f":{number}" for number in mistake.place or ())
            click.echo(f"{path}{place}: {click.style(kind, fg=colour)}: {mistake.what}")
    if errors or warnings:
        click.echo(
            f"{len(errors)} error{'s' * (len(errors) != 1)}, {len(warnings)} warning{'s' * (len(warnings) != 1)}."
        )
    elif path.exists():
        click.echo(f"{path}: nothing is wrong with it.")
    else:
        click.echo(
            f"There is no file {path}: the built-in policy holds, which is printed by `seedance-mcp policy show`."
        )


def _painted(cell: str) -> str:
    words = cell.split(maxsplit=1)
    colour = _COLOURS.get(words[0].rstrip(",:")) if words else None
    return click.style(cell, fg=colour) if colour else cell
