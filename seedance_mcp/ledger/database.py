"""The seam between the ledger's statements and a database: transactions of SQL with named parameters.

A statement is a plain function whose first parameter is a ``Transaction``. Transactions run in a worker thread, one at
a time per process, and a write takes the database's write lock before its first read.
"""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Row = Mapping[str, Any]


class Transaction(Protocol):
    def one(self, sql: str, **values: object) -> Row | None: ...
    def all(self, sql: str, **values: object) -> list[Row]: ...
    def do(self, sql: str, **values: object) -> int:
        """Run a statement; the number of rows it changed."""
        ...

    def is_gone(self, owner: str) -> bool:
        """Whether the process that called itself ``owner`` has certainly ended. False where nothing is known."""
        ...


class Database(Protocol):
    async def hold(self, owner: str) -> None:
        """Make the end of this process visible to the others, who know it as ``owner``."""
        ...

    async def claim(self, name: str) -> bool:
        """Be the only process that has ``name`` to itself, until it ends. False where another one has it."""
        ...

    async def write(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``statement`` in one durable transaction, or roll back. Raises LedgerBusy, LedgerError."""
        ...

    async def read(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``statement`` on one consistent snapshot."""
        ...

    async def close(self) -> None: ...
