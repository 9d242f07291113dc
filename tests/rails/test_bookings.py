"""What recovery writes down of a payment over Tempo, as two hosts tell it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedance_mcp.errors import StudioUnavailable
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger import payments
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.payment.tokens import TEMPO_USDCE
from seedance_mcp.recovery import Recovery
from seedance_mcp.studio.client import Studio
from seedance_mcp.studio.models import Job
from tests.guard.examples import PAY_TO, policy
from tests.ledger.examples import CLIP, ME, NOW, VALID, Desk, intent, nonce_of
from tests.rails.nodes import PAYER, Node, hash_of, tempo_rail

BOUND, GAS, FEE = 25_000, 50_000, 1_000
SECOND = NOW // 1000
TRANSACTION = "in vain"


class _Silent(Studio):
    def __init__(self) -> None:
        self.origin = "https://seller.example"

    async def jobs(self, limit: int = 50, status: str | None = None) -> list[Job]:
        raise StudioUnavailable("nobody is there")


class Till:
    """A payment that was sent, and two hosts that agree until a test bends one."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.hosts = [Node(TEMPO_USDCE, seconds=1, latest=SECOND + 300) for _ in range(2)]
        self.payment: Payment

    async def send(self) -> None:
        network, token = TEMPO_USDCE.network, TEMPO_USDCE.address
        terms = intent(rail="mpp", network=network, token=token, payer=PAYER, fee=BOUND)
        self.payment = await self.desk.at(State.UNKNOWN, terms)
        await self.desk.database.write(
            lambda tx: tx.do("UPDATE payments SET signed_hash = :hash", hash=hash_of(TRANSACTION))
        )

    def settle(self) -> None:
        for host in self.hosts:
            host.with_memo(nonce_of(self.payment), PAY_TO, CLIP, SECOND + 20, gas=GAS)

    def fail(self) -> None:
        for host in self.hosts:
            host.transaction(TRANSACTION, SECOND + 20, status="0x0", gas=GAS)

    async def recover(self) -> Payment:
        async def current() -> Policy:
            return policy()

        rails = {"mpp": tempo_rail(*self.hosts)}
        recovery = Recovery(
            studio=_Silent(), database=self.desk.database, rails=rails, policy=current, owner=ME, now=lambda: NOW
        )
        await recovery.look_up(self.payment.purchase)
        assert await check_ledger(self.desk.database) == []
        return await self.desk.look(self.payment)

    async def counted(self) -> int:
        return (await self.desk.spent(WALLET, "total")).total


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    till = Till(Desk(database))
    await till.send()
    yield till
    await database.close()


async def test_a_settlement_is_counted_with_its_true_fee(till: Till) -> None:
    till.settle()
    payment = await till.recover()
    assert (payment.state, payment.fee) == (State.SETTLED, FEE)
    assert await till.counted() == CLIP + FEE


@pytest.mark.parametrize("liar", [0, 1])
async def test_what_is_held_for_a_fee_does_not_come_back_on_the_word_of_one_host(till: Till, liar: int) -> None:
    till.settle()
    for receipt in till.hosts[liar].receipts.values():
        receipt["gasUsed"] = "0x0"
    payment = await till.recover()
    assert (payment.state, payment.fee) == (State.CLAIMED, BOUND)
    assert await till.counted() == CLIP + BOUND


async def test_nor_on_a_transfer_that_only_one_host_has_seen(till: Till) -> None:
    till.hosts[0].with_memo(nonce_of(till.payment), PAY_TO, CLIP, SECOND + 20, gas=0)
    assert (await till.recover()).state is State.CLAIMED
    assert await till.counted() == CLIP + BOUND


async def test_a_failure_gives_the_price_back_and_keeps_the_fee(till: Till) -> None:
    till.fail()
    assert (await till.recover()).state is State.EXPIRED
    assert await till.counted() == FEE
    await till.recover()
    assert await till.counted() == FEE


async def test_a_failure_is_known_before_the_deadline(till: Till) -> None:
    for host in till.hosts:
        host.latest = host.finalized = SECOND + 30
    till.fail()
    assert (await till.recover()).state is State.EXPIRED


@pytest.mark.parametrize("liar", [0, 1])
async def test_a_failure_that_one_host_makes_up_changes_nothing(till: Till, liar: int) -> None:
    till.hosts[liar].transaction(TRANSACTION, SECOND + 20, status="0x0", gas=GAS)
    assert (await till.recover()).state is State.UNKNOWN
    assert await till.counted() == CLIP + BOUND


async def test_what_is_nowhere_expires_after_its_deadline(till: Till) -> None:
    assert (await till.recover()).state is State.EXPIRED
    assert await till.counted() == 0


@pytest.mark.parametrize("finalized", [SECOND + VALID, SECOND + VALID + 60])
async def test_and_not_before_a_final_block_lies_well_beyond_it(till: Till, finalized: int) -> None:
    for host in till.hosts:
        host.finalized = finalized
    assert (await till.recover()).state is State.UNKNOWN
    for host in till.hosts:
        host.finalized = SECOND + VALID + 61
    assert (await till.recover()).state is State.EXPIRED


@pytest.mark.parametrize("silent", [0, 1])
async def test_nor_where_only_one_of_two_hosts_answers(till: Till, silent: int) -> None:
    till.hosts[silent].down = True
    assert (await till.recover()).state is State.UNKNOWN


async def test_what_was_written_off_is_decided_once_the_chain_can_be_asked_again(till: Till) -> None:
    late = (SECOND + VALID) * 1000
    assert await till.desk.database.write(payments.write_off, till.payment, late)
    for host in till.hosts:
        host.down = True
    assert (await till.recover()).state is State.WRITTEN_OFF
    assert await till.counted() == CLIP + BOUND
    for host in till.hosts:
        host.down = False
    till.settle()
    assert (await till.recover()).state is State.SETTLED
    assert await till.counted() == CLIP + FEE
