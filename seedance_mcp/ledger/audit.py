"""The audit chain: append-only rows, each bound to the one before by SHA-256 over canonical JSON."""

import hashlib
import json
from collections.abc import Mapping

from seedance_mcp.ledger.database import Transaction

GENESIS = bytes(32)


def append(tx: Transaction, event: str, at: int, facts: Mapping[str, object]) -> None:
    """Write one event. ``at`` is epoch milliseconds; ``facts`` are JSON values without floats."""
    entry = canonical({"event": event, "at": at, **facts})
    last = tx.one("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1")
    previous = bytes(last["hash"]) if last else GENESIS
    tx.do(
        "INSERT INTO audit (entry, previous, hash) VALUES (:entry, :previous, :hash)",
        entry=entry,
        previous=previous,
        hash=link(previous, entry),
    )
    tx.do("UPDATE ledger SET audit_head = :hash", hash=link(previous, entry))


def head(tx: Transaction) -> tuple[int, bytes]:
    """The number of rows, and the hash of the last one."""
    last = tx.one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    return (last["seq"], bytes(last["hash"])) if last else (0, GENESIS)


def holds(tx: Transaction, seq: int, digest: bytes) -> bool:
    """Whether the chain has the row ``seq`` with this hash: it goes on from there, or ends there."""
    if seq == 0:
        return digest == GENESIS
    row = tx.one("SELECT hash FROM audit WHERE seq = :seq", seq=seq)
    return row is not None and bytes(row["hash"]) == digest


def verify(tx: Transaction) -> int:
    """The number of rows, all of them intact. Raises ValueError naming the first row that is not."""
    previous, count = GENESIS, 0
    for row in tx.all("SELECT seq, entry, previous, hash FROM audit ORDER BY seq"):
        count += 1
        if (
            row["seq"] != count
            or bytes(row["previous"]) != previous
            or bytes(row["hash"]) != link(previous, row["entry"])
        ):
            raise ValueError(f"row {row['seq']} of the audit chain was changed, or a row before it is missing")
        previous = bytes(row["hash"])
    ledger = tx.one("SELECT audit_head FROM ledger")
    if ledger is not None and bytes(ledger["audit_head"] or GENESIS) != previous:
        raise ValueError("the audit chain was cut off, or its end was changed")
    return count


def link(previous: bytes, entry: str) -> bytes:
    return hashlib.sha256(previous + entry.encode()).digest()


def canonical(value: Mapping[str, object]) -> str:
    """One text for one value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
