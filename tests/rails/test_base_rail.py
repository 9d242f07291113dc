from collections.abc import Mapping
from typing import Any

import pytest

from seedance_mcp.chain import Transfer
from seedance_mcp.chain.eip3009 import AUTHORIZATION_USED
from seedance_mcp.errors import ChainError
from seedance_mcp.payment.tokens import BASE_USDC
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.wire import encode
from seedance_mcp.payment.x402 import nonce_for
from seedance_mcp.rails.rail import Absent, Moved
from tests.conftest import PAYER_KEY
from tests.rails.examples import CLIP, DEADLINE, MARK, OTHER, PAY_TO, RESERVED, payment
from tests.rails.nodes import NOW, PAYER, Node, base_rail, topic

PAID = NOW - 40
TRANSACTION = "0x" + "ab" * 32


def node(**changes: Any) -> Node:
    return Node(BASE_USDC, **changes)


def settled(host: Node, *, to: str = PAY_TO, amount: int = CLIP, when: int = PAID) -> str:
    return host.authorized(MARK, to, amount, host.at(when))


async def test_a_transfer_in_a_final_block_is_final() -> None:
    host = node()
    transaction = settled(host)
    sight = await base_rail(host).look(payment("x402"))
    assert sight == Moved(Transfer(transaction, host.at(PAID), PAID, PAY_TO.lower(), CLIP), 0, final=True)


async def test_a_transfer_above_the_final_block_is_not() -> None:
    host = node(finalized=PAID // 2 - 1)
    settled(host)
    sight = await base_rail(host).look(payment("x402"))
    assert isinstance(sight, Moved)
    assert not sight.final


async def test_an_unused_nonce_is_absent_as_of_the_final_block() -> None:
    host = node(finalized=NOW // 2 - 30)
    sight = await base_rail(host).look(payment("x402"))
    assert isinstance(sight, Absent)
    assert (sight.finalized.number, sight.finalized.hash) == (NOW // 2 - 30, host.hash(NOW // 2 - 30))


async def test_a_cancelled_nonce_is_no_outcome() -> None:
    host = node()
    host.used[MARK] = host.at(PAID)
    assert await base_rail(host).look(payment("x402")) is None


@pytest.mark.parametrize(("to", "amount"), [(OTHER, CLIP), (PAY_TO, CLIP + 1), (PAY_TO, 1)])
async def test_a_transfer_of_something_else_is_no_outcome(to: str, amount: int) -> None:
    host = node()
    settled(host, to=to, amount=amount)
    assert await base_rail(host).look(payment("x402")) is None


@pytest.mark.parametrize("when", [RESERVED - 60, RESERVED, DEADLINE - 1])
async def test_a_transfer_is_found_from_the_reservation_to_the_deadline(when: int) -> None:
    host = node(latest=NOW // 2 + 40_000)
    settled(host, when=when)
    assert isinstance(await base_rail(host).look(payment("x402")), Moved)


async def test_a_transfer_is_found_by_the_first_host_that_answers() -> None:
    broken, good = node(), node()
    broken.down = True
    settled(good)
    assert isinstance(await base_rail(broken, good).look(payment("x402")), Moved)


async def test_without_a_host_nothing_is_known() -> None:
    broken = node()
    broken.down = True
    with pytest.raises(ChainError):
        await base_rail(broken).look(payment("x402"))


async def absent(host: Node) -> Absent:
    sight = await base_rail(host).look(payment("x402"))
    assert isinstance(sight, Absent)
    return sight


async def test_a_host_confirms_what_it_sees_at_the_same_block() -> None:
    first, second = node(), node()
    rail = base_rail(first, second)
    sight = await absent(first)
    assert [await rail.confirms(host, payment("x402"), sight) for host in rail.chain.hosts] == [True, True]


async def test_a_host_confirms_a_transfer_that_is_final_there_and_no_other() -> None:
    seen, behind, blind = node(), node(), node()
    settled(seen)
    settled(behind)
    behind.finalized = 1
    sight = await base_rail(seen).look(payment("x402"))
    assert isinstance(sight, Moved)
    rail = base_rail(seen, behind, blind)
    assert [await rail.confirms(host, payment("x402"), sight) for host in rail.chain.hosts] == [True, False, False]


async def test_a_host_with_another_block_there_confirms_nothing() -> None:
    other = node()
    other.fork = "another history"
    rail = base_rail(other)
    assert not await rail.confirms(rail.chain.hosts[0], payment("x402"), await absent(node()))


async def test_a_host_that_saw_the_nonce_used_by_then_confirms_nothing() -> None:
    other = node()
    settled(other)
    rail = base_rail(other)
    assert not await rail.confirms(rail.chain.hosts[0], payment("x402"), await absent(node()))


async def test_use_after_that_block_is_another_matter() -> None:
    """The block is later than the deadline by then, so that it cannot be."""
    early = NOW // 2 - 20
    other = node()
    settled(other, when=NOW - 10)
    rail = base_rail(other)
    assert await rail.confirms(rail.chain.hosts[0], payment("x402"), await absent(node(finalized=early)))


async def test_a_host_for_which_that_block_is_not_final_confirms_nothing() -> None:
    rail = base_rail(node(finalized=NOW // 2 - 1))
    assert not await rail.confirms(rail.chain.hosts[0], payment("x402"), await absent(node()))


async def test_a_host_that_has_not_come_so_far_is_an_error_and_no_opinion() -> None:
    behind = node(latest=NOW // 2 - 500)
    rail = base_rail(behind)
    with pytest.raises(ChainError):
        await rail.confirms(rail.chain.hosts[0], payment("x402"), await absent(node()))


async def test_what_a_lost_ledger_has_paid_is_told_by_its_nonce() -> None:
    host, wallet = node(), Wallet.from_hex(PAYER_KEY)
    rail = base_rail(host)
    assert wallet.address == PAYER
    assert not await rail.was_used(wallet, b"key", 0)
    host.used[nonce_for(wallet, token=BASE_USDC, purchase_key=b"key", serial=0)] = host.at(PAID)
    assert await rail.was_used(wallet, b"key", 0)
    assert not await rail.was_used(wallet, b"key", 1)
    assert not await rail.was_used(wallet, b"other", 0)


async def test_what_marks_a_transaction_is_in_the_topics_of_its_events() -> None:
    host = node()
    transaction = settled(host)
    marks = await base_rail(host).marks(transaction)
    assert MARK in marks
    assert bytes.fromhex(AUTHORIZATION_USED[2:]) in marks
    assert bytes.fromhex(topic(PAYER)[2:]) in marks


def receipt(**document: object) -> dict[str, str]:
    return {"payment-response": encode(document)}


SUCCESS: dict[str, object] = {"success": True, "transaction": TRANSACTION, "network": BASE_USDC.network}
REFUSAL: dict[str, object] = {"success": False, "transaction": "", "network": BASE_USDC.network}


@pytest.mark.parametrize("status", [200, 402, 400, 500])
def test_a_receipt_on_any_status_is_a_claim(status: int) -> None:
    reading = base_rail(node()).read(receipt(**SUCCESS), status, PAYER)
    assert (reading.claimed, reading.transaction, reading.on_its_way) == (True, TRANSACTION, False)


@pytest.mark.parametrize("status", [200, 402, 500])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        receipt(**SUCCESS | {"network": "eip155:1"}),
        receipt(**SUCCESS | {"payer": OTHER}),
        receipt(**SUCCESS | {"transaction": "0x12"}),
        receipt(**REFUSAL | {"errorReason": "insufficient_funds"}),
        {"payment-response": "rubbish"},
        {"payment-receipt": "of the other rail"},
    ],
)
def test_nothing_else_is_one(headers: Mapping[str, str], status: int) -> None:
    reading = base_rail(node()).read(headers, status, PAYER)
    assert (reading.claimed, reading.transaction) == (False, None)


@pytest.mark.parametrize(("status", "claimed"), [(402, True), (200, False), (500, False)])
def test_a_used_nonce_is_a_claim_where_it_is_the_reason_of_a_402(status: int, claimed: bool) -> None:
    reading = base_rail(node()).read(receipt(**REFUSAL | {"errorReason": "nonce_already_used"}), status, PAYER)
    assert (reading.claimed, reading.transaction, reading.reason) == (claimed, None, "nonce_already_used")


def test_a_pending_settlement_is_on_its_way() -> None:
    reading = base_rail(node()).read(receipt(**REFUSAL | {"errorReason": "settlement_pending"}), 402, PAYER)
    assert (reading.claimed, reading.on_its_way) == (False, True)
