"""What is left of a ledger when every process has died, in memory or in a file, and one process's way to it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import apsw

from seedance_mcp.ledger.database import Row, Transaction
from seedance_mcp.ledger.owners import OwnerLocks
from seedance_mcp.ledger.sqlite import _connect, _Cursor, _in_transaction, _migrate

P = ParamSpec("P")
T = TypeVar("T")


class _Deaths(OwnerLocks):
    """What the operating system would tell of processes that have ended."""

    def __init__(self, is_gone: Callable[[str], bool]) -> None:
        self._told = is_gone

    def is_gone(self, owner: str) -> bool:
        return self._told(owner)


class Door:
    """The product's transactions on one connection, without its worker thread."""

    def __init__(self, connection: apsw.Connection, is_gone: Callable[[str], bool]) -> None:
        self.connection = connection
        self._cursor = _Cursor(connection, _Deaths(is_gone))

    def write(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return _in_transaction(self._cursor, "BEGIN IMMEDIATE", lambda tx: statement(tx, *args, **kwargs))

    def read(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return _in_transaction(self._cursor, "BEGIN", lambda tx: statement(tx, *args, **kwargs))

    def all(self, sql: str) -> list[Row]:
        return self._cursor.all(sql)


class Store(Protocol):
    def door(self, owner: str, is_gone: Callable[[str], bool]) -> Door: ...

    def forget(self, door: Door) -> None:
        """Its process died."""
        ...

    def close(self) -> None: ...


class Memory:
    """One connection for all: transactions follow one another anyway."""

    def __init__(self) -> None:
        self._connection = apsw.Connection(":memory:")
        self._connection.deserialize("main", _fresh())
        self._connection.execute("PRAGMA foreign_keys = ON")

    def door(self, owner: str, is_gone: Callable[[str], bool]) -> Door:
        return Door(self._connection, is_gone)

    def forget(self, door: Door) -> None:
        pass

    def close(self) -> None:
        self._connection.close()


class File:
    """A file, and a connection for each process. Nothing is synced: no power fails here."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(_fresh())
        self._doors: list[Door] = []

    def door(self, owner: str, is_gone: Callable[[str], bool]) -> Door:
        connection = _connect(self._path)
        connection.execute("PRAGMA synchronous = OFF")
        self._doors.append(door := Door(connection, is_gone))
        return door

    def forget(self, door: Door) -> None:
        door.connection.close()
        self._doors.remove(door)

    def close(self) -> None:
        for door in self._doors:
            door.connection.close()
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()


@cache
def _fresh() -> bytes:
    """The file of a ledger that never saw a payment."""
    connection = apsw.Connection(":memory:")
    cursor = _Cursor(connection, OwnerLocks(Path()))
    _in_transaction(cursor, "BEGIN IMMEDIATE", lambda tx: _migrate(tx, "real"))
    data = connection.serialize("main")
    connection.close()
    return data
