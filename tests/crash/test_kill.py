"""Servers are killed within purchases, and others go on: one debit, one clip, and books that agree."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.crash.customer import Customer

PRICE = 40_000
UNSIGNED = ["P0", "P1", "P2", "P3"]
UNPAID = ["P4", "P5"]
"""Signed bytes are in the ledger and may have left; the seller has not used them yet."""
PAID = ["P6", "P7", "P8", "P9", "P9-saved"]
ON_BOTH = ["P3", *UNPAID, "P6", "P7", "P8"]
"""Where the rails are not the same."""


@pytest.mark.parametrize(
    ("rail", "point"),
    [("x402", point) for point in (*UNSIGNED, *UNPAID, *PAID)] + [("mpp", point) for point in ON_BOTH],
)
async def test_a_purchase_whose_server_was_killed_is_paid_once_and_ends_with_its_clip(
    point: str, customer: "Customer"
) -> None:
    await customer.dies(point)
    assert customer.debits == ([PRICE] if point in PAID else [])

    assert await customer.recover() == []
    assert customer.counted == (0 if point in UNSIGNED else customer.held)
    assert "settled" not in customer.states
    left = customer.home.payments()
    assert await customer.recover() == []
    assert customer.home.payments() == left

    (clip,) = await customer.buys("waves")
    customer.finalize()
    assert await customer.recover() == []
    assert customer.debits == [PRICE]
    assert customer.counted == customer.debited
    assert [state for state in customer.states if state not in {"released", "expired"}] == ["settled"]
    assert len(set(customer.seller.credentials)) == 1
    assert len(customer.seller.studio.jobs) == 1
    assert list(customer.home.clips.glob("*.mp4")) == [clip]


@pytest.mark.parametrize("rail", ["x402", "mpp"])
async def test_several_purchases_whose_servers_were_killed_are_each_paid_once(customer: "Customer") -> None:
    points = ["P7-uncommitted", "P3-uncommitted", "P4-permitted", "P5-body"]
    for point in points:
        await customer.dies(point, prompt=point)
    assert customer.debits == [PRICE]

    assert await customer.recover() == []
    assert customer.counted == 3 * customer.held

    clips = await customer.buys(*points)
    customer.finalize()
    assert await customer.recover() == []
    assert customer.debits == 4 * [PRICE]
    assert customer.counted == customer.debited
    assert [state for state in customer.states if state not in {"released", "expired"}] == ["settled"] * 4
    assert len(set(customer.seller.credentials)) == 4
    assert sorted(customer.home.clips.glob("*.mp4")) == sorted(clips)


async def test_a_server_recovers_at_its_start_without_being_asked_for_the_clip(customer: "Customer") -> None:
    await customer.dies("P7")
    assert customer.states == ["sent"]
    async with customer.server() as agent:
        while customer.states != ["claimed"]:
            await agent.ok("check_job")


@pytest.mark.parametrize("rail", ["sponsored"])
async def test_a_sponsored_payment_is_found_by_its_memo(customer: "Customer") -> None:
    await customer.dies("P6")
    assert await customer.recover() == []
    (payment,) = customer.home.payments()
    (transfer,) = customer.chain.transfers(customer.since)
    assert payment["signed_hash"] is None
    assert (payment["state"], payment["transaction_hash"]) == ("claimed", transfer.transaction)

    await customer.buys("waves")
    customer.finalize()
    assert await customer.recover() == []
    assert customer.states == ["settled"]
    assert customer.counted == customer.debited == PRICE
