"""Kills servers at every point of a purchase, over and over, and compares their ledger with the chain."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import click

from seedance_mcp.money import usd
from tests.crash.customer import PRICE, Customer, make_customer
from tests.crash.nursery import Nursery
from tests.crash.victim import POINTS
from tests.peers.chain import Anvil
from tests.peers.mppx import Mppx
from tests.peers.mppx_seller import SPONSOR_KEY, MppxSeller
from tests.peers.node import install
from tests.peers.tempo import Tempo
from tests.peers.x402_seller import PAY_TO, X402Seller

OVER_TEMPO = [point for point in POINTS if "P3" <= point < "P9"]
"""Where the rails are not the same."""
FINAL_EACH = 10
"""Runs after which the chain is final and the books are compared."""


@dataclass(frozen=True)
class Row:
    """What ``runs`` kills at one point left behind. Money is micro-USD; the numbers in ``wrong`` should be zero."""

    rail: str
    point: str
    runs: int
    wrong: dict[str, int]
    milliseconds: int

    @property
    def clean(self) -> bool:
        return not any(self.wrong.values())


COLUMNS = ("debits beyond one", "double settlements", "ledger minus chain", "over cap", "clips lost", "faults")
"""Faults: what the ledger finds in itself, payments that are not final, credentials beyond one for each purchase."""


@click.command()
@click.option("--runs", default=100, show_default=True, type=click.IntRange(1), help="Kills at each point.")
@click.option("--point", "points", multiple=True, type=click.Choice(list(POINTS)), help="Only here.")
@click.option("--rail", "rails", multiple=True, type=click.Choice(["x402", "mpp"]), help="Only over this one.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1))
@click.pass_context
def kill(context: click.Context, runs: int, points: Sequence[str], rails: Sequence[str], workers: int) -> None:
    """Kill servers within purchases, let others go on, and compare ledger and chain; exit with 1 if they differ."""
    places = [("x402", point) for point in POINTS] + [("mpp", point) for point in OVER_TEMPO]
    places = [(rail, point) for rail, point in places if rail in (rails or (rail,)) and point in (points or (point,))]
    install()
    rows: dict[tuple[str, str], Row] = {}
    begun = time.monotonic_ns()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(kill_at, rail, point, runs) for rail, point in places]
        try:
            for task in as_completed(tasks):
                row = task.result()
                rows[row.rail, row.point] = row
                found = "nothing" if row.clean else str(row.wrong)
                click.echo(f"{len(rows)} of {len(places)}: {row.point} over {row.rail}, {found} wrong", err=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    click.echo(f"{'rail':6}{'point':16}{'runs':>6}  " + "  ".join(COLUMNS) + f"{'ms a run':>10}")
    for place in places:
        click.echo(line(rows[place]))
    clean = all(row.clean for row in rows.values())
    minutes = (time.monotonic_ns() - begun) // 60_000_000_000
    click.echo(f"{runs * len(places)} kills in {minutes} min, {'nothing' if clean else 'SOMETHING'} went wrong")
    context.exit(not clean)


def line(row: Row) -> str:
    cells = "  ".join(f"{row.wrong[name]:>{len(name)}}" for name in COLUMNS)
    return f"{row.rail:6}{row.point:16}{row.runs:>6}  {cells}{row.milliseconds // row.runs:>10}"


def kill_at(rail: str, point: str, runs: int) -> Row:
    # The seller complains of every request that breaks off, and that is what happens here all the time.
    logging.disable()
    begun = time.monotonic_ns()
    with customer_on(rail) as customer:
        wrong = anyio.run(kill_often, customer, point, runs)
    return Row(rail, point, runs, wrong, (time.monotonic_ns() - begun) // 1_000_000)


@contextmanager
def customer_on(rail: str) -> Iterator[Customer]:
    """A customer of a seller and a chain that are there for this point alone."""
    modules = install()
    with ExitStack() as stack:
        seller: X402Seller
        chain: Anvil | Tempo
        if rail == "x402":
            chain = stack.enter_context(Anvil(modules))
            seller = stack.enter_context(X402Seller(chain.url))
        else:
            chain = stack.enter_context(Tempo(modules))
            till = stack.enter_context(Mppx("mppx_till.mjs", chain.url, PAY_TO, SPONSOR_KEY))
            seller = stack.enter_context(MppxSeller(till, chain.url))
        nursery = stack.enter_context(Nursery())
        folder = stack.enter_context(TemporaryDirectory())
        yield make_customer(Path(folder) / "home", chain, seller, nursery)


async def kill_often(customer: Customer, point: str, runs: int) -> dict[str, int]:
    """The cap is just enough for ``runs`` clips: one unit counted too little or too much, and a purchase shows it.

    Over Tempo their fees are not known before, so that the cap has room for the dearest ones.
    """
    cap = runs * customer.held
    customer.write_policy(total=usd(cap))
    wrong = Counter(dict.fromkeys(COLUMNS, 0))
    for number in range(1, runs + 1):
        prompt = f"waves number {number}"
        before = len(customer.debits)
        await customer.dies(point, prompt)
        wrong["faults"] += len(await customer.recover())
        await go_on(customer, prompt)
        wrong["debits beyond one"] += max(len(customer.debits) - before - 1, 0)
        if number % FINAL_EACH == 0 or number == runs:
            customer.finalize()
            customer.set_clock()
            wrong["faults"] += len(await customer.recover())
            wrong["ledger minus chain"] += abs(customer.counted - customer.debited)
    if customer.held == PRICE:
        await go_on(customer, "one clip more than the cap allows")
    settled = Counter(row["purchase"] for row in customer.home.payments() if row["state"] == "settled")
    wrong["double settlements"] = sum(times - 1 for times in settled.values())
    wrong["over cap"] = max(customer.debited - cap, 0)
    wrong["clips lost"] = runs - len(list(customer.home.clips.glob("*.mp4")))
    wrong["faults"] += sum(state not in {"settled", "released", "expired"} for state in customer.states)
    wrong["faults"] += max(len(set(customer.seller.credentials)) - runs, 0)
    return dict(wrong)


async def go_on(customer: Customer, prompt: str) -> None:
    """Ask a server that lives for the clip, and wait for it if there is one."""
    async with customer.server() as agent:
        answer = (await customer.insist(agent, prompt)).structured_content
        if answer is not None and answer["job_id"] is not None:
            await agent.call("check_job", job_id=answer["job_id"], wait_seconds=50)


if __name__ == "__main__":
    kill()
