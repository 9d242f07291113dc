"""The ledger in one SQLite file, through ``apsw``."""

import os
import secrets
import stat
import time
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import apsw

from seedance_mcp.errors import LedgerBusy, LedgerError
from seedance_mcp.ledger.database import Row, Transaction
from seedance_mcp.ledger.owners import OwnerLocks
from seedance_mcp.ledger.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")

BUSY_MS = 5_000
CACHE_KIB = 16_384
"""Room for the inner pages of the indexes over some millions of payments; taken only as they are read."""
STATEMENTS = 1_000
"""Executions after which a statement that was not used again is forgotten, and has to be planned anew."""
FIXED_WAL = 3_051_003
"""From this version on WAL is safe with several processes (the WAL-reset bug: SQLite 3.7.0 to 3.51.2)."""


class SQLite:
    """A ``Database`` in one file. Its folder is made private; the file must be on a local disk."""

    def __init__(self, connection: apsw.Connection, locks: OwnerLocks, turns: Turns) -> None:
        self._connection = connection
        self._locks = locks
        self._turns = turns
        self._limiter = anyio.CapacityLimiter(1)

    @classmethod
    async def open(cls, path: Path, kind: str | None) -> "SQLite":
        """``kind`` is ``real`` or ``sandbox``; a ledger of the other kind is refused (LedgerError). None takes any."""
        connection = await anyio.to_thread.run_sync(_connect, path)
        try:
            turns = Turns(path.with_name(f"{path.name}-queue"))
        except OSError as error:
            connection.close()
            raise LedgerError(f"the ledger's folder cannot be used: {error.strerror or error}") from None
        database = cls(connection, OwnerLocks(path.with_name(f"{path.name}-owners")), turns)
        try:
            await database.write(_migrate, kind)
        except BaseException:
            connection.close()
            turns.close()
            raise
        return database

    async def write(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._write, lambda tx: statement(tx, *args, **kwargs))

    async def read(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._read, lambda tx: statement(tx, *args, **kwargs))

    async def hold(self, owner: str) -> None:
        try:
            await anyio.to_thread.run_sync(self._locks.hold, owner)
        except OSError as error:
            raise LedgerError(f"the ledger's folder cannot be used: {error.strerror or error}") from None

    async def claim(self, name: str) -> bool:
        try:
            return await anyio.to_thread.run_sync(self._locks.claim, name)
        except OSError as error:
            raise LedgerError(f"the ledger's folder cannot be used: {error.strerror or error}") from None

    async def close(self) -> None:
        self._locks.release()
        # A server that ends is cancelled.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._connection.close, limiter=self._limiter)
        self._turns.close()

    async def _run(
        self, transact: Callable[[Callable[[Transaction], T]], T], statement: Callable[[Transaction], T]
    ) -> T:
        # A commit that has begun must be seen through: the caller may be cancelled, the transaction may not.
        with anyio.CancelScope(shield=True):
            result = await anyio.to_thread.run_sync(transact, statement, limiter=self._limiter)
        return result

    def _write(self, statement: Callable[[Transaction], T]) -> T:
        until = time.monotonic_ns() + BUSY_MS * 1_000_000
        # The rest of the time is for a process that writes without having waited for its turn.
        with self._turns.turn(BUSY_MS / 2_000):
            self._connection.set_busy_timeout(max((until - time.monotonic_ns()) // 1_000_000, 1))
            return _in_transaction(_Cursor(self._connection, self._locks), "BEGIN IMMEDIATE", statement)

    def _read(self, statement: Callable[[Transaction], T]) -> T:
        self._connection.set_busy_timeout(BUSY_MS)
        return _in_transaction(_Cursor(self._connection, self._locks), "BEGIN", statement)


class _Cursor:
    def __init__(self, connection: apsw.Connection, locks: OwnerLocks) -> None:
        self._connection = connection
        self.is_gone = locks.is_gone

    def one(self, sql: str, **values: object) -> Row | None:
        rows = self.all(sql, **values)
        return rows[0] if rows else None

    def all(self, sql: str, **values: object) -> list[Row]:
        cursor = self._connection.execute(sql, values or None)
        first = next(cursor, None)
        if first is None:
            return []
        names = [column[0] for column in cursor.get_description()]
        return [dict(zip(names, row, strict=True)) for row in (first, *cursor)]

    def do(self, sql: str, **values: object) -> int:
        self._connection.execute(sql, values or None).fetchall()
        return self._connection.changes()

    def undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _in_transaction(tx: _Cursor, begin: str, statement: Callable[[Transaction], T]) -> T:
    try:
        tx.do(begin)
        try:
            _refuse_newer(tx)
            result = statement(tx)
            tx.do("COMMIT")
        except BaseException:
            tx.undo()
            raise
    except (apsw.BusyError, apsw.LockedError):
        raise LedgerBusy("the ledger is busy with another process") from None
    except apsw.ConstraintError as error:
        raise LedgerError(f"the ledger refused a contradiction: {error}") from error
    except apsw.Error as error:
        raise LedgerError(f"the ledger cannot be used: {error}") from error
    return result


def _connect(path: Path) -> apsw.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = apsw.Connection(str(path), statementcachesize=STATEMENTS)
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) != 0o600:
            path.chmod(0o600)
    except (OSError, apsw.Error) as error:
        raise LedgerError(f"the ledger {path} cannot be opened: {error}") from None
    connection.set_busy_timeout(BUSY_MS)
    # Plans hold for all values: with partial indexes SQLite would otherwise plan each statement anew for each of them.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    try:
        journal = "WAL" if apsw.SQLITE_VERSION_NUMBER >= FIXED_WAL else "TRUNCATE"
        connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        connection.execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except (apsw.BusyError, apsw.LockedError):
        connection.close()
        raise LedgerBusy("the ledger is busy with another process") from None
    except apsw.Error as error:
        connection.close()
        raise LedgerError(f"the ledger {path} is not a usable SQLite file: {error}") from None
    return connection


def _refuse_newer(tx: Transaction) -> None:
    """A newer version may take the ledger over at any time, and what is written here has another meaning then."""
    version = _version(tx)
    if version > len(_scripts()):
        raise LedgerError(
            f"the ledger has schema {version} and this version knows {len(_scripts())}",
            next="Use the newest seedance-mcp with this ledger, and restart servers that are still of an older one.",
        )


def _version(tx: Transaction) -> int:
    return int((tx.one("PRAGMA user_version") or {})["user_version"])


@cache
def _scripts() -> tuple[str, ...]:
    """SQL that makes schema 1, 2 and so on out of the one before."""
    files = (resources.files(__package__) / "migrations").iterdir()
    return tuple(
        file.read_text(encoding="utf-8")
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".sql")
    )


def _migrate(tx: Transaction, kind: str | None) -> None:
    for number, script in enumerate(_scripts()[_version(tx) :], start=_version(tx) + 1):
        tx.do(script)
        tx.do(f"PRAGMA user_version = {number}")
    now = time.time_ns() // 1_000_000
    tx.do(
        "INSERT OR IGNORE INTO ledger (only_row, id, kind, created_at, clock) VALUES (1, :id, :kind, :now, 0)",
        id=secrets.token_hex(16),
        kind=kind or "real",
        now=now,
    )
    found = (tx.one("SELECT kind FROM ledger") or {})["kind"]
    if kind is not None and found != kind:
        raise LedgerError(
            f"this ledger holds {found} payments and cannot be used for {kind} ones",
            next="Name another file in SEEDANCE_LEDGER.",
        )
