"""Tempo, where a payment is a whole transaction: it is mined or not, it may fail, and it costs its payer a fee."""

from seedance_mcp.chain import Transfer
from seedance_mcp.chain.tip20 import MemoHost, Mined
from seedance_mcp.payment.charge import FEE_BOUND
from tests.machine.chain import FORGED, Authorization, Ground, Lie, Witness


class Tempo(Ground):
    seconds = 1

    def fee(self, authorization: Authorization) -> int:
        """Another one for each transaction, up to the most that it can be."""
        return min(1 + 99 * authorization.nonce[-1], FEE_BOUND) if authorization.pays_fee else 0

    def mined(self, transaction: str) -> Mined | None:
        for succeeded, all_mined in ((True, self.transfers), (False, self.failures)):
            for memo, mined in all_mined.items():
                if mined.transaction == transaction and mined.block <= self.head:
                    return Mined(self.block(mined.block), succeeded, self.fees[memo])
        return None


class TempoWitness(Witness, MemoHost):
    _ground: Tempo

    async def memo_transfer(
        self, token: str, payer: str, memo: bytes, from_block: int, to_block: int | str
    ) -> Transfer | None:
        await self._listen()
        return self._seen(memo, from_block, to_block)

    async def mined(self, transaction: str) -> Mined | None:
        await self._listen()
        last = self._ground.block(self._ground.final)
        if self.lie in {Lie.UNUSED, Lie.LOST}:
            return None
        if self.lie is Lie.FAILED:
            return Mined(last, succeeded=False, fee=0)
        if self.lie is Lie.FORGE and transaction == FORGED:
            return Mined(last, succeeded=True, fee=0)
        mined = self._ground.mined(transaction)
        if mined is None:
            return None
        block = self._ground.block(mined.block.number, fork=self.lie is Lie.FORK)
        return Mined(block, mined.succeeded, 0 if self.lie is Lie.FREE else mined.fee)
