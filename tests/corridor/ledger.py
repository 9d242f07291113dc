from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from anyio.lowlevel import checkpoint

from seedance_mcp.errors import LedgerBusy
from seedance_mcp.ledger.database import Transaction
from tests.corridor.examples import ENDED, ME
from tests.machine.store import Memory

P = ParamSpec("P")
T = TypeVar("T")

MOST_READS = 500
"""Of one test: a loop that never ends would take no time here."""


class Ledger:
    """The product's transactions on a ledger in memory.

    ``busy`` names statements and how often they fail, ``before`` what another process writes just before one,
    ``unreadable`` tells when nothing can be read.
    """

    def __init__(self) -> None:
        self._store = Memory()
        self.gone = {ENDED}
        self.busy: dict[str, int] = {}
        self.before: dict[str, Callable[[Transaction], object]] = {}
        self.unreadable: Callable[[], bool] = lambda: False
        self.written: list[str] = []
        self.reads = 0
        self._door = self._store.door(ME, self.gone.__contains__)

    async def write(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        await checkpoint()
        name = statement.__name__
        self.written.append(name)
        if self.busy.get(name, 0) > 0:
            self.busy[name] -= 1
            raise LedgerBusy("another process holds the ledger")
        if name in self.before:
            self._door.write(self.before.pop(name))
        return self._door.write(statement, *args, **kwargs)

    async def read(self, statement: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        await checkpoint()
        self.reads += 1
        assert self.reads < MOST_READS, "it asks for ever"
        if self.unreadable():
            raise LedgerBusy("another process holds the ledger")
        return self._door.read(statement, *args, **kwargs)

    async def hold(self, owner: str) -> None:
        raise NotImplementedError

    async def claim(self, name: str) -> bool:
        raise NotImplementedError

    async def close(self) -> None:
        self._store.close()
