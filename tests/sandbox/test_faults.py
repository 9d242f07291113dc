from typing import Literal

import pytest

from seedance_mcp.sandbox import Sandbox
from tests.sandbox.buyer import CLIP, SEEDANCE, Buyer, challenge_of, unpack


@pytest.mark.parametrize("status", [402, 500])
async def test_an_error_after_settlement_hides_a_debit(
    sandbox: Sandbox, buyer: Buyer, status: Literal[402, 500]
) -> None:
    sandbox.faults.after_settlement = status

    answer = await buyer.pay(SEEDANCE, CLIP)

    assert answer.status_code == status
    assert unpack(answer.headers["payment-response"])["success"] is True
    assert len(sandbox.bank.transfers) == len(sandbox.jobs) == 1


async def test_without_receipts_only_the_bank_knows(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.receipt = False
    sandbox.faults.after_settlement = 402

    answer = await buyer.pay(SEEDANCE, CLIP)

    assert challenge_of(answer)["accepts"]
    assert "payment-response" not in answer.headers
    assert len(sandbox.bank.transfers) == 1


async def test_a_failed_settlement_leaves_a_job_and_no_debit(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.settle = False

    answer = await buyer.pay(SEEDANCE, CLIP)

    assert (answer.status_code, answer.json()) == (500, {"success": False, "error": "Settlement failed"})
    assert unpack(answer.headers["payment-response"])["success"] is False
    assert len(sandbox.jobs) == 1
    assert not sandbox.bank.transfers


async def test_the_same_bytes_can_be_settled_after_a_failed_settlement(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.settle = False
    credential = buyer.credential(await buyer.quote(SEEDANCE, CLIP))
    assert (await buyer.pay(SEEDANCE, CLIP, credential)).status_code == 500
    sandbox.faults.settle = True

    assert (await buyer.pay(SEEDANCE, CLIP, credential)).status_code == 200
    assert len(sandbox.jobs) == 2  # the live service makes a second one too
    assert len(sandbox.bank.transfers) == 1


async def test_a_redirect_uses_nothing_up(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.redirect = True
    assert (await buyer.quote(SEEDANCE, CLIP))["accepts"]

    answer = await buyer.pay(SEEDANCE, CLIP)

    assert answer.status_code == 307
    assert answer.headers["location"].endswith("/moved" + SEEDANCE)
    assert not sandbox.jobs


async def test_a_lost_answer_has_no_status_and_was_paid(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.answer = "lost"

    with pytest.raises(ConnectionResetError):
        await buyer.pay(SEEDANCE, CLIP)

    assert len(sandbox.jobs) == len(sandbox.bank.transfers) == 1


async def test_a_job_may_fail_after_it_was_paid(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.job = "failed"
    job_id = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]

    job = (await buyer.get(f"/api/jobs/{job_id}")).json()

    assert job["status"] == "failed"
    assert job["error"]
    assert "result" not in job
    assert len(sandbox.bank.transfers) == 1


async def test_a_job_may_be_stuck(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.job = "stuck"
    job_id = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]

    job = (await buyer.get(f"/api/jobs/{job_id}")).json()

    assert (job["status"], job["progress"]) == ("loading", 40)
    assert not sandbox.jobs[job_id].done.is_set()


async def test_links_die(sandbox: Sandbox, buyer: Buyer) -> None:
    job_id = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]
    assert sandbox.jobs[job_id].done.wait(30)
    result = (await buyer.get(f"/api/jobs/{job_id}")).json()["result"]

    async def status() -> int:
        clip, thumbnail = [(await buyer.http.get(url)).status_code for url in result.values()]
        assert clip == thumbnail
        return clip

    assert await status() == 200
    sandbox.faults.dead_link = True
    assert await status() == 404
    sandbox.faults.dead_link = False
    buyer.clock.now += 1199
    assert await status() == 200
    buyer.clock.now += 1
    assert await status() == 404


async def test_the_faults_of_a_running_sandbox_cannot_be_swapped(sandbox: Sandbox) -> None:
    with pytest.raises(AttributeError):
        sandbox.faults = type(sandbox.faults)()  # type: ignore[misc]  # that it is read-only is what is tested
