"""Servers without the second in which an interpreter imports everything: each is forked from one that has.

For long runs: a process that is forked dies like any other. ``Nursery`` runs ``python -m tests.crash.nursery``.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import anyio
from anyio.abc import SocketStream, UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from seedance_mcp.cli import main
from tests.crash.victim import expect

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]

ROOT = Path(__file__).parents[2]
EARLY = ("seedance_mcp.app", "seedance_mcp.server", "seedance_mcp.cli.serving")
"""What a server imports when it needs it."""
LONGEST = 2**20
"""Bytes of an order, or of a line of the protocol."""


class Nursery:
    """A context manager: servers can be had while it is entered."""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._orders, theirs = (undo.enter_context(end) for end in socket.socketpair())
            command = [sys.executable, "-m", "tests.crash.nursery", str(theirs.fileno())]
            # It ends when nobody can order any more.
            undo.callback(
                subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL).wait
            )
            undo.callback(self._orders.close)
            theirs.close()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @asynccontextmanager
    async def server(self, env: Mapping[str, str], log: TextIO, *fate: str) -> "AsyncIterator[Streams]":
        """A transport to a new server; ``fate`` is the signal and the point of a victim's."""
        ours, theirs = socket.socketpair()
        with theirs:
            order = json.dumps({"env": dict(env), "fate": fate}).encode()
            socket.send_fds(self._orders, [order], [theirs.fileno(), log.fileno()])
            self._orders.recv(1)
        async with await UNIXSocketStream.from_socket(ours) as stream, _spoken(stream) as streams:
            yield streams


@asynccontextmanager
async def _spoken(stream: SocketStream) -> "AsyncIterator[Streams]":
    """MCP in lines over ``stream``; the other side has ended when this does."""
    heard, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, said = anyio.create_memory_object_stream[SessionMessage](0)

    async def listen() -> None:
        lines = BufferedByteReceiveStream(stream)
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            async with heard:
                while True:
                    line = await lines.receive_until(b"\n", LONGEST)
                    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                        await heard.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))

    async def speak() -> None:
        with suppress(anyio.BrokenResourceError):
            async with said:
                async for message in said:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    await stream.send(text.encode() + b"\n")
            await stream.send_eof()

    async with anyio.create_task_group() as group, incoming, outgoing:
        group.start_soon(listen)
        group.start_soon(speak)
        yield incoming, outgoing


def bear(orders: socket.socket) -> None:
    """Answer each order with a server, until nobody is there to order."""
    for module in EARLY:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, LONGEST, 2)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            _become(json.loads(order), *descriptors)
            main(["serve"])
        for descriptor in descriptors:
            os.close(descriptor)
        orders.send(b"!")


def _become(order: dict[str, Any], connection: int, log: int) -> None:
    """Find everything as a process that was started for this server alone would."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, standard in ((connection, 0), (connection, 1), (log, 2)):
        os.dup2(descriptor, standard)
    os.close(connection)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["env"])
    if order["fate"]:
        expect(*order["fate"])


if __name__ == "__main__":
    bear(socket.socket(fileno=int(sys.argv[1])))
