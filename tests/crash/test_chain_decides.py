"""Signed bytes that nobody sent, or that were sent in vain: what becomes of their budget is up to the chain."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.customer import Customer
    from tests.peers.tempo import Tempo

PRICE = 40_000
LEFT = 30_000
"""Micro-USD that suffice for a fee, and not for a payment."""
PAYER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize("rail", ["x402", "mpp", "sponsored"])
async def test_an_unused_payment_expires_by_a_final_block_on_which_hosts_agree(rail: str, customer: "Customer") -> None:
    customer.write_policy(agree=2)
    await customer.dies("P4")
    (signed,) = customer.home.payments()

    two = customer.asking(customer.chain.url, customer.chain.url.replace("127.0.0.1", "localhost"))
    customer.outlast(signed["deadline"], by=0)
    assert await two.recover() == []
    customer.pass_deadline(signed["deadline"])
    assert await two.recover() == []
    customer.finalize()
    assert await customer.recover() == []
    assert (customer.states, customer.counted) == (["signed"], customer.held)
    assert await two.recover() == []
    assert (customer.states, customer.counted) == (["expired"], 0)

    customer.set_clock()
    await customer.buys("waves")
    customer.finalize()
    assert await two.recover() == []
    expired, settled = customer.home.payments()
    assert (expired["state"], settled["state"]) == ("expired", "settled")
    # On Base even a wrong expiry could not charge twice.
    assert (settled["nonce"] == expired["nonce"]) == (rail == "x402")
    assert customer.debits == [PRICE]
    assert customer.counted == customer.debited


@pytest.mark.parametrize("rail", ["mpp"])
async def test_a_transaction_that_failed_costs_its_fee_and_nothing_else(customer: "Customer", tempo: "Tempo") -> None:
    """The wallet is emptied, but for the fee, while the payment is on its way to the socket."""
    async with customer.stopped("P4-permitted"):
        customer.spend_elsewhere(customer.funds - LEFT)
        had = tempo.balance(PAYER)
    (payment,) = customer.home.payments()
    assert (payment["state"], customer.counted) == ("unknown", customer.held)
    assert await customer.recover() == []
    assert customer.states == ["unknown"]

    customer.finalize()
    assert await customer.recover() == []
    assert customer.states == ["expired", "settled"]
    assert customer.debits == []
    assert customer.counted == had - tempo.balance(PAYER) == tempo.fee(payment["signed_hash"]) > 0

    tempo.mint(PAYER, customer.funds)
    had += customer.funds
    await customer.buys("waves")
    customer.finalize()
    assert await customer.recover() == []
    assert customer.states == ["expired", "settled", "settled"]
    assert customer.counted == had - tempo.balance(PAYER)


async def test_a_cancelled_authorization_is_used_and_never_settles(customer: "Customer") -> None:
    await customer.dies("P4")
    (signed,) = customer.home.payments()
    customer.cancel(signed["nonce"])

    customer.finalize()
    assert await customer.recover() == []
    assert customer.states == ["signed"]
    async with customer.server() as agent:
        await customer.ask(agent)
    customer.outlast(signed["deadline"])
    assert await customer.recover() == []
    assert customer.states == ["claimed"]
    assert (customer.counted, customer.debited) == (PRICE, 0)
    assert len(set(customer.seller.credentials)) == 1
