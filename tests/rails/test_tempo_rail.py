from dataclasses import replace
from typing import Any

import pytest

from seedance_mcp.chain import Transfer
from seedance_mcp.errors import ChainError
from seedance_mcp.ledger.states import Payment
from seedance_mcp.payment.tokens import TEMPO_USDCE
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.wire import encode_url_safe
from seedance_mcp.rails.rail import Absent, Failed, Moved, Sight
from tests.conftest import PAYER_KEY
from tests.rails.examples import BOUND, CLIP, DEADLINE, MARK, OTHER, PAY_TO, RESERVED, payment
from tests.rails.nodes import NOW, PAYER, Node, tempo_rail

PAID = NOW - 40
GAS, FEE = 50_000, 1_000
"""Gas, and what it costs in micro-USD at the price of the nodes."""
TRANSACTION = "0x" + "ab" * 32


def node(**changes: Any) -> Node:
    return Node(TEMPO_USDCE, seconds=1, **changes)


def settled(host: Node, *, to: str = PAY_TO, amount: int = CLIP, when: int = PAID) -> str:
    return host.with_memo(MARK, to, amount, host.at(when), gas=GAS)


def failed(host: Node, *, when: int = PAID, gas: int = GAS) -> str:
    """A transaction that was mined and did nothing."""
    return host.transaction("in vain", host.at(when), status="0x0", gas=gas)


async def look(*hosts: Node, paid: Payment | None = None) -> Sight:
    return await tempo_rail(*hosts).look(paid or payment("mpp"))


async def confirmed(host: Node, sight: Absent | Failed, paid: Payment | None = None) -> bool:
    rail = tempo_rail(host)
    return await rail.confirms(rail.chain.hosts[0], paid or payment("mpp"), sight)


async def test_a_transfer_in_a_final_block_is_final_and_tells_its_fee() -> None:
    host = node()
    transaction = settled(host)
    assert await look(host) == Moved(Transfer(transaction, PAID, PAID, PAY_TO.lower(), CLIP), FEE, final=True)


async def test_a_transfer_above_the_final_block_is_not() -> None:
    host = node(finalized=PAID - 1)
    settled(host)
    sight = await look(host)
    assert isinstance(sight, Moved)
    assert not sight.final


async def test_a_sponsored_transfer_costs_nothing_whatever_its_receipt_says() -> None:
    host = node()
    settled(host)
    sight = await look(host, paid=payment("mpp", fee=0))
    assert isinstance(sight, Moved)
    assert (sight.fee, sight.final) == (0, True)


async def test_a_fee_that_is_not_known_yet_is_not_taken_for_nothing() -> None:
    host = node()
    del host.receipts[settled(host)]
    sight = await look(host)
    assert isinstance(sight, Moved)
    assert not sight.final or sight.fee == BOUND


@pytest.mark.parametrize(("to", "amount"), [(OTHER, CLIP), (PAY_TO, CLIP + 1), (PAY_TO, 1)])
async def test_a_transfer_of_something_else_is_no_outcome(to: str, amount: int) -> None:
    host = node()
    settled(host, to=to, amount=amount)
    assert await look(host) is None


async def test_a_transfer_with_another_memo_is_another_one() -> None:
    host = node()
    host.with_memo(b"\x99" * 32, PAY_TO, CLIP, host.at(PAID))
    assert isinstance(await look(host), Absent)


@pytest.mark.parametrize("when", [RESERVED - 60, RESERVED, DEADLINE - 1])
async def test_a_transfer_is_found_from_the_reservation_to_the_deadline(when: int) -> None:
    host = node(latest=NOW + 90_000)
    settled(host, when=when)
    assert isinstance(await look(host), Moved)


async def test_what_is_not_mined_is_absent_as_of_the_final_block() -> None:
    host = node(finalized=NOW - 30)
    sight = await look(host, paid=payment("mpp", signed_hash=TRANSACTION))
    assert isinstance(sight, Absent)
    assert (sight.finalized.number, sight.finalized.hash) == (NOW - 30, host.hash(NOW - 30))


async def test_a_failed_transaction_costs_its_fee_and_nothing_else() -> None:
    host = node()
    transaction = failed(host)
    sight = await look(host, paid=payment("mpp", signed_hash=transaction))
    assert isinstance(sight, Failed)
    assert (sight.transaction, sight.fee, sight.block.number) == (transaction, FEE, PAID)


async def test_a_failure_above_the_final_block_is_no_outcome_yet() -> None:
    host = node(finalized=PAID - 1)
    assert await look(host, paid=payment("mpp", signed_hash=failed(host))) is None


async def test_a_transaction_that_succeeded_without_the_transfer_is_no_outcome() -> None:
    host = node()
    transaction = host.transaction("odd", host.at(PAID))
    assert await look(host, paid=payment("mpp", signed_hash=transaction)) is None


async def test_a_sponsored_transaction_whose_hash_nobody_knows_is_looked_for_by_its_memo_alone() -> None:
    host = node()
    failed(host)
    assert isinstance(await look(host, paid=payment("mpp", fee=0)), Absent)
    assert "eth_getTransactionReceipt" not in [method for method, _ in host.asked]


async def test_without_a_host_nothing_is_known() -> None:
    broken = node()
    broken.down = True
    with pytest.raises(ChainError):
        await look(broken)


async def absent() -> Absent:
    sight = await look(node())
    assert isinstance(sight, Absent)
    return sight


async def test_a_host_confirms_that_it_sees_nothing_up_to_the_same_block() -> None:
    assert await confirmed(node(), await absent())


async def test_a_host_with_another_block_there_confirms_nothing() -> None:
    other = node()
    other.fork = "another history"
    assert not await confirmed(other, await absent())


async def test_a_host_for_which_that_block_is_not_final_confirms_nothing() -> None:
    other = node()
    other.finalized -= 1
    assert not await confirmed(other, await absent())


async def test_a_host_that_saw_the_transfer_confirms_nothing() -> None:
    other = node()
    settled(other)
    assert not await confirmed(other, await absent())


@pytest.mark.parametrize("status", ["0x0", "0x1"])
async def test_a_host_that_knows_the_transaction_does_not_confirm_that_it_is_absent(status: str) -> None:
    other = node()
    transaction = other.transaction("known", other.at(PAID), status=status)
    assert not await confirmed(other, await absent(), payment("mpp", signed_hash=transaction))


async def test_a_host_confirms_a_failure_in_the_same_block_at_the_same_price() -> None:
    host = node()
    transaction = failed(host)
    paid = payment("mpp", signed_hash=transaction)
    sight = await look(host, paid=paid)
    assert isinstance(sight, Failed)
    assert await confirmed(host, sight, paid)
    assert not await confirmed(node(), sight, paid)
    assert not await confirmed(host, replace(sight, block=replace(sight.block, hash="0x" + "ee" * 32)), paid)
    assert not await confirmed(host, replace(sight, fee=0), paid)


async def test_a_host_for_which_the_failure_is_not_final_does_not_confirm_it() -> None:
    """One that calls too much final is not enough: the transaction may be undone, and succeed the next time."""
    hasty, other = node(), node(finalized=PAID - 1)
    transaction = failed(hasty)
    assert failed(other) == transaction
    paid = payment("mpp", signed_hash=transaction)
    sight = await look(hasty, paid=paid)
    assert isinstance(sight, Failed)
    assert await confirmed(hasty, sight, paid)
    assert not await confirmed(other, sight, paid)


async def test_a_host_that_saw_it_succeed_does_not_confirm_a_failure() -> None:
    host, other = node(), node()
    transaction = failed(host)
    other.transaction("in vain", other.at(PAID))
    paid = payment("mpp", signed_hash=transaction)
    sight = await look(host, paid=paid)
    assert isinstance(sight, Failed)
    assert not await confirmed(other, sight, paid)


async def test_a_memo_names_nothing_that_a_lost_ledger_could_be_asked_about() -> None:
    assert not await tempo_rail(node()).was_used(Wallet.from_hex(PAYER_KEY), b"key", 0)


async def test_what_marks_a_transaction_is_in_the_topics_of_its_events() -> None:
    host = node()
    assert MARK in await tempo_rail(host).marks(settled(host))


def receipt(**changes: object) -> dict[str, str]:
    document = {"method": "tempo", "status": "success", "reference": TRANSACTION}
    return {"payment-receipt": encode_url_safe(document | changes)}


@pytest.mark.parametrize("status", [200, 402, 400, 500])
def test_a_receipt_on_any_status_is_a_claim(status: int) -> None:
    reading = tempo_rail(node()).read(receipt(), status, PAYER)
    assert (reading.claimed, reading.transaction, reading.on_its_way) == (True, TRANSACTION, False)


@pytest.mark.parametrize("status", [200, 402, 500])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        receipt(method="stripe"),
        receipt(reference="0x12"),
        receipt(status=True),
        receipt(status="failed"),
        {"payment-receipt": "rubbish?"},
        {"payment-response": "of the other rail"},
    ],
)
def test_nothing_else_is_one(headers: dict[str, str], status: int) -> None:
    reading = tempo_rail(node()).read(headers, status, PAYER)
    assert (reading.claimed, reading.transaction) == (False, None)


def test_a_receipt_of_a_failure_tells_why() -> None:
    assert tempo_rail(node()).read(receipt(status="reverted"), 402, PAYER).reason == "reverted"
