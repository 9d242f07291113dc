"""Pictures of a clip for whoever cannot play it: a sheet of frames with their times, and one that stands for all."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from seedance_mcp.viewing.footage import Footage, Unreadable, opened
from seedance_mcp.viewing.likeness import picture
from seedance_mcp.viewing.remarks import seconds

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SHEET_SIDE = 1280
SHEET_BYTES = 200_000
THUMBNAIL_SIDE = 512
THUMBNAIL_BYTES = 80_000
CANDIDATES = 7

_GAP = 6
_LABEL = 26
_FONT = 18
_PAPER, _INK = (18, 18, 20), (232, 232, 236)
_QUALITIES = (85, 75, 65, 50, 35)

Scene = tuple[int, Image.Image]
"""When a frame appears, in milliseconds, and a small copy of it."""


def contact_sheet(path: Path) -> bytes:
    """A JPEG of nine frames, evenly from the first to the last (eight of an upright clip), the time below each.

    At most SHEET_SIDE pixels either way and SHEET_BYTES. Blocks like ``examine``. Raises Unreadable.
    """
    with opened(path) as footage:
        columns, rows = (3, 3) if footage.width >= footage.height else (4, 2)
        room = (SHEET_SIDE - _GAP) // columns - _GAP, (SHEET_SIDE - _GAP) // rows - _GAP - _LABEL
        scenes = _scenes(footage, columns * rows, room)
    return _jpeg(_laid_out(scenes, columns), SHEET_BYTES)


def thumbnail(path: Path) -> bytes:
    """A JPEG of the frame with the most in it, of a few that lie evenly apart. Blocks like ``examine``.

    At most THUMBNAIL_SIDE pixels either way and THUMBNAIL_BYTES. Raises Unreadable.
    """
    with opened(path) as footage:
        scenes = _scenes(footage, CANDIDATES, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return _jpeg(max((image for _, image in scenes), key=lambda image: image.convert("L").entropy()), THUMBNAIL_BYTES)


def _scenes(footage: Footage, count: int, room: tuple[int, int]) -> list[Scene]:
    """At most ``count`` frames, from the first to the last, as far apart in time as they can be."""
    wanted = [max(footage.times(), default=0) * number // (count - 1) for number in range(count)]
    scenes: list[Scene] = []
    latest: tuple[int, VideoFrame] | None = None
    for appears, _, frame in footage.frames():
        latest = appears, frame
        if wanted and appears >= wanted[0]:
            scenes.append((appears, picture(frame, room)))
            wanted = [ms for ms in wanted if ms > appears]
    if latest is None:
        raise Unreadable(footage.damage or "not one of its frames is whole")
    if latest[0] > scenes[-1][0]:  # the last frame of all could not be decoded
        scenes.append((latest[0], picture(latest[1], room)))
    return scenes


def _laid_out(scenes: Sequence[Scene], columns: int) -> Image.Image:
    """The scenes row by row on dark paper. All have the first one's size."""
    width, height = scenes[0][1].size
    rows = -(-len(scenes) // columns)
    across, down = width + _GAP, height + _LABEL + _GAP
    sheet = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT)
    for number, (ms, image) in enumerate(scenes):
        left, top = _GAP + number % columns * across, _GAP + number // columns * down
        sheet.paste(image.resize((width, height)) if image.size != (width, height) else image, (left, top))
        pen.text((left + width // 2, top + height + _LABEL // 2), seconds(ms), _INK, font, anchor="mm")
    return sheet


def _jpeg(image: Image.Image, limit: int) -> bytes:
    """As good as ``limit`` bytes allow; a picture of pure noise is scaled down as well."""
    while True:
        for quality in _QUALITIES:
            data = io.BytesIO()
            image.save(data, "JPEG", quality=quality)
            if data.tell() <= limit:
                return data.getvalue()
        image = image.reduce(2)
