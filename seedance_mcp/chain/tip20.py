"""Transfers with a memo on Tempo, and what their transactions cost.

Sources: TIP-20; the fees of Tempo transactions, which are priced in attodollars (10^-18 USD) per gas.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from seedance_mcp.chain.rpc import WORD, Block, Host, Incoming, Log, Transfer, any_of, padded, word

TRANSFER_WITH_MEMO = "0x57bc7354aa85aed339e000bccffabbc529466af35f0772c8f8ee1145927de7f0"
_ATTO_PER_MICRO = 10**12


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in a block: whether it did what it says, and what its fee payer paid for it in micro-USD."""

    block: Block
    succeeded: bool
    fee: int


class MemoHost(Host):
    """A host of Tempo."""

    async def memo_transfer(
        self, token: str, payer: str, memo: bytes, from_block: int, to_block: int | str
    ) -> Transfer | None:
        """The transfer of ``payer`` with this memo in these blocks, or None."""
        topics = [TRANSFER_WITH_MEMO, "0x" + padded(payer)]
        for log in await self.events(token, topics, from_block, to_block):
            named = log.get("topics")
            if not isinstance(named, list) or len(named) != 4 or str(named[3]).lower() != "0x" + word(memo):
                continue
            block = await self.block_of(log)
            transaction = self.match(WORD, log.get("transactionHash"))
            to, amount = self.match(WORD, named[2]), int(self.match(WORD, log.get("data")), 16)
            return Transfer(transaction, block.number, block.timestamp, "0x" + to[-40:].lower(), amount)
        return None

    async def incoming(self, token: str, owner: str, senders: Collection[str], first: int, last: int) -> list[Incoming]:
        """The same with memos. A transfer with a memo makes two events, the one that names the memo right after the
        other."""
        found = await super().incoming(token, owner, senders, first, last)
        if not found:
            return found
        topics = [TRANSFER_WITH_MEMO, any_of(senders), "0x" + padded(owner)]
        memos = {
            (log.get("transactionHash"), self.quantity(log.get("logIndex")) - 1): self._memo(log)
            for log in await self.events(token, topics, first, last)
        }
        return [replace(one, memo=memos.get((one.transaction, one.index))) for one in found]

    async def mined(self, transaction: str) -> Mined | None:
        """What became of a transaction, or None where this host knows of none that was mined."""
        receipt = await self.receipt(transaction)
        if receipt is None:
            return None
        status = receipt.get("status")
        if status not in ("0x0", "0x1"):
            raise self.error("answered in the wrong form")
        return Mined(await self.block_of(receipt), status == "0x1", self._fee(receipt))

    def _memo(self, log: Log) -> bytes:
        topics = log.get("topics")
        return bytes.fromhex(self.match(WORD, topics[3] if isinstance(topics, list) and len(topics) == 4 else None)[2:])

    def _fee(self, receipt: Log) -> int:
        price = self.quantity(receipt.get("gasUsed")) * self.quantity(receipt.get("effectiveGasPrice"))
        return -(-price // _ATTO_PER_MICRO)
