"""MPP: a signed Tempo transaction whose memo names the purchase, which the seller takes to Tempo."""

from collections.abc import Awaitable, Callable, Mapping

from seedance_mcp.chain import Block, Chain, Transfer
from seedance_mcp.chain.tip20 import MemoHost, Mined
from seedance_mcp.ledger.states import Payment
from seedance_mcp.payment import mpp
from seedance_mcp.payment.challenge import Challenge, Offer
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.rails.rail import MARGIN, Absent, Failed, Moved, Rail, Reading, Sight, Signed


class TempoRail(Rail):
    def sign(
        self,
        wallet: Wallet,
        challenge: Challenge,  # noqa: ARG002 - all of it is in the offer
        offer: Offer,
        *,
        purchase_key: bytes,  # noqa: ARG002 - the memo names the purchase by its id
        purchase_id: str,
        serial: int,  # noqa: ARG002 - each challenge gives another memo
        deadline: int,
    ) -> Signed:
        credential = mpp.sign(wallet, offer, purchase_id=purchase_id, valid_before=deadline)
        return Signed({credential.header: credential.value}, credential.memo, deadline, credential.transaction)

    def read(self, headers: Mapping[str, str], status: int, payer: str) -> Reading:  # noqa: ARG002 - receipts name neither
        receipt = mpp.read_receipt(headers)
        paid = receipt is not None and receipt.success
        return Reading(
            claimed=paid,
            transaction=receipt.transaction if receipt is not None and paid else None,
            on_its_way=False,
            reason=receipt.error_reason if receipt is not None else None,
        )

    async def look(self, payment: Payment) -> Sight:
        latest, finalized = await self.chain.latest(), await self.chain.finalized()
        transfer = await _transfer(self.chain, payment, latest)
        if transfer is None:
            return await self._failed(payment, finalized)
        if (transfer.to, transfer.amount) != (payment.pay_to.lower(), payment.amount):
            return None
        final = transfer.block <= finalized.number
        if payment.fee == 0:
            return Moved(transfer, 0, final)
        mined = await self._mined(transfer.transaction)
        # Without its receipt the fee is not known, and stays what it can be at most.
        return Moved(transfer, mined.fee, final) if mined else Moved(transfer, payment.fee, final=False)

    async def confirms(self, host: MemoHost, payment: Payment, sight: Absent | Failed | Moved) -> bool:
        if isinstance(sight, Moved):
            mined = await self._final(host, sight.transfer.transaction)
            seen = mined is not None and mined.succeeded and mined.fee == sight.fee
            return seen and await _transfer(Chain([host]), payment, await host.latest()) == sight.transfer
        if isinstance(sight, Failed):
            mined = await self._final(host, sight.transaction)
            same = mined is not None and (mined.block, mined.fee) == (sight.block, sight.fee)
            return same and mined is not None and not mined.succeeded
        block = sight.finalized
        if not await host.has_final(block) or await _transfer(Chain([host]), payment, block) is not None:
            return False
        return payment.signed_hash is None or await host.mined(payment.signed_hash) is None

    async def _final(self, host: MemoHost, transaction: str) -> Mined | None:
        """What one host calls final of a transaction."""
        mined, finalized = await host.mined(transaction), await host.finalized()
        return mined if mined is not None and mined.block.number <= finalized.number else None

    async def was_used(self, wallet: Wallet, purchase_key: bytes, serial: int) -> bool:  # noqa: ARG002
        """A memo names a purchase that only its own ledger knows: a lost ledger is made up for by a scan."""
        return False

    async def _failed(self, payment: Payment, finalized: Block) -> Sight:
        """A transaction whose transfer is nowhere: mined in vain, or not mined."""
        mined = await self._mined(payment.signed_hash) if payment.signed_hash else None
        if mined is None:
            return Absent(finalized)
        if mined.succeeded or mined.block.number > finalized.number:
            return None
        return Failed(payment.signed_hash or "", mined.fee, mined.block)

    async def _mined(self, transaction: str) -> Mined | None:
        async def ask(host: MemoHost) -> Mined | None:
            return await host.mined(transaction)

        return await self.chain.first(ask)


async def _transfer(chain: Chain[MemoHost], payment: Payment, latest: Block) -> Transfer | None:
    """The payment's transfer, looked for where it can be: from the reservation to the deadline, or to ``latest``."""
    assert payment.nonce is not None
    assert payment.deadline is not None
    since, until = payment.reserved_at // 1000 - MARGIN, payment.deadline + MARGIN
    async for first, last in chain.spans(since, until, latest):
        transfer = await chain.first(_ask(payment, payment.nonce, first, last))
        if transfer is not None:
            return transfer
    return None


def _ask(payment: Payment, memo: bytes, first: int, last: int) -> Callable[[MemoHost], Awaitable[Transfer | None]]:
    return lambda host: host.memo_transfer(payment.token, payment.payer, memo, first, last)
