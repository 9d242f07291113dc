import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from seedance_mcp import continuity
from seedance_mcp.balance import Balance
from seedance_mcp.chain import Chain, Outgoing
from seedance_mcp.chain.eip3009 import AuthorizationHost
from seedance_mcp.chain.scanning import NARROWEST, WIDEST
from seedance_mcp.continuity import Continuity, Mark, Marker
from seedance_mcp.errors import LedgerError
from seedance_mcp.guard.policy import Policy
from seedance_mcp.guard.usage import WALLET
from seedance_mcp.ledger import audit, entries, operator
from seedance_mcp.ledger.check import check_ledger
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.ledger.states import State
from seedance_mcp.payment.tokens import BASE_USDC, TEMPO_USDCE
from seedance_mcp.rails.base import BaseRail
from tests.guard.examples import policy
from tests.ledger.examples import CLIP, Desk, intent, nonce_of
from tests.rails.examples import OTHER
from tests.rails.nodes import NOW, PAYER, Node, base_rail, tempo_rail

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil

AGO = NOW - 600
DAY = 86_400
ELSEWHERE = 700_000


class House:
    """A wallet's folder with a keystore, two chains with a host each, and ledgers that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base, self.tempo = Node(BASE_USDC), Node(TEMPO_USDCE, seconds=1)
        self.marker = Marker(folder / "key.json")
        self.policy = policy()
        self.now = NOW * 1000
        self.desk: Desk
        self.continuity: Continuity

    async def open(self, name: str, *, marker: bool = True) -> None:
        """Go on with the ledger ``name``, which is new if it is not there."""
        self.desk = Desk(await SQLite.open(self.folder / name / "ledger.db", "real"), self.now)
        self.continuity = Continuity(
            database=self.desk.database,
            rails={"x402": base_rail(self.base), "mpp": tempo_rail(self.tempo)},
            policy=self._policy,
            payer=PAYER,
            marker=self.marker if marker else None,
            now=lambda: self.now,
        )

    async def close(self) -> None:
        await self.desk.database.close()

    async def pay(self, name: str = "dawn") -> None:
        """What the corridor does: look, sign, and mark."""
        await self.continuity.require()
        await self.desk.at(State.UNKNOWN, intent(name))
        await self.continuity.record()

    async def known(self) -> list[str]:
        tokens = (BASE_USDC, TEMPO_USDCE)
        return [t.rail for t in tokens if await self.desk.database.read(entries.is_known, PAYER, t.network)]

    async def counted(self, window: str = "day") -> int:
        return (await self.desk.spent(WALLET, window)).total

    async def mark(self) -> Mark:
        """The mark of the ledger that is open, as it ought to be."""
        rows, head = await self.desk.database.read(audit.head)
        return Mark(await self.desk.database.read(operator.ledger_id), rows, head.hex())

    async def _policy(self) -> Policy:
        return self.policy


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.open("first")
    yield house
    await house.close()


async def test_a_new_wallet_is_known_without_a_question(house: House) -> None:
    house.marker.write(Mark())
    await house.continuity.require()
    assert await house.known() == ["x402", "mpp"]
    assert house.base.asked == house.tempo.asked == []


async def test_every_signature_is_marked_beside_the_key(house: House) -> None:
    house.marker.write(Mark())
    await house.pay()
    assert house.marker.read() == await house.mark()
    await house.pay("dusk")
    assert house.marker.read() == await house.mark()


async def test_the_ledger_that_was_paid_with_last_goes_on(house: House) -> None:
    await house.pay()
    await house.close()
    await house.open("first")
    before = len(house.base.asked)
    await house.continuity.require()
    assert len(house.base.asked) == before


async def test_a_ledger_that_went_on_beyond_its_mark_is_no_older_one(house: House) -> None:
    await house.pay()
    await house.desk.at(State.RELEASED, intent("dusk"))
    await house.continuity.require()


async def go_back(house: House) -> None:
    """A backup of the ledger is brought back, which lacks the last payment."""
    await house.pay()
    await house.close()
    backup = (house.folder / "first" / "ledger.db").read_bytes()
    await house.open("first")
    await house.pay("dusk")
    await house.close()
    (house.folder / "first" / "ledger.db").write_bytes(backup)
    await house.open("first")


async def test_an_old_backup_is_refused(house: House) -> None:
    await go_back(house)
    with pytest.raises(LedgerError, match="older than the one"):
        await house.continuity.require()


async def test_a_ledger_that_went_another_way_since_a_backup_is_refused(house: House) -> None:
    await go_back(house)
    for name in ("one", "two", "three"):
        await house.desk.at(State.UNKNOWN, intent(name))
    with pytest.raises(LedgerError, match="older than the one"):
        await house.continuity.require()


async def test_an_audit_chain_holds_what_it_went_through_and_nothing_else(house: House) -> None:
    read = house.desk.database.read
    heads = [await read(audit.head)]
    for why in ("one", "two", "three"):
        await house.desk.database.write(operator.freeze, why, house.now)
        heads.append(await read(audit.head))
    assert [rows for rows, _ in heads] == [0, 1, 2, 3]
    assert heads[0][1] == audit.GENESIS
    assert [await read(audit.holds, *head) for head in heads] == [True] * 4
    assert not await read(audit.holds, 4, heads[3][1])
    assert not await read(audit.holds, 2, heads[3][1])
    assert not await read(audit.holds, 0, heads[3][1])


@pytest.mark.parametrize("text", ["", "null", "[]", "{}x", '{"rows": 1, "odd": 2}'])
async def test_a_mark_that_cannot_be_read_stops_everything(house: House, text: str) -> None:
    house.marker.path.write_text(text)
    with pytest.raises(LedgerError, match="cannot be read") as caught:
        await house.continuity.require()
    assert "--new-ledger" in caught.value.next


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root writes anywhere")
async def test_a_folder_that_cannot_be_written_is_told_and_does_not_stop_a_payment(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.folder.chmod(0o500)
    try:
        with caplog.at_level(logging.WARNING):
            await house.continuity.record()
    finally:
        house.folder.chmod(0o700)
    assert "an old ledger would go unnoticed" in caplog.text


async def test_what_cannot_be_written_leaves_the_old_mark_and_no_litter(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.marker.write(Mark("one", 7, "00"))

    def full(_: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.WARNING):
        await house.continuity.record()
    assert "an old ledger would go unnoticed" in caplog.text
    assert house.marker.read() == Mark("one", 7, "00")
    assert [path.name for path in house.folder.iterdir() if path.is_file()] == [house.marker.path.name]


async def test_a_key_that_lies_in_no_file_leaves_no_mark(house: House) -> None:
    await house.open("second", marker=False)
    await house.pay()
    assert not house.marker.path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
def test_the_mark_is_its_owner_s_alone(tmp_path: Path) -> None:
    marker = Marker(tmp_path / "key.json")
    marker.write(Mark("one", 1, "00"))
    assert marker.path == tmp_path / "key-ledger.json"
    assert marker.path.stat().st_mode & 0o777 == 0o600
    assert json.loads(marker.path.read_text()) == {"ledger": "one", "rows": 1, "head": "00"}


async def test_what_left_the_wallet_before_this_ledger_is_counted_once(house: House) -> None:
    house.base.authorized(b"\x01" * 32, OTHER, ELSEWHERE, house.base.at(AGO))
    house.tempo.with_memo(b"\x02" * 32, OTHER, ELSEWHERE + 1, house.tempo.at(AGO))
    await house.continuity.require()
    assert await house.known() == ["x402", "mpp"]
    assert await house.counted() == 2 * ELSEWHERE + 1
    spent = await house.desk.spent(WALLET, "day")
    assert spent.rails == {"x402": ELSEWHERE, "mpp": ELSEWHERE + 1}
    for _ in range(2):
        await house.desk.database.write(entries.doubt, PAYER, house.now)
        await house.continuity.require()
    assert await house.counted() == 2 * ELSEWHERE + 1
    assert await check_ledger(house.desk.database) == []


async def test_it_counts_from_its_block(house: House) -> None:
    house.base.plain(OTHER, ELSEWHERE, house.base.at(AGO))
    await house.continuity.require()
    house.desk.now = (AGO + DAY) * 1000 - 1
    assert await house.counted() == ELSEWHERE
    house.desk.now += 1
    assert await house.counted() == 0


@pytest.mark.parametrize(("window", "days"), [("per_day", 1), ("per_week", 7), ("per_month", 30), ("total", 30)])
async def test_it_is_looked_for_within_the_longest_window(house: House, window: str, days: int) -> None:
    house.policy = policy(**{window: 10_000_000})
    house.base.plain(OTHER, 3, house.base.at(NOW - days * DAY + 60), "within")
    house.base.plain(OTHER, 5, house.base.at(NOW - 100 * DAY), "long ago")
    await house.continuity.require()
    assert await house.counted("total") == 3


async def test_the_longest_window_may_be_an_agent_s(house: House) -> None:
    house.policy = policy(agents={"storyboard": policy(per_week=1).caps})
    house.base.plain(OTHER, 3, house.base.at(NOW - 6 * DAY))
    await house.continuity.require()
    assert await house.counted("total") == 3


async def test_own_payments_are_not_booked_again(house: House) -> None:
    network, token = BASE_USDC.network, BASE_USDC.address
    by_nonce = await house.desk.at(State.UNKNOWN, intent("nonce", network=network, token=token))
    by_hash = await house.desk.at(State.SENT, intent("hash", network=network, token=token))
    memo = intent("memo", rail="mpp", network=TEMPO_USDCE.network, token=TEMPO_USDCE.address)
    by_memo = await house.desk.at(State.UNKNOWN, memo)
    house.base.authorized(nonce_of(by_nonce), OTHER, CLIP, house.base.at(AGO))
    transaction = house.base.plain(OTHER, CLIP, house.base.at(AGO))
    await house.desk.database.write(lambda tx: tx.do(
        "UPDATE payments SET transaction_hash = :hash WHERE id = :id", hash=transaction, id=by_hash.id))  # fmt: skip
    house.tempo.with_memo(nonce_of(by_memo), OTHER, CLIP, house.tempo.at(AGO))
    await house.continuity.require()
    assert await house.counted() == 3 * CLIP


async def test_the_fee_of_an_own_transaction_that_failed_is_not_booked_as_something_else(house: House) -> None:
    memo = intent("memo", rail="mpp", network=TEMPO_USDCE.network, token=TEMPO_USDCE.address, fee=25_000)
    payment = await house.desk.at(State.UNKNOWN, memo)
    transaction = house.tempo.plain("0x" + "fe" * 20, 666, house.tempo.at(AGO), "the fee")
    await house.desk.database.write(lambda tx: tx.do(
        "UPDATE payments SET signed_hash = :hash WHERE id = :id", hash=transaction, id=payment.id))  # fmt: skip
    await house.continuity.require()
    assert await house.counted() == CLIP + 25_000


async def test_a_transfer_of_nothing_stops_nothing(house: House) -> None:
    """Anybody can make a token say that a wallet has sent nothing to somebody."""
    house.base.plain(OTHER, 0, house.base.at(AGO), "nothing")
    house.base.plain(OTHER, ELSEWHERE, house.base.at(AGO), "something")
    await house.continuity.require()
    assert await house.counted() == ELSEWHERE


@pytest.mark.parametrize("widest", [NARROWEST * 2, 2_500, 9_999])
async def test_a_host_that_bounds_its_answers_is_asked_for_less_at_a_time(house: House, widest: int) -> None:
    house.base.widest = widest
    house.base.plain(OTHER, ELSEWHERE, house.base.at(AGO))
    await house.continuity.require()
    assert await house.counted() == ELSEWHERE
    spans = house.base.spans
    assert all(last - first < widest for first, last in spans)
    assert all(before[1] + 1 == after[0] for before, after in pairwise(spans))
    assert (spans[0][0] * 2 <= NOW - DAY, spans[-1][1]) == (True, house.base.latest)


async def test_a_host_that_answers_nothing_but_crumbs_is_not_asked_for_ever(house: House) -> None:
    house.base.widest = 10
    await house.continuity.require()
    assert await house.known() == ["mpp"]


async def test_a_scan_that_takes_several_calls_goes_on_from_where_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.base.plain(OTHER, ELSEWHERE, house.base.at(NOW - DAY + 3600))
    house.base.plain(OTHER, ELSEWHERE, house.base.at(AGO))
    rail, left = house.continuity._rails["x402"], 2
    outgoing = rail.outgoing

    async def tiring(payer: str, first: int, last: int) -> list[Outgoing]:
        nonlocal left
        left -= 1
        if left < 0:
            left = 2
            await anyio.sleep_forever()
        return await outgoing(payer, first, last)

    monkeypatch.setattr(rail, "outgoing", tiring)
    monkeypatch.setattr(continuity, "SCAN_SECONDS", 0.2)
    monkeypatch.setattr(continuity, "at_most", lambda seconds: seconds)
    house.base.widest = WIDEST // 2
    tired = 0
    while "x402" not in await house.known():
        with suppress(LedgerError):
            await house.continuity.require()
        tired += 1
    assert tired > 2
    assert await house.counted() == 2 * ELSEWHERE
    assert len(set(house.base.spans)) == len(house.base.spans), "no block is asked about twice"


async def test_a_wallet_of_which_nothing_is_known_may_pay_without_a_host(house: House) -> None:
    house.base.down = house.tempo.down = True
    await house.pay()
    assert await house.known() == []


async def test_the_scan_is_made_up_for_once_a_host_answers(house: House) -> None:
    house.base.plain(OTHER, ELSEWHERE, house.base.at(AGO))
    house.base.down = True
    await house.continuity.require()
    assert await house.counted() == 0
    house.base.down = False
    await house.continuity.require()
    assert await house.counted() == 0
    house.now += 60_000
    await house.continuity.require()
    assert await house.counted() == ELSEWHERE


async def test_a_fresh_volume_is_no_fresh_budget(house: House) -> None:
    await house.pay()
    house.base.plain(OTHER, ELSEWHERE, house.base.at(AGO))
    await house.close()
    await house.open("second")
    await house.continuity.require()
    assert await house.counted() == ELSEWHERE
    assert house.marker.read() == await house.mark()


@pytest.mark.parametrize(("down", "missing"), [("base", "over x402 "), ("tempo", "over mpp ")])
async def test_another_ledger_pays_nothing_until_the_chains_were_asked(house: House, down: str, missing: str) -> None:
    await house.pay()
    await house.close()
    await house.open("second")
    node: Node = getattr(house, down)
    node.down = True
    mark = house.marker.read()
    with pytest.raises(LedgerError, match="paid with another ledger last") as caught:
        await house.continuity.require()
    assert missing in caught.value.what
    assert "--new-ledger" in caught.value.next
    assert house.marker.read() == mark
    node.down = False
    house.now += 60_000
    await house.continuity.require()
    assert house.marker.read() == await house.mark()


async def test_a_ledger_that_comes_back_counts_what_the_other_one_spent(house: House) -> None:
    await house.pay()
    await house.close()
    await house.open("second")
    await house.continuity.require()
    await house.close()
    house.base.plain(OTHER, ELSEWHERE, house.base.at(NOW - 30))
    await house.open("first")
    before = await house.counted()
    await house.continuity.require()
    assert await house.counted() == before + ELSEWHERE


async def test_the_operator_vouches_for_what_no_host_tells(house: House) -> None:
    await house.pay()
    await house.close()
    await house.open("second")
    house.base.down = True
    house.tempo.plain(OTHER, ELSEWHERE, house.tempo.at(AGO))
    told = await house.continuity.begin_anew()
    assert told == ["x402: no host could be asked; taken as you say", "mpp: the chain was asked"]
    assert await house.known() == ["x402", "mpp"]
    assert await house.counted() == ELSEWHERE
    assert house.marker.read() == await house.mark()
    await house.pay("dusk")


async def test_the_operator_gets_past_an_old_backup_and_a_broken_mark(house: House) -> None:
    await house.pay()
    house.marker.path.write_text("rubbish")
    await house.continuity.begin_anew()
    house.marker.write(Mark((await house.mark()).ledger, 10_000, "ee" * 32))
    with pytest.raises(LedgerError, match="older"):
        await house.continuity.require()
    await house.continuity.begin_anew()
    await house.continuity.require()


async def test_a_real_chain_tells_what_the_wallet_has_spent(
    house: House, chain: "Anvil", payer: "LocalAccount"
) -> None:
    chain.rpc("anvil_impersonateAccount", payer.address)
    chain.rpc("anvil_setBalance", payer.address, hex(10**18))
    chain.transact(payer.address, BASE_USDC.address, "transfer(address,uint256)", OTHER, ELSEWHERE)
    async with httpx.AsyncClient(trust_env=False) as http:
        hosts = Chain([AuthorizationHost(http, chain.url, BASE_USDC.chain_id)])
        balance = Balance(hosts, BASE_USDC.address, payer.address, lambda: 0)
        house.continuity = Continuity(
            database=house.desk.database,
            rails={"x402": BaseRail(BASE_USDC, hosts, balance)},
            policy=house._policy,
            payer=payer.address,
            marker=None,
            now=lambda: chain.timestamp() * 1000,
        )
        house.desk.now = chain.timestamp() * 1000
        await house.continuity.require()
    assert await house.counted() == ELSEWHERE
