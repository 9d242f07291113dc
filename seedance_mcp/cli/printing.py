"""The one way in which commands print: JSON for programs, words and tables for people, colours on a terminal only."""

import json
from collections.abc import Mapping

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

_COLOURS = {
    "complete": "green",
    "failed": "red",
    "denied": "red",
    "payment_unknown": "yellow",
    "awaiting_approval": "yellow",
}


def print_json(value: object) -> None:
    # In ASCII nothing that an agent or the seller wrote can steer a terminal.
    click.echo(json.dumps(value, indent=2))


def tell(facts: Mapping[str, object], words: str, *, as_json: bool) -> None:
    """Print the outcome of a command as ``facts`` or in ``words``."""
    if as_json:
        print_json(facts)
    else:
        click.echo(words)


def print_table(text: str) -> None:
    head, rule, *rows = text.split("\n")
    click.secho(head, bold=True)
    click.secho(rule, dim=True)
    click.echo("\n".join(rows))


def painted(cell: str) -> str:
    """A cell in the colour of the status that it holds, if it holds one."""
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour else cell
