"""What a seller does wrong with a payment on Tempo."""

from typing import Literal

import httpx
import pytest
from mpp import Receipt

from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.sandbox.x402 import PAY_TO
from tests.sandbox.buyer import CLIP, SEEDANCE, Buyer, Clock
from tests.sandbox.conftest import Shots
from tests.sandbox.tempo_buyer import TempoBuyer, challenge_of

FUNDS = 10_000_000
FEE_OF_A_FAILURE = 749


@pytest.mark.parametrize("status", [402, 500])
async def test_an_error_after_settlement_hides_a_debit(
    sandbox: Sandbox, tempo_buyer: TempoBuyer, status: Literal[402, 500]
) -> None:
    sandbox.faults.after_settlement = status

    answer = await tempo_buyer.pay(SEEDANCE, CLIP)

    assert answer.status_code == status
    assert Receipt.from_payment_receipt(answer.headers["payment-receipt"]).status == "success"
    assert len(sandbox.tempo.transfers) == len(sandbox.jobs) == 1


async def test_without_receipts_only_the_chain_knows(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.faults.receipt = False
    sandbox.faults.after_settlement = 402

    answer = await tempo_buyer.pay(SEEDANCE, CLIP)

    assert answer.status_code == 402
    assert challenge_of(answer).request["amount"] == "330000"
    assert "payment-receipt" not in answer.headers
    assert len(sandbox.tempo.transfers) == 1


async def test_a_failed_settlement_leaves_a_job_and_no_debit_and_the_same_bytes_can_be_settled_later(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    sandbox.faults.settle = False
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    failed = await tempo_buyer.present(SEEDANCE, CLIP, credential)

    assert (failed.status_code, failed.json()) == (500, {"success": False, "error": "Settlement failed"})
    assert "payment-receipt" not in failed.headers
    assert sandbox.tempo.balance(tempo_buyer.address) == FUNDS
    assert len(sandbox.jobs) == 1

    sandbox.faults.settle = True
    assert (await tempo_buyer.present(SEEDANCE, CLIP, credential)).status_code == 200
    assert len(sandbox.tempo.transfers) == 1


async def test_a_transaction_that_fails_in_its_block_costs_its_fee_and_nothing_else(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    sandbox.tempo.fails_next = True

    answer = await tempo_buyer.pay(SEEDANCE, CLIP)

    assert (answer.status_code, answer.json()["error"]) == (500, "Settlement failed")
    assert "payment-receipt" not in answer.headers
    [transaction] = sandbox.tempo.transactions
    assert (transaction.succeeded, transaction.fee) == (False, FEE_OF_A_FAILURE)
    assert not sandbox.tempo.transfers
    assert sandbox.tempo.balance(tempo_buyer.address) == FUNDS - FEE_OF_A_FAILURE
    assert sandbox.tempo.balance(PAY_TO) == 0
    assert (await tempo_buyer.pay(SEEDANCE, CLIP)).status_code == 200


async def test_a_failed_transaction_uses_its_challenge_up(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.tempo.fails_next = True
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))
    assert (await tempo_buyer.present(SEEDANCE, CLIP, credential)).status_code == 500

    assert (await tempo_buyer.present(SEEDANCE, CLIP, credential)).status_code == 402
    assert len(sandbox.tempo.transactions) == 1


async def test_a_redirect_uses_nothing_up(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.faults.redirect = True
    credential = tempo_buyer.credential(await tempo_buyer.quote(SEEDANCE, CLIP))

    answer = await tempo_buyer.present(SEEDANCE, CLIP, credential)

    assert answer.status_code == 307
    sandbox.faults.redirect = False
    assert (await tempo_buyer.present(SEEDANCE, CLIP, credential)).status_code == 200


async def test_a_challenge_can_be_dearer_and_name_another_recipient_chain_and_token(
    sandbox: Sandbox, tempo_buyer: TempoBuyer
) -> None:
    sandbox.faults.quote_extra = 7
    sandbox.faults.pay_to = "0x" + "ab" * 20
    sandbox.faults.network = "eip155:42431"
    sandbox.faults.asset = "0x" + "cd" * 20

    asked = await tempo_buyer.quote(SEEDANCE, CLIP)

    assert asked.request == {
        "amount": "330007",
        "currency": "0x" + "cd" * 20,
        "recipient": "0x" + "ab" * 20,
        "methodDetails": {"chainId": 42431},
    }


async def test_what_a_dearer_challenge_asks_for_is_taken(sandbox: Sandbox, tempo_buyer: TempoBuyer) -> None:
    sandbox.faults.quote_extra = 7
    sandbox.faults.pay_to = "0x" + "ab" * 20

    assert (await tempo_buyer.pay(SEEDANCE, CLIP)).status_code == 200
    assert sandbox.tempo.balance("0x" + "ab" * 20) == 330_007


@pytest.mark.parametrize("answer", ["lost", "hang"])
async def test_an_answer_that_never_comes_was_paid(clock: Clock, shots: Shots, answer: Literal["lost", "hang"]) -> None:
    sandbox = Sandbox(clock=clock, renderer=shots)
    sandbox.faults.answer = answer
    async with serve(sandbox) as origin, httpx.AsyncClient(base_url=origin) as http:
        buyer = TempoBuyer(Buyer(http, clock))
        sandbox.fund(buyer.address, 1_000_000)
        headers = {"Authorization": buyer.credential(await buyer.quote(SEEDANCE, CLIP))}
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout)):
            await http.post(SEEDANCE, json=CLIP, headers=headers, timeout=0.3 if answer == "hang" else 30)

    assert sandbox.requests[-1].status is None
    assert len(sandbox.tempo.transfers) == len(sandbox.jobs) == 1
