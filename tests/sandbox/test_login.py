from typing import Any

import httpx
import pytest
from eth_account import Account

from seedance_mcp.sandbox import Sandbox
from tests.sandbox.buyer import CLIP, KEYS, ORIGIN, SEEDANCE, Buyer, Clock, challenge_of, pack, unpack

JOBS = "/api/jobs"


async def present(buyer: Buyer, proof: str, path: str = JOBS) -> httpx.Response:
    return await buyer.http.get(path, headers={"SIGN-IN-WITH-X": proof})


def refusal(answer: httpx.Response) -> Any:
    assert answer.status_code == 402
    assert "payment-required" not in answer.headers
    return answer.json()["error"]


async def test_the_challenge_asks_for_a_login_and_no_money(buyer: Buyer) -> None:
    answer = await buyer.http.get(JOBS)

    challenge = challenge_of(answer)
    assert answer.json() == challenge
    assert challenge["accepts"] == []
    asked = challenge["extensions"]["sign-in-with-x"]
    assert {"chainId": "eip155:8453", "type": "eip191"} in asked["supportedChains"]
    assert (asked["info"]["domain"], asked["info"]["uri"]) == ("127.0.0.1", ORIGIN + JOBS)


async def test_a_proof_shows_the_wallets_own_jobs_newest_first(sandbox: Sandbox, buyer: Buyer) -> None:
    first = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]
    second = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]
    assert [job["jobId"] for job in (await buyer.get(JOBS)).json()["jobs"]] == [second, first]

    stranger = Buyer(buyer.http, buyer.clock, Account.from_key(KEYS[1]))
    assert (await stranger.get(JOBS)).json() == {"jobs": []}
    assert (await stranger.get(f"{JOBS}/{first}")).status_code == 403
    assert (await buyer.get(f"{JOBS}/nowhere")).status_code == 404


async def test_the_list_is_cut_and_filtered(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.job = "stuck"
    await buyer.pay(SEEDANCE, CLIP)
    sandbox.faults.job = "failed"
    failed = [(await buyer.pay(SEEDANCE, CLIP)).json()["jobId"] for _ in range(2)]
    proof = {"headers": {"SIGN-IN-WITH-X": await buyer.login(JOBS)}, "params": {"status": "failed", "limit": "1"}}

    jobs = (await buyer.http.get(JOBS, **proof)).json()["jobs"]  # type: ignore[arg-type]  # a mixed dict of arguments

    assert [job["jobId"] for job in jobs] == failed[-1:]


async def test_a_finished_job_shows_its_input_and_its_links(sandbox: Sandbox, buyer: Buyer) -> None:
    job_id = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]
    assert sandbox.jobs[job_id].done.wait(30)

    job = (await buyer.get(f"{JOBS}/{job_id}")).json()

    assert (job["status"], job["progress"], job["type"]) == ("complete", 100, "seedance-i2v")
    assert job["input"] == CLIP | {
        "resolution": "720p",
        "aspect_ratio": "16:9",
        "generate_audio": True,
        "camera_fixed": False,
    }
    assert (await buyer.http.get(job["result"]["videoUrl"])).content == b"a clip"
    assert (await buyer.http.get(job["result"]["thumbnailUrl"])).content == b"a thumbnail"


async def test_only_a_failed_job_can_be_deleted(sandbox: Sandbox, buyer: Buyer) -> None:
    sandbox.faults.job = "failed"
    failed = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]
    sandbox.faults.job = "stuck"
    stuck = (await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]

    async def delete(job_id: str) -> int:
        path = f"{JOBS}/{job_id}"
        return (await buyer.http.delete(path, headers={"SIGN-IN-WITH-X": await buyer.login(path)})).status_code

    assert (await delete(failed), await delete(stuck)) == (200, 400)
    assert list(sandbox.jobs) == [stuck]


async def test_a_tracked_nonce_serves_once(buyer: Buyer) -> None:
    proof = await buyer.login(JOBS)
    assert (await present(buyer, proof)).status_code == 200

    assert refusal(await present(buyer, proof)) == "siwx_nonce_used"


async def test_without_tracking_a_proof_serves_every_route_for_five_minutes(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock, track_nonces=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app), base_url=ORIGIN) as http:
        buyer = Buyer(http, clock)
        proof = await buyer.login(JOBS)
        clock.now += 299
        assert (await present(buyer, proof)).status_code == 200
        assert (await present(buyer, proof, f"{JOBS}/other")).status_code == 404
        clock.now += 1
        assert refusal(await present(buyer, proof)) == "siwx_expired"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"domain": "stablestudio.example"}, "siwx_malformed"),
        ({"uri": "http://127.0.0.1:1/api/jobs"}, "siwx_malformed"),
        ({"uri": "https://127.0.0.1:9402/api/jobs"}, "siwx_malformed"),
        ({"chainId": "eip155:1"}, "siwx_malformed"),
        ({"issuedAt": "2036-01-01T00:00:00.000Z"}, "siwx_malformed"),
        ({"issuedAt": "2020-01-01T00:00:00.000Z"}, "siwx_expired"),
        ({"expirationTime": "2020-01-01T00:00:00.000Z"}, "siwx_expired"),
        ({"notBefore": "2036-01-01T00:00:00.000Z"}, "siwx_malformed"),
        ({"nonce": "0123456789abcdef"}, "siwx_nonce_used"),
    ],
)
async def test_a_signed_proof_of_the_wrong_thing_is_refused(
    buyer: Buyer, changes: dict[str, object], reason: str
) -> None:
    assert refusal(await present(buyer, await buyer.login(JOBS, **changes))) == reason


async def test_a_version_of_another_standard_is_malformed(buyer: Buyer) -> None:
    proof = unpack(await buyer.login(JOBS)) | {"version": "2"}

    assert refusal(await present(buyer, pack(proof))) == "siwx_malformed"


@pytest.mark.parametrize("name", ["statement", "issuedAt", "nonce", "requestId", "resources"])
async def test_a_field_changed_after_signing_breaks_the_signature(buyer: Buyer, name: str) -> None:
    proof = unpack(await buyer.login(JOBS))
    changed = {"issuedAt": proof["issuedAt"].replace(".000", ".001"), "resources": ["https://else.example/"]}

    answer = await present(buyer, pack(proof | {name: changed.get(name, "changed")}))

    assert refusal(answer) == "siwx_invalid_signature"


@pytest.mark.parametrize("without", [("statement",), ("resources", "expirationTime"), ("statement", "resources")])
async def test_fields_that_may_be_absent_may_be_absent(buyer: Buyer, without: tuple[str, ...]) -> None:
    challenge = challenge_of(await buyer.http.get(JOBS))
    for name in without:
        del challenge["extensions"]["sign-in-with-x"]["info"][name]

    assert (await present(buyer, buyer.proof(challenge))).status_code == 200


async def test_fields_that_may_be_added_are_part_of_the_text(buyer: Buyer) -> None:
    proof = await buyer.login(JOBS, requestId="r-1", notBefore="2020-01-01T00:00:00.000Z")

    assert (await present(buyer, proof)).status_code == 200


async def test_another_wallets_name_on_a_proof_is_refused(buyer: Buyer) -> None:
    proof = unpack(await buyer.login(JOBS)) | {"address": Account.from_key(KEYS[1]).address}

    assert refusal(await present(buyer, pack(proof))) == "siwx_invalid_signature"


@pytest.mark.parametrize("proof", ["", "%%%", "W10=", pack({}), pack({"uri": 1}), pack({"uri": "http://[::"})])
async def test_rubbish_for_a_proof_is_malformed(buyer: Buyer, proof: str) -> None:
    assert refusal(await present(buyer, proof)) == "siwx_malformed"
