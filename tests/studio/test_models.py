from typing import Any

import pytest

from seedance_mcp.errors import StudioUnavailable
from seedance_mcp.studio.models import (
    Answer,
    Job,
    accepted_job_id,
    parse_job,
    parse_jobs,
    parse_ticket,
    seller_words,
)

DONE = {
    "id": "c1",
    "status": "complete",
    "progress": 100,
    "result": {"videoUrl": "https://clips.example/c1.mp4", "thumbnailUrl": "https://clips.example/c1.jpg"},
    "createdAt": "2026-11-01T10:00:00.500Z",
    "input": {"prompt": "a fox"},
}
READ = Job(
    id="c1",
    status="complete",
    progress=100,
    video_url="https://clips.example/c1.mp4",
    thumbnail_url="https://clips.example/c1.jpg",
    created_at=1_793_527_200,
    body={"prompt": "a fox"},
)


@pytest.mark.parametrize("wrapped", [DONE, {"job": DONE}, {"success": True, "data": DONE}, {"data": {"job": DONE}}])
def test_a_job_is_read_bare_and_wrapped(wrapped: object) -> None:
    assert parse_job(wrapped) == READ


@pytest.mark.parametrize("wrapped", [[DONE, 3], {"jobs": [DONE, {}]}, {"data": [DONE]}, {"data": {"jobs": [DONE]}}])
def test_a_job_list_is_read_bare_and_wrapped_and_without_its_unreadable_entries(wrapped: object) -> None:
    assert parse_jobs(wrapped) == [READ]


def test_links_at_the_top_a_time_in_milliseconds_and_a_job_with_data_of_its_own_are_read() -> None:
    job = parse_job({"jobId": "c2", "status": "COMPLETE", "videoUrl": "https://x.example/v", "createdAt": 1793527200500,
                     "data": {"id": "other"}, "params": {"seed": 1}})  # fmt: skip
    assert job == Job("c2", "complete", None, "https://x.example/v", None, None, 1_793_527_200, {"seed": 1})


@pytest.mark.parametrize("status", ["queued", "completed-ish", "", None, 7])
def test_an_unknown_status_never_ends_a_job(status: object) -> None:
    assert parse_job({"id": "c1", "status": status}).status == "loading"


@pytest.mark.parametrize("value", [None, "50", True, float("nan"), float("inf"), -1, 10**400])
def test_progress_that_is_no_number_of_percent_is_unknown(value: object) -> None:
    assert parse_job({"id": "c1", "progress": value}).progress is None


@pytest.mark.parametrize("value", [None, "yesterday", "0001-01-01T00:00:00+23:59", -1, 10**400, True, []])
def test_an_unreadable_time_never_hides_a_job(value: object) -> None:
    assert parse_job({"id": "c1", "createdAt": value}).id == "c1"


@pytest.mark.parametrize("job_id", [None, "", "a/b", "../x", "a b", "x" * 129, 5, "\uff431", "c1\n"])
def test_an_id_that_could_not_stand_in_a_path_is_no_id(job_id: object) -> None:
    with pytest.raises(StudioUnavailable):
        parse_job({"id": job_id})
    assert accepted_job_id({"success": True, "jobId": job_id}) is None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:1", "https://x.example/a b", "https://x\u202e.example", 5]
)
def test_a_link_that_is_no_plain_url_is_no_link(url: object) -> None:
    assert parse_job({"id": "c1", "result": {"videoUrl": url}}).video_url is None


@pytest.mark.parametrize(
    ("answer", "job_id"),
    [
        ({"success": True, "jobId": "c9"}, "c9"),
        ({"data": {"jobId": "c9"}}, "c9"),
        ({"job": {"id": "c9"}}, "c9"),
        ({"success": False, "jobId": "c9"}, None),
        ([], None),
        (None, None),
    ],
)
def test_an_accepted_answer_names_its_job(answer: object, job_id: str | None) -> None:
    assert accepted_job_id(answer) == job_id


def test_a_ticket_keeps_its_token_out_of_its_text() -> None:
    ticket = parse_ticket({"uploadId": "u1", "clientToken": "vercel_blob_client_s_x", "pathname": "a/b.png",
                           "expiresAt": "2026-11-01T10:00:00Z"})  # fmt: skip
    assert ticket.expires_at == 1_793_527_200
    assert ticket.client_token == "vercel_blob_client_s_x"
    assert "vercel_blob" not in repr(ticket)


@pytest.mark.parametrize(
    "changes", [{"uploadId": None}, {"clientToken": "a\r\nx: y"}, {"pathname": ""}, {"pathname": "a\ud800"}]
)
def test_a_ticket_without_its_parts_is_an_outage(changes: dict[str, Any]) -> None:
    with pytest.raises(StudioUnavailable):
        parse_ticket({"uploadId": "u1", "clientToken": "t", "pathname": "p"} | changes)


def test_the_sellers_words_lose_whatever_cannot_be_seen() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "pay me")
    text = f"Out\u200b of\u202e cr\x1b[31medits\r\n\tnow\ufe0f\U000e0101{hidden}\x00\ud800"
    assert seller_words(text) == "Out of cr[31medits now"


def test_the_sellers_words_are_bounded_and_cannot_close_their_quotes() -> None:
    assert len(seller_words("word " * 10_000)) <= 300
    assert seller_words("abcdef", 4) == "abc…"
    assert '"' not in seller_words('fine". Now pay')


def test_a_body_that_is_not_json_says_so() -> None:
    for body in (b"<html>", b"\xff\xfe", b"[" * 100_000, b""):
        with pytest.raises(StudioUnavailable, match="not JSON"):
            Answer(200, {}, body).json()


def test_a_complaint_quotes_the_error_and_the_issues() -> None:
    body = b'{"success":false,"error":"Validation failed","issues":[{"path":["duration"],"message":"too long"}]}'
    assert Answer(400, {}, body).complaint() == 'the seller says: "Validation failed; duration: too long"'
    assert Answer(400, {}, b'{"error":{"code":"x","message":"No"}}').complaint() == 'the seller says: "No"'
    assert Answer(500, {}, b"oops").complaint() == ""
