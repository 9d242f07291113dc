"""The counterparts judge this project, so they are first proved themselves, with the x402 SDK's own client."""

import base64
import json
from collections.abc import AsyncIterator
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import anyio.to_thread
import av
import httpx
import pytest
from eth_account.signers.local import LocalAccount
from jsonschema import Draft202012Validator
from x402 import x402Client
from x402.extensions.sign_in_with_x import CreateSIWxClientExtensionOptions, create_siwx_client_extension
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact import register_exact_evm_client

from tests.peers import node
from tests.peers.chain import Anvil
from tests.peers.studio import MAXIMUM, SALES, Sale
from tests.peers.usdc import DOMAIN_SEPARATOR, USDC
from tests.peers.x402_seller import PAY_TO, X402Seller

CLIP = {"prompt": "a fox", "image": "https://example.com/fox.png", "duration": "4"}
FAST = "/api/generate/seedance-fast/i2v"
SLOW = "/api/generate/seedance/i2v"


@pytest.fixture
async def http(x402_seller: X402Seller) -> AsyncIterator[httpx.AsyncClient]:
    """A client that cannot pay."""
    async with httpx.AsyncClient(base_url=x402_seller.origin, trust_env=False) as client:
        yield client


@pytest.fixture
async def buyer(x402_seller: X402Seller, payer: LocalAccount) -> AsyncIterator[httpx.AsyncClient]:
    """The SDK's client, which pays and signs in."""
    client = register_exact_evm_client(x402Client(), EthAccountSigner(payer))
    client.register_extension(create_siwx_client_extension(CreateSIWxClientExtensionOptions(signers=[payer])))
    async with x402HttpxClient(client, base_url=x402_seller.origin) as http:
        yield http


def decoded(answer: httpx.Response, header: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.b64decode(answer.headers[header], validate=True))
    return value


def test_the_lock_file_names_no_registry() -> None:
    lock = (node.HERE / "package-lock.json").read_text()
    packages = json.loads(lock)["packages"]
    assert "resolved" not in lock
    assert all("integrity" in package for path, package in packages.items() if path)


def test_packages_are_installed_again_only_for_another_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installs = []

    def clean_install() -> None:
        installs.append(lock.read_text())
        node.MODULES.mkdir(exist_ok=True)

    lock = tmp_path / "package-lock.json"
    lock.write_text("one")
    monkeypatch.setattr(node, "HERE", tmp_path)
    monkeypatch.setattr(node, "MODULES", tmp_path / "node_modules")
    monkeypatch.setattr(node, "_clean_install", clean_install)
    node.install()
    node.install()
    lock.write_text("two")
    node.install()
    assert installs == ["one", "two"]


def test_an_npm_that_fails_is_an_error_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("no lock file")
    monkeypatch.setattr(node, "HERE", tmp_path)
    monkeypatch.setattr(node, "MODULES", tmp_path / "node_modules")
    with pytest.raises(RuntimeError, match=r"(?s)npm ci.*npm error"):
        node.install()


def test_the_token_has_the_domain_of_usd_coin_on_base(chain: Anvil) -> None:
    assert chain.domain_separator() == DOMAIN_SEPARATOR
    assert chain.rpc("eth_chainId") == hex(8453)


def test_a_revert_is_an_error(chain: Anvil, payer: LocalAccount) -> None:
    with pytest.raises(RuntimeError, match="reverted"):
        chain.transact(payer.address, USDC, "transfer(address,uint256)", PAY_TO, 100_000_001)


def test_without_automine_a_call_fails_at_once(chain: Anvil) -> None:
    chain.set_automine(False)
    with pytest.raises(RuntimeError, match="automine"):
        chain.mint(PAY_TO, 1)


def test_what_a_test_does_to_the_chain_is_undone(anvil: Anvil) -> None:
    someone = "0x" + "ab" * 20
    before = anvil.block_number(), anvil.balance(someone)
    with anvil.isolated():
        anvil.mint(someone, 7)
        anvil.set_next_timestamp(anvil.timestamp() + 86_400)
        anvil.set_automine(False)
        anvil.mine(3)
        assert anvil.balance(someone) == 7
    assert (anvil.block_number(), anvil.balance(someone)) == before


def test_the_chains_clock_follows_ours_after_a_revert(chain: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    later = chain.timestamp() + 1000
    with monkeypatch.context() as patch:
        patch.setattr("tests.peers.evm.time", SimpleNamespace(time=lambda: later))
        with chain.isolated():
            pass
    chain.mine()
    assert chain.timestamp() >= later


async def test_a_challenge_quotes_the_price_of_the_body_and_carries_its_schema(http: httpx.AsyncClient) -> None:
    answer = await http.post(SLOW, json=CLIP)
    required = decoded(answer, "payment-required")
    [offer] = required["accepts"]
    assert (answer.status_code, answer.json()) == (402, {})
    assert offer["amount"] == str(4 * 82_500)
    assert (offer["network"], offer["asset"], offer["payTo"]) == ("eip155:8453", USDC, PAY_TO)
    assert offer["extra"] == {"name": "USD Coin", "version": "2"}
    properties = required["extensions"]["bazaar"]["schema"]["properties"]["input"]["properties"]
    assert properties["body"] == SALES[SLOW].schema


@pytest.mark.parametrize("sale", SALES.values(), ids=SALES)
def test_the_example_in_a_challenge_satisfies_its_schema(sale: Sale) -> None:
    Draft202012Validator(sale.schema).validate(sale.example)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", json.dumps(CLIP | {"duration": "13"}).encode()])
async def test_an_invalid_body_is_quoted_the_maximum(http: httpx.AsyncClient, body: bytes) -> None:
    [offer] = decoded(await http.post(SLOW, content=body), "payment-required")["accepts"]
    assert offer["amount"] == str(MAXIMUM)


async def test_an_invalid_body_with_a_payment_is_not_charged(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, http: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    await buyer.post(FAST, json=CLIP)
    spent = chain.balance(payer.address)
    header = {"PAYMENT-SIGNATURE": x402_seller.credentials[0]}
    answer = await http.post(FAST, json=CLIP | {"colour": "red"}, headers=header)
    assert (answer.status_code, answer.json()["error"]) == (400, "Validation failed")
    assert chain.balance(payer.address) == spent


async def test_the_schema_is_also_in_openapi(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    body = paths[FAST]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == SALES[FAST].schema


async def test_a_payment_debits_exactly_the_price(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    start, before = chain.block_number(), chain.balance(payer.address)
    answer = await buyer.post(FAST, json=CLIP)
    receipt = decoded(answer, "payment-response")
    [transfer] = chain.transfers(start)
    assert answer.json() == {
        "success": True,
        "jobId": answer.json()["jobId"],
        "status": "pending",
        "type": "seedance-fast-i2v",
    }
    assert before - chain.balance(payer.address) == 40_000
    assert (transfer.sender, transfer.recipient, transfer.amount) == (payer.address, PAY_TO, 40_000)
    assert (receipt["success"], receipt["transaction"]) == (True, transfer.transaction)
    [credential] = x402_seller.credentials
    authorization = json.loads(base64.b64decode(credential))["payload"]["authorization"]
    assert chain.authorization_used(payer.address, authorization["nonce"])
    assert not chain.authorization_used(payer.address, bytes(32))
    assert [(seen.method, seen.path) for seen in x402_seller.requests] == [("POST", FAST)] * 2


async def test_a_payment_presented_again_is_refused(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, http: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    await buyer.post(FAST, json=CLIP)
    spent = chain.balance(payer.address)
    again = await http.post(FAST, json=CLIP, headers={"PAYMENT-SIGNATURE": x402_seller.credentials[0]})
    assert again.status_code == 402
    assert decoded(again, "payment-required")["error"] == "invalid_exact_evm_nonce_already_used"
    assert chain.balance(payer.address) == spent


async def test_a_payment_for_another_price_is_refused(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, http: httpx.AsyncClient, chain: Anvil
) -> None:
    await buyer.post(FAST, json=CLIP)
    start = chain.block_number()
    signature = {"PAYMENT-SIGNATURE": x402_seller.credentials[0]}
    longer = await http.post(FAST, json=CLIP | {"duration": "12"}, headers=signature)
    assert longer.status_code == 402
    assert decoded(longer, "payment-required")["error"] == "No matching payment requirements"
    assert chain.transfers(start) == []


async def test_without_a_block_the_settlement_is_pending_and_happens_later(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    before = chain.balance(payer.address)
    chain.set_automine(False)
    answer = await buyer.post(FAST, json=CLIP)
    assert answer.status_code == 402
    assert decoded(answer, "payment-response")["errorReason"] == "settlement_pending"
    assert chain.balance(payer.address) == before
    chain.mine()
    assert before - chain.balance(payer.address) == 40_000


@pytest.mark.parametrize("status", [402, 500])
async def test_a_status_after_settlement_hides_a_real_debit(
    x402_seller: X402Seller,
    buyer: httpx.AsyncClient,
    chain: Anvil,
    payer: LocalAccount,
    status: Literal[402, 500],
) -> None:
    before = chain.balance(payer.address)
    x402_seller.after_settlement = status
    answer = await buyer.post(FAST, json=CLIP)
    assert answer.status_code == status
    assert "payment-response" not in answer.headers
    assert before - chain.balance(payer.address) == 40_000
    assert len(x402_seller.studio.jobs) == 1


async def test_a_status_after_settlement_can_keep_its_receipt(
    x402_seller: X402Seller, buyer: httpx.AsyncClient
) -> None:
    x402_seller.after_settlement, x402_seller.keep_receipt = 500, True
    assert decoded(await buyer.post(FAST, json=CLIP), "payment-response")["success"] is True


async def test_a_dropped_connection_hides_a_real_debit(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    before = chain.balance(payer.address)
    x402_seller.after_settlement = "drop"
    with pytest.raises(Exception, match="Failed to handle payment") as caught:
        await buyer.post(FAST, json=CLIP)
    assert isinstance(caught.value.__cause__, httpx.ReadError | httpx.RemoteProtocolError)
    assert before - chain.balance(payer.address) == 40_000


async def test_a_hanging_answer_hides_a_real_debit(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    before = chain.balance(payer.address)
    x402_seller.after_settlement = "hang"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(buyer.post, FAST, json=CLIP))
        await anyio.to_thread.run_sync(x402_seller.spoiled.wait)
        assert before - chain.balance(payer.address) == 40_000
        tasks.cancel_scope.cancel()


async def test_four_copies_at_once_are_one_debit(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, http: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    before = chain.balance(payer.address)
    chain.set_automine(False)
    await buyer.post(FAST, json=CLIP)
    copies = {"PAYMENT-SIGNATURE": x402_seller.credentials[0]}
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(partial(http.post, FAST, json=CLIP, headers=copies))
    chain.mine()
    assert before - chain.balance(payer.address) == 40_000
    assert len(x402_seller.studio.jobs) == 5


async def test_a_job_is_shown_to_the_wallet_that_paid_for_it(
    buyer: httpx.AsyncClient, http: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    job_id = (await buyer.post(FAST, json=CLIP)).json()["jobId"]
    spent = chain.balance(payer.address)
    looks = [(await buyer.get(f"/api/jobs/{job_id}")).json() for _ in range(3)]
    assert [look["status"] for look in looks] == ["pending", "loading", "complete"]
    assert looks[0]["input"] == CLIP
    assert [job["id"] for job in (await buyer.get("/api/jobs")).json()["jobs"]] == [job_id]
    assert (await buyer.get("/api/jobs", params={"status": "failed"})).json() == {"jobs": []}
    assert chain.balance(payer.address) == spent
    video = await http.get(looks[2]["result"]["videoUrl"])
    with av.open(BytesIO(video.content), "r") as container:
        assert len(list(container.decode(video=0))) == 12


async def test_a_login_challenge_asks_for_no_money(http: httpx.AsyncClient, x402_seller: X402Seller) -> None:
    answer = await http.get("/api/jobs/c1")
    required = decoded(answer, "payment-required")
    login = required["extensions"]["sign-in-with-x"]
    assert (answer.status_code, required["accepts"]) == (402, [])
    assert login["info"]["domain"] == x402_seller.origin.removeprefix("http://")
    assert login["supportedChains"] == [{"chainId": "eip155:8453", "type": "eip191"}]


async def test_another_wallets_job_is_forbidden(buyer: httpx.AsyncClient, x402_seller: X402Seller) -> None:
    job_id = (await buyer.post(FAST, json=CLIP)).json()["jobId"]
    x402_seller.studio.jobs[job_id].owner = "0x" + "ab" * 20
    assert (await buyer.get(f"/api/jobs/{job_id}")).status_code == 403
    assert (await buyer.get("/api/jobs")).json() == {"jobs": []}


@pytest.mark.parametrize(("single_use", "again"), [(False, 200), (True, 402)])
async def test_a_login_presented_again(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, http: httpx.AsyncClient, single_use: bool, again: int
) -> None:
    x402_seller.single_use_logins = single_use
    assert (await buyer.get("/api/jobs")).status_code == 200
    proof = {"SIGN-IN-WITH-X": x402_seller.requests[-1].headers["sign-in-with-x"]}
    assert (await http.get("/api/jobs", headers=proof)).status_code == again


async def test_a_login_for_another_site_is_refused(
    x402_seller: X402Seller, buyer: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    await buyer.get("/api/jobs")
    proof = json.loads(base64.b64decode(x402_seller.requests[-1].headers["sign-in-with-x"]))
    forged = base64.b64encode(json.dumps(proof | {"domain": "example.com"}).encode()).decode()
    assert (await http.get("/api/jobs", headers={"SIGN-IN-WITH-X": forged})).status_code == 402


async def test_an_upload_is_paid_stored_and_confirmed(
    buyer: httpx.AsyncClient, http: httpx.AsyncClient, chain: Anvil, payer: LocalAccount
) -> None:
    before = chain.balance(payer.address)
    ticket = (await buyer.post("/api/upload", json={"filename": "fox.png", "contentType": "image/png"})).json()
    assert before - chain.balance(payer.address) == 10_000
    headers = {"authorization": f"Bearer {ticket['clientToken']}", "x-api-version": "11", "x-content-type": "image/png"}
    blob = await http.put("/blob/", params={"pathname": ticket["pathname"]}, content=b"a picture", headers=headers)
    answer = await buyer.post(
        "/api/upload/confirm", json={"uploadId": ticket["uploadId"], "blobUrl": blob.json()["url"]}
    )
    assert answer.json() == {"success": True, "upload": {"id": ticket["uploadId"], "blobUrl": blob.json()["url"]}}
    assert (await http.get(blob.json()["url"])).content == b"a picture"


async def test_a_blob_is_stored_only_with_its_token(buyer: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    ticket = (await buyer.post("/api/upload", json={"filename": "fox.png", "contentType": "image/png"})).json()
    headers = {"authorization": "Bearer stolen", "x-api-version": "11", "x-content-type": "image/png"}
    blob = await http.put("/blob/", params={"pathname": ticket["pathname"]}, content=b"a picture", headers=headers)
    assert (blob.status_code, blob.json()["error"]["code"]) == (403, "forbidden")
