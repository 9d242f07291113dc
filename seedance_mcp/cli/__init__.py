"""The operator's commands. Each is imported when it is called, so that the server starts without the others."""

import logging
import sys
from importlib import import_module
from typing import Any

import click

from seedance_mcp import __version__
from seedance_mcp.errors import InvalidPolicy, InvalidSettings, LedgerError, SeedanceError, sentence
from seedance_mcp.money import dollars

COMMANDS = {
    "serve": "serving",
    "demo": "serving",
    "buy": "buy",
    "collect": "serving",
    "init": "init",
    "wallet": "wallet",
    "policy": "policy",
    "spend": "reports",
    "jobs": "reports",
    "approve": "approval",
    "deny": "approval",
    "freeze": "ledger",
    "unfreeze": "ledger",
    "trust": "ledger",
    "reconcile": "ledger",
    "claims": "claims",
    "audit": "ledger",
    "doctor": "doctor",
}
"""The module of this package that each command lives in, in the order of the help."""


class Commands(click.Group):
    """``seedance-mcp`` alone is ``seedance-mcp serve``; our errors become exit codes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in {"--help", "-h", "--version"}):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"{__name__}.{COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        try:
            return super().invoke(ctx)
        except SeedanceError as error:
            _fail(ctx, error)
        except click.Abort:
            if not sys.stdin.isatty():
                click.echo(err=True)  # the question's line is still open
            click.echo("seedance-mcp: there was no answer, or it was no: nothing was changed.", err=True)
            ctx.exit(1)
        except ExceptionGroup as group:
            # Tasks of one command that end together come as a group; one word of ours is what the operator needs.
            known = group.subgroup(SeedanceError)
            while known is not None and isinstance(known.exceptions[0], ExceptionGroup):
                known = known.exceptions[0]
            if known is None:
                raise
            assert isinstance(known.exceptions[0], SeedanceError)
            _fail(ctx, known.exceptions[0])


@click.group(cls=Commands, context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100})
@click.version_option(__version__, prog_name="seedance-mcp")
def main() -> None:
    """Lets an agent buy Seedance clips within limits that only you can change."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="seedance-mcp: %(message)s")


def _fail(ctx: click.Context, error: SeedanceError) -> None:
    click.echo(f"seedance-mcp: {told(error)}", err=True)
    ctx.exit(2 if isinstance(error, InvalidSettings | InvalidPolicy) else 1)


def told(error: SeedanceError) -> str:
    """An error for an operator: what is wrong and what to do; money is only spoken of where some moved."""
    parts = [sentence(error.what)]
    if error.charged:
        parts.append(f"{dollars(error.charged)} was charged.")
    if error.next and not isinstance(error, LedgerError):
        parts.append(error.next)
    return " ".join(parts)
