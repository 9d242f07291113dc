"""How SQLite goes about the statements that run all the time: none may look through the history, or be planned anew."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from seedance_mcp.guard.usage import WALLET, WINDOWS
from seedance_mcp.ledger import alerts, approvals, entries, history, jobs, payments, reservations, views
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Purchase, State
from tests.ledger.examples import CLIP, ME, NOW, USDC, Desk, allow, intent

Statements = dict[str, "apsw.Bindings | None"]
GROWING = {"payments", "purchases", "jobs", "uploads", "approvals", "audit", "sums", "refunds"}


async def work(desk: Desk, name: str) -> None:
    """A purchase with its clip, an upload, and a round of everything that looks after them."""
    needed = [(scope, window) for scope in (WALLET, "model:seedance", "agent:storyboard") for window in WINDOWS]
    read, write = desk.database.read, desk.database.write
    purchase = await desk.ask(intent(name), needed=needed)
    assert isinstance(purchase, Purchase)
    payment = purchase.payment
    await read(views.open_payments)
    for state in (State.SIGNED, State.SENT, State.UNKNOWN, State.CLAIMED, State.SETTLED):
        await desk.move(payment, state)
    await write(jobs.deliver, payment.purchase, f"job-{name}", desk.now)
    await write(jobs.watch, ME, desk.now)
    await write(
        jobs.update, f"job-{name}", status="loading", progress=50, video_url=None, thumbnail_url=None,
        links_die_at=None, error=None, now=desk.now,
    )  # fmt: skip
    await write(jobs.save_clip, f"job-{name}", f"/clips/{name}.mp4", desk.now)
    await write(jobs.leave, ME)
    await write(payments.release_abandoned, ME, desk.now)
    await write(payments.release_own, ME, desk.now)
    await read(reservations.foresee, intent(name), needed, allow, desk.now)
    for statement in (jobs.unfinished, jobs.left, jobs.without_job):
        await read(statement)
    await read(jobs.pending, "storyboard", desk.now)
    await read(approvals.waiting, desk.now)
    await read(alerts.unanswered, desk.now)


def connection_of(desk: Desk) -> apsw.Connection:
    assert isinstance(desk.database, SQLite)
    return desk.database._connection


@contextmanager
def traced(desk: Desk) -> Iterator[Statements]:
    """The statements that run in the block, with their values."""
    seen: Statements = {}

    def ran(_: apsw.Cursor, sql: str, values: "apsw.Bindings | None") -> bool:
        seen[sql] = values
        return True

    connection = connection_of(desk)
    connection.exec_trace = ran
    yield seen
    connection.exec_trace = None


def scanning(desk: Desk, seen: Statements) -> dict[str, list[str]]:
    connection = connection_of(desk)
    return {sql: found for sql, values in seen.items() if (found := scans(connection, sql, values))}


def scans(connection: apsw.Connection, sql: str, values: "apsw.Bindings | None") -> list[str]:
    """Where the plan goes through a whole table that grows with the history."""
    if not sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE")) or " LIMIT " in sql:
        return []
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    return [step for step in steps if step.startswith("SCAN") and step.split()[1] in GROWING and not is_partial(step)]


def is_partial(step: str) -> bool:
    return any(step.endswith(f"USING INDEX {name}") for name in ("purchases_open", "jobs_unfinished"))


async def test_no_statement_of_every_day_looks_through_the_history(desk: Desk) -> None:
    with traced(desk) as seen:
        await work(desk, "one")
    assert len(seen) > 40
    assert scanning(desk, seen) == {}


async def steps(desk: Desk) -> int:
    """Instructions of SQLite's machine that a decision takes."""
    taken = 0

    def step() -> bool:
        nonlocal taken
        taken += 1
        return False

    needed = [(WALLET, window) for window in WINDOWS]
    connection = connection_of(desk)
    connection.set_progress_handler(step, 1)
    await desk.database.read(reservations.foresee, intent("next"), needed, allow, desk.now)
    connection.set_progress_handler(None)
    return taken


async def test_what_is_claimed_and_not_final_yet_costs_a_decision_nothing(desk: Desk) -> None:
    async def claim(number: int) -> None:
        for _ in range(number):
            await desk.at(State.CLAIMED, intent(secrets.token_hex(8)))

    await claim(2)
    few = await steps(desk)
    await claim(100)
    assert await steps(desk) == few


async def test_the_list_of_clips_does_not_look_through_the_history(desk: Desk) -> None:
    with traced(desk) as seen:
        await desk.database.read(history.clips, 10, desk.now)
    assert scanning(desk, seen) == {}


async def test_a_transfer_is_told_from_own_payments_without_a_look_through_the_history(desk: Desk) -> None:
    transfer = entries.Seen("mpp", "eip155:4217", USDC, "0xpayer", "0xother", CLIP, "0xhash", 0, NOW, (b"memo",))
    with traced(desk) as seen:
        assert await desk.database.write(entries.scanned, [transfer], "0xpayer", "eip155:4217", desk.now) == 1
    assert scanning(desk, seen) == {}


async def test_no_statement_of_every_day_is_planned_twice(desk: Desk) -> None:
    planned = []

    def asked(action: int, *_: object) -> int:
        """SQLite asks for permission when it plans."""
        planned.append(action)
        return apsw.SQLITE_OK

    connection_of(desk).authorizer = asked
    await work(desk, "one")
    assert planned
    planned.clear()
    await work(desk, "two")
    assert planned == []
