"""Clips: what they would cost, and buying one."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

from anyio.to_thread import run_sync

from seedance_mcp.clip_order import (
    ClipOrder,
    canonical_request,
    check,
    clip_request,
    quoted_terms,
    references,
    stand_in,
)
from seedance_mcp.errors import InvalidArgument, InvalidSettings, NotFound, SeedanceError, StudioError
from seedance_mcp.guard.budget import Budget, budget
from seedance_mcp.guard.usage import Outcome, Verdict
from seedance_mcp.heir import Heir
from seedance_mcp.ledger import approvals, jobs, operator, views
from seedance_mcp.ledger.states import OPEN, UNCOUNTED, Purchase
from seedance_mcp.orders import Order
from seedance_mcp.payment.challenge import Offer
from seedance_mcp.purchase import Corridor
from seedance_mcp.quoting import Quoting
from seedance_mcp.studio import prices
from seedance_mcp.studio.dialects import Dialect
from seedance_mcp.timing import begin_call
from seedance_mcp.uploads import Picture, Uploads

AT_THE_CLIENT = "the person at the client"
DRAFT_MODEL, DRAFT_RESOLUTION = "seedance-fast", "480p"
QUOTE_LIFE = 10 * 60_000


@dataclass(frozen=True, slots=True)
class Bought:
    """``charged`` and ``upload`` are what this call paid for the clip and for uploads, in micro-USD."""

    purchase: Purchase
    duplicate: bool
    charged: int = 0
    upload: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A cheaper way to see the same idea; ``price`` is the table's, in micro-USD."""

    model: str
    resolution: str
    price: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """``price`` micro-USD; from a live quote with its offers, or from the table when the seller cannot be asked."""

    price: int
    live: bool
    quote: operator.Quote | None
    offers: tuple[Offer, ...]
    verdict: Verdict
    budget: Budget
    draft: Draft | None = None


class Clips:
    """Estimates and buys for one agent."""

    def __init__(
        self, corridor: Corridor, uploads: Uploads, agent: str, output_dir: Path, heir: Heir | None = None
    ) -> None:
        self._corridor = corridor
        self._output_dir = output_dir
        self._quoting = Quoting(corridor, uploads)
        self._heir = heir
        self._uploads = uploads
        self._agent = agent

    async def estimate(self, clip: ClipOrder) -> Estimate:
        """What ``clip`` would cost now, and what the policy would say. Pays nothing and changes no budget."""
        check(clip, partial=True)
        self._require_no_key(clip)
        pictures = [await self._uploads.picture(ref, name) for name, ref in references(clip)]
        try:
            dialect = await self._quoting.dialect(clip.model)
            aspect = await self._quoting.aspect(clip, pictures, dialect)
            request = clip_request(clip, aspect, [stand_in(picture, self._origin) for picture in pictures])
            promised = await self._promised(clip, dialect, aspect)
            quote, dialect = await self._quoting.quote(request, dialect)
        except StudioError as error:
            if error.code != "studio_unavailable":
                raise
            return await self._from_table(clip, error)
        order = await self._with_uploads(self._order(clip, pictures, dialect, promised), pictures)
        seen = await self._corridor.preview(order, quote)
        promise = operator.Quote(
            id=f"q_{secrets.token_hex(8)}",
            agent=self._agent,
            terms=quoted_terms(clip, dialect),
            price=seen.offer.amount,
            expires_at=self._corridor.now() + QUOTE_LIFE,
        )
        await self._corridor.database.write(operator.keep_quote, promise, self._corridor.now())
        left = budget(seen.policy, seen.usage, clip.model, self._agent)
        draft = _draft(clip, dialect.generation, seen.offer.amount)
        return Estimate(seen.offer.amount, True, promise, quote.challenge.offers, seen.verdict, left, draft)

    async def generate(self, clip: ClipOrder) -> Bought:
        """Buy ``clip``, or answer with the purchase that a repeated call meets."""
        check(clip, partial=False)
        self._require_no_key(clip)
        pictures = [await self._uploads.picture(ref, name) for name, ref in references(clip)]
        draft = self._order(clip, pictures, None)
        async with self._corridor.turn(draft.key):
            known = await self._corridor.known(draft)
            again = await self._again(known) if known is not None else None
            if again is not None:
                return again
            await self._corridor.require_ready()
            await run_sync(_require_room, self._output_dir)
            return await self._buy(clip, pictures)

    def question(self, bought: Bought) -> str | None:
        """What a human should be asked before the purchase goes on, or None."""
        approval = bought.purchase.approval if bought.purchase.unanswered else None
        waits = approval is not None and approval.answer is None and approval.stands(self._corridor.now())
        return approval.question if approval is not None and waits else None

    async def answered(self, clip: ClipOrder, asked: Bought, agreed: bool | None) -> Bought:
        """Go on after the human at the client has agreed to what was ``asked``, declined it or (None) not said."""
        begin_call()  # the human took what time was needed
        if agreed is None or asked.purchase.approval is None:
            return asked
        purchase = await self._corridor.database.write(
            approvals.answer, asked.purchase.approval, approved=agreed, by=AT_THE_CLIENT, now=self._corridor.now()
        )
        if purchase is None or agreed:
            # What is asked now, if that is something else, was seen by nobody yet.
            return await self.generate(clip)
        return Bought(purchase, False)

    async def purchase(self, *, job_id: str | None, purchase_id: str | None) -> Purchase:
        """One of this agent's purchases, looked up on the chain and at the seller where it is open.

        Raises NotFound, also for another agent's.
        """
        database = self._corridor.database
        if job_id is not None:
            purchase, asked = await database.read(jobs.of, job_id), f"job {job_id[:60]!r}"
        else:
            purchase, asked = (
                await database.read(views.find, purchase_id or ""),
                f"purchase {(purchase_id or '')[:60]!r}",
            )
        if purchase is None or purchase.agent != self._agent:
            raise NotFound(f"there is no {asked}", next="Call check_job without an id for all unfinished ones.")
        if purchase_id not in {None, purchase.id}:
            raise InvalidArgument("job_id and purchase_id belong to different purchases: give one of them")
        if purchase.payment.state in OPEN or (purchase.paid and not purchase.delivered):
            purchase = await self._corridor.recovery.look_up(purchase.id)
        return purchase

    async def pending(self) -> list[Purchase]:
        """This agent's clips that are not finished, oldest first."""
        return await self._corridor.database.read(jobs.pending, self._agent, self._corridor.now())

    async def budget_now(self, model: str) -> Budget:
        """The budget to show with a purchase; nothing left where it cannot be told, since the purchase stands."""
        try:
            return await self.budget(model)
        except SeedanceError:
            return Budget(frozen=False, left=0, lines=())

    async def budget(self, model: str) -> Budget:
        """What this agent may still spend on ``model``."""
        policy, usage = await self._corridor.usage(Order(agent=self._agent, model=model, request={}, table=None))
        return budget(policy, usage, model, self._agent)

    async def _again(self, known: Purchase) -> Bought | None:
        """The purchase that a repeated call meets; None when it turns out that nothing was paid and never will be."""
        purchase, newly_paid = await self._corridor.resume(known)
        if purchase.payment.state in UNCOUNTED:
            return None
        return Bought(purchase, True, purchase.payment.amount if newly_paid else 0)

    async def _buy(self, clip: ClipOrder, pictures: list[Picture]) -> Bought:
        dialect = await self._quoting.dialect(clip.model)
        pictures = [await self._uploads.fetched(picture) for picture in pictures]
        aspect = await self._quoting.aspect(clip, pictures, dialect)
        promised = await self._promised(clip, dialect, aspect)
        if any(picture.url is None for picture in pictures):
            # An upload is worth nothing without its clip: the clip is judged before the upload is paid.
            stand_ins = [stand_in(picture, self._origin) for picture in pictures]
            quote, dialect = await self._quoting.quote(clip_request(clip, aspect, stand_ins), dialect)
            order = await self._with_uploads(self._order(clip, pictures, dialect, promised), pictures)
            asked = await self._corridor.consent(order, quote)
            if asked is not None:
                return Bought(asked, False)
        paid, urls = 0, []
        try:
            for picture in pictures:
                hosted = None if picture.url else await self._uploads.host(picture, limit=clip.max_price)
                paid += hosted.charged if hosted else 0
                urls.append(hosted.url if hosted else picture.url or "")
            quote, dialect = await self._quoting.quote(clip_request(clip, aspect, urls), dialect)
            order = self._order(clip, pictures, dialect, promised, already=paid)
            if self._heir is not None:
                await self._heir.appoint()
            purchase, begun = await self._corridor.buy(order, quote)
        except SeedanceError as error:
            error.charged += paid
            raise
        charged = purchase.payment.amount if begun and purchase.paid else 0
        return Bought(purchase, not begun and not purchase.unanswered, charged, paid)

    async def _with_uploads(self, order: Order, pictures: list[Picture]) -> Order:
        """``order`` with what the uploads before it will cost; the same bytes are uploaded once."""
        distinct = {picture.identity["sha256"]: picture for picture in pictures if picture.url is None}.values()
        unpaid = len([picture for picture in distinct if not await self._uploads.is_paid(picture)])
        return replace(order, planned=unpaid * prices.UPLOAD, planned_payments=unpaid)

    def _require_no_key(self, clip: ClipOrder) -> None:
        """These go to the seller, or to where an image lies, and into the ledger as they are."""
        for name in ("prompt", "image", "last_image"):
            self._corridor.require_no_key(name, getattr(clip, name) or "")

    async def _promised(self, clip: ClipOrder, dialect: Dialect, aspect: str) -> int | None:
        """The price that ``quote_id`` stands for. Raises InvalidArgument unless it is for just this."""
        if clip.quote_id is None:
            return None
        quote = await self._corridor.database.read(operator.quote, clip.quote_id)
        if quote is None or quote.agent != self._agent:
            raise InvalidArgument(f"quote_id {clip.quote_id[:40]!r} is not known", next="Call estimate_cost for one.")
        if quote.expires_at < self._corridor.now():
            raise InvalidArgument("the quote of quote_id has expired", next="Call estimate_cost for a new one.")
        terms = quoted_terms(clip, dialect)
        if quote.terms["aspect_ratio"] in {"auto", aspect}:
            terms["aspect_ratio"] = quote.terms["aspect_ratio"]
        wrong = [name for name, value in quote.terms.items() if terms[name] != value]
        if wrong:
            told = ", ".join(f"{name} {quote.terms[name]}, not {terms[name]}" for name in wrong)
            raise InvalidArgument(f"quote_id is for {told}", next="Call estimate_cost for this clip.")
        return quote.price

    async def _from_table(self, clip: ClipOrder, error: SeedanceError) -> Estimate:
        policy, usage = await self._corridor.usage(self._order(clip, [], None))
        generation = usage.generation or prices.assumed(clip.model, clip.duration, clip.resolution)
        price = generation and prices.estimate(clip.model, generation, clip.duration, clip.resolution)
        if price is None:
            raise error
        verdict = Verdict(Outcome.REFUSE, error.code, f"the seller cannot be asked now: {error.what}")
        return Estimate(price, False, None, (), verdict, budget(policy, usage, clip.model, self._agent))

    def _order(
        self,
        clip: ClipOrder,
        pictures: list[Picture],
        dialect: Dialect | None,
        promised: int | None = None,
        already: int = 0,
    ) -> Order:
        generation = dialect.generation if dialect else None
        table = prices.estimate(clip.model, generation, clip.duration, clip.resolution) if generation else None
        return Order(
            agent=self._agent,
            model=clip.model,
            request=canonical_request(clip, pictures),
            take=clip.take,
            generation=generation,
            table=table,
            limit=clip.max_price,
            already=already,
            quoted=promised,
        )

    @property
    def _origin(self) -> str:
        return self._corridor.studio.origin


def _require_room(folder: Path) -> None:
    """Raises InvalidSettings: a clip that is paid for and cannot be saved is lost with its link."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidSettings(
            f"the folder for clips {folder} cannot be written ({error.strerror})",
            next="Ask the operator to make it writable, or to name another one in SEEDANCE_OUTPUT_DIR.",
        ) from None


def _draft(clip: ClipOrder, generation: int, price: int) -> Draft | None:
    """The same clip from the fast model at the lowest resolution, where that is at least a third cheaper."""
    cheap = prices.estimate(DRAFT_MODEL, generation, clip.duration, DRAFT_RESOLUTION)
    if cheap is None or 3 * cheap > 2 * price:
        return None
    return Draft(DRAFT_MODEL, DRAFT_RESOLUTION, cheap)
