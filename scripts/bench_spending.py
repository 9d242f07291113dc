"""Takes one purchase apart: how often it asks for what, and how long that takes."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from seedance_mcp.chain import Chain
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.payment import x402
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.studio.client import Studio

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Part:
    """``time`` is nanoseconds."""

    count: int = 0
    time: int = 0


@dataclass(slots=True)
class Spending:
    """``whole`` is nanoseconds from start to end; the parts do not overlap."""

    whole: int = 0
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def rest(self) -> int:
        return self.whole - sum(part.time for part in self.parts.values())


@contextmanager
def spending() -> Iterator[Spending]:
    """Counts and times what is done in the block."""
    spent = Spending()
    with ExitStack() as stack:
        for name, owner, method, clocked in PARTS:
            part = spent.parts[name] = Part()
            stack.enter_context(patch.object(owner, method, clocked(getattr(owner, method), part)))
        began = perf_counter_ns()
        yield spent
        spent.whole = perf_counter_ns() - began


def waited(function: Callable[P, Awaitable[T]], part: Part) -> Callable[P, Awaitable[T]]:
    async def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        began = perf_counter_ns()
        try:
            return await function(*args, **kwargs)
        finally:
            part.count += 1
            part.time += perf_counter_ns() - began

    return timed


def worked(function: Callable[P, T], part: Part) -> Callable[P, T]:
    def timed(*args: P.args, **kwargs: P.kwargs) -> T:
        began = perf_counter_ns()
        try:
            return function(*args, **kwargs)
        finally:
            part.count += 1
            part.time += perf_counter_ns() - began

    return timed


PARTS: tuple[tuple[str, Any, str, Callable[..., Any]], ...] = (
    ("HTTP requests to the seller", Studio, "post", waited),
    ("balance reads on the chain", Chain, "balance", waited),
    ("durable ledger writes", SQLite, "write", waited),
    ("ledger reads", SQLite, "read", waited),
    ("signatures", x402, "sign", worked),
    ("seals", Wallet, "seal", worked),
    ("unseals", Wallet, "unseal", worked),
)
