"""Many processes at once: reservations in one ledger, next to bare INSERTs behind a lock that is fair."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import quantiles
from time import perf_counter_ns

import anyio
from bench_guard_desk import Bare, Desk

from seedance_mcp.ledger.sqlite import SQLite

PATIENCE = 120
"""Seconds after which nobody waits for a process that failed."""


class Line:
    """First come, first served: each draws the next number, and is woken by the one before it and nobody else.

    Numbers are drawn under a lock, and there are as many semaphores as processes, each of which holds one number at
    most. So nobody can be overtaken, and nobody has to look again and again.
    """

    def __init__(self, context: SpawnContext, processes: int) -> None:
        self._next = context.Value("Q", 0)
        self._seats = [context.Semaphore(0) for _ in range(processes)]
        self._seats[0].release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self._next.get_lock():
            number = self._next.value
            self._next.value += 1
        self._seats[number % len(self._seats)].acquire()
        try:
            yield
        finally:
            self._seats[(number + 1) % len(self._seats)].release()


@dataclass(frozen=True, slots=True)
class Round:
    """Nanoseconds of every operation of every process."""

    reserved: list[int]
    inserted: list[int]

    @property
    def ratio(self) -> float:
        return p99(self.reserved) / p99(self.inserted)


def p99(times: list[int]) -> float:
    return quantiles(times, n=100)[98]


def measure_crowd(folder: Path, processes: int, rounds: int, each: int) -> list[Round]:
    """``each`` is how often every process reserves in one round. One kind is measured at a time."""
    anyio.run(_make, folder / "crowd.db")
    Bare(folder / "crowd-bare.db").close()
    context = get_context("spawn")
    shared = (folder, Line(context, processes), context.Barrier(processes, timeout=PATIENCE))
    with ProcessPoolExecutor(processes, context, _share, shared) as crowd:
        told = [future.result() for future in [crowd.submit(_take_part, rounds, each) for _ in range(processes)]]
    return [Round(*([time for mine in told for time in mine[n][kind]] for kind in (0, 1))) for n in range(rounds)]


async def _make(path: Path) -> None:
    await (await SQLite.open(path, "real")).close()


def _share(folder: Path, line: Line, gate: Barrier) -> None:
    """Locks of several processes can only be handed over as they start."""
    _Shared.folder, _Shared.line, _Shared.gate = folder, line, gate


class _Shared:
    folder: Path
    line: Line
    gate: Barrier


def _take_part(rounds: int, each: int) -> list[tuple[list[int], list[int]]]:
    return anyio.run(_work, rounds, each)


async def _work(rounds: int, each: int) -> list[tuple[list[int], list[int]]]:
    """What each round took. A reservation is two transactions, of which the first is timed."""
    bare = Bare(_Shared.folder / "crowd-bare.db")
    database = await SQLite.open(_Shared.folder / "crowd.db", "real")
    desk = Desk(database)
    await database.hold(desk.owner)
    times = []
    for _ in range(rounds):
        _Shared.gate.wait()
        inserted = [_insert(bare) for _ in range(2 * each)]
        _Shared.gate.wait()
        reserved = [await desk.reserve() for _ in range(each)]
        times.append((reserved, inserted))
    _Shared.gate.wait()
    await database.close()
    bare.close()
    return times


def _insert(bare: Bare) -> int:
    began = perf_counter_ns()
    with _Shared.line.turn():
        bare.insert()
    return perf_counter_ns() - began
