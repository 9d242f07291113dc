import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from seedance_mcp.ledger import payments
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.states import State
from tests.ledger.examples import ANOTHER, CLIP, Desk, intent

ROOT = Path(__file__).parents[2]
PROCESSES = 5

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")


class Buyer:
    """A process of ``tests.ledger.buyer``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.signal = process.send_signal

    def told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> list[str]:
        """Everything that it says until it ends."""
        told, _ = self._process.communicate("\n\n")
        assert self._process.returncode == 0
        return told.split()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


Start = Callable[..., Buyer]


@pytest.fixture
def start(tmp_path: Path, desk: Desk) -> Iterator[Start]:
    """Starts a process on the ledger of ``desk`` and waits until it is ready."""
    with ExitStack() as stack:

        def start(owner: str, cap: int, *names: str) -> Buyer:
            command = [sys.executable, "-m", "tests.ledger.buyer", str(tmp_path / "ledger.db"), owner, str(cap), *names]
            process = stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            return Buyer(process)

        yield start


def start_all(start: Start, cap: int, names: Callable[[int], list[str]]) -> list[Buyer]:
    buyers = [start(f"buyer-{number}", cap, *names(number)) for number in range(PROCESSES)]
    assert [buyer.told() for buyer in buyers] == ["ready"] * PROCESSES
    for buyer in buyers:
        buyer.go_on()
    return buyers


async def test_processes_at_one_cap_buy_exactly_what_fits(desk: Desk, start: Start) -> None:
    fitting = 7
    buyers = start_all(start, fitting * CLIP + 1, lambda number: [f"{number}-{clip}" for clip in range(4)])
    told = Counter(word for buyer in buyers for word in buyer.end())
    assert told == {"reserved": fitting, "signed": fitting, "refused": PROCESSES * 4 - fitting}
    assert (await desk.spent()).total == fitting * CLIP
    assert await check_ledger(desk.database) == []


async def test_one_request_from_many_processes_is_one_payment(desk: Desk, start: Start) -> None:
    buyers = start_all(start, 100 * CLIP, lambda _: ["the same clip"] * 4)
    told = Counter(word for buyer in buyers for word in buyer.end())
    assert told["signed"] == 1
    assert told["refused"] == 0
    spent = await desk.spent()
    assert (spent.count, spent.total) == (1, CLIP)
    assert await check_ledger(desk.database) == []


@posix
async def test_the_reservation_of_a_killed_process_is_free_at_once(desk: Desk, start: Start) -> None:
    buyer = start("victim", CLIP, "dawn")
    buyer.go_on()
    assert [buyer.told(), buyer.told()] == ["ready", "reserved"]
    held = await desk.reserve(owner=ANOTHER)
    assert held.payment.owner == "victim"
    buyer.kill()
    again = await desk.reserve(owner=ANOTHER)
    assert (again.id, again.payment.owner, again.payment.attempt) == (held.id, ANOTHER, 2)
    assert (await desk.spent()).count == 1


@posix
async def test_a_stopped_process_that_is_continued_too_late_signs_nothing(desk: Desk, start: Start) -> None:
    buyer = start("sleeper", CLIP, "dawn")
    buyer.go_on()
    assert [buyer.told(), buyer.told()] == ["ready", "reserved"]
    buyer.signal(signal.SIGSTOP)
    desk.now += payments.LEASE - 1
    assert (await desk.reserve(owner=ANOTHER)).payment.owner == "sleeper"
    desk.now += 1
    taken = await desk.reserve(owner=ANOTHER)
    assert taken.payment.owner == ANOTHER
    assert await desk.sign(taken.payment, ANOTHER)
    buyer.signal(signal.SIGCONT)
    assert buyer.end() == ["lost"]
    assert (await desk.look(taken.payment)).state is State.SIGNED
    assert (await desk.spent()).count == 1
    assert await check_ledger(desk.database) == []


async def test_a_living_process_keeps_its_reservation(desk: Desk, start: Start) -> None:
    await desk.database.hold("me")
    held = await desk.reserve(intent())
    buyer = start("other", CLIP, "dawn")
    assert buyer.end() == ["ready", "known"]
    assert (await desk.look(held.payment)).owner == "me"
