import io
from collections.abc import Callable

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from seedance_mcp.sandbox import Sandbox, serve
from seedance_mcp.sandbox.render import Clip, Shot, render
from tests.sandbox.buyer import CLIP, FAST, SEEDANCE, Buyer, Clock
from tests.sandbox.conftest import Shots


async def test_the_origin_in_the_challenge_is_the_one_that_was_asked(clock: Clock) -> None:
    async with serve(Sandbox(clock=clock)) as origin, httpx.AsyncClient(base_url=origin) as http:
        challenge = await Buyer(http, clock).quote(SEEDANCE, CLIP)

    assert challenge["resource"]["url"] == origin + SEEDANCE


async def test_answers_are_dated_by_the_sandboxs_clock(clock: Clock) -> None:
    clock.now = 1_800_000_000
    async with serve(Sandbox(clock=clock)) as origin, httpx.AsyncClient(base_url=origin) as http:
        answer = await http.get("/llms.txt")

    assert answer.headers.get_list("date") == ["Fri, 15 Jan 2027 08:00:00 GMT"]


async def test_what_was_on_the_wire_is_kept(sandbox: Sandbox, buyer: Buyer) -> None:
    await buyer.http.put("/blob/?pathname=a", content=b"bytes", headers={"X-Content-Type": "image/png"})

    [seen] = sandbox.requests
    assert (seen.method, seen.path, seen.query, seen.body, seen.status) == (
        "PUT",
        "/blob/",
        "pathname=a",
        b"bytes",
        403,
    )
    assert seen.headers["x-content-type"] == "image/png"


async def test_a_lost_answer_closes_the_connection_without_a_byte(clock: Clock, shots: Shots) -> None:
    sandbox = Sandbox(clock=clock, renderer=shots)
    async with serve(sandbox) as origin, httpx.AsyncClient(base_url=origin) as http:
        buyer = Buyer(http, clock)
        sandbox.fund(buyer.account.address, 1_000_000)
        sandbox.faults.answer = "lost"
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await buyer.pay(SEEDANCE, CLIP)

    assert sandbox.requests[-1].status is None
    assert len(sandbox.bank.transfers) == 1


async def test_a_withheld_answer_does_not_keep_the_sandbox_from_ending(clock: Clock, shots: Shots) -> None:
    sandbox = Sandbox(clock=clock, renderer=shots)
    sandbox.faults.answer = "hang"
    async with serve(sandbox) as origin, httpx.AsyncClient(base_url=origin) as http:
        buyer = Buyer(http, clock)
        sandbox.fund(buyer.account.address, 1_000_000)
        credential = buyer.credential(await buyer.quote(SEEDANCE, CLIP))
        with pytest.raises(httpx.ReadTimeout):
            await http.post(SEEDANCE, json=CLIP, headers={"PAYMENT-SIGNATURE": credential}, timeout=0.3)

    assert len(sandbox.bank.transfers) == 1


def picture() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (320, 320), "teal").save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def gallery() -> Starlette:
    """A web site with a picture, a page, and a redirect to the picture."""

    async def show(_request: object) -> Response:
        return Response(picture(), media_type="image/png")

    async def read(_request: object) -> Response:
        return Response("<p>no picture", media_type="text/html")

    async def move(_request: object) -> Response:
        return RedirectResponse("/picture.png")

    return Starlette(routes=[Route("/picture.png", show), Route("/page.html", read), Route("/moved.png", move)])


async def test_a_picture_on_loopback_is_fetched_but_no_redirect_is_followed(
    gallery: Starlette, sandbox: Sandbox, buyer: Buyer, shots: Shots
) -> None:
    async with serve(gallery) as site:
        refused = [await buyer.pay(SEEDANCE, CLIP | {"image": f"{site}/{name}"}) for name in ("page.html", "moved.png")]
        accepted = await buyer.pay(SEEDANCE, CLIP | {"image": f"{site}/picture.png"})

    assert [answer.status_code for answer in refused] == [400, 400]
    assert sandbox.jobs[accepted.json()["jobId"]].done.wait(30)
    assert shots[0].frames == (picture(),)
    assert len(sandbox.bank.transfers) == 1


async def test_a_clip_is_rendered_and_served() -> None:
    sandbox = Sandbox(renderer=render)
    clock = Clock()
    clock.now = sandbox.clock()
    async with serve(sandbox) as origin, httpx.AsyncClient(base_url=origin) as http:
        buyer = Buyer(http, clock)
        sandbox.fund(buyer.account.address, 1_000_000)
        body = CLIP | {"resolution": "480p", "aspect_ratio": "1:1", "generate_audio": False}
        job_id = (await buyer.pay(FAST, body)).json()["jobId"]
        assert sandbox.jobs[job_id].done.wait(60)
        job = (await buyer.get(f"/api/jobs/{job_id}")).json()
        video = await http.get(job["result"]["videoUrl"])

    assert video.headers["content-type"] == "video/mp4"
    assert video.content[4:8] == b"ftyp"


async def test_ending_the_sandbox_stops_the_clips_that_are_under_way(clock: Clock) -> None:
    def endless(_shot: Shot, progress: Callable[[int], None]) -> Clip:
        while True:
            progress(1)

    sandbox = Sandbox(clock=clock, renderer=endless)
    async with serve(sandbox) as origin, httpx.AsyncClient(base_url=origin) as http:
        buyer = Buyer(http, clock)
        sandbox.fund(buyer.account.address, 1_000_000)
        job_ids = [(await buyer.pay(SEEDANCE, CLIP)).json()["jobId"] for _ in range(2)]

    assert [sandbox.jobs[job_id].done.is_set() for job_id in job_ids] == [False, False]


async def test_a_renderer_that_breaks_fails_its_job(clock: Clock) -> None:
    def broken(_shot: Shot, _progress: Callable[[int], None]) -> Clip:
        raise OSError("no encoder")

    sandbox = Sandbox(clock=clock, renderer=broken)
    async with serve(sandbox) as origin, httpx.AsyncClient(base_url=origin) as http:
        buyer = Buyer(http, clock)
        sandbox.fund(buyer.account.address, 1_000_000)
        job = sandbox.jobs[(await buyer.pay(SEEDANCE, CLIP)).json()["jobId"]]
        assert job.done.wait(30)

    assert (job.status, job.error) == ("failed", "no encoder")
