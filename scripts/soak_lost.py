"""Kills clients and their servers at random moments, and looks whether what was paid is on the disk in the end."""

import logging
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import click
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from eth_account import Account
from eth_utils.crypto import keccak
from starlette.types import Receive, Scope, Send

from seedance_mcp.app import open_app
from seedance_mcp.heir import AFTER_SERVER
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.states import UNCOUNTED
from seedance_mcp.rails.rail import MARGIN
from seedance_mcp.settings import Settings
from tests.crash.customer import FINALITY, hang_up, make_room
from tests.e2e.home import Home, make_home
from tests.peers.chain import Anvil
from tests.peers.mppx import Mppx
from tests.peers.mppx_seller import SPONSOR_KEY, MppxSeller
from tests.peers.node import install
from tests.peers.studio import Job
from tests.peers.tempo import Tempo
from tests.peers.x402_seller import PAY_TO, X402Seller

ROOT = Path(__file__).resolve().parent.parent
FUNDS = 1_000_000
LONGEST_CALL, LONGEST_RENDERING = 6_000, 4_000
"""Milliseconds within which a server is killed after its call began, and within which a clip is rendered."""
PAYING = 800
"""Milliseconds that follow a reservation, in which half of the servers are killed."""
PATIENCE = 180
"""Seconds after which a clip that nobody has saved is lost."""
COLUMNS = ("clips lost", "ledger minus chain", "debits beyond one", "faults")


class Rendering(dict[str, Job]):
    """The seller's jobs, each complete a random while after it was made."""

    def __init__(self, moments: random.Random) -> None:
        super().__init__()
        self._moments = moments
        self._ready_at: dict[str, int] = {}

    def __setitem__(self, job_id: str, job: Job) -> None:
        self._ready_at[job_id] = time.monotonic_ns() + self._moments.randrange(LONGEST_RENDERING) * 1_000_000
        super().__setitem__(job_id, job)

    def get(self, job_id: str, default: Any = None) -> Any:  # noqa: ANN401 - as of dict
        job = super().get(job_id, default)
        if job is not None and time.monotonic_ns() >= self._ready_at[job_id]:
            job.status, job.progress = "complete", 100
        return job


class Busy(X402Seller):
    """Counts the requests that a seller has not answered yet: their payments may still arrive on the chain."""

    open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.open -= 1


class BusyMppxSeller(Busy, MppxSeller):
    pass


@dataclass(frozen=True)
class Shop:
    """A chain and who sells on it; ``image`` is a picture that the seller has."""

    chain: Anvil | Tempo
    seller: Busy
    image: str

    async def is_quiet(self) -> None:
        """Wait until no payment is on its way any more; what was written to a socket has long been read then."""
        await anyio.sleep(1)
        await until(lambda: self.seller.open == 0)


@dataclass(frozen=True)
class Run:
    """One customer with a wallet of its own. ``delay`` milliseconds, after the reservation if ``paying``."""

    number: int
    rail: str
    shop: Shop
    home: Home
    address: str
    paying: bool
    delay: int
    heir_dies: bool

    @property
    def debited(self) -> int:
        return FUNDS - self.shop.chain.balance(self.address)

    @property
    def clips(self) -> int:
        return len(list(self.home.clips.glob("*.mp4")))

    @property
    def counted(self) -> int:
        return sum(row["amount"] + row["fee"] for row in self.payments() if row["state"] not in UNCOUNTED)

    def payments(self) -> list[dict[str, Any]]:
        with suppress(sqlite3.OperationalError):  # the ledger is just being made
            return self.home.payments()
        return []

    @cached_property
    def _mark(self) -> bytes:
        return f"SEEDANCE_LEDGER=sqlite:{self.home.ledger}\0".encode()

    def heirs(self) -> list[int]:
        """The processes that wait for the server's end, or took over from it."""
        return [process for process in _processes(AFTER_SERVER.encode()) if self._mark in _read(process, "environ")]

    def end_heirs(self) -> None:
        while heirs := self.heirs():
            for heir in heirs:
                _kill(heir)
            time.sleep(0.01)


@click.command()
@click.option("--runs", default=300, show_default=True, type=click.IntRange(1))
@click.option("--at-once", default=6, show_default=True, type=click.IntRange(1), help="Customers at the same time.")
@click.option("--seed", default=1, show_default=True, help="The same one gives the same moments.")
@click.option("--only", type=int, help="Just the run with this number.")
@click.pass_context
def lost(context: click.Context, runs: int, at_once: int, seed: int, only: int | None) -> None:
    """Kill clients and servers at random moments; exit with 1 if a clip that was paid is not on the disk."""
    logging.disable()
    begun = time.monotonic_ns()
    with TemporaryDirectory() as folder, shops(seed) as both:
        planned = [plan(Path(folder), both, seed, number) for number in range(1, runs + 1) if only in (None, number)]
        for run in planned:
            run.shop.chain.mint(run.address, FUNDS)
        wrong, seen = anyio.run(lose_all, planned, at_once)
    seconds = (time.monotonic_ns() - begun) // 10**9
    click.echo(f"{'rail':6}{'runs':>6}{'paid':>6}{'unpaid':>8}{'heir killed':>13}  " + "  ".join(COLUMNS))
    for rail in both:
        told = "".join(f"{seen[rail, name]:>{width}}" for name, width in WIDTHS.items())
        click.echo(f"{rail:6}{told}  " + "  ".join(f"{wrong[rail, name]:>{len(name)}}" for name in COLUMNS))
    clean = not any(wrong.values())
    click.echo(f"seed {seed}, {seconds} s, {seconds * 1000 // len(planned)} ms a run, ", nl=False)
    click.echo(f"{'nothing' if clean else 'SOMETHING'} went wrong")
    context.exit(not clean)


WIDTHS = {"runs": 6, "paid": 6, "unpaid": 8, "heir killed": 13}


@contextmanager
def shops(seed: int) -> Iterator[dict[str, Shop]]:
    """One for each rail."""
    modules = install()
    with ExitStack() as stack:
        base, tempo = stack.enter_context(Anvil(modules)), stack.enter_context(Tempo(modules))
        till = stack.enter_context(Mppx("mppx_till.mjs", tempo.url, PAY_TO, SPONSOR_KEY))
        sellers = (
            stack.enter_context(Busy(base.url)),
            stack.enter_context(BusyMppxSeller(till, base.url)),
        )
        for seller in sellers:
            seller.studio.jobs = Rendering(random.Random(seed))  # noqa: S311 - moments, not secrets
        over_base, over_tempo = sellers
        yield {
            "x402": Shop(base, over_base, hang_up(over_base)),
            "mpp": Shop(tempo, over_tempo, hang_up(over_tempo)),
        }


def plan(folder: Path, both: dict[str, Shop], seed: int, number: int) -> Run:
    moments = random.Random(f"{seed} {number}")  # noqa: S311
    rail = moments.choice(["x402", "mpp"])
    shop, key = both[rail], "0x" + keccak(text=f"soak lost {seed} {number}").hex()
    home = make_home(
        folder / str(number),
        STUDIO_URL=shop.seller.origin,
        BLOB_URL=f"{shop.seller.origin}/blob/",
        BASE_RPC_URL=shop.chain.url,
        TEMPO_RPC_URL=shop.chain.url,
        PRIVATE_KEY=key,
    )
    make_room(home)
    paying = moments.random() < 0.5
    delay = moments.randrange(PAYING if paying else LONGEST_CALL)
    heir_dies = moments.random() < 0.5
    return Run(number, rail, shop, home, Account.from_key(key).address, paying, delay, heir_dies)


async def lose_all(planned: list[Run], at_once: int) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """What went wrong, and what happened, by rail."""
    wrong: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    turns = anyio.CapacityLimiter(at_once)

    async def take_turn(run: Run) -> None:
        async with turns:
            try:
                found = await lose(run)
            finally:
                run.end_heirs()
        when = f"{'paying' if run.paying else 'asked'} + {run.delay} ms"
        click.echo(f"{run.number:>4} {run.rail:5} {when:18} {'no heir' if run.heir_dies else '':8} {found}", err=True)
        wrong[run.rail, "clips lost"] += found == "CLIP LOST"
        for name, happened in (("runs", True), ("paid", run.debited > 0), ("heir killed", run.heir_dies)):
            seen[run.rail, name] += happened
        seen[run.rail, "unpaid"] += run.debited == 0

    async with anyio.create_task_group() as group:
        for run in planned:
            group.start_soon(take_turn, run)
    outlast(planned)
    for run in planned:
        wrong[run.rail, "faults"] += len(await recover(run))
        wrong[run.rail, "ledger minus chain"] += abs(run.counted - run.debited)
        paid = [row for row in run.payments() if row["state"] == "settled"]
        wrong[run.rail, "debits beyond one"] += max(len(paid) - 1, 0)
        wrong[run.rail, "faults"] += sum(
            row["state"] not in {"settled", "expired", "released"} for row in run.payments()
        )
    return wrong, seen


async def lose(run: Run) -> str:
    """Kill client and server at the moment that was planned, and let their heir, or ``collect``, go on."""
    async with started(run) as (client, server):
        if run.paying:
            await reserved(run)
        await anyio.sleep(run.delay / 1000)
        for process in (client.pid, server):
            _kill(process)
        if run.heir_dies:
            run.end_heirs()
        await client.wait()
    await run.shop.is_quiet()
    if run.heir_dies:
        collect = [sys.executable, "-m", "seedance_mcp", "collect"]
        with anyio.move_on_after(PATIENCE):
            await anyio.run_process(collect, env=run.home.env, cwd=ROOT)
    elif run.debited:
        await until(lambda: run.heirs() == [])
    if run.debited and not run.clips:
        return "CLIP LOST"
    return "clip saved" if run.clips else "nothing paid"


@asynccontextmanager
async def started(run: Run) -> AsyncIterator[tuple[Process, int]]:
    """A client that has asked its server for a clip, and the server's process id; both are gone in the end."""
    command = [sys.executable, "-m", "tests.crash.client", f"waves {run.number}", run.shop.image]
    with run.home.stderr.open("a") as log:
        client = await anyio.open_process(command, env=run.home.env, cwd=ROOT, stderr=log)
    async with client:
        assert client.stdout is not None
        first = await anext(aiter(TextReceiveStream(client.stdout)))
        server = int(first.split()[1])
        try:
            yield client, server
        finally:
            for process in (client.pid, server):
                _kill(process)


async def reserved(run: Run) -> None:
    """Wait until the server has reserved the price."""
    await until(lambda: run.payments() != [], 0.01)


async def until(happened: Callable[[], bool], pause: float = 0.2) -> None:
    """Give up after a while: what did not happen is seen by what it should have left."""
    with anyio.move_on_after(PATIENCE):
        while not happened():  # noqa: ASYNC110 - processes, files and chains have no event here
            await anyio.sleep(pause)


def outlast(planned: list[Run]) -> None:
    """Whatever was signed and not used never will be, and the chain says so."""
    deadlines = [row["deadline"] for run in planned for row in run.payments() if row["deadline"]]
    for chain in {run.rail: run.shop.chain for run in planned}.values():
        chain.set_next_timestamp(max([int(time.time()), *deadlines]) + MARGIN + 1)
        chain.mine()
        chain.mine(FINALITY)


async def recover(run: Run) -> list[str]:
    """What is wrong with the ledger after one sweep of the recovery."""
    async with open_app(Settings.from_env(dict(run.home.env))) as app:
        await app.recovery.sweep()
        return await check_ledger(app.database)


def _processes(word: bytes) -> list[int]:
    """Those with ``word`` in their command line."""
    numbers = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [number for number in numbers if word in _read(number, "cmdline")]


def _read(process: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process}/{name}").read_bytes()
    return b""


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    lost()
