"""What the seller takes now, and what it asks for a request that it should find valid."""

from collections.abc import Mapping

import anyio

from seedance_mcp.clip_order import ClipOrder
from seedance_mcp.errors import BadChallenge, InvalidArgument, StudioUnavailable
from seedance_mcp.money import dollars
from seedance_mcp.orders import Quote
from seedance_mcp.purchase import Corridor
from seedance_mcp.studio import prices
from seedance_mcp.studio.client import generate_path
from seedance_mcp.studio.dialects import Dialect, build_body, check_body, read_dialect, schema_from_challenge
from seedance_mcp.studio.images import nearest_aspect
from seedance_mcp.studio.models import ClipRequest
from seedance_mcp.timing import at_most
from seedance_mcp.uploads import Picture, Uploads

SCHEMA_SECONDS = 8


class Quoting:
    """Asks one seller."""

    def __init__(self, corridor: Corridor, uploads: Uploads) -> None:
        self._corridor = corridor
        self._uploads = uploads

    async def dialect(self, model: str) -> Dialect:
        """How the seller takes requests for ``model`` now, by its live schema. Raises StudioError."""
        try:
            with anyio.fail_after(at_most(SCHEMA_SECONDS)):
                return await self._corridor.studio.dialect(model)
        except TimeoutError:
            raise StudioUnavailable("the seller did not tell in time what it takes") from None
        except StudioUnavailable as error:
            if error.code not in {"unknown_schema", "unreadable_answer"}:
                raise
            return await self._challenged_dialect(model, error)

    async def quote(self, request: ClipRequest, dialect: Dialect) -> tuple[Quote, Dialect]:
        """A quote for a body that the live schema finds valid, with the dialect that the seller judged it by."""
        for _ in range(2):
            body = build_body(request, dialect)
            _require_valid(body, dialect)
            quote = await self._corridor.quote(generate_path(request.model), body)
            schema = schema_from_challenge(quote.challenge.extensions)
            if schema is None or schema == dialect.schema:
                break
            try:
                live = read_dialect(schema)
            except StudioUnavailable:
                break  # thinner than the published one, which the request was checked against
            if live.schema == dialect.schema:
                break
            self._corridor.studio.learn(request.model, live)
            dialect = live
        _require_no_trap(quote, request, dialect)
        return quote, dialect

    async def aspect(self, clip: ClipOrder, pictures: list[Picture], dialect: Dialect) -> str:
        """The aspect ratio to ask for: nearest to the first picture, where ``clip`` leaves it to us."""
        if clip.aspect_ratio != "auto":
            return clip.aspect_ratio
        if not pictures:
            return dialect.aspect_ratios[0]
        first = pictures[0] if pictures[0].size else await self._uploads.fetched(pictures[0])
        assert first.size is not None
        return nearest_aspect(*first.size, dialect.aspect_ratios)

    async def _challenged_dialect(self, model: str, error: StudioUnavailable) -> Dialect:
        """The dialect of the 402 that an empty request gets: a seller need not publish its schema anywhere else."""
        quote = await self._corridor.quote(generate_path(model), {})
        schema = schema_from_challenge(quote.challenge.extensions)
        if schema is None:
            raise error
        dialect = read_dialect(schema)
        self._corridor.studio.learn(model, dialect)
        return dialect


def _require_valid(body: Mapping[str, object], dialect: Dialect) -> None:
    problems = check_body(body, dialect)
    if problems:
        raise InvalidArgument(
            f"the seller's live schema does not take this request: {'; '.join(problems[:3])}",
            next="Change the argument that is named.",
        )


def _require_no_trap(quote: Quote, request: ClipRequest, dialect: Dialect) -> None:
    """A quote at the route's maximum where the table expects less: the seller found the body invalid."""
    table = prices.estimate(request.model, dialect.generation, request.duration, request.resolution)
    maxima = {*prices.ROUTE_MAXIMA.values(), prices.most(request.model, dialect.generation)}
    if quote.dearest in maxima and (table is None or table < quote.dearest):
        expected = f" (the price table expects {dollars(table)})" if table is not None else ""
        raise BadChallenge(
            f"the seller quotes its maximum of {dollars(quote.dearest)}{expected}, "
            "which means that it found the request invalid",
            next="Change the request: another duration, resolution or image.",
            code="maximum_quote",
        )
