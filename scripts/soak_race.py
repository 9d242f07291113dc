"""Repeats the race of processes for one cap."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import click

from tests.machine.race import race as run_race

PROCESSES, STOPPED, FITTING = 16, 4, 11


@click.command()
@click.option("--times", default=20, show_default=True, type=click.IntRange(1))
def race(times: int) -> None:
    """16 processes against one cap, some of them stopped inside a transaction: exactly what fits is admitted."""
    click.echo(f"{'race':>6}{'fitting':>9}{'while stopped':>15}{'admitted':>10}{'busy':>7}{'violations':>12}")
    wrong = 0
    for number in range(1, times + 1):
        with TemporaryDirectory() as folder:
            seen = anyio.run(
                lambda path: run_race(path, processes=PROCESSES, stopped=STOPPED, fitting=FITTING),
                Path(folder) / "ledger.db",
            )
        violations = (seen.admitted != FITTING) + (seen.while_stopped > FITTING) + len(seen.problems)
        wrong += violations
        click.echo(f"{number:>6}{FITTING:>9}{seen.while_stopped:>15}{seen.admitted:>10}{seen.busy:>7}{violations:>12}")
    sys.exit(bool(wrong))
