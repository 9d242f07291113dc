"""What an MP4's tables promise (ISO/IEC 14496-12), counted before a demuxer believes them.

FFmpeg makes an index entry for each promised sample: a file of a few kilobytes can have it fill gigabytes.
"""

from pathlib import Path
from typing import BinaryIO

MOST_BOXES = 20_000
MOST_SAMPLES = 100_000
"""Fifteen minutes at 60 frames a second with sound, and the clips that are sold last fifteen seconds."""
MOST_TRACKS = 8

_CONTAINERS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"moof", b"traf", b"tapt"}
)
_COMPRESSED = b"cmov"
"""QuickTime's packed movie header: its tables cannot be counted, and no seller has a reason to write one."""


def excess(path: Path) -> str | None:
    """What the file at ``path`` has too much of to be opened, in a few words, or None. Raises OSError."""
    boxes = samples = tracks = 0
    with path.open("rb") as file:
        spans = [(0, path.stat().st_size)]
        while spans:
            offset, end = spans.pop()
            kind, body, after = _box(file, offset, end)
            boxes += 1
            tracks += kind == b"trak"
            samples += _samples(file, kind, body)
            if kind == _COMPRESSED or boxes > MOST_BOXES:
                return "its header is larger than that of any clip"
            if tracks > MOST_TRACKS:
                return f"it has more than {MOST_TRACKS} tracks"
            if samples > MOST_SAMPLES:
                return f"it promises more than {MOST_SAMPLES} frames"
            if after < end:
                spans.append((after, end))
            if kind in _CONTAINERS and body < after:
                spans.append((body, after))
    return None


def _box(file: BinaryIO, offset: int, end: int) -> tuple[bytes, int, int]:
    """The kind of the box at ``offset``, where its body begins and where it ends, which is never beyond ``end``."""
    file.seek(offset)
    header = file.read(16)
    length, body = int.from_bytes(header[:4]), offset + 8
    if length == 1:
        length, body = int.from_bytes(header[8:16]), offset + 16
    if length < body - offset:  # 0 means "to the end", and less than a header means nothing
        length = end - offset
    return header[4:8], body, min(offset + length, end)


def _samples(file: BinaryIO, kind: bytes, body: int) -> int:
    """How many samples the table or the run of a fragment at ``body`` is for, by its own words."""
    place = {b"stsz": 8, b"stz2": 8, b"trun": 4}.get(kind)
    if place is None:
        return 0
    file.seek(body + place)
    return int.from_bytes(file.read(4))
