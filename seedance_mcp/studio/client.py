"""StableStudio's HTTP API over an injected client. It sends what it is given, and nothing here knows a price."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import anyio
import httpx

from seedance_mcp.errors import InvalidArgument, StudioUnavailable
from seedance_mcp.studio.answers import outage, retry_after, stated_link, successful, unreachable
from seedance_mcp.studio.blobs import check_token, headers_for, rejection, valid_until
from seedance_mcp.studio.dialects import Dialect, read_dialect, schema_from_openapi
from seedance_mcp.studio.models import (
    JOB_ID,
    UPLOAD_PATH,
    Answer,
    Job,
    UploadTicket,
    find,
    generate_path,
    link,
    parse_job,
    parse_jobs,
)

__all__ = ["UPLOAD_PATH", "Studio", "generate_path"]

_ANSWER_LIMIT = 1_000_000
_DOCUMENT_LIMIT = 4_000_000
_DIALECT_LIFE = 600
_LONGEST_WAIT = 30
_TICKET_LIFE = 300
"""Seconds; only for tickets that do not tell theirs."""
_CONFIRM_WITHIN = 120
"""Seconds: confirming is free and idempotent, and the upload it ends has been paid."""


class Studio:
    """The API at ``origin``, with uploads put to ``blob_url``.

    ``login`` answers the sign-in challenges of the free routes and goes nowhere else. ``patience`` bounds one exchange,
    in seconds. ``clock`` is monotonic, ``now`` the wall clock in epoch seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        origin: str,
        blob_url: str,
        login: httpx.Auth | None,
        *,
        patience: int = 120,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._http = http
        self.origin = origin.rstrip("/")
        self._blob_url = blob_url
        self._login = login
        self._patience = patience
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._dialects: dict[str, tuple[float, Dialect]] = {}

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Exactly one request: no retry, no redirect followed, no login. Any status is an Answer.

        Raises httpx.TransportError when there was none; the bytes may have left all the same.
        """
        return await self._send("POST", self.origin + path, body=body, headers=headers)

    async def dialect(self, model: str) -> Dialect:
        """How a clip of ``model`` is asked for, at most ten minutes old. Raises StudioUnavailable."""
        if (known := self._dialects.get(model)) and self._clock() < known[0]:
            return known[1]
        problem = StudioUnavailable(f"StableStudio does not publish what it takes for {model}", code="unknown_schema")
        for path in ("/openapi.json", "/api/openapi.json"):
            try:
                document = (await self._get(path, limit=_DOCUMENT_LIMIT)).json()
            except StudioUnavailable as error:
                problem = error
            else:
                if schema := schema_from_openapi(document, model):
                    self.learn(model, dialect := read_dialect(schema))
                    return dialect
        raise problem

    def learn(self, model: str, dialect: Dialect) -> None:
        """Takes over a dialect read elsewhere (a 402 carries the schema it judged by)."""
        self._dialects[model] = (self._clock() + _DIALECT_LIFE, dialect)

    async def put_blob(self, ticket: UploadTicket, data: bytes, content_type: str) -> str:
        """Puts the bytes of a paid upload into the store and returns their URL there.

        Tries again while the ticket lives. Raises StudioRejected, with the store's code, when trying again is of no
        use, else StudioUnavailable. The only credential that is sent is the ticket's token.
        """
        check_token(ticket, len(data), content_type, self._now())
        url = f"{self._blob_url}?pathname={quote(ticket.pathname, safe='')}"
        answer = await self._persist(
            lambda: self._send("PUT", url, body=data, headers=headers_for(ticket, content_type)),
            until=valid_until(ticket) or self._now() + _TICKET_LIFE,
        )
        if not 200 <= answer.status < 300:
            raise rejection(answer)
        return stated_link(answer, "url")

    async def confirm(self, upload_id: str, blob_url: str) -> str:
        """Ends an upload; the image's URL, which is the blob's own where the answer names none.

        Raises StudioUnavailable, StudioRejected or NotFound.
        """
        body = json.dumps({"uploadId": upload_id, "blobUrl": blob_url}).encode()
        answer = await self._persist(
            lambda: self._send("POST", f"{self.origin}{UPLOAD_PATH}/confirm", body=body, auth=self._login),
            until=self._now() + _CONFIRM_WITHIN,
        )
        answer = successful(answer, "this upload")
        return link(find(answer.json(), "blobUrl")) or link(find(answer.json(), "url")) or blob_url

    async def job(self, job_id: str) -> Job:
        """One job of this wallet. Raises NotFound (also for another wallet's), StudioUnavailable or StudioRejected."""
        if not JOB_ID.fullmatch(job_id):
            raise InvalidArgument("job_id is not a job's id: letters, digits, - and _, at most 128")
        return parse_job(successful(await self._get(f"/api/jobs/{job_id}", login=True), f"job {job_id}").json())

    async def jobs(self, limit: int = 50, status: str | None = None) -> list[Job]:
        """This wallet's newest jobs."""
        query = {"limit": str(limit)} | ({"status": status} if status else {})
        answer = await self._get(f"/api/jobs?{httpx.QueryParams(query)}", login=True)
        return parse_jobs(successful(answer, "the job list").json())

    async def _get(self, path: str, *, login: bool = False, limit: int = _ANSWER_LIMIT) -> Answer:
        try:
            return await self._send("GET", self.origin + path, auth=self._login if login else None, limit=limit)
        except httpx.TransportError as error:
            raise unreachable(error) from error

    async def _persist(self, attempt: Callable[[], Awaitable[Answer]], until: float) -> Answer:
        """The first answer that is neither an outage nor a request to slow down."""
        delay = 1
        while True:
            try:
                answer = await attempt()
            except httpx.TransportError as error:
                problem, wait = unreachable(error), delay
            else:
                if answer.status < 500 and answer.status != 429:
                    return answer
                problem, wait = outage(answer), retry_after(answer, _LONGEST_WAIT) or delay
            if self._now() + wait >= until:
                raise problem
            await self._sleep(wait)
            delay = min(delay * 2, _LONGEST_WAIT)

    async def _send(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        limit: int = _ANSWER_LIMIT,
    ) -> Answer:
        kind = {"content-type": "application/json"} if body is not None else {}
        # Without a content coding no small answer grows large here.
        headers = {"accept-encoding": "identity", **kind, **(headers or {})}
        received = bytearray()
        response = None
        with anyio.move_on_after(self._patience):
            async with self._http.stream(
                method, url, content=body, headers=headers, auth=auth, follow_redirects=False
            ) as response:
                await _receive(response, received, limit)
        if response is None:
            raise httpx.ReadTimeout(f"no answer within {self._patience} s")
        return Answer(response.status_code, dict(response.headers.items()), bytes(received[:limit]), _date(response))


async def _receive(response: httpx.Response, received: bytearray, limit: int) -> None:
    # Once the status and the headers are here, a connection that breaks is no reason to drop them: they may hold the
    # receipt of a payment.
    with suppress(httpx.RequestError):
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > limit:
                break


def _date(response: httpx.Response) -> int | None:
    try:
        moment = parsedate_to_datetime(response.headers["date"])
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (KeyError, ValueError, OverflowError):
        return None
