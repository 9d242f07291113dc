"""A large ledger, made by its own triggers out of bulk SQL."""

import json
import os
from pathlib import Path

import anyio
import apsw
from bench_guard_desk import AGENTS, MODELS, ORIGIN, PAY_TO, PRICE, RAILS, TOKEN

from seedance_mcp.ledger.sqlite import SQLite

_ENTRIES = """
CREATE TEMP TABLE entries AS
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :entries)
SELECT n, 'pur_' || lower(hex(randomblob(8))) AS id, randomblob(32) AS key,
       :until - :span + n * (:span / :entries) - abs(random() % 60000) AS at,
       abs(random() % 3) AS agent, abs(random() % 3) AS model, abs(random() % 4) = 0 AS rail FROM numbers;
"""
_PURCHASES = """
INSERT INTO purchases (id, key, subject, agent, model, take, generation, request, created_at, closed)
SELECT id, key, key, :agents ->> agent, :models ->> model, 1, 1,
       '{"duration":5,"prompt":"a slow camera move over a misty valley at dawn","seed":"' || hex(key) || '"}', at, 1
FROM entries"""
_PAYMENTS = """
INSERT INTO payments (purchase, attempt, serial, state, owner, agent, model, rail, network, token, origin, payer,
                      pay_to, amount, fee, policy, nonce, deadline, path, body, transaction_hash, reserved_at, sent_at,
                      ended_at, counted_at)
SELECT id, 1, 0, 'settled', '', :agents ->> agent, :models ->> model, :rails ->> rail, 'eip155:8453', :token, :origin,
       '0xpayer', :pay_to, :price, 0, 'digest', randomblob(32), at / 1000 + 120, '/api/generate/video',
       '{"prompt":"a slow camera move over a misty valley at dawn"}', '0x' || hex(randomblob(32)), at, at, at, at
FROM entries"""
_AUDIT = """
INSERT INTO audit (entry, previous, hash)
SELECT '{"event":"decision","at":' || at || ',"key":"' || hex(key) || '","verdict":"allow"}', zeroblob(32), key
FROM entries"""


def fill(path: Path, entries: int, span: int, until: int) -> None:
    """Settled payments up to ``until``, evenly spread over ``span``; both in milliseconds."""
    anyio.run(_make, path)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA temp_store = MEMORY")
    names = {"agents": AGENTS, "models": MODELS, "rails": RAILS}
    values: dict[str, str | int] = {name: json.dumps(some) for name, some in names.items()}
    values |= {"token": TOKEN, "origin": ORIGIN, "pay_to": PAY_TO, "price": PRICE}
    values |= {"entries": entries, "span": span, "until": until}
    with connection:
        for statement in (_ENTRIES, _PURCHASES, _PAYMENTS, _AUDIT):
            connection.execute(statement, values)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    # What is still on its way to the disk would be waited for by whoever writes next.
    with path.open("rb") as file:
        os.fsync(file.fileno())


async def _make(path: Path) -> None:
    await (await SQLite.open(path, "real")).close()
