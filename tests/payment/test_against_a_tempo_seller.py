"""Our headers against a seller that is mppx, settled on a local Tempo."""

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from seedance_mcp.payment import mpp
from seedance_mcp.payment.challenge import Challenge, parse_challenge
from seedance_mcp.payment.wallet import Wallet
from seedance_mcp.payment.wire import decode_url_safe, encode_url_safe
from tests.conftest import PAYER_KEY
from tests.payment.test_against_a_seller import CLIP

if TYPE_CHECKING:
    from tests.peers.mppx_seller import MppxSeller
    from tests.peers.tempo import Tempo

WALLET = Wallet.from_hex(PAYER_KEY)
FUNDS = 10_000_000
PURCHASE = "pur_0123456789"


@pytest.fixture
def url(mppx_seller: "MppxSeller", tempo: "Tempo") -> str:
    tempo.mint(WALLET.address, FUNDS)
    return f"{mppx_seller.origin}/api/generate/seedance/i2v"


async def quote(http: httpx.AsyncClient, url: str) -> Challenge:
    answer = await http.post(url, json=CLIP)
    assert answer.status_code == 402
    return parse_challenge(answer.headers, answer.content, url, request_body=answer.request.content)


def paid(challenge: Challenge) -> mpp.Credential:
    offer = next(offer for offer in challenge.require_offer() if offer.rail == "mpp")
    return mpp.sign(WALLET, offer, purchase_id=PURCHASE, valid_before=int(time.time()) + offer.max_timeout_seconds)


@pytest.mark.parametrize("sponsored", [False, True])
async def test_our_payment_settles_once_with_our_memo_and_within_the_bound(
    mppx_seller: "MppxSeller", tempo: "Tempo", url: str, sponsored: bool
) -> None:
    mppx_seller.sponsored = sponsored
    before = tempo.block_number()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        challenge = await quote(http, url)
        credential = paid(challenge)
        headers = {credential.header: credential.value}
        bought = await http.post(url, json=CLIP, headers=headers)
        again = await http.post(url, json=CLIP, headers=headers)

    assert bought.status_code == 200, bought.text
    (transfer,) = tempo.transfers(before)
    (offer,) = challenge.offers
    receipt = mpp.read_receipt(bought.headers)
    assert receipt is not None
    assert receipt.success
    assert receipt.transaction == transfer.transaction
    assert credential.transaction == (None if sponsored else transfer.transaction)
    assert (transfer.sender, transfer.recipient) == (WALLET.address, offer.pay_to)
    assert (transfer.amount, transfer.memo) == (offer.amount, credential.memo)
    fee = 0 if sponsored else tempo.fee(transfer.transaction)
    assert FUNDS - tempo.balance(WALLET.address) == offer.amount + fee
    assert fee <= offer.fee
    assert again.status_code != 200
    assert mpp.read_receipt(again.headers) is None


async def test_both_rails_of_one_answer_are_read(mppx_seller: "MppxSeller", url: str) -> None:
    mppx_seller.offers_x402 = True
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        challenge = await quote(http, url)
        credential = paid(challenge)
        bought = await http.post(url, json=CLIP, headers={credential.header: credential.value})
    assert [offer.rail for offer in challenge.offers] == ["x402", "mpp"]
    assert len({offer.amount for offer in challenge.offers}) == 1
    assert bought.status_code == 200, bought.text


async def test_a_transaction_for_another_challenge_is_not_taken(
    mppx_seller: "MppxSeller", tempo: "Tempo", url: str
) -> None:
    before = tempo.block_number()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        first, second = paid(await quote(http, url)), paid(await quote(http, url))
        document = decode_url_safe(second.value.removeprefix("Payment "))
        assert isinstance(document, dict)
        document["payload"] = {"type": "transaction", "signature": f"0x{first.raw.hex()}"}
        answer = await http.post(url, json=CLIP, headers={second.header: f"Payment {encode_url_safe(document)}"})
    assert mppx_seller.credentials
    assert answer.status_code != 200
    assert tempo.transfers(before) == []
