from typing import Any

import pytest

from seedance_mcp.ledger import jobs
from seedance_mcp.ledger.jobs import WATCH
from seedance_mcp.ledger.states import ClipJob, Payment, State
from tests.ledger.examples import CLIP, Desk, intent

UPLOAD = intent("picture", model="upload", request={"sha256": "ab" * 32, "width": 640, "height": 360}, amount=10_000)
LINK = "https://images.example/1.jpg"


async def bought(desk: Desk, job_id: str = "job-1", **changes: Any) -> Payment:
    payment = await desk.at(State.CLAIMED, intent(job_id, **changes))
    assert await desk.database.write(jobs.add, payment.purchase, job_id, desk.now)
    return payment


async def report(desk: Desk, job_id: str = "job-1", **changes: Any) -> None:
    news: dict[str, Any] = {"status": "loading", "progress": 40, "video_url": None, "thumbnail_url": None,
                            "links_die_at": None, "error": None}  # fmt: skip
    await desk.database.write(jobs.update, job_id, now=desk.now, **(news | changes))


async def job(desk: Desk, job_id: str = "job-1") -> ClipJob:
    purchase = await desk.database.read(jobs.of, job_id)
    assert purchase is not None
    assert purchase.job is not None
    return purchase.job


async def test_a_new_job_waits_for_its_clip(desk: Desk) -> None:
    payment = await bought(desk)
    found = await job(desk)
    assert (found.id, found.purchase, found.status, found.finished) == ("job-1", payment.purchase, "pending", False)
    assert (await desk.find(payment.purchase)).delivered


async def test_a_job_of_nobody_has_no_purchase(desk: Desk) -> None:
    assert await desk.database.read(jobs.of, "job-of-nobody") is None


async def test_the_job_that_the_answer_names_takes_the_place_of_one_that_was_found(desk: Desk) -> None:
    payment = await bought(desk, "found")
    await report(desk, "found", status="failed", error="never ran")
    await desk.database.write(jobs.deliver, payment.purchase, "named", desk.now)
    assert await desk.database.read(jobs.of, "found") is None
    named = await job(desk, "named")
    assert (named.purchase, named.status, named.error) == (payment.purchase, "pending", None)


async def test_the_job_that_the_answer_names_takes_nothing_from_another_purchase(desk: Desk) -> None:
    first, second = await bought(desk, "job-1"), await bought(desk, "job-2")
    await desk.database.write(jobs.deliver, second.purchase, "job-1", desk.now)
    assert (await job(desk, "job-1")).purchase == first.purchase
    assert (await job(desk, "job-2")).purchase == second.purchase


async def test_a_saved_clip_is_not_given_up_for_another_job(desk: Desk) -> None:
    payment = await bought(desk)
    await desk.database.write(jobs.save_clip, "job-1", "/clips/dawn.mp4", desk.now)
    await desk.database.write(jobs.deliver, payment.purchase, "job-2", desk.now)
    assert (await job(desk)).video_path == "/clips/dawn.mp4"


async def test_the_first_death_of_the_links_that_was_seen_is_kept(desk: Desk) -> None:
    await bought(desk)
    await report(desk, status="complete", progress=100, video_url="https://v/1", links_die_at=desk.now + 1)
    await report(desk, status="complete", progress=100, video_url="https://v/2", links_die_at=desk.now + 99)
    found = await job(desk)
    assert (found.video_url, found.links_die_at, found.finished) == ("https://v/2", desk.now + 1, False)


async def test_a_known_link_is_not_forgotten(desk: Desk) -> None:
    await bought(desk)
    await report(desk, status="complete", video_url="https://v/1", thumbnail_url="https://t/1")
    await report(desk, status="loading")
    found = await job(desk)
    assert (found.video_url, found.thumbnail_url, found.status) == ("https://v/1", "https://t/1", "loading")


async def test_a_saved_clip_is_final(desk: Desk) -> None:
    await bought(desk)
    await desk.database.write(jobs.note_error, "job-1", "the disk is full", False, desk.now)
    await desk.database.write(jobs.save_clip, "job-1", "/clips/dawn.mp4", desk.now)
    await report(desk, status="failed", error="late nonsense")
    await desk.database.write(jobs.note_error, "job-1", "later nonsense", True, desk.now)
    found = await job(desk)
    assert (found.status, found.video_path, found.error, found.lost) == ("complete", "/clips/dawn.mp4", None, False)
    assert found.finished


async def test_a_lost_clip_stays_lost(desk: Desk) -> None:
    await bought(desk)
    await desk.database.write(jobs.note_error, "job-1", "the link is dead", True, desk.now)
    await report(desk, status="loading")
    found = await job(desk)
    assert (found.lost, found.error, found.finished) == (True, "the link is dead", True)


async def test_one_watcher_has_a_job_to_itself_for_a_while(desk: Desk) -> None:
    await bought(desk)

    async def watched(watcher: str) -> list[str]:
        return [job.id for job in await desk.database.write(jobs.watch, watcher, desk.now)]

    assert await watched("first") == ["job-1"]
    desk.now += WATCH - 1
    assert await watched("second") == []
    assert await watched("first") == ["job-1"], "its own look prolongs it"
    desk.now += WATCH - 1
    assert await watched("second") == []
    desk.now += 1
    assert await watched("second") == ["job-1"]
    assert await watched("first") == []


async def test_a_watcher_that_leaves_makes_room_at_once(desk: Desk) -> None:
    await bought(desk)
    await desk.database.write(jobs.watch, "first", desk.now)
    await desk.database.write(jobs.leave, "second")
    assert await desk.database.write(jobs.watch, "second", desk.now) == []
    await desk.database.write(jobs.leave, "first")
    assert [job.id for job in await desk.database.write(jobs.watch, "second", desk.now)] == ["job-1"]


async def test_a_job_that_is_named_in_place_of_another_is_watched_at_once(desk: Desk) -> None:
    payment = await bought(desk, "found")
    await desk.database.write(jobs.watch, "departed", desk.now)
    await desk.database.write(jobs.deliver, payment.purchase, "named", desk.now)
    assert [job.id for job in await desk.database.write(jobs.watch, "second", desk.now)] == ["named"]


async def test_only_unfinished_jobs_are_watched_and_the_oldest_first(desk: Desk) -> None:
    for number, job_id in enumerate(["young", "old", "saved", "failed", "lost"]):
        desk.now += -number
        await bought(desk, job_id)
    await desk.database.write(jobs.save_clip, "saved", "/clips/1.mp4", desk.now)
    await report(desk, "failed", status="failed", error="no")
    await desk.database.write(jobs.note_error, "lost", "gone", True, desk.now)
    assert await desk.database.read(jobs.unfinished) == 2
    assert [job.id for job in await desk.database.write(jobs.watch, "me", desk.now)] == ["old", "young"]


async def test_an_agent_s_unfinished_purchases_are_pending(desk: Desk) -> None:
    async def pending() -> list[str]:
        return [purchase.id for purchase in await desk.database.read(jobs.pending, "storyboard", desk.now)]

    running = await bought(desk)
    desk.now += 1
    unknown = await desk.at(State.UNKNOWN, intent("unknown"))
    desk.now += 1
    await desk.at(State.EXPIRED, intent("expired"))
    await desk.at(State.RELEASED, intent("released"))
    await desk.at(State.CLAIMED, UPLOAD)
    await bought(desk, "job-of-another", agent="trailer")
    assert await pending() == [running.purchase, unknown.purchase]
    await desk.database.write(jobs.save_clip, "job-1", "/clips/1.mp4", desk.now)
    assert await pending() == [unknown.purchase]


@pytest.mark.parametrize(
    ("state", "searched"),
    [
        (State.RESERVED, False),
        (State.SIGNED, False),
        (State.SENT, False),
        (State.UNKNOWN, False),
        (State.CLAIMED, True),
        (State.SETTLED, True),
        (State.EXPIRED, False),
    ],
)
async def test_only_a_clip_that_was_paid_is_searched_for_its_job(desk: Desk, state: State, searched: bool) -> None:
    payment = await desk.at(state)
    await desk.at(state, UPLOAD)
    found = [purchase.id for purchase in await desk.database.read(jobs.without_job)]
    assert found == ([payment.purchase] if searched else [])
    await desk.database.write(jobs.add, payment.purchase, "job-1", desk.now)
    assert await desk.database.read(jobs.without_job) == []


async def test_a_ticket_is_kept_until_the_image_is_there(desk: Desk) -> None:
    payment = await desk.at(State.CLAIMED, UPLOAD)
    purchase = await desk.find(payment.purchase)
    await desk.database.write(jobs.keep_ticket, purchase, b"sealed ticket", 1_700_000_600)
    kept = await desk.find(purchase.id)
    assert kept.upload is not None
    assert (kept.upload.sha256, kept.upload.width, kept.upload.height) == ("ab" * 32, 640, 360)
    assert (kept.upload.ticket, kept.upload.ticket_dies_at, kept.delivered) == (b"sealed ticket", 1_700_000_600, False)
    await desk.database.write(jobs.keep_ticket, purchase, b"a newer ticket", None)
    kept = await desk.find(purchase.id)
    assert kept.upload is not None
    assert (kept.upload.ticket, kept.upload.ticket_dies_at) == (b"a newer ticket", None)
    await desk.database.write(jobs.finish_upload, purchase.id, LINK)
    await desk.database.write(jobs.keep_ticket, purchase, b"a late ticket", None)
    done = await desk.find(purchase.id)
    assert done.upload is not None
    assert (done.upload.ticket, done.upload.url, done.delivered) == (None, LINK, True)
    assert done.payment.amount < CLIP


async def test_an_upload_is_found_by_its_link_and_only_by_its_agent(desk: Desk) -> None:
    payment = await desk.at(State.CLAIMED, UPLOAD)
    await desk.database.write(jobs.keep_ticket, await desk.find(payment.purchase), b"sealed", None)
    await desk.database.write(jobs.finish_upload, payment.purchase, LINK)
    found = await desk.database.read(jobs.upload_of, "storyboard", LINK)
    assert found is not None
    assert found.purchase == payment.purchase
    assert await desk.database.read(jobs.upload_of, "trailer", LINK) is None
    assert await desk.database.read(jobs.upload_of, "storyboard", LINK + "?") is None
