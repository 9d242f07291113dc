"""Processes that queue for their turn, with one of them stopped or killed in it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from seedance_mcp.ledger import turns
from seedance_mcp.ledger.turns import Turns

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no queue")

ROOT = Path(__file__).parents[2]
PATIENCE = 60
VISITOR = """
import sys
from pathlib import Path
from seedance_mcp.ledger import turns
from seedance_mcp.ledger.turns import Turns
queue, diary, name, look, bells = sys.argv[1:]
turns.LOOK, turns.BELLS = float(look), int(bells)
with Turns(Path(queue)).turn(600):
    with open(diary, "a") as file:
        file.write(name)
    print("in", flush=True)
    sys.stdin.readline()
"""
Visitor = subprocess.Popen[str]


class Visit(Protocol):
    def __call__(self, name: str, look: float = ..., bells: int = ...) -> Visitor: ...


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Visit]:
    """Starts a process that stays in its turn until it gets a line, and waits until it has drawn its number."""
    with ExitStack() as stack:

        def visit(name: str, look: float = turns.LOOK, bells: int = turns.BELLS) -> Visitor:
            before = drawn(tmp_path)
            settings = [str(tmp_path / "queue"), str(tmp_path / "diary"), name, str(look), str(bells)]
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", VISITOR, *settings],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            while drawn(tmp_path) == before:
                assert process.poll() is None
            return process

        yield visit


def drawn(folder: Path) -> bytes:
    queue = folder / "queue"
    return queue.read_bytes()[:8] if queue.exists() else b""


def inside(visitor: Visitor) -> None:
    assert visitor.stdout is not None
    assert visitor.stdout.readline() == "in\n"


def waited(folder: Path, seconds: float) -> float:
    queue = Turns(folder / "queue")
    began = time.monotonic()
    with queue.turn(seconds):
        took = time.monotonic() - began
    queue.close()
    return took


def test_turns_are_taken_in_the_order_of_arrival(tmp_path: Path, visit: Visit) -> None:
    visitors = [visit(name) for name in "abcdef"]
    for number, visitor in enumerate(visitors, start=1):
        inside(visitor)
        assert (tmp_path / "diary").read_text() == "abcdef"[:number], "one at a time"
        visitor.communicate("\n")


def test_whoever_is_done_rings_for_the_next(tmp_path: Path, visit: Visit) -> None:
    visitors = [visit(name, look=10 * PATIENCE) for name in "abc"]
    for visitor in visitors:
        inside(visitor)
        visitor.communicate("\n")


def test_processes_that_share_a_bell_wait_on_when_it_was_rung_for_another(tmp_path: Path, visit: Visit) -> None:
    visitors = [visit(name, bells=1) for name in "abcdef"]
    for number, visitor in enumerate(visitors, start=1):
        inside(visitor)
        assert (tmp_path / "diary").read_text() == "abcdef"[:number]
        visitor.communicate("\n")


@pytest.mark.parametrize("what", ["no folder", "no pipe", "a link"])
def test_without_pipes_everybody_looks_again(tmp_path: Path, visit: Visit, what: str) -> None:
    bells = tmp_path / "queue-bells"
    (tmp_path / "other").write_text("of somebody else")
    if what == "a link":
        bells.mkdir()
        for number in range(turns.BELLS):
            (bells / str(number)).symlink_to(tmp_path / "other")
    elif what == "no folder":
        bells.write_text("")
    else:
        bells.mkdir()
        for number in range(turns.BELLS):
            (bells / str(number)).write_text("")
    visitors = [visit(name) for name in "ab"]
    for visitor in visitors:
        inside(visitor)
        visitor.communicate("\n")
    assert (tmp_path / "other").read_text() == "of somebody else"


def test_the_turn_of_a_killed_process_is_over(tmp_path: Path, visit: Visit) -> None:
    victim = visit("a")
    inside(victim)
    follower = visit("b")
    victim.kill()
    inside(follower)
    follower.communicate("\n")
    assert waited(tmp_path, PATIENCE) < PATIENCE


@pytest.mark.parametrize("is_in", [True, False])
def test_a_stopped_process_is_waited_for_so_long_and_no_longer(tmp_path: Path, visit: Visit, is_in: bool) -> None:
    first = visit("a")
    inside(first)
    stopped = first if is_in else visit("b")
    stopped.send_signal(signal.SIGSTOP)
    if not is_in:
        first.communicate("\n")
    assert waited(tmp_path, 0.05) >= 0.05
    assert waited(tmp_path, PATIENCE) < PATIENCE, "it stands in the way of one other only"
    stopped.send_signal(signal.SIGCONT)


def test_a_queue_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "queue").symlink_to("/dev/full")
    assert waited(tmp_path, PATIENCE) < PATIENCE


def test_a_damaged_queue_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "queue").write_bytes(b"\xff" * 8)
    assert waited(tmp_path, PATIENCE) < PATIENCE
    assert waited(tmp_path, PATIENCE) < PATIENCE
