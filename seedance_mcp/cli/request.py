"""What an operator types to ask about a purchase: ``seedance-fast 5s 720p``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import click

from seedance_mcp.guard.keys import MODELS
from seedance_mcp.guard.usage import Proposal
from seedance_mcp.orders import SHIPPED_PAY_TO
from seedance_mcp.studio import prices

_DURATION = re.compile(r"([1-9][0-9]{0,2})s?", re.ASCII)
_RESOLUTION = re.compile(r"[1-9][0-9]{0,4}[pk]", re.ASCII)
_MODEL, _SECONDS, _PIXELS = "seedance", 5, "720p"
"""As in ``ClipOrder``, which brings the whole corridor with it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A clip, or an upload, which has neither duration nor resolution."""

    model: str = _MODEL
    duration: int = _SECONDS
    resolution: str = _PIXELS

    @property
    def is_upload(self) -> bool:
        return self.model == "upload"

    @property
    def assumed(self) -> int:
        """The generation to reckon with while nobody knows which one the seller has."""
        return prices.assumed(self.model, self.duration, self.resolution) or min(prices.ROUTE_MAXIMA)

    def table(self, generation: int) -> int | None:
        """The price table's figure in micro-USD, or None."""
        if self.is_upload:
            return prices.UPLOAD
        return prices.estimate(self.model, generation, self.duration, self.resolution)

    def proposal(self, agent: str, rail: str, generation: int, price: int | None, pinned: str | None) -> Proposal:
        """What a call would propose; ``price`` is micro-USD, None for the table's.

        Raises click.UsageError where the table has no price and none is given.
        """
        table = self.table(generation)
        if price is None and table is None:
            raise click.UsageError(f"the price table has no row for {self} (generation {generation}): give --price")
        return Proposal(
            agent=agent,
            model=self.model,
            price=price if price is not None else table or 0,
            fee=0,
            rail=rail,
            pay_to=pinned or SHIPPED_PAY_TO,
            shipped_pay_to=SHIPPED_PAY_TO,
            quoted=None,
            table=table,
            generation=None if self.is_upload else generation,
        )

    def __str__(self) -> str:
        return "an upload" if self.is_upload else f"{self.model}, {self.duration} s, {self.resolution}"


def parse_request(words: Iterable[str]) -> Request:
    """A model, a duration and a resolution in any order; what is left out is as usual. Raises ValueError."""
    found: dict[str, str] = {}
    for word in " ".join(words).replace(",", " ").lower().split():
        if word in MODELS:
            name, value = "model", word
        elif match := _DURATION.fullmatch(word):
            name, value = "duration", match[1]
        elif _RESOLUTION.fullmatch(word):
            name, value = "resolution", word
        else:
            near = get_close_matches(word, MODELS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"models are {', '.join(MODELS)}"
            raise ValueError(f"{word!r} is not a model, a duration like 5s or a resolution like 720p; {hint}")
        if found.setdefault(name, value) != value:
            raise ValueError(f"there are two of {name}: {found[name]} and {value}")
    return Request(
        found.get("model", _MODEL),
        int(found.get("duration", _SECONDS)),
        found.get("resolution", _PIXELS),
    )


def usual_prices() -> dict[str, int]:
    """What each model costs at least if nothing but the model is asked for, in micro-USD."""
    requests = (Request(model) for model in MODELS)
    return {
        request.model: min(price for generation in prices.ROUTE_MAXIMA if (price := request.table(generation)))
        for request in requests
    }
