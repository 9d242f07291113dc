"""Whether a clip is what was bought, and whether there is something to see on it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_mcp.viewing.findings import Expected, Findings
from seedance_mcp.viewing.footage import Footage, Unreadable, opened
from seedance_mcp.viewing.likeness import grey, likeness
from seedance_mcp.viewing.remarks import LENGTH_TOLERANCE_MS, remarks, seconds
from seedance_mcp.viewing.stretches import SAMPLE_MS, Sample, black_stretches, frozen_stretches

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def examine(path: Path, *, expected: Expected) -> Findings:
    """Never raises for a bad file: that it cannot be decoded is a finding.

    Blocks for a twentieth of a clip's length or so at 720p: call it in a thread. No more than the first half minute of
    a clip is looked at, and no longer than twenty seconds.
    """
    try:
        with opened(path) as footage:
            return _examined(footage, expected)
    except Unreadable as reason:
        return Findings(remarks=(f"The clip cannot be decoded: {reason}.",))


def _examined(footage: Footage, expected: Expected) -> Findings:
    samples: list[Sample] = []
    first: VideoFrame | None = None
    last: VideoFrame | None = None
    end = 0
    for appears, goes, frame in footage.frames():
        if not samples or appears >= samples[-1].ms + SAMPLE_MS:
            samples.append(Sample(appears, grey(frame)))
        first, last, end = first or frame, frame, goes
    if first is None or last is None:
        raise Unreadable(footage.damage or "not one of its frames is whole")
    found = Findings(
        length_ms=max(end, footage.length_ms) if footage.unseen else end,
        width=footage.width,
        height=footage.height,
        frame_rate=footage.frame_rate,
        codec=footage.codec,
        has_audio=footage.has_audio,
        silent=footage.is_silent(),
        black=black_stretches(samples, end),
        frozen=frozen_stretches(samples, end),
        first_likeness=likeness(first, expected.first) if expected.first else None,
        last_likeness=likeness(last, expected.last) if expected.last and not footage.unseen else None,
    )
    return replace(found, remarks=(*_damage(footage, end), *remarks(found, expected)))


def _damage(footage: Footage, end: int) -> Iterator[str]:
    if footage.damage:
        yield f"The file is broken: {footage.damage}."
    if footage.unseen:
        yield f"Only the first {seconds(end)} were looked at."
    elif footage.length_ms > end + LENGTH_TOLERANCE_MS:
        yield f"The picture ends at {seconds(end)}, though the file claims {seconds(footage.length_ms)}."
    if footage.damaged:
        yield f"{footage.damaged} of the clip's frames {'is' if footage.damaged == 1 else 'are'} damaged."
