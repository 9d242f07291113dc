"""The server, the demo on the embedded studio, and the collector of clips."""

import logging
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click

from seedance_mcp.cli.printing import json_option, tell
from seedance_mcp.errors import InvalidPolicy, NoWallet
from seedance_mcp.heir import AFTER_SERVER
from seedance_mcp.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from mcp.server import MCPServer

FAULTS = ("answer-lost", "402-after-settlement", "500-after-settlement", "slow", "failed-job")
"""As in ``app.FAULTS``, which brings everything with it that a command without a server need not import."""


@click.command()
@click.option("--http", "address", metavar="HOST:PORT", help="Serve streamable HTTP on a loopback address instead.")
@click.option("--sandbox", is_flag=True, help="Sell from an embedded studio: no wallet, no network, no money.")
@click.option("--generation", type=click.Choice(["1", "2"]), help="The API generation of the sandbox.  [default: 1]")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(FAULTS),
    help="Make the sandbox misbehave when it sells a clip.",
)
def serve(address: str | None, sandbox: bool, generation: str | None, faults: tuple[str, ...]) -> None:
    """Run the MCP server on stdio (the default command)."""
    from seedance_mcp.policy_file import read_policy  # noqa: PLC0415
    from seedance_mcp.runtime import Runtime, opener  # noqa: PLC0415
    from seedance_mcp.server import INSTRUCTIONS, SANDBOX, build_server  # noqa: PLC0415

    if (faults or generation) and not sandbox:
        raise click.UsageError(f"{'--fault' if faults else '--generation'} needs --sandbox")
    listener = None if address is None else _listen(address)
    settings = Settings.for_sandbox() if sandbox else Settings.from_env()
    try:
        read_policy(settings.policy, (*settings.image_roots, settings.output_dir))
    except InvalidPolicy as error:
        # Clips that are paid still have to be saved, and open payments to be looked up.
        logging.getLogger(__name__).warning("Nothing is bought until the policy is mended: %s", error.what)
    if settings.private_key is not None:
        logging.getLogger(__name__).warning(
            "SEEDANCE_PRIVATE_KEY is set: other programs of this user can read it; a keystore is safer"
        )
    if sandbox:
        load = opener("seedance_mcp.app:open_sandbox", settings, generation=int(generation or 1), faults=faults)
    else:
        load = opener("seedance_mcp.app:open_app", settings, outlived=True)
    server = build_server(Runtime(load), SANDBOX + INSTRUCTIONS if sandbox else INSTRUCTIONS)
    if listener is None:
        # The thread that reads stdin waits for a line that may never come. Whatever is paid is on disk, as with a kill.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if sys.stdin.isatty():
            click.echo("An MCP client is expected on stdin; `seedance-mcp --help` shows the commands.", err=True)
        server.run("stdio")
    else:
        _serve_http(server, listener)


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal():
        raise click.UsageError(f"--http {address!r} is not HOST:PORT")
    if host not in LOOPBACK:
        raise click.UsageError(
            f"--http {host} would let other machines spend: without tokens only a loopback address is served"
        )
    try:
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise click.UsageError(f"--http {address} cannot be listened on: {error}") from None


def _serve_http(server: "MCPServer[None]", listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - stdio needs none

    host, port = listener.getsockname()[:2]
    click.echo(f"MCP at http://{f'[{host}]' if ':' in host else host}:{port}/mcp", err=True)
    app = server.streamable_http_app(host=host)
    # httptools, where it is installed, refuses a blank behind the value of a header.
    uvicorn.Server(uvicorn.Config(app, log_config=None, http="h11")).run(sockets=[listener])


@click.command()
@click.argument("image", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def demo(image: Path | None) -> None:
    """Buy a clip on the embedded studio, start to end, without money."""
    from seedance_mcp.demo import run_demo  # noqa: PLC0415

    sys.exit(anyio.run(run_demo, image))


@click.command()
@click.option(AFTER_SERVER, "after_server", is_flag=True, hidden=True)
@json_option
def collect(after_server: bool, as_json: bool) -> None:
    """Save the clips of all paid jobs, and end when none is left."""
    settings = Settings.from_env()
    if after_server:
        anyio.run(_outlive, replace(settings, private_key=sys.stdin.readline().strip() or settings.private_key))
        return

    async def run() -> int:
        from seedance_mcp.app import open_app  # noqa: PLC0415

        async with open_app(settings) as app:
            if not settings.keystore.exists() and app.wallet is None:
                raise NoWallet("without its wallet the jobs cannot be asked for")
            app.corridor.require_wallet()
            return await app.watcher.collect()

    count = anyio.run(run)
    words = f"{count} job{'' if count == 1 else 's'} done." if count else "No job was waiting for its clip."
    tell({"jobs": count}, words, as_json=as_json)


async def _outlive(settings: Settings) -> None:
    """What a server that is gone has left, unless another process is at it."""
    from seedance_mcp.app import open_app  # noqa: PLC0415
    from seedance_mcp.opening import ledger_exists  # noqa: PLC0415

    # Its stderr is read by nobody.
    async with open_app(settings, heard=False) as app:
        if app.wallet is not None and await app.database.claim("heir"):
            await app.watcher.outlive(lambda: ledger_exists(settings))
