"""What sellers send back, looked for on imagined chains with hosts that lie, and on real ones."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

import seedance_mcp.refunds
from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain
from seedance_mcp.chain.eip3009 import AuthorizationHost
from seedance_mcp.chain.rpc import Log, Topics
from seedance_mcp.chain.tip20 import MemoHost
from seedance_mcp.errors import LedgerError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger import claims, jobs, refunds
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.refunds import Refund
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import Payment, State
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE, Token
from seedance_mcp.rails.base import BaseRail
from seedance_mcp.rails.rail import Rail
from seedance_mcp.rails.tempo import TempoRail
from seedance_mcp.refunds import Looked, look_for_refunds
from tests.guard.examples import policy
from tests.ledger.examples import CLIP, Desk, intent, nonce_of
from tests.rails.examples import OTHER, PAY_TO
from tests.rails.nodes import NOW, PAYER, Node, base_rail, tempo_rail

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil
    from tests.peers.tempo import Tempo

HOUR = 3600


class Till:
    """A ledger, and two hosts of each chain that agree until a test makes them differ."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.base = [Node(BASE_USDC), Node(BASE_USDC)]
        self.tempo = [Node(TEMPO_USDCE, seconds=1), Node(TEMPO_USDCE, seconds=1)]
        self.policy = policy()

    @property
    def rails(self) -> dict[str, Rail]:
        return {"x402": base_rail(*self.base), "mpp": tempo_rail(*self.tempo)}

    async def failed(self, name: str, token: Token = BASE_USDC, *, ago: int = HOUR, **changes: Any) -> Payment:
        """A clip that was paid ``ago`` seconds before the newest block, and whose job failed."""
        self.desk.now = (NOW - ago) * 1000
        terms = {"rail": token.rail, "network": token.network, "token": token.address, "payer": PAYER, "pay_to": PAY_TO}
        payment = await self.desk.at(State.SETTLED, intent(name, **(terms | changes)))
        await self.desk.database.write(jobs.add, payment.purchase, f"job-{name}", self.desk.now)
        await self.desk.database.write(
            jobs.update, f"job-{name}", status="failed", progress=None, video_url=None, thumbnail_url=None,
            links_die_at=None, error="no", now=self.desk.now,
        )  # fmt: skip
        self.desk.now = NOW * 1000
        return payment

    async def look(self) -> list[Looked]:
        return await look_for_refunds(self.desk.database, self.rails, self._policy, lambda: self.desk.now)

    async def booked(self) -> list[Refund]:
        return await self.desk.database.read(refunds.booked)

    async def _policy(self) -> Policy:
        return self.policy


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield Till(Desk(database))
    await database.close()


async def test_a_transfer_back_is_booked_once_and_is_for_the_claim_of_that_amount(till: Till) -> None:
    payment = await till.failed("dawn")
    for node in till.base:
        transaction = node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    (looked,) = await till.look()
    assert looked == Looked("x402", 1, NOW * 1000, None)
    assert await till.look() == [replace(looked, booked=0)]
    (refund,) = await till.booked()
    assert (refund.amount, refund.transaction, refund.purchase) == (CLIP, transaction, payment.purchase)
    assert (refund.sender, refund.mined_at) == (PAY_TO.lower(), (NOW - 60) * 1000)


async def test_it_makes_no_room_in_any_limit(till: Till) -> None:
    await till.failed("dawn")
    windows = ("hour", "day", "total")
    before = [await till.desk.spent(WALLET, window) for window in windows]
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    await till.look()
    assert [await till.desk.spent(WALLET, window) for window in windows] == before
    assert await check_ledger(till.desk.database) == []


async def test_what_others_send_and_what_is_nothing_is_no_refund(till: Till) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.between(OTHER, PAYER, CLIP, node.at(NOW - 60), "a top-up")
        node.between(PAY_TO, PAYER, 0, node.at(NOW - 60), "nothing")
        node.between(PAY_TO, OTHER, CLIP, node.at(NOW - 60), "to another")
        node.authorized(b"\x01" * 32, PAY_TO, CLIP, node.at(NOW - 60))
    assert [looked.booked for looked in await till.look()] == [0]
    assert await till.booked() == []


async def test_nothing_is_asked_where_nothing_was_paid(till: Till) -> None:
    await till.desk.at(State.RELEASED, intent(token=BASE_USDC.address, network=BASE_USDC.network, payer=PAYER))
    assert await till.look() == []
    assert [node.asked for node in (*till.base, *till.tempo)] == [[], [], [], []]


async def test_a_block_that_is_not_final_is_waited_for(till: Till) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.finalized = node.at(NOW - 100)
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    assert [(looked.booked, looked.until) for looked in await till.look()] == [(0, (NOW - 100) * 1000)]
    till.base[0].finalized = till.base[0].latest
    (looked,) = await till.look()
    assert (looked.booked, looked.problem) == (0, None), "one host's word that it is final"
    till.base[1].finalized = till.base[1].latest
    assert [looked.booked for looked in await till.look()] == [1]


async def test_a_lying_host_alone_books_nothing(till: Till) -> None:
    await till.failed("dawn")
    till.base[0].between(PAY_TO, PAYER, CLIP, till.base[0].at(NOW - 60))
    (looked,) = await till.look()
    assert (looked.booked, looked.until) == (0, (NOW - 62) * 1000)
    assert "do not agree" in str(looked.problem)
    till.base.append(Node(BASE_USDC))
    assert await till.look() == [Looked("x402", 0, NOW * 1000, None)], "two do not have it"
    assert await till.booked() == []


async def test_a_host_that_hides_a_transfer_does_not_lose_it(till: Till) -> None:
    await till.failed("dawn")
    till.base[1].between(PAY_TO, PAYER, CLIP, till.base[1].at(NOW - 60))
    assert (await till.look())[0].problem is not None
    till.base[0].between(PAY_TO, PAYER, CLIP, till.base[0].at(NOW - 60))
    assert await till.look() == [Looked("x402", 1, NOW * 1000, None)]


async def test_a_host_on_another_fork_books_nothing(till: Till) -> None:
    await till.failed("dawn")
    till.base[1].fork = "another"
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    assert (await till.look())[0].booked == 0


async def test_a_lying_host_alone_tells_no_time(till: Till) -> None:
    await till.failed("dawn")
    till.base[0].ahead = 1_000_000
    (looked,) = await till.look()
    assert (looked.until, "do not agree on block" in str(looked.problem)) == (None, True)
    till.base.append(Node(BASE_USDC))
    assert await till.look() == [Looked("x402", 0, NOW * 1000, None)]


async def test_nothing_was_looked_through_where_the_first_block_is_in_doubt(till: Till) -> None:
    await till.failed("dawn")
    await till.look()
    first = till.base[0].spans[0][0]
    await till.desk.database.write(lambda tx: tx.do("DELETE FROM refund_scans"))
    till.base[0].between(PAY_TO, PAYER, CLIP, first)
    (looked,) = await till.look()
    assert (looked.until, f"in block {first}" in str(looked.problem)) == (None, True)


def stall(monkeypatch: pytest.MonkeyPatch, widest: int, *names: str) -> None:
    """These hosts never answer a question for the events of more blocks."""

    async def events(host: AuthorizationHost, token: str, topics: Topics, first: int, last: int) -> list[Log]:
        if host.name in names and last - first >= widest:
            await anyio.sleep_forever()
        return await answered(host, token, topics, first, last)

    answered = AuthorizationHost.events
    monkeypatch.setattr(AuthorizationHost, "events", events)
    monkeypatch.setattr(seedance_mcp.refunds, "PIECE_SECONDS", 0.5)


async def test_hosts_that_are_slow_are_asked_about_fewer_blocks(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    await till.failed("dawn", ago=5 * HOUR)
    stall(monkeypatch, 5000, "host0.example", "host1.example")
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    assert await till.look() == [Looked("x402", 1, NOW * 1000, None)]


async def test_one_slow_host_does_not_keep_the_others_from_agreeing(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    await till.failed("dawn")
    stall(monkeypatch, 0, "host0.example")
    till.base.append(Node(BASE_USDC))
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    assert await till.look() == [Looked("x402", 1, NOW * 1000, None)]


async def test_a_look_that_finds_nothing_new_does_not_read_the_history(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    await till.look()
    monkeypatch.delattr(claims, "claims")
    monkeypatch.delattr(claims, "assign")
    assert [looked.problem for looked in await till.look()] == [None]


async def test_the_history_is_not_read_while_others_wait_to_write(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = await till.failed("dawn")
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    write = till.desk.database.write

    async def without_claims(*statement: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.delattr(claims, "claims")
            return await write(*statement)

    monkeypatch.setattr(till.desk.database, "write", without_claims)
    await till.look()
    assert [refund.purchase for refund in await till.booked()] == [payment.purchase]


async def test_as_many_hosts_as_the_policy_says_are_enough(till: Till) -> None:
    await till.failed("dawn")
    till.base[0].between(PAY_TO, PAYER, CLIP, till.base[0].at(NOW - 60))
    till.policy = policy(rpc_agree=1)
    assert (await till.look())[0].booked == 1


async def test_a_look_goes_on_from_where_the_last_one_ended(till: Till) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.finalized = node.at(NOW - 200)
    await till.look()
    first, last = till.base[0].spans[0][0], till.base[0].spans[-1][1]
    assert first <= till.base[0].at(NOW - HOUR)
    till.base[1].down = True
    (looked,) = await till.look()
    assert looked.until == (NOW - 200) * 1000
    assert "2 RPC hosts of x402 must agree, and 1 answered" in str(looked.problem)
    till.base[1].down = False
    for node in till.base:
        node.asked.clear()
        node.finalized = node.latest
    await till.look()
    assert till.base[0].spans == [(last + 1, till.base[0].latest)]


async def test_without_any_host_that_is_said(till: Till) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.down = True
    (looked,) = await till.look()
    assert (looked.booked, looked.until) == (0, None)
    assert "cannot be reached" in str(looked.problem)


async def test_a_refund_that_could_be_for_either_of_two_claims_is_for_none_until_both_came(till: Till) -> None:
    one, two = await till.failed("one", ago=HOUR), await till.failed("two", ago=HOUR - 10)
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 90), "first")
    await till.look()
    assert [refund.purchase for refund in await till.booked()] == [None]
    assert await check_ledger(till.desk.database) == []
    for node in till.base:
        node.latest = node.finalized = node.at(NOW + 60)
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW + 60), "second")
    await till.look()
    assert [refund.purchase for refund in await till.booked()] == [one.purchase, two.purchase]
    assert await check_ledger(till.desk.database) == []


@pytest.mark.parametrize("amount", [CLIP - 1, CLIP + 1])
async def test_another_amount_is_for_no_claim(till: Till, amount: int) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.between(PAY_TO, PAYER, amount, node.at(NOW - 60))
    await till.look()
    assert [refund.purchase for refund in await till.booked()] == [None]


async def test_what_came_before_the_payment_is_not_for_it(till: Till) -> None:
    await till.failed("early", amount=CLIP + 1)
    await till.failed("late", ago=100)
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 300))
    await till.look()
    assert [refund.purchase for refund in await till.booked()] == [None]


async def test_a_memo_names_its_payment_whatever_the_amount(till: Till) -> None:
    await till.failed("one", TEMPO_USDCE)
    two = await till.failed("two", TEMPO_USDCE)
    for node in till.tempo:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60), "back", memo=nonce_of(two))
        node.between(PAY_TO, PAYER, CLIP // 2, node.at(NOW - 50), "a part", memo=nonce_of(two))
    await till.look()
    booked = await till.booked()
    assert [(refund.amount, refund.purchase) for refund in booked] == [(CLIP, two.purchase), (CLIP // 2, two.purchase)]


async def test_a_memo_of_the_seller_s_own_hides_no_refund(till: Till) -> None:
    payment = await till.failed("one", TEMPO_USDCE)
    for node in till.tempo:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60), "back", memo=b"refund".ljust(32, b"\0"))
    await till.look()
    assert [refund.purchase for refund in await till.booked()] == [payment.purchase]


@pytest.mark.parametrize(
    "change", ["amount = amount + 1", "purchase = NULL", "mined_at = 0", "sender = 'x'", "transaction_hash = '0x'"]
)
async def test_an_edited_refund_is_noticed(till: Till, change: str) -> None:
    await till.failed("dawn")
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    await till.look()
    assert await check_ledger(till.desk.database) == []
    await till.desk.database.write(lambda tx: tx.do(f"UPDATE refunds SET {change}"))
    assert any("the refund in" in told for told in await check_ledger(till.desk.database))


async def test_a_refund_that_was_never_booked_or_is_gone_is_noticed(till: Till) -> None:
    payment = await till.failed("dawn")
    for node in till.base:
        node.between(PAY_TO, PAYER, CLIP, node.at(NOW - 60))
    await till.look()
    with pytest.raises(LedgerError, match="never deleted"):
        await till.desk.database.write(lambda tx: tx.do("DELETE FROM refunds"))
    write = till.desk.database.write
    await write(lambda tx: tx.do("DROP TRIGGER refunds_are_never_deleted"))
    await write(lambda tx: tx.do("DELETE FROM refunds"))
    assert any("not in the ledger" in told for told in await check_ledger(till.desk.database))
    forged = Refund("x402", BASE_USDC.network, "t", PAYER, PAY_TO, 1, "0xforged", 0, 0)
    await write(refunds.book, forged, 0)
    await write(lambda tx: tx.do("UPDATE refunds SET purchase = :id", id=payment.purchase))
    assert any("0xforged is not what" in told for told in await check_ledger(till.desk.database))


async def test_a_refund_is_found_on_a_real_chain(till: Till, chain: "Anvil", payer: "LocalAccount") -> None:
    payment = await till.failed("dawn", payer=payer.address)
    chain.mint(PAY_TO, CLIP)
    chain.mint(OTHER, CLIP)
    for sender in (PAY_TO, OTHER):
        chain.rpc("anvil_impersonateAccount", sender)
        chain.rpc("anvil_setBalance", sender, hex(10**18))
        chain.transact(sender, BASE_USDC.address, "transfer(address,uint256)", payer.address, CLIP)
    sent = chain.block_number()
    async with httpx.AsyncClient(trust_env=False) as http:
        hosts = Chain([AuthorizationHost(http, url, BASE_USDC.chain_id) for url in (chain.url, chain.url)])
        rail = BaseRail(BASE_USDC, hosts, Balance(hosts, BASE_USDC.address, payer.address, lambda: 0))
        await is_found_once(till, rail, payment, chain, sent)


async def test_a_refund_is_found_on_a_real_tempo_by_its_memo(till: Till, tempo: "Tempo") -> None:
    # An account that anvil has given the means for a fee.
    await till.failed("another", TEMPO_USDCE, pay_to=OTHER)
    payment = await till.failed("dawn", TEMPO_USDCE, pay_to=OTHER)
    tempo.mint(OTHER, 2 * CLIP)
    transfer = "transferWithMemo(address,uint256,bytes32)"
    tempo.transact(OTHER, TEMPO_USDCE.address, transfer, PAYER, CLIP, nonce_of(payment))
    sent = tempo.block_number()
    async with httpx.AsyncClient(trust_env=False) as http:
        hosts = Chain([MemoHost(http, url, TEMPO_USDCE.chain_id) for url in (tempo.url, tempo.url)])
        rail = TempoRail(TEMPO_USDCE, hosts, Balance(hosts, TEMPO_USDCE.address, PAYER, lambda: 0))
        await is_found_once(till, rail, payment, tempo, sent)


async def is_found_once(till: Till, rail: Rail, payment: Payment, node: "Anvil | Tempo", sent: int) -> None:
    """Not before its block, the one numbered ``sent``, is final."""

    async def look() -> list[Looked]:
        return await look_for_refunds(till.desk.database, {rail.name: rail}, till._policy, lambda: till.desk.now)

    if node.block_number("finalized") < sent:
        assert [looked.booked for looked in await look()] == [0]
        node.mine(70)
    assert node.block_number("finalized") >= sent
    assert [(looked.booked, looked.problem) for looked in await look()] == [(1, None)]
    assert [(looked.booked, looked.problem) for looked in await look()] == [(0, None)]
    (refund,) = await till.booked()
    assert (refund.amount, refund.purchase, refund.sender) == (CLIP, payment.purchase, payment.pay_to.lower())
    assert await check_ledger(till.desk.database) == []
