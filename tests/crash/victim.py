"""A server that gets a signal at one point of a purchase: ``python -m tests.crash.victim SIGKILL P4``.

But for that it is ``seedance-mcp serve``. The product knows nothing of it: what runs at the point is wrapped from here.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from seedance_mcp import fetching
from seedance_mcp.cli import main
from seedance_mcp.heir import Heir
from seedance_mcp.ledger import jobs, payments, reservations
from seedance_mcp.payment import mpp, x402
from seedance_mcp.purchase import Corridor
from seedance_mcp.sending import Sender

CREDENTIALS = (b"\npayment-signature:", b"\nauthorization: payment ")

Halt = Callable[[], None]
Arm = Callable[[Halt], None]


def carries_credential(data: bytes) -> bool:
    return any(credential in data.lower() for credential in CREDENTIALS)


def before(owner: Any, name: str) -> Arm:
    """Halt when ``name`` is called."""

    def arm(halt: Halt) -> None:
        original = getattr(owner, name)

        def early(*args: Any, **kwargs: Any) -> Any:
            halt()
            return original(*args, **kwargs)

        setattr(owner, name, early)

    return arm


def after(owner: Any, name: str) -> Arm:
    """Halt when ``name`` has done its work; after a statement of the ledger that is before it is committed."""

    def arm(halt: Halt) -> None:
        original = getattr(owner, name)

        def late(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            halt()
            return result

        async def late_too(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            halt()
            return result

        setattr(owner, name, late_too if iscoroutinefunction(original) else late)

    return arm


def between(owner: type[Corridor | Sender], name: str) -> Arm:
    """Halt before a step of the corridor, in the ledger's thread: a process that is stopped there holds no lock."""

    def arm(halt: Halt) -> None:
        original = getattr(owner, name)

        async def step(walker: Any, *args: Any) -> Any:
            setattr(owner, name, original)
            database = walker.database if owner is Corridor else walker._database
            await database.read(lambda _: halt())
            return await original(walker, *args)

        setattr(owner, name, step)

    return arm


def either(*arms: Arm) -> Arm:
    """Halt at whichever of the rails is taken."""

    def arm(halt: Halt) -> None:
        for one in arms:
            one(halt)

    return arm


def in_the_head(halt: Halt) -> None:
    """Half of the request's head has left, cut within the credential."""
    send = socket.socket.send

    def cut(self: socket.socket, data: bytes, *flags: int) -> int:
        if carries_credential(data):
            send(self, data[: len(data) // 2], *flags)
            halt()
        return send(self, data, *flags)

    socket.socket.send = cut  # type: ignore[method-assign, assignment]


def in_the_body(halt: Halt) -> None:
    """The head has left, with the credential, and the body but for its last byte."""
    send, paying = socket.socket.send, set[socket.socket]()

    def cut(self: socket.socket, data: bytes, *flags: int) -> int:
        if self in paying:
            send(self, data[:-1], *flags)
            halt()
        if carries_credential(data):
            paying.add(self)
        return send(self, data, *flags)

    socket.socket.send = cut  # type: ignore[method-assign, assignment]


def before_the_answer(halt: Halt) -> None:
    """All bytes have left, and the answer lies in the socket unread."""
    send, recv, paying = socket.socket.send, socket.socket.recv, set[socket.socket]()

    def note(self: socket.socket, data: bytes, *flags: int) -> int:
        if carries_credential(data):
            paying.add(self)
        return send(self, data, *flags)

    def read(self: socket.socket, *args: int) -> bytes:
        if self in paying:
            halt()
        return recv(self, *args)

    socket.socket.send = note  # type: ignore[method-assign, assignment]
    socket.socket.recv = read  # type: ignore[method-assign, assignment]


POINTS: Mapping[str, Arm] = {
    "P0": before(Corridor, "buy"),
    "P1": after(reservations, "reserve"),
    "P2": between(Corridor, "_sign"),
    "P3": either(after(x402, "sign"), after(mpp, "sign")),
    "P3-uncommitted": after(payments, "sign"),
    "P4": between(Sender, "_present"),
    "P4-permitted": between(Sender, "_post"),
    "P5": in_the_head,
    "P5-body": in_the_body,
    "P6": before_the_answer,
    "P7": between(Sender, "_record"),
    "P7-uncommitted": after(payments, "claim"),
    "P8": after(Sender, "_record"),
    "P9": before(jobs, "update"),
    "P9-part": before(fetching, "_publish"),
    "P9-saved": before(jobs, "save_clip"),
}
"""Where a purchase can be interrupted, in its order. A suffix names another place within the same step."""


def halt(name: str, point: str) -> None:
    os.write(2, last_words(name, point).encode())
    os.kill(os.getpid(), signal.Signals[name])


def last_words(name: str, point: str) -> str:
    """What the victim of the signal ``name`` writes to its standard error."""
    return f"{name} at {point}\n"


def expect(name: str, point: str) -> None:
    """This process gets the signal ``name`` at ``point``."""
    POINTS[point](partial(halt, name, point))
    if name == "SIGSTOP":
        # The end of a dead process is noticed; that of a stopped one's lease would have to be waited for.
        payments.LEASE = 0
    Heir.appoint = nobody  # type: ignore[method-assign]


async def nobody(self: Heir) -> None:
    """The heir dies with its server, so that the test decides who recovers."""


if __name__ == "__main__":
    expect(*sys.argv[1:])
    main(["serve"])
