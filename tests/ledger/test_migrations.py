"""A ledger of the first schema, with a payment in every state that there was, opened by this version."""

from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import apsw
import pytest

import seedance_mcp.ledger
from seedance_mcp.errors import LedgerError
from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger import entries, payments, views
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import NEVER, UNCOUNTED, State
from tests.guard.examples import PAY_TO
from tests.ledger.examples import CLIP, NOW, SELLER, USDC, VALID, Desk, intent

STATES = ["reserved", "released", "signed", "sent", "unknown", "claimed", "settled", "expired", "intended"]
SIGNED = {"signed", "sent", "unknown", "claimed", "settled", "expired"}
OPEN = {"reserved", "signed", "sent", "unknown"}
FINAL = {"released", "settled", "expired"}
DEADLINE = NOW // 1000 + VALID


def first_schema() -> str:
    return (resources.files(seedance_mcp.ledger) / "migrations" / "0001_first.sql").read_text(encoding="utf-8")


def payment(number: int, state: str) -> dict[str, Any]:
    signed = state in SIGNED
    return {
        "id": number,
        "purchase": f"pur_{number}",
        "attempt": 1,
        "serial": 0,
        "state": state,
        "owner": "me" if state in OPEN else "",
        "agent": "storyboard",
        "model": "seedance",
        "rail": "x402",
        "network": "eip155:8453",
        "token": USDC,
        "origin": SELLER,
        "payer": "0xpayer",
        "pay_to": PAY_TO,
        "amount": CLIP + number,
        "fee": 0,
        "policy": "digest",
        "nonce": bytes([number]) * 32 if signed else None,
        "deadline": DEADLINE if signed else None,
        "path": "/api/generate" if signed else None,
        "body": "{}" if signed else None,
        "sealed": b"sealed" if signed and state not in FINAL else None,
        "note": "why" if state == "unknown" else None,
        "transaction_hash": f"0x{number}" if state in {"claimed", "settled"} else None,
        "reserved_at": NOW + number,
        "sent_at": NOW + 1 if signed and state != "signed" else None,
        "ended_at": NOW + 2 if state in {*FINAL, "claimed"} else None,
        "counted_at": NEVER if state in OPEN else DEADLINE * 1000 if state == "claimed" else NOW + number,
    }


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The old file, as its own statements would have left it: every payment was reserved first."""
    path = tmp_path / "ledger.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(first_schema())
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO ledger (only_row, id, kind, created_at, clock) VALUES (1, 'one', 'real', 1, 2)")
        for number, state in enumerate(STATES, start=1):
            row = payment(number, state)
            connection.execute(
                """INSERT INTO purchases (id, key, subject, agent, model, take, request, created_at)
                   VALUES (:purchase, :key, :key, :agent, :model, 1, '{}', :reserved_at)""",
                row | {"key": f"key {number}".encode()},
            )
            names = ", ".join(row)
            connection.execute(f"INSERT INTO payments ({names}) VALUES ({', '.join(f':{name}' for name in row)})", row)
    return path


def dump(path: Path, query: str) -> list[Any]:
    with closing(apsw.Connection(str(path))) as connection:
        return list(connection.execute(query))


async def migrated(path: Path) -> Desk:
    return Desk(await SQLite.open(path, "real"))


async def test_every_row_and_every_total_is_kept(old: Path) -> None:
    queries = [
        f"SELECT {', '.join(payment(1, 'sent'))} FROM payments ORDER BY id",
        "SELECT id, key, subject, agent, model, take, request, created_at, closed FROM purchases ORDER BY id",
        "SELECT * FROM totals ORDER BY scope",
    ]
    before = [dump(old, query) for query in queries]
    desk = await migrated(old)
    await desk.database.close()
    assert [len(rows) for rows in before] == [len(STATES), len(STATES), 3]
    assert [dump(old, query) for query in queries] == before
    assert dump(old, "SELECT DISTINCT kind FROM purchases") == [("bought",)]
    assert dump(old, "SELECT DISTINCT signed_hash FROM payments") == [(None,)]
    assert dump(old, "SELECT name FROM sqlite_master WHERE name = 'payments_of_0001'") == []
    assert dump(old, "PRAGMA foreign_key_check") == []


async def test_the_sums_of_every_window_are_those_of_the_counted_rows(old: Path) -> None:
    desk = await migrated(old)
    counted = sum(CLIP + n for n, state in enumerate(STATES, 1) if state not in UNCOUNTED)
    for window in ("hour", "total"):
        spent = await desk.spent(WALLET, window)
        assert (spent.total, spent.count) == (counted, 6)
    await desk.database.close()


async def test_a_second_opening_changes_nothing(old: Path) -> None:
    for _ in range(2):
        desk = await migrated(old)
        await desk.database.close()
    (version,) = dump(old, "PRAGMA user_version")
    assert version[0] >= 2
    assert len(dump(old, "SELECT * FROM payments")) == len(STATES)


async def test_the_triggers_and_indexes_of_a_new_ledger_are_all_there(old: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.db"
    for path in (old, fresh):
        desk = await migrated(path)
        await desk.database.close()
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    assert dump(old, schema) == dump(fresh, schema)


async def test_the_old_payments_go_on(old: Path) -> None:
    desk = await migrated(old)
    unknown = next(one for one in await desk.database.read(views.open_payments) if one.state is State.UNKNOWN)
    before = (await desk.spent(window="total")).total
    assert await desk.database.write(payments.expire, unknown, desk.now)
    assert (await desk.spent(window="total")).total == before - unknown.amount
    await desk.at(State.SETTLED, intent("new"))
    assert (await desk.spent(window="total")).total == before - unknown.amount + CLIP
    # The rows were not made by moves, so the audit chain knows nothing of them; all else must hold.
    wrong = [told for told in await check_ledger(desk.database) if "audit chain" not in told]
    assert wrong == []
    await desk.database.close()


async def test_payments_are_still_never_deleted_and_a_live_nonce_is_unique(old: Path) -> None:
    desk = await migrated(old)
    with pytest.raises(LedgerError, match="never deleted"):
        await desk.database.write(lambda tx: tx.do("DELETE FROM payments"))
    with pytest.raises(LedgerError, match="contradiction"):
        await desk.database.write(lambda tx: tx.do("UPDATE payments SET nonce = zeroblob(32)"))
    await desk.database.close()


async def test_a_wallet_that_has_signed_over_the_ledger_is_known_and_another_is_not(old: Path) -> None:
    desk = await migrated(old)
    known = [
        await desk.database.read(entries.is_known, payer, network)
        for payer, network in (("0xpayer", "eip155:8453"), ("0xpayer", "eip155:4217"), ("0xother", "eip155:8453"))
    ]
    assert known == [True, False, False]
    assert dump(old, "SELECT how, known_at FROM wallets") == [("used", NOW + 3)]
    await desk.database.close()
