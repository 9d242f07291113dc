"""The server is stopped within a purchase until another one has taken it over; then it goes on."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.customer import Customer

PRICE = 40_000
NODE_MARGIN = 3
"""Seconds before its deadline from which a node of Tempo takes no transaction."""
BOTH = pytest.mark.parametrize("rail", ["x402", "mpp"])


@pytest.mark.parametrize(("rail", "point"), [("x402", "P2"), ("x402", "P4"), ("mpp", "P4")])
async def test_a_stopped_server_that_wakes_up_sends_nothing_and_changes_nothing(
    point: str, customer: "Customer"
) -> None:
    async with customer.stopped(point):
        await customer.buys("waves")
        left, sent = customer.home.payments(), list(customer.seller.credentials)
    assert customer.home.payments() == left
    assert customer.seller.credentials == sent
    assert customer.debits == [PRICE]


@BOTH
async def test_a_server_stopped_on_its_way_to_the_socket_only_repeats_what_the_other_has_sent(
    customer: "Customer",
) -> None:
    async with customer.stopped("P4-permitted"):
        await customer.buys("waves")
        left = customer.home.payments()
    assert customer.home.payments() == left
    assert len(set(customer.seller.credentials)) == 1
    assert len(customer.seller.studio.jobs) == 1
    assert customer.debits == [PRICE]


@BOTH
async def test_a_server_stopped_until_its_payment_expired_cannot_disturb_the_next_one(
    rail: str, customer: "Customer"
) -> None:
    customer.write_policy(valid_for="30s")
    async with customer.stopped("P4-permitted"):
        async with customer.server() as agent:
            (signed,) = customer.home.payments()
            # Over Tempo all signatures last equally long: what is signed next has to be some seconds younger.
            await agent.ok("check_job", purchase_id=signed["purchase"], wait_seconds=5)
            customer.outlast(signed["deadline"])
            assert await customer.recover() == []
            customer.set_clock(signed["deadline"] - (NODE_MARGIN if rail == "mpp" else 0))
            customer.write_policy()
            await customer.clip(agent)
        left = customer.home.payments()
    assert [row["state"] for row in left] == ["expired", "claimed"]
    assert customer.home.payments() == left
    assert len(set(customer.seller.credentials)) == 2
    assert customer.debits == [PRICE]
