"""The seller: whether it answers, which generation of its API it speaks, and what time it has."""

from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import anyio
import httpx

from seedance_mcp.checkup.finding import Finding, failed, ok, warning
from seedance_mcp.checkup.rules import MODEL
from seedance_mcp.errors import SeedanceError
from seedance_mcp.settings import Settings
from seedance_mcp.studio.client import Studio
from seedance_mcp.timing import now

SECONDS = 8


@dataclass(frozen=True, slots=True)
class Seller:
    """``ahead``: seconds by which this machine's clock is ahead of the seller's, negative if behind, if known."""

    host: str
    generation: int | None = None
    offer: str = ""
    ahead: int | None = None
    problem: str | None = None


async def ask_seller(http: httpx.AsyncClient, settings: Settings) -> Seller:
    """Reads the live schema, which is free; ``http`` is the seller's alone."""
    seller = Seller(urlsplit(settings.studio_url).hostname or settings.studio_url)
    apart: list[int] = []

    async def look_at_the_clock(response: httpx.Response) -> None:
        try:
            told = parsedate_to_datetime(response.headers["date"]).timestamp()
            apart.append(now() // 1000 - int(told))
        except (KeyError, ValueError, OverflowError):
            return

    http.event_hooks = {"response": [look_at_the_clock]}
    studio = Studio(http, settings.studio_url, settings.blob_url, None, patience=SECONDS)
    try:
        with anyio.fail_after(SECONDS):
            dialect = await studio.dialect(MODEL)
        low, high = dialect.durations[0], dialect.durations[-1]
        seller = replace(
            seller, generation=dialect.generation, offer=f"{low}-{high} s, {', '.join(dialect.resolutions)}"
        )
    except SeedanceError as error:
        seller = replace(seller, problem=error.what)
    except TimeoutError:
        seller = replace(seller, problem="it did not answer in time")
    return replace(seller, ahead=apart[-1] if apart else None)


def check_seller(seller: Seller, paid_last: int | None) -> Finding:
    """``paid_last`` is the generation that the ledger knows, or None."""
    facts = {"host": seller.host, "generation": seller.generation}
    if seller.generation is None:
        todo = "Look at this machine's network, which is used without proxies, and try again in a few minutes."
        return failed("seller", f"{seller.host}: {seller.problem}", todo, **facts)
    what = f"{seller.host} speaks generation {seller.generation} of its API: {MODEL} in {seller.offer}"
    if paid_last not in {None, seller.generation}:
        todo = f"Each purchase asks you, until `seedance-mcp trust --generation {seller.generation}`."
        return warning("seller", f"{what}; generation {paid_last} was paid last", todo, **facts)
    return ok("seller", what, **facts)
