"""Comparing pictures by small copies of them, with what Pillow brings along."""

import io
import struct
import zlib
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageOps, ImageStat

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

BLACK = 20
"""No pixel of a black picture is lighter, 0 to 255. A night scene has a window, a star or a sky that is."""
STILL = 2
"""No patch of a picture that stands still changes by more on average: what an encoder does to it by itself."""

_LONG_SIDE = 320
_PATCH = 16
_LIKENESS_SIDE = 64
_MOST_PIXELS = 6000 * 6000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
# Pillow's plugins raise whatever a broken file makes them trip over.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def grey(frame: "VideoFrame") -> Image.Image:
    """A small copy without colour, for ``is_black`` and ``stands_still``."""
    size = _fitted(frame, (_LONG_SIDE, _LONG_SIDE))
    small = frame.reformat(*size, format="gray", interpolation="AREA")
    plane = small.planes[0]
    return Image.frombytes("L", (small.width, small.height), bytes(plane), "raw", "L", plane.line_size)


def picture(frame: "VideoFrame", room: tuple[int, int]) -> Image.Image:
    """A copy in RGB, scaled down to what fits into ``room``; never up."""
    width, height = _fitted(frame, room)
    image: Image.Image = frame.to_image(width=width, height=height, interpolation="AREA")  # type: ignore[no-untyped-call]  # av's stub leaves it untyped
    return image


def is_black(small: Image.Image) -> bool:
    return not any(small.histogram()[BLACK + 1 :])


def stands_still(one: Image.Image, other: Image.Image) -> bool:
    """Whether nothing moved anywhere in the picture, not even a small thing such as an eye."""
    changes = ImageChops.difference(one, other).reduce(_PATCH)
    return not any(changes.histogram()[STILL + 1 :])


def likeness(frame: "VideoFrame", given: bytes) -> int | None:
    """How like the frame is to the image it was asked to be, in percent: 100 is the same, 0 has nothing in common.

    The image is cropped to the frame's shape as Seedance crops it, about its centre. The measure is the mean difference
    of their values, against how much the image's own values vary. None for an image that cannot be compared: one with
    transparency, whose background is up to the seller, or no image at all.
    """
    seen = picture(frame, (_LIKENESS_SIDE, _LIKENESS_SIDE))
    wanted = _cropped(given, seen.size)
    if wanted is None:
        return None
    apart = sum(ImageStat.Stat(ImageChops.difference(seen, wanted)).mean)
    variety = sum(max(deviation, 16) for deviation in ImageStat.Stat(wanted).stddev)
    return max(0, 100 - round(100 * apart / variety))


def _fitted(frame: "VideoFrame", room: tuple[int, int]) -> tuple[int, int]:
    width, height = frame.width, frame.height
    if width * room[1] > height * room[0]:  # wider than the room's shape
        long, limit = width, room[0]
    else:
        long, limit = height, room[1]
    limit = min(long, limit)
    return max(1, (2 * width * limit + long) // (2 * long)), max(1, (2 * height * limit + long) // (2 * long))


def _cropped(given: bytes, size: tuple[int, int]) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(given), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            image.draft("RGB", (8 * size[0], 8 * size[1]))
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                return None
            return ImageOps.fit(upright.convert("RGB"), size, Image.Resampling.BOX)
    except _UNREADABLE:
        return None
