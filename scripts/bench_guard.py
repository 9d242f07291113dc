"""What the spending guard costs, next to bare durable INSERTs on the same disk in the same run."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns

import anyio
import click
from bench_client import print_times
from bench_guard_crowd import measure_crowd, p99
from bench_guard_desk import ORIGIN, RAILS, TOKEN, Bare, Desk
from bench_guard_ledger import fill

from seedance_mcp.ledger import views
from seedance_mcp.ledger.sqlite import SQLite

DAY = 86_400_000
WARM_UPS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    ratio: float
    most: float

    @property
    def met(self) -> bool:
        return self.ratio <= self.most

    def __str__(self) -> str:
        return f"  {self.what:<58}{self.ratio:>7.2f}{self.most:>7.2f}  {'met' if self.met else 'MISSED'}"


def measure_guard(pairs: int, processes: int, rounds: int, entries: int) -> bool:
    """Print the figures; whether every limit is kept. Figures are medians of ratios within one pair or one round."""
    with TemporaryDirectory(prefix="seedance-bench-") as name:
        folder = Path(name)
        findings = [
            *anyio.run(_alone, folder, pairs),
            *_crowd(folder, processes, rounds),
            *(_grown(folder, pairs, entries) if entries else ()),
        ]
    click.echo(f"{'median ratio':<60}{'is':>7}{'most':>7}")
    for finding in findings:
        click.echo(str(finding))
    return all(finding.met for finding in findings)


async def _alone(folder: Path, pairs: int) -> list[Finding]:
    bare, database = Bare(folder / "bare.db"), await SQLite.open(folder / "alone.db", "real")
    desk = Desk(database)
    await database.hold(desk.owner)
    timed = [(bare.insert(), await desk.reserve(), await _decide(desk)) for _ in range(WARM_UPS + pairs)]
    await database.close()
    bare.close()
    timed = timed[WARM_UPS:]
    rows = dict(zip(("bare INSERT", "reserve", "decide"), zip(*timed, strict=True), strict=True))
    print_times(f"one process, {pairs} pairs", rows)
    return [
        Finding("a decision, to a bare INSERT", median(decision / insert for insert, _, decision in timed), 0.2),
        Finding("a reserve, to a bare INSERT", median(reserve / insert for insert, reserve, _ in timed), 2),
    ]


async def _decide(desk: Desk) -> int:
    now = time.time_ns() // 1_000_000
    seen = await desk.database.read(views.usage, desk.needed, ORIGIN, RAILS[0], TOKEN, now)
    began = perf_counter_ns()
    desk.rule(seen)
    return perf_counter_ns() - began


def _crowd(folder: Path, processes: int, rounds: int) -> Iterator[Finding]:
    measured = measure_crowd(folder, processes, rounds, each=30)
    rows = {
        "bare INSERT in a fair line": [int(p99(one.inserted)) for one in measured],
        "reserve": [int(p99(one.reserved)) for one in measured],
    }
    print_times(f"p99 of {processes} processes at once, {rounds} rounds", rows)
    yield Finding(
        f"p99 of a reserve, to a bare INSERT, {processes} processes", median(one.ratio for one in measured), 1
    )


def _grown(folder: Path, pairs: int, entries: int) -> Iterator[Finding]:
    for what, span in (("a year", 365 * DAY), ("a month", 30 * DAY)):
        began = perf_counter_ns()
        path = folder / f"{span}.db"
        fill(path, entries, span, time.time_ns() // 1_000_000)
        size, took = path.stat().st_size >> 20, (perf_counter_ns() - began) // 10**9
        click.echo(f"{entries:,} entries within {what}: {size:,} MiB, made in {took} s")
        timed = anyio.run(_both, folder / f"empty-{span}.db", path, pairs)
        path.unlink()
        print_times(f"reserve, {pairs} pairs", {"empty": [row[0] for row in timed], what: [row[1] for row in timed]})
        yield Finding(
            f"a reserve among {entries:,} within {what}, to one among none",
            median(large / empty for empty, large in timed),
            1.2,
        )


async def _both(empty: Path, large: Path, pairs: int) -> Sequence[tuple[int, int]]:
    desks = [Desk(await SQLite.open(path, "real")) for path in (empty, large)]
    for desk in desks:
        await desk.database.hold(desk.owner)
    timed = [(await desks[0].reserve(), await desks[1].reserve()) for _ in range(WARM_UPS + pairs)]
    for desk in desks:
        await desk.database.close()
    return timed[WARM_UPS:]
