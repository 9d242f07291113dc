"""Base, where a facilitator uses up signed authorizations and pays for the gas itself."""

import asyncio

from seedance_mcp.chain import Block, Transfer
from seedance_mcp.chain.eip3009 import AuthorizationHost
from tests.machine.chain import PATIENCE, Authorization, Ground, Lie, Witness


class Base(Ground):
    def take(self, authorization: Authorization, *, fails: bool = False) -> None:
        if not fails:  # a call that reverts leaves no trace of the authorization
            super().take(authorization)

    def cancel(self, authorization: Authorization) -> None:
        if not self.is_used(authorization.nonce):
            self.cancelled.add(authorization.nonce)


class BaseWitness(Witness, AuthorizationHost):
    _in_a_row = 0
    _asking: "asyncio.Task[object] | None" = None

    async def block(self, block: int | str) -> Block:
        self._in_a_row = 0
        return await super().block(block)

    async def authorization_used(self, token: str, payer: str, nonce: bytes, *, block: int | str = "latest") -> bool:
        await self._listen()
        # Each call is a task of its own.
        asking = asyncio.current_task()
        self._in_a_row, self._asking = (self._in_a_row + 1 if asking is self._asking else 1), asking
        if self._in_a_row > PATIENCE // 2:
            raise AssertionError("it asks for one nonce after the other, without end")
        if self.lie in {Lie.UNUSED, Lie.FORGE, Lie.ELSEWHERE}:
            return self.lie is not Lie.UNUSED
        by = block if isinstance(block, int) else self._ground.head
        return nonce in self._ground.cancelled or self._ground.moved(nonce, by=by) is not None

    async def authorization_transfer(
        self, token: str, payer: str, nonce: bytes, from_block: int, *, to_block: int | str = "latest"
    ) -> Transfer | None:
        await self._listen()
        return self._seen(nonce, from_block, to_block)
