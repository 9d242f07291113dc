"""What an answer of the free routes means, as a result or as an error of ours."""

import httpx

from seedance_mcp.errors import NotFound, StudioRejected, StudioUnavailable
from seedance_mcp.studio.models import Answer, find, link


def successful(answer: Answer, what: str) -> Answer:
    """``answer``, if it is a 2xx; ``what`` was asked about. Raises NotFound, StudioRejected or StudioUnavailable."""
    status = answer.status
    if 200 <= status < 300:
        return answer
    if status in {401, 402}:
        raise StudioUnavailable(
            f"StableStudio does not accept this wallet's sign-in for {what}",
            next="Nothing is ever paid on this route: call again in a minute, and tell the operator if it goes on.",
            code="login_refused",
        )
    if status == 403:
        raise NotFound(f"StableStudio says that {what} belongs to another wallet")
    if status in {404, 410}:
        raise NotFound(f"StableStudio knows no {what}")
    if 400 <= status < 500 and status != 429:
        raise StudioRejected(told(f"StableStudio refused the request for {what} ({status})", answer))
    raise outage(answer)


def outage(answer: Answer) -> StudioUnavailable:
    """The error for an answer that is of no use now, and may be later."""
    if 300 <= answer.status < 400:
        return StudioUnavailable("StableStudio answered with a redirect, which is not followed", code="redirected")
    return StudioUnavailable(told(f"StableStudio answered {answer.status}", answer))


def unreachable(error: httpx.TransportError) -> StudioUnavailable:
    """The error for no answer at all."""
    return StudioUnavailable(f"StableStudio could not be reached ({type(error).__name__})")


def told(problem: str, answer: Answer) -> str:
    """``problem`` with the seller's own words after it, if there are any."""
    words = answer.complaint()
    return f"{problem}; {words}" if words else problem


def retry_after(answer: Answer, longest: int) -> int | None:
    """The pause that the answer asks for, in seconds from 1 to ``longest``; None without one in seconds."""
    value = answer.headers.get("retry-after", "")
    return max(1, min(longest, int(value))) if value.isascii() and value.isdigit() and len(value) < 10 else None


def stated_link(answer: Answer, name: str) -> str:
    """The URL under ``name``, at the top or inside ``upload`` or ``data``. Raises StudioUnavailable."""
    url = link(find(answer.json(), name))
    if url is None:
        raise StudioUnavailable("the answer to the upload has no readable URL", code="unreadable_answer")
    return url
