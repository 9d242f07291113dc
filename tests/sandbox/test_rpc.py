from collections.abc import Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from seedance_mcp.sandbox import Sandbox
from seedance_mcp.sandbox.x402 import PAY_TO
from tests.sandbox.buyer import CLIP, SEEDANCE, Buyer

USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
NONCE = "0x" + "0" * 63 + "1"
USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


async def ask(buyer: Buyer, method: str, *params: object) -> Any:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = (await buyer.http.post("/rpc", json=body)).json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer.get("result", answer.get("error"))


async def call(buyer: Buyer, signature: str, types: list[str], values: Sequence[object], block: str = "latest") -> Any:
    data = "0x" + (keccak(text=signature)[:4] + encode(types, values)).hex()
    result = await ask(buyer, "eth_call", {"to": USDC, "data": data}, block)
    assert len(result) == 66
    return int(result, 16)


async def balance(buyer: Buyer, address: str) -> Any:
    return await call(buyer, "balanceOf(address)", ["address"], [address])


async def used(buyer: Buyer, block: str = "latest") -> Any:
    values = [buyer.account.address, bytes.fromhex(NONCE[2:])]
    return await call(buyer, "authorizationState(address,bytes32)", ["address", "bytes32"], values, block)


async def test_the_chain_is_base_and_has_the_tokens_code(buyer: Buyer) -> None:
    assert await ask(buyer, "eth_chainId") == "0x2105"
    assert len(await ask(buyer, "eth_getCode", USDC, "latest")) > 2
    assert await ask(buyer, "eth_getCode", PAY_TO, "latest") == "0x"


async def test_a_payment_shows_in_balances_and_authorization(buyer: Buyer) -> None:
    before = await ask(buyer, "eth_blockNumber")
    assert (await balance(buyer, buyer.account.address), await used(buyer)) == (10_000_000, 0)
    buyer.clock.now += 2

    await buyer.pay(SEEDANCE, CLIP)

    assert await balance(buyer, buyer.account.address) == 10_000_000 - 330_000
    assert await balance(buyer, PAY_TO) == 330_000
    assert await used(buyer) == 1
    assert await used(buyer, before) == 0


async def test_a_cancelled_authorization_is_used_and_has_no_logs(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.bank.cancel(buyer.account.address, bytes.fromhex(NONCE[2:]))

    assert await used(buyer) == 1
    assert await ask(buyer, "eth_getLogs", {"address": USDC, "fromBlock": "0x0"}) == []


async def test_blocks_follow_the_clock(sandbox: Sandbox, buyer: Buyer) -> None:
    latest = await ask(buyer, "eth_getBlockByNumber", "latest", False)
    assert 0 <= buyer.clock.now - int(latest["timestamp"], 16) < 2
    assert await ask(buyer, "eth_getBlockByNumber", latest["number"], False) == latest

    buyer.clock.now += 60
    newer = await ask(buyer, "eth_getBlockByNumber", "latest", False)
    assert int(newer["number"], 16) == int(latest["number"], 16) + 30
    assert await ask(buyer, "eth_getBlockByNumber", "finalized", False) == newer
    sandbox.bank.finality = 30
    assert await ask(buyer, "eth_getBlockByNumber", "finalized", False) == latest
    assert await ask(buyer, "eth_getBlockByNumber", hex(int(newer["number"], 16) + 1), False) is None


async def test_the_logs_tell_a_transfer_from_a_cancellation(sandbox: Sandbox, buyer: Buyer) -> None:
    block = await ask(buyer, "eth_blockNumber")
    await buyer.pay(SEEDANCE, CLIP)
    await buyer.pay(SEEDANCE, CLIP | {"duration": "5"})
    sender = "0x" + "0" * 24 + buyer.account.address[2:].lower()

    topics = [USED, sender, NONCE]
    [authorization] = await ask(buyer, "eth_getLogs", {"address": USDC, "fromBlock": block, "topics": topics})
    receipt = await ask(buyer, "eth_getTransactionReceipt", authorization["transactionHash"])

    assert receipt["status"] == "0x1"
    assert receipt["logs"][0] == authorization
    transfer = receipt["logs"][1]
    assert transfer["topics"][:2] == [TRANSFER, sender]
    assert transfer["topics"][2].endswith(PAY_TO[2:])
    assert int(transfer["data"], 16) == 330_000
    assert authorization["blockHash"] == sandbox.bank.transfers[0].block_hash

    everything = await ask(buyer, "eth_getLogs", {"address": [USDC.lower()], "fromBlock": block, "topics": [TRANSFER]})
    assert [int(log["data"], 16) for log in everything] == [330_000, 412_500]
    either = await ask(buyer, "eth_getLogs", {"fromBlock": block, "topics": [[USED, TRANSFER], None]})
    assert len(either) == 4
    later = await ask(buyer, "eth_getLogs", {"fromBlock": hex(int(block, 16) + 1), "toBlock": "latest"})
    assert later == []


async def test_everything_that_leaves_a_wallet_is_a_transfer_and_its_receipt_tells_what_was_authorized(
    sandbox: Sandbox, buyer: Buyer
) -> None:
    first = await ask(buyer, "eth_blockNumber")
    await buyer.pay(SEEDANCE, CLIP)
    buyer.clock.now += 20
    friend = "0x" + "ab" * 20
    sandbox.bank.send(buyer.account.address, friend, 25)
    sandbox.bank.send(friend, buyer.account.address, 5)
    sender = "0x" + "0" * 24 + buyer.account.address[2:].lower()

    async def outgoing(first: str, last: str) -> list[Any]:
        query = {"address": USDC, "fromBlock": first, "toBlock": last, "topics": [TRANSFER, sender]}
        logs: list[Any] = await ask(buyer, "eth_getLogs", query)
        return logs

    bought, sent = await outgoing(first, "latest")
    assert [int(log["data"], 16) for log in (bought, sent)] == [330_000, 25]
    assert await outgoing(first, first) == [bought]
    assert await outgoing(hex(int(first, 16) + 1), "latest") == [sent]
    events = [
        [log["topics"][0] for log in (await ask(buyer, "eth_getTransactionReceipt", log["transactionHash"]))["logs"]]
        for log in (bought, sent)
    ]
    assert events == [[USED, TRANSFER], [TRANSFER]]
    assert await balance(buyer, buyer.account.address) == 10_000_000 - 330_000 - 25 + 5


async def test_what_is_not_there_is_null_or_an_error(buyer: Buyer) -> None:
    assert await ask(buyer, "eth_getTransactionReceipt", "0x" + "0" * 64) is None
    assert await ask(buyer, "eth_getLogs", {"address": PAY_TO, "fromBlock": "0x0"}) == []
    assert await ask(buyer, "eth_call", {"to": PAY_TO, "data": "0x70a08231"}, "latest") == "0x"
    assert (await ask(buyer, "eth_sendRawTransaction", "0x"))["code"] == -32601
    assert (await ask(buyer, "eth_call", {"to": USDC, "data": "0x18160ddd"}))["code"] in (3, -32602)
    assert (await ask(buyer, "eth_getCode"))["code"] == -32602
    assert (await buyer.http.post("/rpc", content=b"[")).json()["error"]["code"] == -32600
