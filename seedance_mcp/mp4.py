"""Telling a whole MP4 from anything else by its boxes (ISO/IEC 14496-12), without a decoder."""

from pathlib import Path

_MOST_BOXES = 100_000


def is_mp4(path: Path) -> str | None:
    """What keeps the file at ``path`` from being a whole MP4, in a few words, or None if nothing does."""
    size = path.stat().st_size
    kinds: set[bytes] = set()
    offset = boxes = 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            header = file.read(16)
            if offset == 0 and header[4:8] != b"ftyp":
                return "it does not begin like an MP4 file"
            length = _box_length(header, size - offset)
            boxes += 1
            if length is None or boxes > _MOST_BOXES:
                return f"it is damaged or cut short at byte {offset}"
            kinds.add(header[4:8])
            offset += length
    missing = [kind.decode() for kind in (b"ftyp", b"moov", b"mdat") if kind not in kinds]
    return f"it has no {missing[0]} box" if missing else None


def _box_length(header: bytes, left: int) -> int | None:
    """The box's length, or None if it does not fit into the ``left`` bytes of the file."""
    length, smallest = int.from_bytes(header[:4]), 8
    if length == 0:  # to the end of the file
        length = left
    elif length == 1:
        length, smallest = int.from_bytes(header[8:16]), 16
    return length if smallest <= length <= left else None
