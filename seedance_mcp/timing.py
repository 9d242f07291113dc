"""The wall clock, and how long a call may still take: clients cut it off at about a minute."""

import time
from contextvars import ContextVar

import anyio

CALL_SECONDS = 55

_begun: ContextVar[float | None] = ContextVar("begun", default=None)


def begin_call() -> None:
    """The clock of this call starts now. What never begins one (the watcher, a command) has all the time it wants."""
    _begun.set(anyio.current_time())


def elapsed() -> float:
    """Seconds since the call began, 0 outside one."""
    begun = _begun.get()
    return 0 if begun is None else anyio.current_time() - begun


def at_most(seconds: float) -> float:
    """``seconds``, or what is left of the call if that is less; at least one."""
    return max(min(seconds, CALL_SECONDS - elapsed()), 1)


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
