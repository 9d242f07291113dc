"""What the seller asks for on Tempo, and what becomes of a payment that is in order."""

import anyio
import attrs
import httpx
import pytest
from eth_account import Account
from mpp import BodyDigest, Receipt

from seedance_mcp.sandbox import Sandbox
from seedance_mcp.sandbox.mpp import SPONSOR
from seedance_mcp.sandbox.rails import RailName
from seedance_mcp.sandbox.x402 import PAY_TO
from tests.sandbox.buyer import CLIP, KEYS, ORIGIN, SEEDANCE, Buyer, challenge_of
from tests.sandbox.tempo_buyer import USDC_E, TempoBuyer
from tests.sandbox.tempo_buyer import challenge_of as mpp_challenge_of

PRICE = 4 * 82_500
FUNDS = 10_000_000
FIRST_FEE, FEE = 6_271, 1_080
"""Micro-USD at 21 billion attodollars for one gas: to an account that is new to the token, and to one that is not."""


def buyer_at(sandbox: Sandbox, buyer: Buyer) -> TempoBuyer:
    """The same buyer in another shop."""
    http = httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app), base_url=ORIGIN)
    sandbox.fund(buyer.account.address, FUNDS)
    return TempoBuyer(Buyer(http, buyer.clock))


async def test_a_402_asks_for_the_same_amount_on_both_rails(sandbox: Sandbox, buyer: Buyer) -> None:
    answer = await buyer.http.post(SEEDANCE, json=CLIP)

    asked = mpp_challenge_of(answer)
    assert (asked.method, asked.intent, asked.realm, asked.digest) == ("tempo", "charge", "127.0.0.1", None)
    assert asked.expires == "2026-09-21T14:18:21.000Z"
    assert asked.request == {
        "amount": str(PRICE),
        "currency": USDC_E,
        "recipient": PAY_TO,
        "methodDetails": {"chainId": 4217},
    }
    assert challenge_of(answer)["accepts"][0]["amount"] == str(PRICE)
    assert answer.content == b""


@pytest.mark.parametrize(
    ("rails", "headers"), [(("x402",), {"payment-required"}), (("mpp",), {"www-authenticate"}), ((), set())]
)
async def test_only_the_chosen_rails_are_offered(rails: tuple[RailName, ...], headers: set[str], buyer: Buyer) -> None:
    transport = httpx.ASGITransport(Sandbox(clock=buyer.clock, rails=rails).app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        answer = await http.post(SEEDANCE, json=CLIP)
        document = (await http.get("/openapi.json")).json()

    assert answer.status_code == 402
    assert {"payment-required", "www-authenticate"} & set(answer.headers) == headers
    protocols = document["paths"][SEEDANCE]["post"]["x-payment-info"]["protocols"]
    assert tuple(name for protocol in protocols for name in protocol) == rails


async def test_a_credential_for_a_rail_that_is_not_offered_is_not_looked_at(
    buyer: Buyer, tempo_buyer: TempoBuyer
) -> None:
    shop = Sandbox(clock=buyer.clock, rails=("x402",))
    other = buyer_at(shop, buyer)
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    answer = await other.present(SEEDANCE, CLIP, credential)

    assert (answer.status_code, answer.content) == (402, b"")
    assert "www-authenticate" not in answer.headers
    assert not shop.tempo.transactions


async def test_challenges_are_all_different(tempo_buyer: TempoBuyer) -> None:
    ids = {(await tempo_buyer.quote(SEEDANCE, CLIP)).id for _ in range(20)}

    assert len(ids) == 20
    assert min(map(len, ids)) >= 22


async def test_an_invalid_body_is_asked_the_maximum_and_with_a_payment_is_not_charged(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    asked = await tempo_buyer.quote(SEEDANCE, {})
    answer = await tempo_buyer.present(SEEDANCE, {}, tempo_buyer.credential(asked))

    assert asked.request["amount"] == "10000000"
    assert (answer.status_code, answer.json()["error"]) == (400, "Validation failed")
    assert not sandbox.tempo.transactions


async def test_a_payment_debits_its_amount_and_the_fee_once_and_makes_one_job(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    transaction = tempo_buyer.transaction(challenge)

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge, transaction))

    assert answer.status_code == 200
    assert list(sandbox.jobs) == [answer.json()["jobId"]]
    receipt = Receipt.from_payment_receipt(answer.headers["payment-receipt"])
    assert (receipt.method, receipt.status, receipt.reference) == ("tempo", "success", "0x" + transaction.hash().hex())
    assert sandbox.tempo.balance(tempo_buyer.address) == FUNDS - PRICE - FIRST_FEE
    assert sandbox.tempo.balance(PAY_TO) == PRICE
    [transfer] = sandbox.tempo.transfers
    assert (transfer.sender, transfer.value, transfer.transaction) == (tempo_buyer.address, PRICE, receipt.reference)
    assert sandbox.bank.balance(tempo_buyer.address) == FUNDS
    assert {"payment-response", "www-authenticate"}.isdisjoint(answer.headers)


async def test_the_fee_is_smaller_to_a_recipient_that_has_the_token_and_never_above_the_bound(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    for _ in range(2):
        assert (await tempo_buyer.pay(SEEDANCE, CLIP)).status_code == 200

    assert [transfer.fee for transfer in sandbox.tempo.transfers] == [FIRST_FEE, FEE]
    assert FIRST_FEE < 1_000_000 * 25_000_000_000 // 10**12


async def test_the_price_of_gas_is_the_base_fee_and_the_tip_but_at_most_what_the_payer_allows(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    await tempo_buyer.pay(SEEDANCE, CLIP, max_fee_per_gas=20_000_000_000, max_priority_fee_per_gas=20_000_000_000)

    [transfer] = sandbox.tempo.transfers
    assert (transfer.gas_used, transfer.gas_price, transfer.fee) == (298_619, 20_000_000_000, 5_973)


async def test_a_sponsored_payment_debits_the_amount_only(buyer: Buyer) -> None:
    shop = Sandbox(clock=buyer.clock, sponsored=True)
    payer, sponsor = buyer_at(shop, buyer), SPONSOR.public_key.to_checksum_address()
    funds = shop.tempo.balance(sponsor)
    challenge = await payer.quote(SEEDANCE, CLIP)

    answer = await payer.present(SEEDANCE, CLIP, payer.credential(challenge))

    assert answer.status_code == 200
    assert challenge.request["methodDetails"] == {"chainId": 4217, "feePayer": True}
    assert shop.tempo.balance(payer.address) == FUNDS - PRICE
    assert funds - shop.tempo.balance(sponsor) == FIRST_FEE
    assert shop.tempo.transfers[0].fee_payer == sponsor


async def test_a_sponsored_transaction_has_the_hash_that_pytempo_gives_it_with_both_signatures(buyer: Buyer) -> None:
    shop = Sandbox(clock=buyer.clock, sponsored=True)
    payer = buyer_at(shop, buyer)
    challenge = await payer.quote(SEEDANCE, CLIP)
    transaction = payer.transaction(challenge)

    answer = await payer.present(SEEDANCE, CLIP, payer.credential(challenge, transaction))

    complete = attrs.evolve(transaction, fee_token=bytes.fromhex(USDC_E[2:])).sign(SPONSOR.to_hex(), for_fee_payer=True)
    receipt = Receipt.from_payment_receipt(answer.headers["payment-receipt"])
    assert receipt.reference == "0x" + complete.hash().hex() != "0x" + transaction.hash().hex()


async def test_a_challenge_with_a_digest_names_the_body(buyer: Buyer) -> None:
    payer = buyer_at(Sandbox(clock=buyer.clock, digest=True), buyer)
    answer = await payer.buyer.http.post(SEEDANCE, json=CLIP)

    challenge = mpp_challenge_of(answer)
    assert challenge.digest == BodyDigest.compute(answer.request.content)
    assert (await payer.present(SEEDANCE, CLIP, payer.credential(challenge))).status_code == 200


async def test_an_upload_can_be_paid_on_tempo(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    answer = await tempo_buyer.pay("/api/upload", {"filename": "lake.png", "contentType": "image/png"})

    assert answer.json()["uploadId"] in sandbox.blobs.uploads
    assert sandbox.tempo.balance(PAY_TO) == 10_000


async def test_a_job_that_was_paid_on_tempo_is_shown_to_its_payer_only(buyer: Buyer, tempo_buyer: TempoBuyer) -> None:
    job_id = (await tempo_buyer.pay(SEEDANCE, CLIP)).json()["jobId"]
    stranger = Buyer(buyer.http, buyer.clock, Account.from_key(KEYS[1]))

    assert (await buyer.get(f"/api/jobs/{job_id}")).json()["input"]["prompt"] == CLIP["prompt"]
    assert [job["jobId"] for job in (await buyer.get("/api/jobs")).json()["jobs"]] == [job_id]
    assert (await stranger.get(f"/api/jobs/{job_id}")).status_code == 403


async def test_the_amount_and_the_most_of_the_fee_are_enough(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.tempo.balances[tempo_buyer.address] = PRICE + 25_000

    assert (await tempo_buyer.pay(SEEDANCE, CLIP)).status_code == 200
    assert sandbox.tempo.balance(tempo_buyer.address) == 25_000 - FIRST_FEE


async def test_thirty_seconds_are_not_too_long_and_one_is_not_too_short(tempo_buyer: TempoBuyer) -> None:
    now = tempo_buyer.buyer.clock.now
    answers = [await tempo_buyer.pay(SEEDANCE, CLIP, valid_before=now + seconds) for seconds in (1, 30)]

    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_source_in_lower_case_is_the_same_account(tempo_buyer: TempoBuyer) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    source = f"did:pkh:eip155:4217:{tempo_buyer.address.lower()}"

    answer = await tempo_buyer.present(SEEDANCE, CLIP, tempo_buyer.credential(challenge, source=source))

    assert answer.status_code == 200


async def test_the_same_bytes_again_are_refused_with_a_fresh_challenge(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    credential = tempo_buyer.credential(challenge)
    assert (await tempo_buyer.present(SEEDANCE, CLIP, credential)).status_code == 200
    balances = dict(sandbox.tempo.balances)

    again = await tempo_buyer.present(SEEDANCE, CLIP, credential)

    assert again.status_code == 402
    assert again.json()["type"] == "https://paymentauth.org/problems/invalid-challenge"
    assert mpp_challenge_of(again).id != challenge.id
    assert "payment-receipt" not in again.headers
    assert sandbox.tempo.balances == balances
    assert len(sandbox.jobs) == len(sandbox.tempo.transactions) == 1


@pytest.mark.parametrize("second", [{}, {"gas_limit": 999_999}])
async def test_two_answers_to_one_challenge_at_once_are_one_debit(
    sandbox: Sandbox, tempo_buyer: TempoBuyer, second: dict[str, int]
) -> None:
    arrived: list[None] = []
    both = anyio.Event()

    async def together(_url: str, _blobs: object) -> bytes:
        arrived.append(None)
        if len(arrived) == 2:
            both.set()
        await both.wait()
        return b"a picture"

    challenge = await tempo_buyer.quote(SEEDANCE, CLIP)
    credentials = [
        tempo_buyer.credential(challenge, tempo_buyer.transaction(challenge, **changes)) for changes in ({}, second)
    ]
    answers = []

    async def pay(credential: str) -> None:
        answers.append((await tempo_buyer.present(SEEDANCE, CLIP, credential)).status_code)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seedance_mcp.sandbox.pictures.load", together)
        async with anyio.create_task_group() as tasks:
            for credential in credentials:
                tasks.start_soon(pay, credential)

    assert sorted(answers) == [200, 500]
    assert len(sandbox.tempo.transactions) == 1
    assert len(sandbox.jobs) == 2  # the live service makes a second one too


async def test_each_rail_can_be_funded_alone(sandbox: Sandbox) -> None:
    sandbox.fund(PAY_TO, 5)
    sandbox.fund(PAY_TO, 10, rail="x402")
    sandbox.fund(PAY_TO, 100, rail="mpp")

    assert (sandbox.bank.balance(PAY_TO), sandbox.tempo.balance(PAY_TO)) == (15, 105)
