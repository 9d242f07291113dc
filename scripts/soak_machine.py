"""Runs the state machine of money for as many steps as asked, in worker processes."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import click

from tests.machine.running import Tally, run

EXAMPLES = 200
"""In one task of a worker."""
STEPS = 60


@click.command()
@click.option("--steps", default=100_000, show_default=True, type=click.IntRange(1), help="Of both stores together.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1))
@click.option("--store", "stores", multiple=True, type=click.Choice(["memory", "file"]), help="Only this store.")
def machine(steps: int, workers: int, stores: tuple[str, ...]) -> None:
    """Sequences of everything that can happen, judged after every step."""
    chosen = stores or ("memory", "file")
    failures: list[str] = []
    click.echo(f"{'store':8}{'sequences':>12}{'steps':>12}{'steps/s':>10}{'violations':>12}")
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for store in chosen:
            total, begun = Tally(), monotonic()
            while total.steps < steps // len(chosen) and not failures:
                for tally in pool.map(_work, [store] * workers):
                    total += tally
                    failures += [tally.failure] if tally.failure else []
            pace = total.steps // max(int(monotonic() - begun), 1)
            click.echo(f"{store:8}{total.sequences:>12}{total.steps:>12}{pace:>10}{len(failures):>12}")
    for failure in failures:
        click.echo(failure)
    sys.exit(bool(failures))


def _work(store: str) -> Tally:
    with TemporaryDirectory() as folder:
        return run(Path(folder) / "ledger.db" if store == "file" else None, examples=EXAMPLES, steps=STEPS)
