"""What the studio is asked for and what it answers, read tolerantly: two API generations share one origin."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from seedance_mcp.errors import StudioUnavailable
from seedance_mcp.words import visible

MODELS = ("seedance", "seedance-fast")

UPLOAD_PATH = "/api/upload"

JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)

_WRAPPERS = ("job", "data", "upload")
_STATUSES = frozenset({"pending", "loading", "complete", "failed"})
_LINK = re.compile(r"https?://[!-~]{1,4000}", re.ASCII)
_UPLOAD_ID = re.compile(r"[!-~]{1,200}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)
_MILLISECONDS = 100_000_000_000
"""Epoch numbers from here on are milliseconds: as seconds they would lie beyond the year 5000."""


def generate_path(model: str) -> str:
    """The paid image-to-video route of ``model``."""
    return f"/api/generate/{model}/i2v"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """One clip, in the words of no API generation.

    ``image`` and ``last_image`` are URLs as the seller will fetch them, ``duration`` is in seconds, ``aspect_ratio`` is
    a ratio such as ``"16:9"`` (the caller has resolved ``auto``). ``None`` leaves the choice to the seller.
    """

    model: str
    prompt: str
    image: str
    last_image: str | None = None
    duration: int = 5
    resolution: str = "720p"
    aspect_ratio: str = "16:9"
    generate_audio: bool | None = None
    camera_fixed: bool | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the seller tells it.

    ``status`` is ``pending``, ``loading``, ``complete`` or ``failed``; ``progress`` runs from 0 to 100; ``error`` is
    the seller's text, cleaned; ``created_at`` is in epoch seconds; ``body`` is the input as the seller returns it.
    """

    id: str
    status: str
    progress: int | None = None
    video_url: str | None = None
    thumbnail_url: str | None = None
    error: str | None = None
    created_at: int | None = None
    body: Mapping[str, object] = field(default_factory=dict)
    type: str | None = None


@dataclass(frozen=True, slots=True)
class UploadTicket:
    """The right to put one file into the seller's store, until ``expires_at`` (epoch seconds)."""

    upload_id: str
    client_token: str = field(repr=False)
    pathname: str
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, of any status.

    ``headers`` has lower-case names, repeated ones joined by ``", "``. ``body`` may be cut short (it is bounded, and a
    connection can break after the headers). ``date`` is the ``Date`` header in epoch seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    date: int | None = None

    def json(self) -> object:
        """The body as JSON. Raises StudioUnavailable (``unreadable_answer``)."""
        try:
            return cast("object", json.loads(self.body))
        except (ValueError, RecursionError):
            problem = f"StableStudio answered {self.status} with a body that is not JSON"
            raise StudioUnavailable(problem, code="unreadable_answer") from None

    def complaint(self) -> str:
        """The seller's own words about what is wrong, marked as such; empty if there are none."""
        words = self.words()
        return f'the seller says: "{words}"' if words else ""

    def words(self) -> str:
        """The same, cleaned and not marked."""
        try:
            answer = _mapping(self.json())
        except StudioUnavailable:
            return ""
        issues = answer.get("issues")
        parts = [_error(answer), *map(_issue, issues[:5] if isinstance(issues, list) else ())]
        return seller_words("; ".join(filter(None, parts)))


def seller_words(text: str, limit: int = 300) -> str:
    """``text`` on one line of at most ``limit`` characters, without anything that a reader cannot see.

    Everything of the seller's that reaches a model goes through here: control, bidirectional and zero-width characters,
    variation selectors and tags can carry instructions that a human who looks at the same text does not get to see.
    """
    return visible(text, limit)


def parse_job(obj: object) -> Job:
    """A job, bare or wrapped in ``job`` or ``data``. Raises StudioUnavailable (``unreadable_job``) without a sane id.

    A status that is none of the four known ones counts as ``loading``: only the seller's plain word ends a job.
    """
    job = _holder(obj, "id", "jobId")
    job_id = _first(job, "id", "jobId")
    if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
        raise StudioUnavailable("StableStudio answered with a job that has no readable id", code="unreadable_job")
    status = str(job.get("status", "")).lower()
    result = _mapping(_first(job, "result", "output"))
    return Job(
        id=job_id,
        status=status if status in _STATUSES else "loading",
        progress=_progress(job.get("progress")),
        video_url=link(_first(result, "videoUrl", "video_url") or _first(job, "videoUrl", "video_url")),
        thumbnail_url=link(_first(result, "thumbnailUrl", "thumbnail_url") or _first(job, "thumbnailUrl")),
        error=_error(job) or None,
        created_at=_epoch(_first(job, "createdAt", "created_at")),
        body=_mapping(_first(job, "input", "body", "params")),
        type=kind if isinstance(kind := job.get("type"), str) else None,
    )


def parse_jobs(obj: object) -> list[Job]:
    """A job list, bare or wrapped in ``jobs`` or ``data``; entries that cannot be read are left out."""
    for wrapper in ("data", "jobs"):
        if isinstance(obj, dict) and wrapper in obj:
            obj = obj[wrapper]
    if not isinstance(obj, list):
        raise StudioUnavailable("StableStudio answered without a list of jobs", code="unreadable_job")
    return list(_readable(obj))


def parse_ticket(obj: object) -> UploadTicket:
    """An upload's answer. Raises StudioUnavailable (``unreadable_ticket``)."""
    ticket = _holder(obj, "uploadId")
    upload_id, token, pathname = (str(ticket.get(name) or "") for name in ("uploadId", "clientToken", "pathname"))
    if not (
        _UPLOAD_ID.fullmatch(upload_id) and pathname and pathname.isprintable() and _TOKEN.fullmatch(token)
    ):  # the token becomes a header
        raise StudioUnavailable("StableStudio's upload answer lacks its id, token or path", code="unreadable_ticket")
    return UploadTicket(upload_id, token, pathname, _epoch(ticket.get("expiresAt")))


def accepted_job_id(obj: object) -> str | None:
    """The job that an accepted purchase made, or None; an answer with ``success: false`` accepts nothing."""
    job_id = None if _mapping(obj).get("success") is False else find(obj, "jobId", "id")
    return job_id if isinstance(job_id, str) and JOB_ID.fullmatch(job_id) else None


def find(obj: object, *names: str) -> object:
    """The value under the first of ``names`` that ``obj``, or what it wraps, has; else None."""
    return _first(_holder(obj, *names), *names)


def link(value: object) -> str | None:
    """``value`` if it is a plain http or https URL of visible ASCII, else None."""
    return value if isinstance(value, str) and _LINK.fullmatch(value) else None


def _readable(entries: list[object]) -> Iterator[Job]:
    for entry in entries:
        try:
            yield parse_job(entry)
        except StudioUnavailable:
            continue


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _first(mapping: Mapping[str, object], *names: str) -> object:
    return next((mapping[name] for name in names if mapping.get(name) is not None), None)


def _holder(obj: object, *names: str) -> Mapping[str, object]:
    """The mapping with one of ``names``: ``obj``, or what it wraps."""
    holder = _mapping(obj)
    for _ in range(3):
        if _first(holder, *names) is not None:
            break
        holder = next((inner for wrapper in _WRAPPERS if (inner := _mapping(holder.get(wrapper)))), {})
    return holder


def _error(mapping: Mapping[str, object]) -> str:
    error = mapping.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    return seller_words(error) if isinstance(error, str) else ""


def _issue(issue: object) -> str:
    path, message = _mapping(issue).get("path"), str(_mapping(issue).get("message") or "")
    where = ".".join(map(str, path)) if isinstance(path, list) else ""
    return ": ".join(part for part in (where, message) if part)


def _progress(value: object) -> int | None:
    return min(100, number) if (number := _number(value)) is not None else None


def _epoch(value: object) -> int | None:
    """Epoch seconds of an ISO 8601 text, or of a number of seconds or milliseconds."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            return None
    number = _number(value)
    return number // 1000 if number is not None and number >= _MILLISECONDS else number


def _number(value: object) -> int | None:
    # The comparison also turns away NaN, infinity and integers of a thousand digits.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**15:
        return None
    return int(value)
