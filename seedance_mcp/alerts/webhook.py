"""The operator's webhook, and the delivery of what waits for it. Nothing here raises for what a receiver does."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx
from anyio.to_thread import run_sync

from seedance_mcp import __version__
from seedance_mcp.alerts.signing import read_secret, signed
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.ledger import alerts
from seedance_mcp.ledger.alerts import Parcel
from seedance_mcp.ledger.database import Database
from seedance_mcp.settings import Settings

PATIENCE = 10
"""Seconds that one attempt may take, well within an alert's lease."""
GONE = 410
FIRST_PAUSE, LONGEST_PAUSE = 5_000, 3_600_000
"""Milliseconds between two attempts; each pause is about four times the one before."""

logger = logging.getLogger(__name__)


class Webhook:
    """Where the operator's alerts go. ``now`` gives epoch milliseconds."""

    def __init__(self, http: httpx.AsyncClient, url: str, secret: bytes, now: Callable[[], int]) -> None:
        self._http = http
        self._url = url
        self._secret = secret
        self._now = now
        self._gone = False

    async def deliver(self, database: Database) -> None:
        """Send what is due, one alert after the other. Raises LedgerError."""
        while not self._gone and await database.read(alerts.is_due, self._now()):
            parcel = await database.write(alerts.hand_out, self._now())
            if parcel is None:
                return  # another process was faster
            await self._send(database, parcel)

    async def _send(self, database: Database, parcel: Parcel) -> None:
        status = await self._post(parcel)
        if status is not None and 200 <= status < 300:
            await database.write(alerts.delivered, parcel)
        elif status == GONE:
            self._gone = True
            logger.warning("The webhook of SEEDANCE_ALERT_URL wants no more alerts (410); none is sent to it")
            await database.write(alerts.unwanted, parcel)
        else:
            await database.write(alerts.postpone, parcel, self._now() + pause(parcel.attempt))

    async def _post(self, parcel: Parcel) -> int | None:
        """The status of the answer, whose body is left unread; None where there was none."""
        body = parcel.body.encode()
        headers = signed(self._secret, parcel.message_id, body, self._now() // 1000)
        try:
            with anyio.fail_after(PATIENCE):
                async with self._http.stream(
                    "POST", self._url, content=body, headers={"content-type": "application/json", **headers}
                ) as answer:
                    return answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            logger.info("The webhook could not be reached (%s)", type(error).__name__)
            return None


@asynccontextmanager
async def open_webhook(settings: Settings, now: Callable[[], int]) -> AsyncIterator[Webhook | None]:
    """The webhook of the settings; None where they name none, or its secret cannot be used, which is logged."""
    if settings.alert_url is None:
        yield None
        return
    try:
        secret = await run_sync(read_secret, settings.alert_secret_file)
    except InvalidSettings as error:
        logger.warning("Alerts go to no webhook: %s. %s", error.what, error.next)
        yield None
        return
    # It logs whole URLs, and whoever has a webhook's can often write to it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # As towards the seller, no proxy or certificate setting of the environment changes whom is spoken to.
    async with httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(PATIENCE, connect=5),
        headers={"user-agent": f"seedance-mcp/{__version__}"},
    ) as http:
        yield Webhook(http, settings.alert_url, secret, now)


def pause(attempt: int) -> int:
    """Milliseconds to wait after that many attempts, between half and one and a half of the plan, so that servers that
    failed together do not come back together."""
    plan = min(FIRST_PAUSE << 2 * (attempt - 1), LONGEST_PAUSE)
    return plan // 2 + secrets.randbelow(plan)
