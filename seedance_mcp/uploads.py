"""An image argument becomes a URL that the seller can fetch: named, or read, paid for once and uploaded."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from seedance_mcp.deliveries import unseal_ticket
from seedance_mcp.errors import InvalidArgument, SeedanceError, StudioRejected, StudioUnavailable
from seedance_mcp.fetching import Fetcher
from seedance_mcp.ledger import jobs, views
from seedance_mcp.ledger.states import DAY, UNCOUNTED, Purchase, State
from seedance_mcp.orders import Order, awaiting_approval, outcome_unknown
from seedance_mcp.purchase import Corridor
from seedance_mcp.studio.client import UPLOAD_PATH
from seedance_mcp.studio.images import PreparedImage, prepare, read_file
from seedance_mcp.studio.prices import UPLOAD
from seedance_mcp.timing import at_most

Tell = Callable[[float, float | None, str | None], Awaitable[None]]
MODEL = "upload"
STEPS = 4
PUT_SECONDS = 20
FETCH_SECONDS = 10
PER_DAY = 2
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it was asked for. ``identity`` names its bytes where they are known, else its URL."""

    identity: Mapping[str, str]
    url: str | None = None
    size: tuple[int, int] | None = None
    prepared: PreparedImage | None = None


@dataclass(frozen=True, slots=True)
class Hosted:
    """An uploaded image. ``charged`` is what this call paid, in micro-USD."""

    url: str
    purchase: Purchase
    charged: int
    reused: bool


class Uploads:
    """Reads images for ``agent`` inside ``roots`` and uploads what the seller cannot fetch."""

    def __init__(self, corridor: Corridor, fetcher: Fetcher, roots: Sequence[Path], agent: str) -> None:
        self._corridor = corridor
        self._fetcher = fetcher
        self._roots = roots
        self._agent = agent

    async def picture(self, reference: str, argument: str) -> Picture:
        """An image argument: an https URL (as it is) or a path (read and checked now).

        Raises InvalidArgument or InvalidImage; nothing is fetched and nothing is paid.
        """
        reference = reference.strip()
        if not reference:
            raise InvalidArgument(f"{argument} is empty: give an https URL or a path to an image")
        if _URL.match(reference) and not Path(reference).is_absolute():
            return await self._named(reference, argument)
        return await self.read(await run_sync(read_file, reference, self._roots))

    async def read(self, source: bytes) -> Picture:
        """Image bytes, decoded and re-encoded. Raises InvalidImage."""
        prepared = await run_sync(prepare, source)
        return Picture({"sha256": prepared.sha256}, size=(prepared.width, prepared.height), prepared=prepared)

    async def source(self, path: str | None, url: str | None) -> Picture:
        """The bytes to upload, from a path inside the allowed folders or from a public https URL."""
        self._corridor.require_no_key("url", url or "")
        if path is not None:
            return await self.read(await run_sync(read_file, path, self._roots))
        return await self.read(await self._fetch((url or "").strip()))

    async def fetched(self, picture: Picture) -> Picture:
        """The picture of a URL after it was looked at, since the seller does so only once it holds a signature.

        Raises InvalidImage, StudioRejected or StudioUnavailable.
        """
        if picture.url is None:
            return picture
        if picture.size is not None:
            if not await self._fetcher.alive(picture.url):
                raise StudioRejected(
                    f"the uploaded image {picture.url} is not there any more", next="Upload it again.", code="link_dead"
                )
            return picture
        found = await self.read(await self._fetch(picture.url))
        return Picture(picture.identity, picture.url, found.size)

    async def is_paid(self, picture: Picture) -> bool:
        """Whether ``host`` would not have to pay for the picture's bytes, as far as the ledger knows."""
        assert picture.prepared is not None
        last = await self._corridor.database.read(views.latest, self._order(picture.prepared, None).key)
        return last is not None and last.answers(self._corridor.now())

    async def host(
        self, picture: Picture, *, limit: int | None = None, name: str | None = None, tell: Tell | None = None
    ) -> Hosted:
        """Upload a picture's bytes, unless this agent has paid for the same ones and the link lives.

        ``tell`` is called with how far it is, of how much, in words. Raises what ``Corridor.buy`` raises; an upload
        that was paid and did not arrive is taken up by the next call.
        """
        prepared = picture.prepared
        assert prepared is not None
        self._corridor.require_no_key("filename", name or "")
        order = self._order(prepared, limit)
        async with self._corridor.turn(order.key):
            known, late = await self._known(order)
            if known is not None:
                hosted = await self._take_up(known, prepared, late)
                if hosted is not None:
                    return hosted
                order = replace(order, replaces=known.id if known.paid else None)
            try:
                return await self._buy(order, prepared, name, tell, late)
            except SeedanceError as error:
                error.charged += late
                raise

    async def _known(self, order: Order) -> tuple[Purchase | None, int]:
        """The paid purchase of the same bytes, if there is one, and what turned out only now to have been paid for it.

        Raises OutcomeUnknown.
        """
        known = await self._corridor.known(order)
        if known is None or known.delivered:
            return known, 0
        known, newly_paid = await self._corridor.resume(known)
        if known.payment.state in UNCOUNTED:
            return None, 0
        if not known.paid:
            raise outcome_unknown(known)
        return known, known.payment.amount if newly_paid else 0

    async def _buy(
        self, order: Order, prepared: PreparedImage, name: str | None, tell: Tell | None, late: int
    ) -> Hosted:
        await self._corridor.require_ready()
        body = {
            "filename": _file_name(name, prepared),
            "contentType": prepared.content_type,
            "size": len(prepared.data),
        }
        await _say(tell, 1, "Asking for the price of the upload.")
        quote = await self._corridor.quote(UPLOAD_PATH, body)
        await _say(tell, 2, "Paying for the upload.")
        purchase, begun = await self._corridor.buy(order, quote)
        await _say(tell, 3, "Storing the image at the seller's.")
        if purchase.payment.state is State.INTENDED:
            raise awaiting_approval(purchase)
        if not purchase.paid:
            raise outcome_unknown(purchase)
        if not begun and (hosted := await self._take_up(purchase, prepared, 0)):
            return replace(hosted, charged=late)
        hosted = await self._finish(purchase, prepared, charged=purchase.payment.amount if begun else 0)
        return replace(hosted, charged=hosted.charged + late)

    def _order(self, prepared: PreparedImage, limit: int | None) -> Order:
        request = {"sha256": prepared.sha256, "width": prepared.width, "height": prepared.height}
        return Order(agent=self._agent, model=MODEL, request=request, table=UPLOAD, limit=limit)

    async def _fetch(self, url: str) -> bytes:
        try:
            with anyio.fail_after(at_most(FETCH_SECONDS)):
                return await self._fetcher.image(url)
        except TimeoutError:
            raise StudioUnavailable("the image could not be fetched in time") from None
        except StudioRejected as error:
            error.next = error.next or "Call again with another link, or with a path inside an allowed folder."
            raise

    async def _named(self, url: str, argument: str) -> Picture:
        if not url.startswith(("https://", f"{self._corridor.studio.origin}/")) and not self._fetcher.allows(url):
            raise InvalidArgument(f"{argument} must be an https URL or a path inside an allowed folder")
        upload = await self._corridor.database.read(jobs.upload_of, self._agent, url)
        if upload is None:
            return Picture({"url": url}, url)
        return Picture({"sha256": upload.sha256}, url, (upload.width, upload.height))

    async def _take_up(self, known: Purchase, prepared: PreparedImage, charged: int) -> Hosted | None:
        """What a paid purchase of the same bytes still gives; None when a new one is due. ``charged``: by this call."""
        if known.upload is not None and known.upload.url is not None:
            if await self._fetcher.alive(known.upload.url):
                return Hosted(known.upload.url, known, charged, reused=True)
            return None
        if known.upload is not None and known.upload.ticket is not None:
            try:
                return await self._finish(known, prepared, charged)
            except SeedanceError as error:
                if error.code not in {"client_token_expired", "ticket_expired", "upload_lost"}:
                    raise
        await self._require_replaceable(known, charged)
        return None

    async def _require_replaceable(self, known: Purchase, charged: int) -> None:
        """Paid and never delivered: another authorization may be signed only once the first one is worthless."""
        payment, now = known.payment, self._corridor.now()
        bought = await self._corridor.database.read(views.since, known.key, now - DAY)
        final = (payment.deadline or 0) * 1000 < now or await self._corridor.recovery.is_proven(payment)
        if final and bought < PER_DAY:
            return
        raise SeedanceError(
            f"the upload of this image was paid ({known.id}) and the seller did not deliver it",
            next="Call again tomorrow, or use a public https URL." if final else "Call again in five minutes.",
            charged=charged,
            purchase_id=known.id,
            code="undelivered",
        )

    async def _finish(self, purchase: Purchase, prepared: PreparedImage, charged: int) -> Hosted:
        """Put the bytes and confirm them. What fails here is taken up again while the ticket lives."""
        ticket = unseal_ticket(self._corridor.require_wallet(), purchase)
        if ticket is None:
            raise SeedanceError(
                f"the upload was paid ({purchase.id}), but the seller gave no place to put the image",
                next="Call again in five minutes: it is bought once more, once a day. Or use a public https URL.",
                charged=charged,
                purchase_id=purchase.id,
                code="upload_lost",
            )
        try:
            with anyio.fail_after(at_most(PUT_SECONDS)):
                blob_url = purchase.upload.blob_url if purchase.upload else None
                if blob_url is None:
                    blob_url = await self._corridor.studio.put_blob(ticket, prepared.data, prepared.content_type)
                    await self._corridor.database.write(jobs.keep_blob, purchase.id, blob_url)
                url = await self._corridor.studio.confirm(ticket.upload_id, blob_url)
            await self._corridor.database.write(jobs.finish_upload, purchase.id, url)
            return Hosted(url, await self._corridor.find(purchase.id), charged, reused=False)
        except TimeoutError:
            raise StudioUnavailable(
                "the image could not be stored in time",
                next="Call again with the same image; it is not paid twice.",
                charged=charged,
                purchase_id=purchase.id,
            ) from None
        except SeedanceError as error:
            error.charged, error.purchase_id = charged, purchase.id
            raise


async def _say(tell: Tell | None, step: int, words: str) -> None:
    if tell is not None:
        await tell(step, STEPS, words)


def _file_name(name: str | None, prepared: PreparedImage) -> str:
    stem = _UNSAFE.sub("-", Path(name or "").stem).strip("-.")[:60]
    return f"{stem or prepared.sha256[:16]}{prepared.extension}"
