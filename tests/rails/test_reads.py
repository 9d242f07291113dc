"""What hosts are asked for transfers, and in which blocks."""

from itertools import pairwise
from typing import Any

import pytest

from seedance_mcp.chain import Block, Chain, Outgoing
from seedance_mcp.chain.rpc import LEAST, SPAN, TRANSFER
from seedance_mcp.chain.tip20 import MemoHost
from seedance_mcp.errors import ChainError
from seedance_mcp.payment.tokens import TEMPO_USDCE
from tests.rails.examples import CLIP, MARK, OTHER, PAY_TO
from tests.rails.nodes import GAS_PRICE, NOW, PAYER, Node, http_of, topic

TOKEN = TEMPO_USDCE.address
BLOCK = NOW - 40


@pytest.fixture
def node() -> Node:
    return Node(TEMPO_USDCE, seconds=1)


def host_of(node: Node) -> MemoHost:
    http, (url,) = http_of(node)
    return MemoHost(http, url, TEMPO_USDCE.chain_id)


async def found(node: Node, *, memo: bytes = MARK, payer: str = PAYER, token: str = TOKEN) -> bool:
    return await host_of(node).memo_transfer(token, payer, memo, BLOCK - 5, BLOCK + 5) is not None


async def test_a_transfer_is_told_by_token_payer_and_memo(node: Node) -> None:
    node.with_memo(MARK, PAY_TO, CLIP, BLOCK)
    assert await found(node)
    assert not await found(node, memo=b"\x99" * 32)
    assert not await found(node, payer=OTHER)
    assert not await found(node, token=OTHER)


async def test_of_several_transfers_the_one_with_the_memo_is_taken(node: Node) -> None:
    for number in range(3):
        node.with_memo(bytes([number]) * 32, OTHER, 1, BLOCK)
    transaction = node.with_memo(MARK, PAY_TO, CLIP, BLOCK + 1)
    transfer = await host_of(node).memo_transfer(TOKEN, PAYER, MARK, BLOCK - 5, BLOCK + 5)
    assert transfer is not None
    assert (transfer.transaction, transfer.block, transfer.timestamp) == (transaction, BLOCK + 1, BLOCK + 1)
    assert (transfer.to, transfer.amount) == (PAY_TO.lower(), CLIP)


@pytest.mark.parametrize("change", [{"removed": True}, {"address": OTHER}, {"topics": [topic(PAYER)]}])
async def test_an_event_that_is_none_of_the_token_s_shows_no_transfer(node: Node, change: dict[str, Any]) -> None:
    node.with_memo(MARK, PAY_TO, CLIP, BLOCK)
    node.events[-1] |= change
    assert not await found(node)


@pytest.mark.parametrize("change", [{"blockHash": "0x" + "ee" * 32}, {"data": "0x"}, {"transactionHash": None}])
async def test_an_event_that_its_block_does_not_bear_out_is_a_chain_error(node: Node, change: dict[str, Any]) -> None:
    node.with_memo(MARK, PAY_TO, CLIP, BLOCK)
    node.events[-1] |= change
    with pytest.raises(ChainError):
        await found(node)


@pytest.mark.parametrize(("gas", "fee"), [(50, 1), (51, 2), (1, 1), (0, 0), (1_000_000, 20_000)])
async def test_a_fee_is_rounded_up_to_a_micro_dollar(node: Node, gas: int, fee: int) -> None:
    assert GAS_PRICE * 50 == 10**12
    transaction = node.with_memo(MARK, PAY_TO, CLIP, BLOCK, gas=gas)
    mined = await host_of(node).mined(transaction)
    assert mined is not None
    assert (mined.succeeded, mined.fee, mined.block.number) == (True, fee, BLOCK)


async def test_a_transaction_that_no_host_knows_was_not_mined(node: Node) -> None:
    assert await host_of(node).mined("0x" + "ab" * 32) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "0x2"},
        {"status": None},
        {"gasUsed": None},
        {"effectiveGasPrice": -1},
        {"transactionHash": "0x" + "ab" * 32},
        {"blockHash": "0x" + "ab" * 32},
    ],
)
async def test_a_receipt_of_another_form_is_a_chain_error(node: Node, change: dict[str, Any]) -> None:
    transaction = node.with_memo(MARK, PAY_TO, CLIP, BLOCK)
    node.receipts[transaction] |= change
    with pytest.raises(ChainError):
        await host_of(node).mined(transaction)


async def test_everything_that_left_a_wallet_is_listed_with_its_place(node: Node) -> None:
    first, second = node.plain(PAY_TO, 7, BLOCK, "one"), node.with_memo(MARK, OTHER, 8, BLOCK + 1)
    node.plain(PAY_TO, 9, BLOCK + 9, "later")
    assert await host_of(node).outgoing(TOKEN, PAYER, BLOCK, BLOCK + 8) == [
        Outgoing(first, 0, BLOCK, PAY_TO.lower(), 7),
        Outgoing(second, 1, BLOCK + 1, OTHER.lower(), 8),
    ]
    assert await host_of(node).outgoing(TOKEN, OTHER, BLOCK, BLOCK + 8) == []


@pytest.mark.parametrize(
    "change", [{"logIndex": None}, {"topics": [TRANSFER, topic(PAYER)]}, {"data": "0x"}, {"transactionHash": 1}]
)
async def test_a_transfer_of_another_form_is_a_chain_error(node: Node, change: dict[str, Any]) -> None:
    node.plain(PAY_TO, 7, BLOCK)
    node.events[-1] |= change
    with pytest.raises(ChainError):
        await host_of(node).outgoing(TOKEN, PAYER, BLOCK, BLOCK)


async def test_the_marks_of_a_transaction_that_the_host_lists_and_does_not_know_are_a_chain_error(node: Node) -> None:
    with pytest.raises(ChainError, match="no receipt"):
        await host_of(node).topics("0x" + "ab" * 32, TOKEN)


async def test_the_marks_of_a_transaction_are_those_of_the_token_alone(node: Node) -> None:
    transaction = node.with_memo(MARK, PAY_TO, CLIP, BLOCK)
    assert MARK in await host_of(node).topics(transaction, TOKEN)
    assert await host_of(node).topics(transaction, OTHER) == ()


@pytest.mark.parametrize("seconds", [1, 2, 12])
@pytest.mark.parametrize("length", [0, 100, 5 * SPAN])
async def test_spans_cover_a_time_without_gaps_and_without_overlaps(seconds: int, length: int) -> None:
    node = Node(TEMPO_USDCE, seconds=seconds, latest=NOW // seconds + 50_000 // seconds)
    latest = Block(node.latest, node.hash(node.latest), node.latest * seconds)
    http, (url,) = http_of(node)
    chain = Chain([MemoHost(http, url, TEMPO_USDCE.chain_id)])
    spans = [span async for span in chain.spans(NOW, NOW + length, latest)]
    assert spans[0][0] * seconds <= NOW
    assert spans[-1][1] * seconds > NOW + length
    assert all(last * seconds <= NOW + length for _, last in spans[:-1])
    assert all(last - first < SPAN for first, last in spans)
    assert all(before[1] + 1 == after[0] for before, after in pairwise(spans))


async def test_spans_end_at_the_newest_block(node: Node) -> None:
    latest = Block(node.latest, node.hash(node.latest), NOW)
    http, (url,) = http_of(node)
    chain = Chain([MemoHost(http, url, TEMPO_USDCE.chain_id)])
    for until in (None, NOW + 500):
        spans = [span async for span in chain.spans(NOW - 3 * SPAN, until, latest)]
        assert spans[0][0] <= NOW - 3 * SPAN
        assert spans[-1][1] == NOW


async def test_a_young_chain_is_looked_at_from_its_first_block() -> None:
    node = Node(TEMPO_USDCE, seconds=1, latest=90)
    http, (url,) = http_of(node)
    chain = Chain([MemoHost(http, url, TEMPO_USDCE.chain_id)])
    assert [span async for span in chain.spans(-500, None, Block(90, node.hash(90), 90))] == [(0, 90)]


async def came(node: Node, first: int = BLOCK - 5, last: int = BLOCK + 5) -> list[int]:
    return [one.amount for one in await host_of(node).incoming(TOKEN, PAYER, [PAY_TO], first, last)]


async def test_dust_is_left_out_and_a_block_is_asked_about_once(node: Node) -> None:
    for number in range(20):
        node.between(PAY_TO, PAYER, LEAST - 1, BLOCK - 1, f"dust {number}")
    node.between(PAY_TO, PAYER, LEAST, BLOCK, "a cent")
    node.between(PAY_TO, PAYER, CLIP, BLOCK, "a clip")
    assert await came(node) == [LEAST, CLIP]
    assert [params[0] for method, params in node.asked if method == "eth_getBlockByNumber"] == [hex(BLOCK)]
    node.events[-1]["blockHash"] = "0x" + "ee" * 32
    with pytest.raises(ChainError, match="changed its mind"):
        await came(node)


async def test_an_event_of_a_block_that_was_not_asked_for_is_a_chain_error(node: Node) -> None:
    class Careless(Node):
        def _answer(self, method: str, *params: Any) -> object:
            return self.events if method == "eth_getLogs" else super()._answer(method, *params)

    careless = Careless(TEMPO_USDCE, seconds=1)
    careless.between(PAY_TO, PAYER, CLIP, BLOCK)
    assert await came(careless, BLOCK, BLOCK) == [CLIP]
    for first, last in [(BLOCK + 1, BLOCK + 5), (BLOCK - 5, BLOCK - 1)]:
        with pytest.raises(ChainError, match="other blocks"):
            await came(careless, first, last)


async def test_numbers_that_no_ledger_holds_are_a_chain_error(node: Node) -> None:
    node.between(PAY_TO, PAYER, 2**63, BLOCK)
    with pytest.raises(ChainError, match="a transfer that cannot be"):
        await came(node)
    node.ahead = 2**32
    with pytest.raises(ChainError, match="a block that cannot be"):
        await host_of(node).block(BLOCK)
