"""What ``check_ledger`` tells of a ledger that somebody has damaged, past all of its triggers and constraints."""

from pathlib import Path

import apsw
import pytest

from seedance_mcp.ledger import jobs, payments
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.states import State
from tests.ledger.examples import ME, PATHS, Desk, intent


@pytest.fixture
async def full(desk: Desk) -> Desk:
    """A ledger with a payment in every state, the settled one with its job."""
    for state in PATHS:
        await desk.at(state, intent(state))
    given_up = await desk.at(State.UNKNOWN, intent("given up"))
    settled = await desk.at(State.SETTLED, intent("clip"))
    await desk.database.write(jobs.deliver, settled.purchase, "job-1", desk.now)
    desk.now += 300_000
    await desk.database.write(payments.beat, ME, desk.now)
    await desk.database.write(payments.write_off, given_up, desk.now)
    return desk


def damage(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(sql)
    connection.close()


async def test_a_ledger_with_payments_in_every_state_is_sound(full: Desk) -> None:
    assert await check_ledger(full.database) == []


OF = "WHERE purchase IN (SELECT id FROM purchases WHERE CAST(subject AS TEXT) = '{}')"
CLIP = OF.format("clip")
THAT = f"(SELECT purchase FROM payments {CLIP})"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"UPDATE payments SET amount = 0, fee = 1 {CLIP}", "has the amount 0 and the fee 1"),
        (f"UPDATE payments SET fee = -1 {CLIP}", "the fee -1"),
        (f"UPDATE payments SET rail = 'cheque' {CLIP}", "went over cheque"),
        (f"UPDATE payments SET nonce = NULL {CLIP}", "is settled without a signature"),
        (f"UPDATE payments SET nonce = x'01' {OF.format('reserved')}", "is reserved with a signature"),
        (f"UPDATE payments SET deadline = NULL {OF.format('sent')}", "without a durable record of what was signed"),
        (f"UPDATE payments SET path = NULL {OF.format('sent')}", "without a durable record of what was signed"),
        (f"UPDATE payments SET body = NULL {OF.format('sent')}", "without a durable record of what was signed"),
        (f"UPDATE payments SET counted_at = 7 {OF.format('unknown')}", "is unknown and counted at 7"),
        (f"UPDATE payments SET counted_at = {2**63 - 1} {CLIP}", "which its deadline does not allow"),
        (f"UPDATE payments SET counted_at = reserved_at - 1 {CLIP}", "which its deadline does not allow"),
        (
            f"UPDATE payments SET counted_at = counted_at - 1 {OF.format('claimed')}",
            "which its deadline does not allow",
        ),
        (f"UPDATE payments SET sealed = x'01' {CLIP}", "is final and still keeps its credential"),
        (f"UPDATE payments SET transaction_hash = NULL {CLIP}", "is settled without a transaction"),
        (f"UPDATE payments SET attempt = 2 {CLIP}", "has the attempts [2]"),
        (f"DELETE FROM payments {CLIP}", "has the attempts []"),
        (
            f"UPDATE payments SET purchase = {THAT}, attempt = 2 {OF.format('claimed')}",
            "has more than one payment that counts",
        ),
        (
            "UPDATE purchases SET key = x'01' WHERE subject IN (x'73656e74', x'756e6b6e6f776e')",
            "2 payments are open for the purchase",
        ),
        ("UPDATE totals SET amount = amount - 1 WHERE scope = 'wallet'", "the total of wallet is stored as"),
        ("UPDATE totals SET payments = payments + 1 WHERE scope = 'wallet'", "the total of wallet is stored as"),
        ("DELETE FROM totals WHERE scope = 'model:seedance'", "the total of model:seedance is not stored"),
        ("UPDATE sums SET amount = amount - 1 WHERE width = 60000", "is wrong by -1 amount"),
        ("UPDATE sums SET payments = payments - 1 WHERE width = 600000", "is wrong by -1 payments"),
        ("UPDATE sums SET x402 = x402 - 1 WHERE width = 7200000", "is wrong by -1 x402"),
        ("DELETE FROM sums WHERE width = 86400000", "in the 86400000 ms from"),
        (f"UPDATE jobs SET purchase = (SELECT purchase FROM payments {OF.format('released')})", "that is released"),
        ("UPDATE audit SET entry = '{}' WHERE seq = 3", "row 3 of the audit chain was changed"),
        ("UPDATE ledger SET audit_head = NULL", "the audit chain was cut off"),
        (f"UPDATE payments SET pay_to = '0xmine' {CLIP}", "is not what the audit chain says was signed"),
        (f"UPDATE payments SET state = 'expired' {CLIP}", "is expired, and the audit chain ends before that"),
    ],
)
async def test_each_damage_is_told(full: Desk, tmp_path: Path, sql: str, told: str) -> None:
    damage(tmp_path / "ledger.db", sql)
    assert any(told in problem for problem in await check_ledger(full.database)), await check_ledger(full.database)
