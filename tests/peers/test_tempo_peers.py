"""The counterparts on Tempo judge this project, so they are first proved themselves, with mppx's own client."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Literal

import anyio.to_thread
import httpx
import pytest
from anyio.lowlevel import checkpoint
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from x402 import x402Client
from x402.extensions.sign_in_with_x import CreateSIWxClientExtensionOptions, create_siwx_client_extension
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact import register_exact_evm_client

from tests.conftest import PAYER_KEY
from tests.peers.chain import Anvil
from tests.peers.mppx import Mppx
from tests.peers.mppx_seller import MppxSeller
from tests.peers.studio import MAXIMUM
from tests.peers.tempo import USDC_E, Tempo
from tests.peers.x402_seller import PAY_TO

CLIP = {"prompt": "a fox", "image": "https://example.com/fox.png", "duration": "4"}
FAST = "/api/generate/seedance-fast/i2v"
SLOW = "/api/generate/seedance/i2v"
FUNDS = 10_000_000
REFUSED = "Payment verification failed: "


@pytest.fixture
def wallet(tempo: Tempo) -> LocalAccount:
    """An account with 10 USDC.e on ``tempo``."""
    account: LocalAccount = Account.from_key(PAYER_KEY)
    tempo.mint(account.address, FUNDS)
    return account


@pytest.fixture(scope="module")
def mppx_buyer(tempo_node: Tempo) -> Iterator[Mppx]:
    with Mppx("mppx_buyer.mjs", tempo_node.url, PAYER_KEY, USDC_E) as buyer:
        yield buyer


@pytest.fixture
async def http(mppx_seller: MppxSeller) -> AsyncIterator[httpx.AsyncClient]:
    """A client that cannot pay."""
    async with httpx.AsyncClient(base_url=mppx_seller.origin, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
async def signed_in(mppx_seller: MppxSeller, wallet: LocalAccount) -> AsyncIterator[httpx.AsyncClient]:
    """The x402 SDK's client, which pays on Base and signs in."""
    client = register_exact_evm_client(x402Client(), EthAccountSigner(wallet))
    client.register_extension(create_siwx_client_extension(CreateSIWxClientExtensionOptions(signers=[wallet])))
    async with x402HttpxClient(client, base_url=mppx_seller.origin) as http:
        yield http


class Buyer:
    """mppx's client at the seller's door."""

    def __init__(self, script: Mppx, origin: str) -> None:
        self._script = script
        self._origin = origin

    async def post(self, path: str, **body: str) -> httpx.Response:
        answer = await self._script.ask(url=self._origin + path, body=body)
        return httpx.Response(answer["status"], headers=answer["headers"], text=answer["body"])


@pytest.fixture
def buyer(mppx_buyer: Mppx, mppx_seller: MppxSeller, wallet: LocalAccount) -> Buyer:
    return Buyer(mppx_buyer, mppx_seller.origin)


def decoded(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=="))
    return value


def transaction_of(credential: str) -> str:
    """The hash of the transaction in a credential that is not sponsored."""
    raw: str = decoded(credential.removeprefix("Payment "))["payload"]["signature"]
    return "0x" + keccak(hexstr=raw).hex()


def offered(answer: httpx.Response) -> dict[str, Any]:
    """The ``request`` of a challenge."""
    return decoded(answer.headers["www-authenticate"].partition('request="')[2].partition('"')[0])


def test_the_token_is_called_as_on_tempo(tempo: Tempo) -> None:
    symbol = bytes.fromhex(tempo.read(USDC_E, "symbol()")[2:])
    assert symbol[64 : 64 + symbol[63]] == b"USDC.e"
    assert int(tempo.read(USDC_E, "decimals()"), 16) == 6
    assert tempo.rpc("eth_chainId") == hex(4217)


def test_what_is_minted_is_added_to_a_balance_and_can_be_moved(tempo: Tempo) -> None:
    account = Account.from_key(PAYER_KEY).address
    tempo.mint(account, 1_000_000)
    tempo.mint(account, 500_000)
    start, memo = tempo.block_number(), bytes(range(32))
    tempo.transact(account, USDC_E, "transferWithMemo(address,uint256,bytes32)", PAY_TO, 300_000, memo)
    [transfer] = tempo.transfers(start)
    assert transfer[2:] == (account, PAY_TO, 300_000, memo)
    assert (tempo.balance(account), tempo.balance(PAY_TO)) == (1_200_000, 300_000)


def test_what_a_test_does_to_tempo_is_undone(tempo_node: Tempo) -> None:
    someone = "0x" + "ab" * 20
    before = tempo_node.block_number(), tempo_node.balance(someone)
    with tempo_node.isolated():
        tempo_node.mint(someone, 7)
        tempo_node.set_automine(False)
        tempo_node.mine(3)
        assert tempo_node.balance(someone) == 7
    assert (tempo_node.block_number(), tempo_node.balance(someone)) == before
    assert tempo_node.rpc("anvil_getAutomine")


def test_a_block_is_final_when_64_stand_on_it(tempo: Tempo) -> None:
    block = tempo.block_number()
    tempo.mine(63)
    assert tempo.block_number("finalized") < block
    tempo.mine()
    assert tempo.block_number("finalized") == block


async def test_a_challenge_quotes_the_price_of_the_body(http: httpx.AsyncClient) -> None:
    answer = await http.post(SLOW, json=CLIP)
    assert answer.status_code == 402
    assert answer.headers["www-authenticate"].startswith("Payment ")
    assert 'realm="127.0.0.1", method="tempo", intent="charge"' in answer.headers["www-authenticate"]
    assert offered(answer) == {
        "amount": str(4 * 82_500),
        "currency": USDC_E,
        "methodDetails": {"chainId": 4217},
        "recipient": PAY_TO,
    }
    assert "payment-required" not in answer.headers


async def test_a_challenge_says_who_pays_the_fee(mppx_seller: MppxSeller, http: httpx.AsyncClient) -> None:
    mppx_seller.sponsored = True
    assert offered(await http.post(SLOW, json=CLIP))["methodDetails"] == {"chainId": 4217, "feePayer": True}


async def test_an_invalid_body_is_quoted_the_maximum(http: httpx.AsyncClient) -> None:
    assert offered(await http.post(SLOW, content=b"{"))["amount"] == str(MAXIMUM)


async def test_an_invalid_body_with_a_payment_is_not_charged(
    mppx_seller: MppxSeller, buyer: Buyer, http: httpx.AsyncClient, tempo: Tempo, wallet: LocalAccount
) -> None:
    await buyer.post(FAST, **CLIP)
    spent = tempo.balance(wallet.address)
    header = {"Authorization": mppx_seller.credentials[0]}
    answer = await http.post(FAST, json=CLIP | {"colour": "red"}, headers=header)
    assert (answer.status_code, answer.json()["error"]) == (400, "Validation failed")
    assert tempo.balance(wallet.address) == spent


async def test_a_payment_debits_the_price_and_the_fee(
    mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo, wallet: LocalAccount
) -> None:
    start = tempo.block_number()
    answer = await buyer.post(FAST, **CLIP)
    receipt = decoded(answer.headers["payment-receipt"])
    [transfer] = tempo.transfers(start)
    assert answer.json() == {
        "success": True,
        "jobId": answer.json()["jobId"],
        "status": "pending",
        "type": "seedance-fast-i2v",
    }
    assert (transfer.sender, transfer.recipient, transfer.amount) == (wallet.address, PAY_TO, 40_000)
    assert tempo.fee(transfer.transaction) > 0
    assert FUNDS - tempo.balance(wallet.address) == 40_000 + tempo.fee(transfer.transaction)
    assert tempo.balance(PAY_TO) == 40_000
    assert (receipt["method"], receipt["status"], receipt["reference"]) == ("tempo", "success", transfer.transaction)
    [credential] = mppx_seller.credentials
    assert decoded(credential.removeprefix("Payment "))["source"] == f"did:pkh:eip155:4217:{wallet.address}"
    assert [(seen.method, seen.path) for seen in mppx_seller.requests] == [("POST", FAST)] * 2


async def test_a_sponsored_payment_debits_the_price_only(
    mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo, wallet: LocalAccount
) -> None:
    mppx_seller.sponsored = True
    start = tempo.block_number()
    answer = await buyer.post(FAST, **CLIP)
    [transfer] = tempo.transfers(start)
    assert decoded(answer.headers["payment-receipt"])["reference"] == transfer.transaction
    assert (transfer.sender, transfer.recipient, transfer.amount) == (wallet.address, PAY_TO, 40_000)
    assert FUNDS - tempo.balance(wallet.address) == 40_000


@pytest.mark.parametrize("sponsored", [False, True])
async def test_a_payment_presented_again_is_refused(
    mppx_seller: MppxSeller,
    buyer: Buyer,
    http: httpx.AsyncClient,
    tempo: Tempo,
    wallet: LocalAccount,
    sponsored: bool,
) -> None:
    mppx_seller.sponsored = sponsored
    await buyer.post(FAST, **CLIP)
    spent = tempo.balance(wallet.address)
    again = await http.post(FAST, json=CLIP, headers={"Authorization": mppx_seller.credentials[0]})
    assert (again.status_code, again.json()["detail"]) == (402, f"{REFUSED}Transaction hash has already been used.")
    assert tempo.balance(wallet.address) == spent
    assert len(mppx_seller.studio.jobs) == 1


async def test_a_payment_for_another_price_is_refused(
    mppx_seller: MppxSeller, buyer: Buyer, http: httpx.AsyncClient, tempo: Tempo
) -> None:
    await buyer.post(FAST, **CLIP)
    start = tempo.block_number()
    credential = {"Authorization": mppx_seller.credentials[0]}
    longer = await http.post(FAST, json=CLIP | {"duration": "12"}, headers=credential)
    assert longer.status_code == 402
    assert "amount does not match" in longer.json()["detail"]
    assert tempo.transfers(start) == []


async def test_a_wallet_without_the_price_pays_the_fee_of_a_transaction_that_fails(
    mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo, wallet: LocalAccount
) -> None:
    """anvil 1.7.1 simulates a Tempo transaction without its calls, so mppx learns of the failure from the receipt."""
    tempo.transact(wallet.address, USDC_E, "transfer(address,uint256)", "0x" + "ab" * 20, FUNDS - 100_000)
    start = tempo.block_number()
    answer = await buyer.post(SLOW, **CLIP)
    assert answer.status_code == 402
    assert answer.json()["detail"].startswith(f"{REFUSED}no matching transfer found")
    assert mppx_seller.credentials
    fees = [tempo.fee(transaction_of(credential)) for credential in mppx_seller.credentials]
    assert 100_000 - tempo.balance(wallet.address) == sum(fees) > 0
    assert tempo.transfers(start) == []


async def test_without_a_block_the_answer_waits_and_a_copy_is_refused(
    mppx_seller: MppxSeller, buyer: Buyer, http: httpx.AsyncClient, tempo: Tempo, wallet: LocalAccount
) -> None:
    tempo.set_automine(False)
    answers = []

    async def buy() -> None:
        answers.append(await buyer.post(FAST, **CLIP))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(buy)
        while not answers and tempo.rpc("txpool_status")["pending"] == "0x0":
            await checkpoint()
        copy = await http.post(FAST, json=CLIP, headers={"Authorization": mppx_seller.credentials[0]})
        assert copy.status_code == 402
        assert (answers, tempo.balance(wallet.address)) == ([], FUNDS)
        tempo.mine()
    assert answers[0].status_code == 200
    transaction = transaction_of(mppx_seller.credentials[0])
    assert FUNDS - tempo.balance(wallet.address) == 40_000 + tempo.fee(transaction)


@pytest.mark.parametrize("status", [402, 500])
async def test_a_status_after_settlement_hides_a_real_debit(
    mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo, status: Literal[402, 500]
) -> None:
    mppx_seller.after_settlement = status
    answer = await buyer.post(FAST, **CLIP)
    assert answer.status_code == status
    assert {"payment-receipt", "www-authenticate"}.isdisjoint(answer.headers)
    assert tempo.balance(PAY_TO) == 40_000
    assert (len(mppx_seller.credentials), len(mppx_seller.studio.jobs)) == (1, 1)


async def test_a_status_after_settlement_can_keep_its_receipt(mppx_seller: MppxSeller, buyer: Buyer) -> None:
    mppx_seller.after_settlement, mppx_seller.keep_receipt = 500, True
    answer = await buyer.post(FAST, **CLIP)
    assert answer.status_code == 500
    assert decoded(answer.headers["payment-receipt"])["status"] == "success"


async def test_a_dropped_connection_hides_a_real_debit(mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo) -> None:
    mppx_seller.after_settlement = "drop"
    with pytest.raises(RuntimeError, match=r"other side closed|ECONNRESET"):
        await buyer.post(FAST, **CLIP)
    assert tempo.balance(PAY_TO) == 40_000


async def test_a_hanging_answer_hides_a_real_debit(mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo) -> None:
    mppx_seller.after_settlement = "hang"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(buyer.post, FAST, **CLIP))
        await anyio.to_thread.run_sync(mppx_seller.spoiled.wait)
        assert tempo.balance(PAY_TO) == 40_000
        tasks.cancel_scope.cancel()


async def test_a_job_is_shown_to_the_wallet_that_paid_for_it(
    mppx_seller: MppxSeller, buyer: Buyer, signed_in: httpx.AsyncClient
) -> None:
    job_id = (await buyer.post(FAST, **CLIP)).json()["jobId"]
    shown = (await signed_in.get(f"/api/jobs/{job_id}")).json()
    assert (shown["id"], shown["input"]) == (job_id, CLIP)
    mppx_seller.studio.jobs[job_id].owner = "0x" + "ab" * 20
    assert (await signed_in.get(f"/api/jobs/{job_id}")).status_code == 403


async def test_an_upload_can_be_paid_on_tempo(mppx_seller: MppxSeller, buyer: Buyer, tempo: Tempo) -> None:
    answer = await buyer.post("/api/upload", filename="fox.png", contentType="image/png")
    assert answer.json()["uploadId"] in mppx_seller.studio.uploads
    assert tempo.balance(PAY_TO) == 10_000


async def test_one_challenge_can_offer_both_rails_and_each_settles_on_its_own_chain(
    mppx_seller: MppxSeller,
    buyer: Buyer,
    http: httpx.AsyncClient,
    signed_in: httpx.AsyncClient,
    payer: LocalAccount,
    tempo: Tempo,
    chain: Anvil,
) -> None:
    mppx_seller.offers_x402 = True
    challenge = await http.post(FAST, json=CLIP)
    required = json.loads(base64.b64decode(challenge.headers["payment-required"]))
    assert (offered(challenge)["amount"], required["accepts"][0]["amount"]) == ("40000", "40000")

    assert (await buyer.post(FAST, **CLIP)).status_code == 200
    assert (tempo.balance(PAY_TO), chain.balance(PAY_TO)) == (40_000, 0)
    assert "payment-response" in (await signed_in.post(FAST, json=CLIP)).headers
    assert (tempo.balance(PAY_TO), chain.balance(PAY_TO)) == (40_000, 40_000)
    assert [credential.startswith("Payment ") for credential in mppx_seller.credentials] == [True, False]
