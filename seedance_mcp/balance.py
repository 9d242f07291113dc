"""What the wallet holds, as far as it can be read."""

from collections.abc import Callable
from typing import Any

import anyio

from seedance_mcp.chain import Chain
from seedance_mcp.errors import ChainError

LIFE = 30_000
SECONDS = 4


class Balance:
    """A token's balance of ``owner`` in micro-USD, read at most every half minute; ``now`` gives epoch milliseconds."""

    def __init__(self, chain: Chain[Any], token: str, owner: str | None, now: Callable[[], int]) -> None:
        self._chain = chain
        self._token = token
        self._owner = owner
        self._now = now
        self._known: tuple[int, int | None] | None = None

    async def read(self) -> int | None:
        """None without an owner, and where no RPC host can be asked: an allowed payment need not wait for one."""
        if self._owner is None:
            return None
        if self._known is None or self._now() - self._known[0] > LIFE:
            self._known = (self._now(), await self._ask(self._owner))
        return self._known[1]

    def forget(self) -> None:
        """Money is about to leave: read it again the next time. That no host answers is worth remembering."""
        if self._known is not None and self._known[1] is not None:
            self._known = None

    async def _ask(self, owner: str) -> int | None:
        with anyio.move_on_after(SECONDS):
            try:
                return await self._chain.balance(self._token, owner)
            except ChainError:
                return None
        return None
