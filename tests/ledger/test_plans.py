"""How SQLite goes about the statements that run all the time: none may look through the history, or be planned anew."""

import apsw

from seedance_mcp.guard.usage import WALLET, WINDOWS
from seedance_mcp.ledger import alerts, approvals, jobs, payments, reservations, views
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Purchase, State
from tests.ledger.examples import ME, Desk, allow, intent

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


def scans(connection: apsw.Connection, sql: str, values: "apsw.Bindings | None") -> list[str]:
    """Where the plan goes through a whole table that grows with the history."""
    if not sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE")) or sql.rstrip().endswith("LIMIT 1"):
        return []
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    return [step for step in steps if step.startswith("SCAN") and step.split()[1] in GROWING and not is_partial(step)]


def is_partial(step: str) -> bool:
    return any(step.endswith(f"USING INDEX {name}") for name in ("purchases_open", "jobs_unfinished"))


async def test_no_statement_of_every_day_looks_through_the_history(desk: Desk) -> None:
    connection = connection_of(desk)
    seen: dict[str, apsw.Bindings | None] = {}

    def ran(_: apsw.Cursor, sql: str, values: "apsw.Bindings | None") -> bool:
        seen[sql] = values
        return True

    connection.exec_trace = ran
    await work(desk, "one")
    connection.exec_trace = None
    assert len(seen) > 40
    assert {sql: found for sql, values in seen.items() if (found := scans(connection, sql, values))} == {}


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
