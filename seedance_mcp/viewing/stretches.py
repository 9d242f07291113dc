"""Stretches of a clip through which there is nothing to see, or nothing that moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from seedance_mcp.viewing.likeness import is_black, stands_still

SAMPLE_MS = 125
"""How far apart the looked-at frames are."""
SHORTEST_BLACK_MS = 500
SHORTEST_FROZEN_MS = 1500
"""A slow camera move may take a second to begin."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a frame that appears at ``ms`` looks like: a small grey copy."""

    ms: int
    picture: Image.Image


@dataclass(frozen=True, slots=True)
class Stretch:
    """From one millisecond to another."""

    start_ms: int
    end_ms: int


def black_stretches(samples: Sequence[Sample], end_ms: int) -> tuple[Stretch, ...]:
    runs = _runs(samples, end_ms, lambda one, other: is_black(one) == is_black(other))
    return _long_enough(SHORTEST_BLACK_MS, [stretch for picture, stretch in runs if is_black(picture)])


def frozen_stretches(samples: Sequence[Sample], end_ms: int) -> tuple[Stretch, ...]:
    """Those through which no sample moved away from the first one, however slowly; not the black ones."""
    runs = _runs(samples, end_ms, stands_still)
    return _long_enough(SHORTEST_FROZEN_MS, [stretch for picture, stretch in runs if not is_black(picture)])


def _runs(
    samples: Sequence[Sample], end_ms: int, same: Callable[[Image.Image, Image.Image], bool]
) -> list[tuple[Image.Image, Stretch]]:
    """The samples' pictures that begin something new, and how long each stays the ``same``."""
    news: list[Sample] = []
    for sample in samples:
        if not news or not same(news[-1].picture, sample.picture):
            news.append(sample)
    ends = [*(sample.ms for sample in news[1:]), end_ms]
    return [(sample.picture, Stretch(sample.ms, end)) for sample, end in zip(news, ends, strict=True)]


def _long_enough(least_ms: int, stretches: list[Stretch]) -> tuple[Stretch, ...]:
    return tuple(stretch for stretch in stretches if stretch.end_ms - stretch.start_ms >= least_ms)
