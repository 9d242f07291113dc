"""x402: a signed EIP-3009 authorization, which the seller's facilitator takes to Base."""

from collections.abc import Awaitable, Callable, Mapping

from seedance_mcp.chain import Block, Transfer
from seedance_mcp.chain.eip3009 import AuthorizationHost
from seedance_mcp.ledger.states import Payment
from seedance_mcp.payment import x402
from seedance_mcp.payment.challenge import Challenge, Offer
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.rails.rail import MARGIN, Absent, Failed, Moved, Rail, Reading, Sight, Signed

_USED = "nonce_already_used"
_PENDING = "settlement_pending"


class BaseRail(Rail):
    def sign(
        self,
        wallet: Wallet,
        challenge: Challenge,
        offer: Offer,
        *,
        purchase_key: bytes,
        purchase_id: str,
        serial: int,
        deadline: int,
    ) -> Signed:
        nonce = x402.nonce_for(wallet, token=offer.token, purchase_key=purchase_key, serial=serial)
        credential = x402.sign(wallet, challenge, offer, nonce=nonce, valid_before=deadline, identifier=purchase_id)
        return Signed({credential.header: credential.value}, nonce, deadline, None)

    def read(self, headers: Mapping[str, str], status: int, payer: str) -> Reading:
        receipt = x402.read_receipt(headers, network=self.token.network, payer=payer)
        reason = x402.refusal_reason(headers) or ""
        paid = receipt is not None and receipt.success
        return Reading(
            claimed=paid or (status == 402 and _USED in reason),
            transaction=receipt.transaction if receipt is not None and receipt.success else None,
            on_its_way=_PENDING in reason,
            reason=reason or None,
        )

    async def look(self, payment: Payment) -> Sight:
        assert payment.nonce is not None
        assert payment.deadline is not None
        latest, finalized = await self.chain.latest(), await self.chain.finalized()
        if not await self._used(payment.token, payment.payer, payment.nonce):
            return Absent(finalized)
        transfer = await self._transfer(payment, latest)
        # Used without a transfer to its recipient, it was cancelled, which only the wallet's own key can do.
        if transfer is None or (transfer.to.lower(), transfer.amount) != (payment.pay_to.lower(), payment.amount):
            return None
        return Moved(transfer, 0, transfer.block <= finalized.number)

    async def confirms(self, host: AuthorizationHost, payment: Payment, sight: Absent | Failed | Moved) -> bool:
        assert payment.nonce is not None
        if isinstance(sight, Moved):
            mined = sight.transfer.block
            seen = await host.authorization_transfer(payment.token, payment.payer, payment.nonce, mined, to_block=mined)
            return seen == sight.transfer and mined <= (await host.finalized()).number
        assert isinstance(sight, Absent)
        block = sight.finalized
        return await host.has_final(block) and not await host.authorization_used(
            payment.token, payment.payer, payment.nonce, block=block.number
        )

    async def was_used(self, wallet: Wallet, purchase_key: bytes, serial: int) -> bool:
        nonce = x402.nonce_for(wallet, token=self.token, purchase_key=purchase_key, serial=serial)
        return await self._used(self.token.address, wallet.address, nonce)

    async def _transfer(self, payment: Payment, latest: Block) -> Transfer | None:
        """The transfer of a used authorization, looked for where it can be: from the reservation to the deadline."""
        assert payment.nonce is not None
        assert payment.deadline is not None
        since, until = payment.reserved_at // 1000 - MARGIN, payment.deadline + MARGIN
        async for first, last in self.chain.spans(since, until, latest):
            transfer = await self.chain.first(_ask(payment, payment.nonce, first, last))
            if transfer is not None:
                return transfer
        return None

    async def _used(self, token: str, payer: str, nonce: bytes) -> bool:
        return bool(await self.chain.first(lambda host: host.authorization_used(token, payer, nonce)))


def _ask(
    payment: Payment, nonce: bytes, first: int, last: int
) -> Callable[[AuthorizationHost], Awaitable[Transfer | None]]:
    return lambda host: host.authorization_transfer(payment.token, payment.payer, nonce, first, to_block=last)
