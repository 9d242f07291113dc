import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from seedance_mcp.chain import MAX_ANSWER, Chain, Transfer, eip3009
from seedance_mcp.chain import rpc as reads
from seedance_mcp.chain.eip3009 import AuthorizationHost
from seedance_mcp.errors import ChainError
from seedance_mcp.payment.challenge import parse_challenge
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.x402 import sign
from tests.payment.examples import ADDRESS, PAY_TO, URL, USDC, decoded, document, required

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from tests.peers.chain import Anvil

NONCE = bytes(range(32))
SENDER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
TRANSACTION, HASH = "0x" + "ab" * 32, "0x" + "cd" * 32


def test_selectors_and_topics_are_the_hashes_of_their_signatures() -> None:
    assert "0x" + keccak(text="balanceOf(address)")[:4].hex() == reads.BALANCE_OF
    assert "0x" + keccak(text="authorizationState(address,bytes32)")[:4].hex() == eip3009.AUTHORIZATION_STATE
    assert "0x" + keccak(text="AuthorizationUsed(address,bytes32)").hex() == eip3009.AUTHORIZATION_USED
    assert "0x" + keccak(text="Transfer(address,address,uint256)").hex() == reads.TRANSFER


async def test_circles_contract_takes_our_authorization_and_the_chain_shows_it(
    chain: "Anvil", payer: "LocalAccount"
) -> None:
    wallet = Wallet.from_hex(payer.key.hex())
    asked = parse_challenge(required(document()), b"", URL)
    offer = asked.require_offer()[0]
    credential = sign(wallet, asked, offer, nonce=NONCE, valid_before=int(time.time()) + 120)
    before = chain.block_number()
    async with httpx.AsyncClient(trust_env=False) as http:
        rpc = Chain([AuthorizationHost(http, chain.url, 8453)])
        had = await rpc.balance(USDC, wallet.address)
        assert not await authorization_used(rpc, wallet.address)
        assert await authorization_transfer(rpc, wallet.address, NONCE, before) is None

        submit(chain, credential.value)

        assert await rpc.balance(USDC, wallet.address) == had - offer.amount
        assert await authorization_used(rpc, wallet.address)
        assert not await authorization_used(rpc, wallet.address, block=before)
        latest = await rpc.latest()
        transfer = await authorization_transfer(rpc, wallet.address, NONCE, before)
        (seen,) = chain.transfers(before)
        assert transfer == Transfer(seen.transaction, latest.number, latest.timestamp, PAY_TO, offer.amount)
        assert await authorization_transfer(rpc, wallet.address, bytes(32), before) is None
        assert await authorization_transfer(rpc, SENDER, NONCE, before) is None
        assert (await rpc.finalized()).number <= latest.number


def submit(chain: "Anvil", credential: str) -> None:
    """What a facilitator does."""
    payload = decoded(credential)["payload"]
    authorization, signature = payload["authorization"], bytes.fromhex(payload["signature"][2:])
    chain.transact(
        SENDER,
        USDC,
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
        authorization["from"],
        authorization["to"],
        int(authorization["value"]),
        int(authorization["validAfter"]),
        int(authorization["validBefore"]),
        bytes.fromhex(authorization["nonce"][2:]),
        signature[64],
        signature[:32],
        signature[32:64],
    )


async def test_a_cancelled_authorization_is_used_up_without_a_transfer(chain: "Anvil", payer: "LocalAccount") -> None:
    message = encode_typed_data(
        {"name": "USD Coin", "version": "2", "chainId": 8453, "verifyingContract": USDC},
        {"CancelAuthorization": [{"name": "authorizer", "type": "address"}, {"name": "nonce", "type": "bytes32"}]},
        {"authorizer": payer.address, "nonce": NONCE},
    )
    signed = Account.sign_message(message, payer.key)
    before = chain.block_number()
    cancel = "cancelAuthorization(address,bytes32,uint8,bytes32,bytes32)"
    r, s = signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
    chain.transact(SENDER, USDC, cancel, payer.address, NONCE, signed.v, r, s)
    async with httpx.AsyncClient(trust_env=False) as http:
        rpc = Chain([AuthorizationHost(http, chain.url, 8453)])
        assert await authorization_used(rpc, payer.address)
        assert await authorization_transfer(rpc, payer.address, NONCE, before) is None


def word(number: int) -> str:
    return f"0x{number:064x}"


def topic(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def log(*topics: str, data: str = "0x", address: str = USDC) -> dict[str, Any]:
    return {"address": address.lower(), "topics": list(topics), "data": data, "transactionHash": TRANSACTION}


USED = log(eip3009.AUTHORIZATION_USED, topic(ADDRESS), "0x" + NONCE.hex())
PAID = log(reads.TRANSFER, topic(ADDRESS), topic(PAY_TO), data=word(412_500))
BLOCK = {"number": "0x64", "hash": HASH, "timestamp": "0x6b49d200"}


class FakeHost:
    """A JSON-RPC host whose ``results`` a test bends; ``answer`` replaces whole answers."""

    def __init__(self, **results: Any) -> None:
        self.methods: list[str] = []
        self.answer: Callable[[dict[str, Any]], httpx.Response] | None = None
        self.results: dict[str, Any] = {
            "eth_chainId": "0x2105",
            "eth_getCode": "0x6080",
            "eth_call": word(0),
            "eth_getBlockByNumber": BLOCK,
            "eth_getLogs": [USED],
            "eth_getTransactionReceipt": {
                "status": "0x1",
                "transactionHash": TRANSACTION,
                "blockNumber": "0x64",
                "blockHash": HASH,
                "logs": [USED, PAID],
            },
        } | results

    def __call__(self, request: httpx.Request) -> httpx.Response:
        question = httpx.Response(200, content=request.content).json()
        self.methods.append(question["method"])
        if self.answer is not None:
            return self.answer(question)
        result = self.results[question["method"]]
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": question["id"], "result": result})


def chain_of(*hosts: FakeHost) -> Chain[AuthorizationHost]:
    by_name = {f"host{number}.example": host for number, host in enumerate(hosts)}
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: by_name[request.url.host](request)))
    return Chain([AuthorizationHost(http, f"https://{name}/v2/api-key", 8453) for name in by_name])


async def authorization_used(rpc: Chain[AuthorizationHost], payer: str, **where: Any) -> bool:
    return await rpc.first(lambda host: host.authorization_used(USDC, payer, NONCE, **where))


async def authorization_transfer(
    rpc: Chain[AuthorizationHost], payer: str, nonce: bytes, since: int
) -> Transfer | None:
    return await rpc.first(lambda host: host.authorization_transfer(USDC, payer, nonce, since))


async def used(rpc: Chain[AuthorizationHost]) -> bool:
    return await authorization_used(rpc, ADDRESS)


async def transfer(rpc: Chain[AuthorizationHost]) -> Transfer | None:
    return await authorization_transfer(rpc, ADDRESS, NONCE, 90)


@pytest.mark.parametrize(
    "results",
    [
        {"eth_getCode": "0x"},
        {"eth_getCode": None},
        {"eth_getCode": "0x608"},
        {"eth_call": "0x"},
        {"eth_call": "0x0"},
        {"eth_call": "0x1"},
        {"eth_call": None},
        {"eth_call": False},
        {"eth_call": word(2)},
        {"eth_call": word(2**255)},
        {"eth_call": word(0) + "00"},
        {"eth_chainId": "0x1"},
        {"eth_chainId": "8453"},
        {"eth_chainId": 8453},
        {"eth_chainId": "0x" + "1" * 5_000},
    ],
)
async def test_what_is_no_proper_answer_is_never_taken_for_unused(results: dict[str, Any]) -> None:
    with pytest.raises(ChainError):
        await used(chain_of(FakeHost(**results)))


async def test_zero_is_unused_and_one_is_used() -> None:
    assert not await used(chain_of(FakeHost()))
    assert await used(chain_of(FakeHost(eth_call=word(1))))


def answers(question: dict[str, Any], **changes: Any) -> httpx.Response:
    whole = {"jsonrpc": "2.0", "id": question["id"], "result": FakeHost().results[question["method"]]} | changes
    return httpx.Response(200, json={key: value for key, value in whole.items() if value is not ...})


def unreachable(_: dict[str, Any]) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answer",
    [
        lambda question: answers(question, id=question["id"] + 1),
        lambda question: answers(question, id=str(question["id"])),
        lambda question: answers(question, jsonrpc=...),
        lambda question: answers(question, result=...),
        lambda question: answers(question, error={"code": -32000, "message": "no"}),
        lambda _: httpx.Response(500, json={}),
        lambda _: httpx.Response(302, headers={"location": "https://evil.example"}),
        lambda _: httpx.Response(200, content=b"<html>"),
        lambda _: httpx.Response(200, content=b"[" * 100_000),
        lambda _: httpx.Response(200, content=b"[]"),
        lambda question: httpx.Response(200, content=answers(question).content + b" " * MAX_ANSWER),
        lambda _: httpx.Response(200, content=b'{"id": ' + b"9" * 10_000 + b"}"),
        unreachable,
    ],
)
async def test_an_answer_of_another_form_is_a_chain_error(answer: Callable[[dict[str, Any]], httpx.Response]) -> None:
    host = FakeHost()
    host.answer = answers
    assert (await chain_of(host).latest()).number == 100
    host.answer = answer
    with pytest.raises(ChainError, match=r"host0\.example") as caught:
        await chain_of(host).latest()
    assert "api-key" not in str(caught.value)


async def test_the_first_host_that_answers_properly_is_taken() -> None:
    wrong_chain, broken, good = FakeHost(eth_chainId="0x1"), FakeHost(eth_call="0x"), FakeHost(eth_call=word(1))
    assert await used(chain_of(wrong_chain, broken, good))
    assert wrong_chain.methods == ["eth_chainId"]


@dataclass(frozen=True)
class Mouth:
    name: str
    silent: bool = False


async def test_a_silent_host_loses_its_turn_and_the_one_that_answered_is_asked_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def read(mouth: Any) -> str:
        asked.append(mouth.name)
        await anyio.sleep(math.inf if mouth.silent else 0)
        return str(mouth.name)

    rpc = Chain[Any]((Mouth("silent", silent=True), Mouth("good"), Mouth("other")))
    monkeypatch.setattr(reads, "PATIENCE", 0.05)
    assert [await rpc.first(read), await rpc.first(read)] == ["good", "good"]
    assert asked == ["silent", "good", "good"]


async def test_each_host_alone_can_be_asked() -> None:
    rpc = chain_of(FakeHost(eth_call=word(0)), FakeHost(eth_call=word(1)))
    opinions = [await host.authorization_used(USDC, ADDRESS, NONCE) for host in rpc.hosts]
    assert opinions == [False, True]


async def test_no_host_at_all_is_a_chain_error() -> None:
    with pytest.raises(ChainError, match="No RPC host"):
        await chain_of().latest()


async def test_a_hosts_chain_is_verified_once() -> None:
    host = FakeHost()
    rpc = chain_of(host)
    for _ in range(3):
        await rpc.latest()
    assert host.methods.count("eth_chainId") == 1


@pytest.mark.parametrize(
    "block", [None, {}, BLOCK | {"number": "latest"}, BLOCK | {"hash": "0x12"}, BLOCK | {"timestamp": 1}]
)
async def test_a_block_of_another_form_is_a_chain_error(block: Any) -> None:
    with pytest.raises(ChainError):
        await chain_of(FakeHost(eth_getBlockByNumber=block)).finalized()


async def test_another_block_than_the_one_asked_for_is_a_chain_error() -> None:
    (host,) = chain_of(FakeHost()).hosts
    assert (await host.block(100)).number == 100
    with pytest.raises(ChainError, match="another block"):
        await host.block(101)


async def test_the_transfer_right_after_the_authorization_is_its_own() -> None:
    other = log(eip3009.AUTHORIZATION_USED, topic(ADDRESS), "0x" + "99" * 32)
    dear = log(reads.TRANSFER, topic(ADDRESS), topic(SENDER), data=word(9_000_000))
    host = FakeHost()
    host.results["eth_getTransactionReceipt"]["logs"] = [other, dear, USED, PAID, dear]
    assert await transfer(chain_of(host)) == Transfer(TRANSACTION, 100, 0x6B49D200, PAY_TO, 412_500)


@pytest.mark.parametrize(
    "logs",
    [
        [],
        [log(eip3009.AUTHORIZATION_USED, topic(ADDRESS), "0x" + "99" * 32)],
        [log(eip3009.AUTHORIZATION_USED, topic(SENDER), "0x" + NONCE.hex())],
        [log(eip3009.AUTHORIZATION_USED, topic(ADDRESS), "0x" + NONCE.hex(), address=PAY_TO)],
        [USED | {"removed": True}],
    ],
)
async def test_logs_of_something_else_show_no_transfer(logs: Any) -> None:
    assert await transfer(chain_of(FakeHost(eth_getLogs=logs))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "0x0"},
        {"transactionHash": HASH},
        {"blockHash": TRANSACTION},
        {"blockNumber": "0x65"},
        {"logs": None},
        {"logs": [USED]},
        {"logs": [PAID, USED]},
        {"logs": [USED, PAID | {"data": "0x"}]},
        {"logs": [USED, PAID | {"address": PAY_TO}]},
        {"logs": [USED, log(reads.TRANSFER, topic(SENDER), topic(PAY_TO), data=word(1))]},
        {"logs": [USED, log(reads.TRANSFER, topic(ADDRESS), data=word(1))]},
    ],
)
async def test_a_receipt_that_does_not_bear_out_the_log_is_a_chain_error(changes: dict[str, Any]) -> None:
    host = FakeHost()
    host.results["eth_getTransactionReceipt"] |= changes
    with pytest.raises(ChainError):
        await transfer(chain_of(host))


async def test_a_missing_receipt_or_log_list_is_a_chain_error() -> None:
    bent: list[dict[str, Any]] = [{"eth_getTransactionReceipt": None}, {"eth_getLogs": None}, {"eth_getLogs": {}}]
    for results in bent:
        with pytest.raises(ChainError):
            await transfer(chain_of(FakeHost(**results)))


@pytest.mark.parametrize(("address", "nonce"), [("0x12", NONCE), (ADDRESS, b"short")])
async def test_a_question_of_another_form_is_a_callers_mistake(address: str, nonce: bytes) -> None:
    with pytest.raises(ValueError, match=r"40 hexadecimal digits|32 bytes"):
        await chain_of(FakeHost()).hosts[0].authorization_used(USDC, address, nonce)
