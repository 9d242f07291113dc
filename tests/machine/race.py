"""Processes against one cap on one file, some of them stopped inside a transaction."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.sqlite import SQLite
from tests.ledger.examples import CLIP, Desk

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Race:
    """``while_stopped`` were admitted before the stopped processes went on, ``admitted`` in the end.

    ``busy`` counts the answers ``ledger busy``, which were repeated.
    """

    while_stopped: int
    admitted: int
    refused: int
    busy: int
    problems: list[str]


class Racer:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.process = process

    def say(self, line: str) -> None:
        self._in.write(f"{line}\n")
        self._in.flush()

    def hear(self) -> str:
        return self._out.readline().strip()

    def hear_until_stopped(self) -> list[str]:
        """What it says until it has stopped itself inside a transaction."""
        told = []
        while (word := self.hear()) != "inside":
            told.append(word)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return told

    def rest(self) -> list[str]:
        told = self._out.read().split()
        assert self.process.wait() == 0
        return told


async def race(ledger: Path, *, processes: int, stopped: int, fitting: int, clips: int = 2) -> Race:
    """``processes`` want ``clips`` each, ``fitting`` fit into the cap; ``stopped`` of them pause holding the lock.

    One after the other gets the lock and is stopped with it. While it is, the others only hear that the ledger is busy.
    """
    database = await SQLite.open(ledger, "real")
    desk = Desk(database)
    told: list[str] = []
    seen = 0
    with ExitStack() as stack:
        racers = [_start(stack, ledger, f"racer-{n}", fitting * CLIP, clips) for n in range(processes)]
        assert [racer.hear() for racer in racers] == ["ready"] * processes
        sleepers, others = racers[:stopped], racers[stopped:]
        for racer in sleepers:
            racer.say("pause")
            told += racer.hear_until_stopped()
            if racer is sleepers[0]:
                for other in others:
                    other.say("go")
                told.append(others[0].hear())
                seen = (await desk.spent(WALLET)).count
            racer.process.send_signal(signal.SIGCONT)
        for racer in racers:
            told += racer.rest()
    admitted = (await desk.spent(WALLET)).count
    problems = await check_ledger(database)
    await database.close()
    assert admitted == told.count("reserved")
    return Race(seen, admitted, told.count("refused"), told.count("busy"), problems)


def _start(stack: ExitStack, ledger: Path, owner: str, cap: int, clips: int) -> Racer:
    command = [sys.executable, "-m", "tests.machine.racer", str(ledger), owner, str(cap), str(clips)]
    process = stack.enter_context(
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    stack.callback(process.kill)
    return Racer(process)
