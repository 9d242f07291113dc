"""Findings in words for an agent: what differs from what was bought, and what there is to see."""

import re
from collections.abc import Iterator

from seedance_mcp.viewing.findings import Expected, Findings
from seedance_mcp.viewing.stretches import Stretch

LENGTH_TOLERANCE_MS = 250
ALIKE = 70
"""Percent. A first frame is 97 % like its image; shifted by a fiftieth of its width, 78 %."""

_LINES = re.compile(r"([1-9][0-9]{0,4})(p|k)", re.ASCII)
_RATIO = re.compile(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})", re.ASCII)
_SIDE_TOLERANCE = 16
"""Pixels: encoders like sides that are multiples of it."""


def remarks(found: Findings, expected: Expected) -> Iterator[str]:
    """What is not as it should be about a clip that could be decoded."""
    yield from _shape(found, expected)
    yield from _sound(found, expected)
    length = found.length_ms or 0
    for stretch in found.black:
        yield f"The picture is black {_when(stretch, length)}."
    for stretch in found.frozen:
        yield f"Nothing moves {_when(stretch, length)}."
    for place, percent in (("first", found.first_likeness), ("last", found.last_likeness)):
        if percent is not None and percent < ALIKE:
            yield f"The {place} frame is only {percent} % like the {place} image that was given."


def seconds(ms: int) -> str:
    """``1.5 s``."""
    tenths = (ms + 50) // 100
    return f"{tenths // 10}.{tenths % 10} s"


def is_size_of(width: int, height: int, resolution: str) -> bool:
    """Whether a clip of this size may be called ``"720p"`` and so on; true for names that mean nothing here.

    Either its short side has that many lines, or it has about as many pixels as 16:9 has with them: Seedance's square
    of 720p is 960 x 960, and its 21:9 is 1470 x 630 (https://runware.ai/docs/models/bytedance-seedance-1-5-pro.md).
    """
    match = _LINES.fullmatch(resolution)
    if match is None:
        return True
    lines = int(match[1]) * (1 if match[2] == "p" else 540)
    same_side = abs(min(width, height) - lines) <= _SIDE_TOLERANCE
    pixels, usual = 9 * width * height, 16 * lines * lines
    return same_side or 100 * abs(pixels - usual) <= 8 * usual


def is_shape_of(width: int, height: int, aspect_ratio: str) -> bool:
    """Whether the sides relate as in ``"16:9"``, within 4 %; true for words such as ``"auto"``."""
    match = _RATIO.fullmatch(aspect_ratio)
    if match is None:
        return True
    across, down = width * int(match[2]), height * int(match[1])
    return 100 * abs(across - down) <= 4 * down


def _shape(found: Findings, expected: Expected) -> Iterator[str]:
    length, width, height = found.length_ms or 0, found.width or 0, found.height or 0
    if abs(length - 1000 * expected.seconds) > LENGTH_TOLERANCE_MS:
        yield f"The clip is {seconds(length)} long; {expected.seconds} s were bought."
    if not is_size_of(width, height, expected.resolution):
        yield f"The clip has {width} x {height} pixels; {expected.resolution} was bought."
    if expected.aspect_ratio and not is_shape_of(width, height, expected.aspect_ratio):
        yield f"The clip has {width} x {height} pixels; the shape that was bought is {expected.aspect_ratio}."


def _sound(found: Findings, expected: Expected) -> Iterator[str]:
    if expected.audio and not found.has_audio:
        yield "The clip has no sound; sound was bought."
    elif found.silent and expected.audio is not False:
        yield "The clip has a sound track, but nothing can be heard on it."
    elif expected.audio is False and found.silent is False:
        yield "The clip has sound; none was wanted."


def _when(stretch: Stretch, length_ms: int) -> str:
    if stretch.start_ms == 0 and stretch.end_ms >= length_ms:
        return "from start to end"
    end = "the end" if stretch.end_ms >= length_ms else seconds(stretch.end_ms)
    return f"from {seconds(stretch.start_ms)} to {end}"
