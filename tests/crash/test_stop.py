"""The server is stopped within a purchase until another one has taken it over; then it goes on."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.to_thread import run_sync

if TYPE_CHECKING:
    from tests.crash.customer import Customer

PRICE = 40_000


@pytest.mark.parametrize("point", ["P2", "P4"])
async def test_a_stopped_server_that_wakes_up_sends_nothing_and_changes_nothing(
    point: str, customer: "Customer"
) -> None:
    async with stopped(customer, point):
        await customer.buys("waves")
        left, sent = customer.home.payments(), list(customer.seller.credentials)
    assert customer.home.payments() == left
    assert customer.seller.credentials == sent
    assert customer.debited == customer.counted == PRICE


async def test_a_server_stopped_on_its_way_to_the_socket_only_repeats_what_the_other_has_sent(
    customer: "Customer",
) -> None:
    async with stopped(customer, "P4-permitted"):
        await customer.buys("waves")
        left = customer.home.payments()
    assert customer.home.payments() == left
    assert len(set(customer.seller.credentials)) == 1
    assert len(customer.seller.studio.jobs) == 1
    assert customer.debited == customer.counted == PRICE


async def test_a_server_stopped_until_its_payment_expired_cannot_disturb_the_next_one(customer: "Customer") -> None:
    customer.write_policy(valid_for="30s")
    async with stopped(customer, "P4-permitted"):
        customer.outlast(customer.home.payments()[0]["deadline"])
        assert await customer.recover() == []
        customer.write_policy(valid_for="300s")
        await customer.buys("waves")
        left = customer.home.payments()
    assert [row["state"] for row in left] == ["expired", "claimed"]
    assert customer.home.payments() == left
    assert len(set(customer.seller.credentials)) == 2
    assert customer.debited == customer.counted == PRICE


@asynccontextmanager
async def stopped(customer: "Customer", point: str) -> AsyncIterator[None]:
    """A purchase stands still at ``point`` meanwhile, and has been answered in the end."""
    async with customer.victim("SIGSTOP", point) as agent, anyio.create_task_group() as group:
        group.start_soon(customer.ask, agent)
        child = await run_sync(os.waitid, os.P_ALL, 0, os.WSTOPPED, abandon_on_cancel=True)
        assert child is not None
        yield
        os.kill(child.si_pid, signal.SIGCONT)
