from dataclasses import replace

import pytest

from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger import audit, entries, payments
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.database import Row
from seedance_mcp.ledger.entries import OUTSIDE, Seen
from seedance_mcp.ledger.states import Payment, State
from tests.guard.examples import OTHER
from tests.ledger.examples import CLIP, NOW, USDC, VALID, Desk, intent, nonce_of

PAYER, BASE, TEMPO = "0xpayer", "eip155:8453", "eip155:4217"
DEADLINE = NOW // 1000 + VALID
BOUND, FEE = 25_000, 3_125
HOUR = 3_600_000
SEEN = Seen(
    rail="x402",
    network=BASE,
    token=USDC,
    payer=PAYER,
    to=OTHER,
    amount=700_000,
    transaction="0xelsewhere",
    index=4,
    at=NOW - HOUR // 2,
)


async def scan(desk: Desk, *seen: Seen, network: str = BASE) -> int:
    return await desk.database.write(entries.scanned, list(seen), PAYER, network, desk.now)


async def rows(desk: Desk, kind: str) -> list[Row]:
    return await desk.database.read(
        lambda tx: tx.all(
            "SELECT payments.*, closed FROM payments JOIN purchases ON purchases.id = purchase WHERE kind = :kind",
            kind=kind,
        )
    )


async def over_tempo(desk: Desk, state: State = State.UNKNOWN) -> Payment:
    """A payment that holds a bound for its fee."""
    return await desk.at(state, intent(rail="mpp", network=TEMPO, fee=BOUND))


async def book_fee(desk: Desk, payment: Payment, fee: int = FEE, block: int = NOW // 1000 + 7) -> None:
    await desk.database.write(payments.expire, payment, desk.now)
    await desk.database.write(entries.book_fee, payment, fee, "0xfailed", block, desk.now)


async def test_a_transfer_that_no_payment_made_counts_as_outside_at_its_block(desk: Desk) -> None:
    assert await scan(desk, SEEN) == 1
    (row,) = await rows(desk, "outside")
    assert (row["state"], row["agent"], row["model"], row["closed"]) == ("settled", OUTSIDE, OUTSIDE, 1)
    assert (row["amount"], row["fee"], row["pay_to"], row["transaction_hash"]) == (700_000, 0, OTHER, "0xelsewhere")
    spent = await desk.spent()
    assert (spent.total, spent.held, spent.count) == (700_000, 0, 1)
    desk.now = SEEN.at + HOUR
    assert (await desk.spent()).total == 0
    assert (await desk.spent(window="total")).total == 700_000
    assert await check_ledger(desk.database) == []


async def test_a_second_scan_books_nothing(desk: Desk) -> None:
    twins = (SEEN, replace(SEEN, index=5))
    assert await scan(desk, *twins) == 2
    assert await scan(desk, *twins) == 0
    assert (await desk.spent()).total == 1_400_000


async def test_an_own_payment_is_told_by_its_transaction(desk: Desk) -> None:
    await desk.at(State.CLAIMED)
    assert await scan(desk, replace(SEEN, transaction="0xclaimed")) == 0
    assert (await desk.spent()).total == CLIP


@pytest.mark.parametrize("state", [State.SIGNED, State.SENT, State.UNKNOWN])
async def test_an_own_payment_whose_answer_is_lost_is_told_by_its_nonce_or_memo(desk: Desk, state: State) -> None:
    payment = await desk.at(state)
    assert await scan(desk, replace(SEEN, marks=(b"another", nonce_of(payment)))) == 0
    assert (await desk.spent()).total == CLIP


@pytest.mark.parametrize("given_up", [False, True])
async def test_the_fee_of_an_own_transaction_that_failed_is_told_by_the_hash_that_was_signed(
    desk: Desk, given_up: bool
) -> None:
    payment = await over_tempo(desk)
    if given_up:
        desk.now = (DEADLINE + 1) * 1000
        assert await desk.database.write(payments.write_off, payment, desk.now)
    await desk.database.write(
        lambda tx: tx.do("UPDATE payments SET signed_hash = '0xsigned' WHERE id = :id", id=payment.id)
    )
    fee = replace(SEEN, rail="mpp", network=TEMPO, transaction="0xsigned", amount=FEE)
    assert await scan(desk, fee, network=TEMPO) == 0


async def test_the_nonce_of_another_network_or_token_is_another_one(desk: Desk) -> None:
    payment = await desk.at(State.UNKNOWN)
    seen = replace(SEEN, marks=(nonce_of(payment),))
    assert await scan(desk, replace(seen, network=TEMPO), network=TEMPO) == 1
    assert await scan(desk, replace(seen, token="0xother", transaction="0xother")) == 1


async def test_a_payment_that_was_taken_for_expired_and_was_made_after_all_counts(desk: Desk) -> None:
    payment = await desk.at(State.EXPIRED)
    assert await scan(desk, replace(SEEN, marks=(nonce_of(payment),))) == 1


async def test_a_wallet_is_known_once_it_was_scanned_or_vouched_for(desk: Desk) -> None:
    async def known(network: str) -> bool:
        return await desk.database.read(entries.is_known, PAYER, network)

    assert not await known(BASE)
    await scan(desk)
    assert (await known(BASE), await known(TEMPO)) == (True, False)
    await desk.database.write(entries.vouch, PAYER, TEMPO, "new", desk.now)
    assert await known(TEMPO)
    await desk.database.write(entries.doubt, PAYER, desk.now)
    assert (await known(BASE), await known(TEMPO)) == (False, False)
    assert await desk.database.read(audit.verify) == 3


async def test_the_fee_of_a_failed_transaction_counts_where_its_payment_did(desk: Desk) -> None:
    payment = await over_tempo(desk)
    assert (await desk.spent()).total == CLIP + BOUND
    await book_fee(desk, payment)
    (row,) = await rows(desk, "fee")
    assert (row["state"], row["amount"], row["fee"], row["transaction_hash"]) == ("settled", 0, FEE, "0xfailed")
    assert (row["agent"], row["model"], row["rail"]) == (payment.agent, payment.model, "mpp")
    for scope in (WALLET, f"agent:{payment.agent}", f"model:{payment.model}"):
        assert (await desk.spent(scope)).total == FEE
        assert (await desk.spent(scope, "total")).total == FEE
    assert await check_ledger(desk.database) == []


async def test_a_fee_is_booked_once_and_never_above_its_bound(desk: Desk) -> None:
    payment = await over_tempo(desk)
    await book_fee(desk, payment, fee=BOUND + 1)
    await book_fee(desk, payment, fee=BOUND + 1)
    assert [row["fee"] for row in await rows(desk, "fee")] == [BOUND]


async def test_a_transaction_that_cost_nothing_leaves_no_entry(desk: Desk) -> None:
    payment = await over_tempo(desk)
    await book_fee(desk, payment, fee=0)
    assert await rows(desk, "fee") == []


@pytest.mark.parametrize(
    ("late", "block"), [(0, NOW // 1000 + 7), (9 * HOUR, NOW // 1000 + 7), (-2 * HOUR, NOW // 1000 + 7), (0, 0)]
)
async def test_a_fee_counts_at_its_block_whatever_the_clock_and_no_earlier_than_its_reservation(
    desk: Desk, late: int, block: int
) -> None:
    payment = await over_tempo(desk)
    desk.now = NOW + 20_000 + late
    await book_fee(desk, payment, block=block)
    (row,) = await rows(desk, "fee")
    assert row["counted_at"] == max(block * 1000, NOW)


@pytest.mark.parametrize("change", ["state = 'claimed'", "transaction_hash = NULL", "nonce = x'00'"])
async def test_an_entry_that_is_not_settled_by_a_transaction_is_a_fault(desk: Desk, change: str) -> None:
    await scan(desk, SEEN)
    assert await check_ledger(desk.database) == []
    await desk.database.write(lambda tx: tx.do(f"UPDATE payments SET {change}"))
    assert any("is an entry of the kind outside" in told for told in await check_ledger(desk.database))


async def test_an_entry_without_its_row_in_the_audit_chain_is_a_fault(desk: Desk) -> None:
    await scan(desk, SEEN)
    await desk.database.write(lambda tx: tx.do("DROP TRIGGER audit_is_append_only_delete"))
    await desk.database.write(lambda tx: tx.do("DELETE FROM audit WHERE seq = 1"))
    assert any("audit chain" in told for told in await check_ledger(desk.database))
