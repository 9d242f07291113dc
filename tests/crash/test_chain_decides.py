"""Signed bytes that nobody sent: what becomes of their budget is up to the chain."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.crash.customer import Customer

PRICE = 40_000


async def test_an_unused_payment_expires_by_a_finalized_block_and_the_same_call_reuses_its_nonce(
    customer: "Customer",
) -> None:
    customer.write_policy(valid_for="30s")
    await customer.dies("P4")
    (signed,) = customer.home.payments()

    customer.outlast(signed["deadline"], by=0)
    assert await customer.recover() == []
    customer.pass_deadline(signed["deadline"])
    assert await customer.recover() == []
    assert (customer.states, customer.counted) == (["signed"], PRICE)
    customer.finalize()
    assert await customer.recover() == []
    assert (customer.states, customer.counted) == (["expired"], 0)

    customer.write_policy(valid_for="300s")
    await customer.buys("waves")
    customer.finalize()
    assert await customer.recover() == []
    expired, settled = customer.home.payments()
    assert (expired["state"], settled["state"]) == ("expired", "settled")
    assert settled["nonce"] == expired["nonce"]
    assert customer.debited == customer.counted == PRICE


async def test_a_cancelled_authorization_is_used_and_never_settles(customer: "Customer", payer: "LocalAccount") -> None:
    await customer.dies("P4")
    (signed,) = customer.home.payments()
    customer.cancel(payer, signed["nonce"])
    assert customer.chain.authorization_used(payer.address, signed["nonce"])

    customer.finalize()
    assert await customer.recover() == []
    assert customer.states == ["signed"]
    async with customer.home.server() as agent:
        await customer.ask(agent)
    customer.outlast(signed["deadline"])
    assert await customer.recover() == []
    assert customer.states == ["claimed"]
    assert (customer.counted, customer.debited) == (PRICE, 0)
    assert len(set(customer.seller.credentials)) == 1
