"""What the rails read from real nodes about payments that a real seller has taken."""

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest

from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain
from seedance_mcp.chain.tip20 import MemoHost
from seedance_mcp.ledger.states import Payment
from seedance_mcp.payment import mpp
from seedance_mcp.payment.challenge import Offer, parse_challenge
from seedance_mcp.payment.tokens import TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.rails.rail import Absent, Failed, Moved
from seedance_mcp.rails.tempo import TempoRail
from tests.conftest import PAYER_KEY
from tests.payment.test_against_a_seller import CLIP
from tests.rails.examples import payment
from tests.rails.nodes import PAYER

if TYPE_CHECKING:
    from tests.peers.mppx_seller import MppxSeller
    from tests.peers.tempo import Tempo

WALLET = Wallet.from_hex(PAYER_KEY)
FUNDS = 10_000_000
FINALITY = 65
"""Blocks after which the node calls one finalized."""


@pytest.fixture
async def rail(tempo: "Tempo") -> AsyncIterator[TempoRail]:
    async with httpx.AsyncClient(trust_env=False) as http:
        chain = Chain([MemoHost(http, tempo.url, TEMPO_USDCE.chain_id)])
        yield TempoRail(TEMPO_USDCE, chain, Balance(chain, TEMPO_USDCE.address, PAYER, lambda: 0))


async def offered(seller: "MppxSeller") -> Offer:
    url = f"{seller.origin}/api/generate/seedance/i2v"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        answer = await http.post(url, json=CLIP)
    (offer,) = parse_challenge(answer.headers, answer.content, url, request_body=answer.request.content).offers
    return offer


async def pay(seller: "MppxSeller", credential: mpp.Credential) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        url = f"{seller.origin}/api/generate/seedance/i2v"
        return (await http.post(url, json=CLIP, headers={credential.header: credential.value})).status_code


def signed(offer: Offer) -> tuple[mpp.Credential, Payment]:
    begun = int(time.time())
    deadline = begun + offer.max_timeout_seconds
    credential = mpp.sign(WALLET, offer, purchase_id="pur_0123456789", valid_before=deadline)
    row = payment(
        "mpp",
        pay_to=offer.pay_to,
        amount=offer.amount,
        fee=offer.fee,
        nonce=credential.memo,
        signed_hash=credential.transaction,
        deadline=deadline,
        reserved_at=begun * 1000,
    )
    return credential, row


@pytest.mark.parametrize("sponsored", [False, True])
async def test_a_payment_is_found_by_its_memo_with_what_it_cost(
    rail: TempoRail, tempo: "Tempo", mppx_seller: "MppxSeller", sponsored: bool
) -> None:
    tempo.mint(PAYER, FUNDS)
    mppx_seller.sponsored = sponsored
    credential, row = signed(await offered(mppx_seller))
    assert isinstance(await rail.look(row), Absent)
    before = tempo.block_number()
    assert await pay(mppx_seller, credential) == 200

    sight = await rail.look(row)
    (transfer,) = tempo.transfers(before)
    assert isinstance(sight, Moved)
    assert (sight.transfer.transaction, sight.final) == (transfer.transaction, False)
    assert FUNDS - tempo.balance(PAYER) == row.amount + sight.fee
    assert (sight.fee == 0) is sponsored
    tempo.mine(FINALITY)
    sight = await rail.look(row)
    assert isinstance(sight, Moved)
    assert sight.final

    assert credential.memo in await rail.marks(transfer.transaction)
    seen = await rail.outgoing(PAYER, before + 1, tempo.block_number())
    assert {one.transaction for one in seen} == {transfer.transaction}
    assert sum(one.amount for one in seen) == row.amount + sight.fee


async def test_a_transaction_that_fails_is_found_by_its_hash_with_what_it_cost(
    rail: TempoRail, tempo: "Tempo", mppx_seller: "MppxSeller"
) -> None:
    offer = await offered(mppx_seller)
    tempo.mint(PAYER, offer.amount - 1)
    credential, row = signed(offer)
    had = tempo.balance(PAYER)
    tempo.rpc("eth_sendRawTransactionSync", f"0x{credential.raw.hex()}")
    cost = had - tempo.balance(PAYER)
    assert 0 < cost <= offer.fee
    assert await rail.look(row) is None
    tempo.mine(FINALITY)
    sight = await rail.look(row)
    assert isinstance(sight, Failed)
    assert (sight.transaction, sight.fee) == (credential.transaction, cost)
    assert await rail.confirms(rail.chain.hosts[0], row, sight)
    # The fee is a transfer that a scan of the wallet finds, and the transaction's hash all that tells whose it was.
    (fee,) = await rail.outgoing(PAYER, sight.block.number, sight.block.number)
    assert (fee.transaction, fee.amount) == (credential.transaction, cost)
    assert credential.memo not in await rail.marks(fee.transaction)
