"""What clips cost, as last collected: a table of ours, which nothing that the seller sends can move.

Sources, read on ``TABLE_DATE``: the vendor's client package and public catalogues of x402 endpoints. Generation 1 is
advertised as $0.33-$0.99 a clip (fast $0.04-$0.12), which a price per second fits; generation 2 is priced per second.
"""

TABLE_DATE = "2026-11-01"

UPLOAD = 10_000
"""The price of one upload, in micro-USD."""

ROUTE_MAXIMA = {1: 10_000_000, 2: 20_000_000}
"""By generation, in micro-USD: what the seller quotes for a body that it finds invalid."""

_RESOLUTIONS = ("480p", "720p", "1080p")
_DURATIONS = {1: range(4, 13), 2: range(4, 16)}
_PER_SECOND: dict[tuple[int, str], dict[str, int]] = {
    (1, "seedance"): dict.fromkeys(_RESOLUTIONS, 82_500),
    (1, "seedance-fast"): dict.fromkeys(_RESOLUTIONS, 10_000),
    (2, "seedance"): {"480p": 90_000, "720p": 240_000, "1080p": 540_000},
    (2, "seedance-fast"): {"480p": 80_000, "720p": 168_000},
}


def most(model: str, generation: int) -> int:
    """What the table's dearest clip costs, in micro-USD; generation 1 advertises just that as its maximum."""
    rates = _PER_SECOND.get((generation, model), {"": 0})
    return max(rates.values()) * max(_DURATIONS[generation])


def assumed(model: str, duration: int, resolution: str) -> int | None:
    """The generation to reckon with while nobody knows which one the seller has: the first that sells such a clip.

    None: the table has no row for it.
    """
    return next((number for number in ROUTE_MAXIMA if estimate(model, number, duration, resolution)), None)


def estimate(model: str, generation: int, duration: int, resolution: str) -> int | None:
    """The table's price of a clip in micro-USD (``duration`` in seconds), or None: the table has no row for it."""
    rate = _PER_SECOND.get((generation, model), {}).get(resolution)
    if rate is None or duration not in _DURATIONS[generation]:
        return None
    return rate * duration
