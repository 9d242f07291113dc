"""Used authorizations on an EIP-3009 token, and the transfers that they made. Source: EIP-3009; Circle's FiatToken."""

from collections.abc import Sequence
from itertools import pairwise

from seedance_mcp.chain.rpc import TRANSFER, WORD, Host, Log, Transfer, is_event, padded, tag, word

AUTHORIZATION_STATE = "0xe94a0102"
AUTHORIZATION_USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"


class AuthorizationHost(Host):
    """A host of a chain with EIP-3009 tokens."""

    async def authorization_used(self, token: str, payer: str, nonce: bytes, *, block: int | str = "latest") -> bool:
        """Whether the EIP-3009 nonce is used or cancelled at ``block`` (a number or a tag)."""
        state = int(await self.call(token, AUTHORIZATION_STATE + padded(payer) + word(nonce), tag(block)), 16)
        if state not in (0, 1):
            raise self.error("answered with something else than yes or no")
        return state == 1

    async def authorization_transfer(
        self, token: str, payer: str, nonce: bytes, from_block: int, *, to_block: int | str = "latest"
    ) -> Transfer | None:
        """The transfer that used up the nonce, or None: not used in these blocks, or cancelled without a transfer."""
        topics = [AUTHORIZATION_USED, "0x" + padded(payer), "0x" + word(nonce)]
        used = await self.events(token, topics, from_block, to_block)
        if not used:
            return None
        transaction = self.match(WORD, used[0].get("transactionHash"))
        receipt = await self.receipt(transaction)
        if receipt is None or receipt.get("status") != "0x1":
            raise self.error("has no successful receipt for a transaction that it lists")
        to, amount = self._made_transfer(self.logs(receipt.get("logs")), token, topics)
        block = await self.block_of(receipt)
        return Transfer(transaction, block.number, block.timestamp, to, amount)

    def _made_transfer(self, logs: Sequence[Log], token: str, used: list[str]) -> tuple[str, int]:
        """Recipient and amount of the Transfer that follows AuthorizationUsed.

        FiatToken emits one right after the other, so the order tells apart several authorizations in one transaction.
        """
        for log, after in pairwise(logs):
            if is_event(log, token, used) and is_event(after, token, [TRANSFER, used[1]]):
                topics = after.get("topics")
                to = self.match(WORD, topics[2] if isinstance(topics, list) and len(topics) == 3 else None)
                return "0x" + to[-40:].lower(), int(self.match(WORD, after.get("data")), 16)
        raise self.error("lists an authorization without its transfer")
