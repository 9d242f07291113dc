"""``serve --sandbox``: the same server with a seller of its own, which renders real clips and can be told to fail."""

from pathlib import Path

import av
import pytest

from tests.e2e.home import KEY, PATIENCE, Home, make_home
from tests.e2e.shop import Shop

SMALL = {"model": "seedance-fast", "duration": 4, "resolution": "480p"}


@pytest.fixture
def trial(tmp_path: Path) -> Home:
    """The settings of somebody who has a real wallet, of which a sandbox must not take notice."""
    home = make_home(tmp_path / "home", PRIVATE_KEY=KEY, STUDIO_URL="http://127.0.0.1:9", BASE_RPC_URL="ftp://nowhere")
    home.picture()
    return home


@pytest.mark.parametrize("generation", ["1", "2"])
async def test_a_clip_is_rendered_and_its_progress_told(trial: Home, generation: str) -> None:
    seen: list[tuple[float, float | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    async with trial.server("--sandbox", "--generation", generation) as agent:
        bought = await agent.ok("generate_video", prompt="waves", image="lake.png", **SMALL)
        job = {"job_id": bought["job_id"], "wait_seconds": 50}
        await agent.client.call_tool("check_job", job, read_timeout_seconds=PATIENCE, progress_callback=note)
        clip = await agent.clip(bought["job_id"])

    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)
    with av.open(str(clip)) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 854, 480)
        assert video.duration is not None
        assert round(video.duration / av.time_base) == 4


async def test_only_a_sandbox_says_that_it_is_one(trial: Home) -> None:
    async with trial.server("--sandbox") as agent:
        assert "This is the sandbox" in (agent.client.instructions or "")
    async with trial.having(BASE_RPC_URL="").server() as agent:
        assert "sandbox" not in (agent.client.instructions or "sandbox")


@pytest.mark.parametrize("fault", ["answer-lost", "402-after-settlement", "500-after-settlement"])
async def test_a_clip_whose_answer_goes_wrong_is_paid_once_and_saved(trial: Home, fault: str) -> None:
    request = {"prompt": "waves", "image": "lake.png", **SMALL}
    async with trial.server("--sandbox", "--fault", fault) as agent:
        answers = [await agent.client.call_tool("generate_video", request) for _ in range(3)]
        told = answers[-1].structured_content
        assert told is not None
        assert (await agent.clip(told["job_id"])).is_file()

    assert [payment["amount"] for payment in trial.payments()] == [10_000, 40_000]


@pytest.mark.parametrize(
    ("switch", "value"), [("answer", "lost"), ("after_settlement", 402), ("after_settlement", 500)]
)
async def test_an_upload_that_is_paid_and_never_delivered_is_bought_once_more_and_then_no_more(
    shop: Shop, home: Home, switch: str, value: object
) -> None:
    """Two hosts agree that the first one was taken: one alone could be lying."""
    picture = home.picture()
    setattr(shop.sandbox.faults, switch, value)
    hosts = f"{shop.origin}/rpc,{shop.origin.replace('127.0.0.1', 'localhost')}/rpc"
    async with home.having(BASE_RPC_URL=hosts).server() as agent:
        problems = [await agent.fails("upload_image", path=picture.name) for _ in range(3)]

    assert [problem.charged_usd for problem in problems] == ["0.01", "0.01", "0.00"]
    assert [problem.code for problem in problems] == ["upload_lost", "upload_lost", "undelivered"]
    assert [payment["amount"] for payment in home.payments()] == [10_000, 10_000]


async def test_a_seller_that_takes_its_time_is_waited_for(trial: Home) -> None:
    async with trial.server("--sandbox", "--fault", "slow") as agent:
        bought = await agent.ok("generate_video", prompt="waves", image="lake.png", **SMALL)
    assert (bought["charged_usd"], bought["upload_usd"]) == ("0.05", "0.01")
    assert [payment["amount"] for payment in trial.payments()] == [10_000, 40_000]


async def test_a_job_that_fails_stays_charged_until_another_take_is_asked_for(trial: Home) -> None:
    request = {"prompt": "waves", "image": "lake.png", **SMALL}
    async with trial.server("--sandbox", "--fault", "failed-job") as agent:
        bought = await agent.ok("generate_video", **request)
        job = await agent.ok("check_job", job_id=bought["job_id"], wait_seconds=50)
        again = await agent.ok("generate_video", **request)

    assert job["status"] == "failed"
    assert "$0.04 was charged; call generate_video again with take=2" in job["error"]
    assert (again["duplicate"], again["charged_usd"]) == (True, "0.00")
    assert "take=2" in again["next"]


async def test_a_sandbox_never_touches_a_ledger_of_real_payments(trial: Home) -> None:
    trial.lacking("BASE_RPC_URL").run("freeze")
    before = trial.ledger.read_bytes()
    async with trial.server("--sandbox") as agent:
        problem = await agent.fails("upload_image", path="lake.png")
    assert problem.text.startswith("This ledger holds real payments")
    assert trial.ledger.read_bytes() == before
