from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from seedance_mcp.sandbox import Sandbox
from seedance_mcp.sandbox.chain import Reverted
from seedance_mcp.sandbox.mpp import SPONSOR
from seedance_mcp.sandbox.x402 import PAY_TO
from tests.sandbox.buyer import CLIP, SEEDANCE, Buyer
from tests.sandbox.tempo_buyer import USDC_E, TempoBuyer, memo_of

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
WITH_MEMO = "0x57bc7354aa85aed339e000bccffabbc529466af35f0772c8f8ee1145927de7f0"
FEE_MANAGER = "0xfeec000000000000000000000000000000000000"
FRIEND = "0x" + "ab" * 20


async def ask(buyer: Buyer, method: str, *params: object) -> Any:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = (await buyer.http.post("/rpc/tempo", json=body)).json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer.get("result", answer.get("error"))


async def logs(buyer: Buyer, *topics: str | None, first: str = "0x0") -> list[tuple[str, int]]:
    """The recipients and amounts of the token's logs with these topics."""
    wanted = {"address": USDC_E, "fromBlock": first, "toBlock": "latest", "topics": topics}
    return [("0x" + log["topics"][2][-40:], int(log["data"], 16)) for log in await ask(buyer, "eth_getLogs", wanted)]


def word(address: str) -> str:
    return "0x" + "0" * 24 + address[2:].lower()


async def test_the_chain_is_tempo_and_has_the_tokens_code(buyer: Buyer) -> None:
    assert await ask(buyer, "eth_chainId") == hex(4217)
    assert await ask(buyer, "eth_getCode", USDC_E, "latest") == "0xef"
    assert await ask(buyer, "eth_getCode", PAY_TO, "latest") == "0x"


async def test_a_payment_shows_in_the_balances(buyer: Buyer, tempo_buyer: TempoBuyer) -> None:
    async def balance(address: str) -> int:
        data = "0x" + (keccak(text="balanceOf(address)")[:4] + encode(["address"], [address])).hex()
        return int(await ask(buyer, "eth_call", {"to": USDC_E, "data": data}, "latest"), 16)

    assert await balance(tempo_buyer.address) == 10_000_000
    await tempo_buyer.pay(SEEDANCE, CLIP)

    assert await balance(tempo_buyer.address) == 10_000_000 - 330_000 - 6_271
    assert await balance(PAY_TO) == 330_000
    assert await balance(FEE_MANAGER) == 6_271


async def test_two_blocks_a_second_follow_the_clock(sandbox: Sandbox, buyer: Buyer) -> None:
    latest = await ask(buyer, "eth_getBlockByNumber", "latest", False)
    assert int(latest["timestamp"], 16) == buyer.clock.now

    buyer.clock.now += 60
    newer = await ask(buyer, "eth_getBlockByNumber", "latest", False)
    assert int(newer["number"], 16) == int(latest["number"], 16) + 120 == int(await ask(buyer, "eth_blockNumber"), 16)
    middle = await ask(buyer, "eth_getBlockByNumber", hex(int(latest["number"], 16) + 1), False)
    assert (middle["timestamp"], middle["parentHash"]) == (latest["timestamp"], latest["hash"])
    assert await ask(buyer, "eth_getBlockByNumber", "finalized", False) == newer
    sandbox.tempo.finality = 120
    assert await ask(buyer, "eth_getBlockByNumber", "finalized", False) == latest
    assert await ask(buyer, "eth_getBlockByNumber", hex(int(newer["number"], 16) + 1), False) is None


async def test_the_chains_have_different_blocks(sandbox: Sandbox) -> None:
    assert sandbox.tempo.block_hash(1) != sandbox.bank.block_hash(1)


async def test_a_payment_is_found_by_payer_recipient_and_memo(buyer: Buyer, tempo_buyer: TempoBuyer) -> None:
    first = await ask(buyer, "eth_blockNumber")
    memos = []
    for seconds in "45":
        body = CLIP | {"duration": seconds}
        challenge = await tempo_buyer.quote(SEEDANCE, body)
        memos.append(memo_of(challenge))
        await tempo_buyer.present(SEEDANCE, body, tempo_buyer.credential(challenge))
    payer, seller = word(tempo_buyer.address), word(PAY_TO)
    both = [(PAY_TO, 330_000), (PAY_TO, 412_500)]

    assert await logs(buyer, WITH_MEMO, payer, first=first) == both
    assert await logs(buyer, WITH_MEMO, payer, seller, first=first) == both
    assert await logs(buyer, WITH_MEMO, payer, seller, memos[1], first=first) == both[1:]
    assert await logs(buyer, WITH_MEMO, None, None, memos[0], first=first) == both[:1]
    assert await logs(buyer, WITH_MEMO, word(FRIEND), first=first) == []
    assert await logs(buyer, WITH_MEMO, payer, seller, "0x" + "00" * 32, first=first) == []
    assert await logs(buyer, WITH_MEMO, payer, first=hex(int(first, 16) + 1)) == []


async def test_everything_that_leaves_a_wallet_is_a_transfer(
    sandbox: Sandbox, buyer: Buyer, tempo_buyer: TempoBuyer
) -> None:
    await tempo_buyer.pay(SEEDANCE, CLIP)
    sandbox.tempo.send(tempo_buyer.address, FRIEND, 25)
    payer = word(tempo_buyer.address)

    outgoing = await logs(buyer, TRANSFER, payer)

    assert outgoing == [(PAY_TO, 330_000), (FEE_MANAGER, 6_271), (FRIEND, 25), (FEE_MANAGER, 5_973)]
    assert sandbox.tempo.balance(tempo_buyer.address) == 10_000_000 - sum(amount for _, amount in outgoing)
    assert await logs(buyer, TRANSFER, payer, word(FRIEND)) == [(FRIEND, 25)]
    assert await logs(buyer, WITH_MEMO, payer) == [(PAY_TO, 330_000)]


async def test_the_receipt_tells_the_fee_and_who_paid_it(
    sandbox: Sandbox, buyer: Buyer, tempo_buyer: TempoBuyer
) -> None:
    await tempo_buyer.pay(SEEDANCE, CLIP)
    [mined] = sandbox.tempo.transactions

    receipt = await ask(buyer, "eth_getTransactionReceipt", mined.transaction)

    block = await ask(buyer, "eth_getBlockByNumber", receipt["blockNumber"], False)
    assert (receipt["status"], receipt["type"], receipt["blockHash"]) == ("0x1", "0x76", block["hash"])
    assert block["transactions"] == [mined.transaction]
    assert receipt["from"] == receipt["feePayer"] == tempo_buyer.address.lower()
    assert receipt["to"] == USDC_E.lower()
    assert -(-int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16) // 10**12) == 6_271
    assert [log["topics"][0] for log in receipt["logs"]] == [TRANSFER, WITH_MEMO, TRANSFER]
    assert receipt["logs"][2]["topics"][2] == word(FEE_MANAGER)


async def test_the_receipt_of_a_failure_has_status_0_and_only_the_fees_log(
    sandbox: Sandbox, buyer: Buyer, tempo_buyer: TempoBuyer
) -> None:
    sandbox.tempo.fails_next = True
    await tempo_buyer.pay(SEEDANCE, CLIP)
    [mined] = sandbox.tempo.transactions

    receipt = await ask(buyer, "eth_getTransactionReceipt", mined.transaction)

    assert receipt["status"] == "0x0"
    [fee] = receipt["logs"]
    assert (fee["topics"], int(fee["data"], 16)) == ([TRANSFER, word(tempo_buyer.address), word(FEE_MANAGER)], 749)
    assert await logs(buyer, WITH_MEMO) == []


async def test_the_receipt_of_a_sponsored_payment_names_the_sponsor(
    sandbox: Sandbox, buyer: Buyer, tempo_buyer: TempoBuyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox._tills["mpp"], "sponsored", True)
    await tempo_buyer.pay(SEEDANCE, CLIP)
    sponsor = SPONSOR.public_key.to_address()

    receipt = await ask(buyer, "eth_getTransactionReceipt", sandbox.tempo.transactions[0].transaction)

    assert (receipt["from"], receipt["feePayer"]) == (tempo_buyer.address.lower(), sponsor)
    assert receipt["logs"][2]["topics"][1] == word(sponsor)
    assert await logs(buyer, TRANSFER, word(tempo_buyer.address)) == [(PAY_TO, 330_000)]


async def test_nobody_sends_what_they_do_not_have(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    for chain in (sandbox.bank, sandbox.tempo):
        with pytest.raises(Reverted):
            chain.send(tempo_buyer.address, FRIEND, 10_000_001)
    with pytest.raises(Reverted):  # the fee is not there
        sandbox.tempo.send(tempo_buyer.address, FRIEND, 10_000_000)

    assert not sandbox.bank.transactions
    assert not sandbox.tempo.transactions


async def test_what_is_not_there_is_null_or_an_error(buyer: Buyer) -> None:
    used = "0x" + keccak(text="authorizationState(address,bytes32)")[:4].hex() + "00" * 64
    assert await ask(buyer, "eth_getTransactionReceipt", "0x" + "0" * 64) is None
    assert (await ask(buyer, "eth_call", {"to": USDC_E, "data": used}))["code"] == 3
    assert (await ask(buyer, "eth_sendRawTransaction", "0x"))["code"] == -32601
