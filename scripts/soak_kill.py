"""Kills servers at every point of a purchase, over and over, and compares their ledger with the chain."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import click

from seedance_mcp.money import usd
from tests.crash.customer import PRICE, Customer, make_customer
from tests.crash.victim import POINTS
from tests.e2e.home import PAYER
from tests.peers.chain import Anvil
from tests.peers.node import install
from tests.peers.x402_seller import X402Seller

FUNDS = 1_000_000_000


@dataclass(frozen=True)
class Row:
    """What ``runs`` kills at one point left behind. Money is micro-USD; all but the runs should be zero."""

    point: str
    runs: int
    over_cap: int
    double_settlements: int
    ledger_minus_chain: int
    clips_lost: int
    faults: int
    """Of the ledger, as it judges itself; payments that are not final; credentials beyond one for each purchase."""

    @property
    def clean(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self)[2:])


@click.command()
@click.option("--times", default=50, show_default=True, type=click.IntRange(1), help="Kills at each point.")
@click.option("--point", "points", multiple=True, type=click.Choice(list(POINTS)), help="Only here.")
@click.pass_context
def kill(context: click.Context, times: int, points: Sequence[str]) -> None:
    """Kill servers within purchases, let others go on, and compare ledger and chain; exit with 1 if they differ."""
    # The seller complains of every request that breaks off, and that is what happens here all the time.
    logging.disable()
    rows = []
    columns = [field.name.replace("_", " ") for field in fields(Row)]
    click.echo("  ".join([f"{columns[0]:14}", *columns[1:]]))
    with Anvil(install()) as node:
        for point in points or POINTS:
            with node.isolated() as chain, X402Seller(chain.url) as seller, TemporaryDirectory() as folder:
                chain.mint(PAYER, FUNDS)
                customer = make_customer(Path(folder) / "home", chain, seller)
                rows.append(anyio.run(kill_often, customer, point, times))
            click.echo(line(rows[-1]))
    clean = all(row.clean for row in rows)
    click.echo(f"{sum(row.runs for row in rows)} kills, {'nothing' if clean else 'SOMETHING'} went wrong")
    context.exit(not clean)


async def kill_often(customer: Customer, point: str, times: int) -> Row:
    """The cap is just enough for ``times`` clips: one unit counted too little or too much, and a purchase shows it."""
    customer.write_policy(total=usd(times * PRICE))
    since, faults = customer.chain.block_number(), list[str]()
    for number in range(times):
        prompt = f"waves number {number}"
        await customer.dies(point, prompt)
        faults += await customer.recover()
        await go_on(customer, prompt)
    await go_on(customer, "one clip more than the cap allows")
    customer.finalize()
    faults += await customer.recover()
    faults += [state for state in customer.states if state not in {"settled", "released"}]
    transfers = customer.chain.transfers(since)
    return Row(
        point=point,
        runs=times,
        over_cap=max(customer.debited - times * PRICE, 0),
        double_settlements=max(len(transfers) - times, 0),
        ledger_minus_chain=customer.counted - customer.debited,
        clips_lost=times - len(list(customer.home.clips.glob("*.mp4"))),
        faults=len(faults) + max(len(set(customer.seller.credentials)) - times, 0),
    )


async def go_on(customer: Customer, prompt: str) -> None:
    """Ask a server that lives for the clip, and wait for it if there is one."""
    async with customer.home.server() as agent:
        answer = (await customer.ask(agent, prompt)).structured_content
        if answer is not None and answer["job_id"] is not None:
            await agent.call("check_job", job_id=answer["job_id"], wait_seconds=50)


def line(row: Row) -> str:
    cells = [(field.name, getattr(row, field.name)) for field in fields(row)]
    return "  ".join([f"{row.point:14}", *(f"{value:>{len(name)}}" for name, value in cells[1:])])


if __name__ == "__main__":
    kill()
