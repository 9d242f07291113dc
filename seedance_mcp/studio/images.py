"""Reading an image that an agent names, without handing out anything else on the machine.

Two steps: ``read_file`` gets bytes from inside a folder that the operator allowed, through one descriptor; ``prepare``
turns bytes into a picture that the seller takes, and into nothing but a picture: what is sent was drawn anew.
"""

import errno
import hashlib
import io
import os
import re
import stat
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePath

from PIL import Image, ImageCms, ImageOps

from seedance_mcp.errors import InvalidImage
from seedance_mcp.studio.models import seller_words
from seedance_mcp.studio.opening import open_inside

LIMIT = 30_000_000
"""Bytes; the model upstream takes pictures below 30 MB, with sides of 300-6000 px and ratios of 0.4-2.5."""

_SIDES = range(300, 6001)
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_RATIO = re.compile(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})", re.ASCII)
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
)


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture ready to upload. ``extension`` has its dot, ``sha256`` is the hex digest of the bytes it came from."""

    data: bytes = field(repr=False)
    content_type: str
    width: int
    height: int
    sha256: str
    extension: str


def read_file(path: str, roots: Sequence[Path], limit: int = LIMIT) -> bytes:
    """The bytes of the regular file ``path``, which lies in one of ``roots``; a relative path is tried in each.

    Raises InvalidImage for everything else: ``..``, a symbolic or hard link, a device, a pipe, a folder, an empty or
    too large file. A root itself may be a link: the operator chose it.
    """
    if path.startswith("~/"):
        path = os.path.expanduser(path)  # noqa: PTH111 - no Path yet: it may be no path of this system
    if not roots:
        raise InvalidImage(
            "local image paths are off",
            next="Pass a public https URL, or ask the operator to allow a folder with SEEDANCE_IMAGE_ROOTS.",
        )
    places = [place for root in roots if (place := _inside(path, root))]
    if not places:
        raise _refused(path, "is outside the folders that the operator allows (SEEDANCE_IMAGE_ROOTS)")
    for root, parts in places:
        try:
            descriptor = open_inside(root, parts)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _refused(path, _reason(error)) from None
        except UnicodeEncodeError:
            raise _refused(path, "is not a path of this system") from None
        try:
            _check_status(path, os.fstat(descriptor), limit)
            return _read(path, descriptor, limit)
        finally:
            os.close(descriptor)
    raise _refused(path, "does not exist in the folders that the operator allows")


def prepare(source: bytes) -> PreparedImage:
    """``source`` as an upright JPEG, or PNG where it is transparent, without metadata; an animation's first frame.

    Sizes are checked before anything is decoded. Takes up to a second of CPU: call it in a thread. Raises InvalidImage.
    """
    if len(source) > LIMIT:
        raise InvalidImage(f"the image is larger than {LIMIT // 1_000_000} MB")
    try:
        with Image.open(io.BytesIO(source), formats=_FORMATS) as image:
            _check_size(*image.size)
            picture = _plain(image)
            data, kind = _encoded(picture)
    except InvalidImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidImage("the image has far too many pixels: each side must have 300 to 6000") from None
    except _UNREADABLE:
        raise InvalidImage("the data is no JPEG, PNG, WEBP or GIF image, or it is damaged") from None
    if len(data) > LIMIT:
        raise InvalidImage(f"the image is larger than {LIMIT // 1_000_000} MB once it is encoded anew")
    return PreparedImage(
        data=data,
        content_type=f"image/{kind}",
        width=picture.width,
        height=picture.height,
        sha256=hashlib.sha256(source).hexdigest(),
        extension=".jpg" if kind == "jpeg" else ".png",
    )


def nearest_aspect(width: int, height: int, choices: Sequence[str]) -> str:
    """The one of ``choices`` (``"16:9"``…) whose ratio is nearest; others such as ``"auto"`` are passed over.

    Raises ValueError when no choice is a ratio.
    """
    shape = Fraction(width, height)

    def distance(choice: str) -> Fraction:
        match = _RATIO.fullmatch(choice)
        assert match is not None
        stretch = shape / Fraction(int(match[1]), int(match[2]))
        return max(stretch, 1 / stretch)

    return min(filter(_RATIO.fullmatch, choices), key=distance)


def _inside(path: str, root: Path) -> tuple[Path, tuple[str, ...]] | None:
    """The real root and the steps from it to ``path``, by the text alone; None when it is elsewhere."""
    real = root.resolve()
    wanted = PurePath(path)
    if "\0" in path or ".." in wanted.parts or (os.name == "nt" and ":" in str(wanted.relative_to(wanted.anchor))):
        return None
    if not wanted.is_absolute():
        return (real, wanted.parts) if wanted.parts and not wanted.anchor else None
    for base in (real, Path(os.path.abspath(root))):  # noqa: PTH100 - unlike resolve, it keeps the root's own spelling
        if wanted.is_relative_to(base) and wanted != base:
            return real, wanted.relative_to(base).parts
    return None


def _reason(error: OSError) -> str:
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return "leads through a symbolic link or through a file"
    return "cannot be opened: " + (os.strerror(error.errno).lower() if error.errno else "the system refuses it")


def _check_status(path: str, status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "is not a regular file")
    if status.st_nlink != 1:
        raise _refused(path, "has more than one name (a hard link), so its folder does not tell whose it is")
    if not 0 < status.st_size <= limit:
        raise _refused(path, f"is larger than {limit // 1_000_000} MB" if status.st_size else "is empty")


def _read(path: str, descriptor: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    left = limit + 1
    while left > 0 and (chunk := os.read(descriptor, min(left, 1 << 20))):
        chunks.append(chunk)
        left -= len(chunk)
    if left <= 0:
        raise _refused(path, "grew beyond the limit while it was read")
    return b"".join(chunks)


def _refused(path: str, why: str) -> InvalidImage:
    return InvalidImage(f"the path {seller_words(path, 120)!r} {why}")


def _check_size(width: int, height: int) -> None:
    if width not in _SIDES or height not in _SIDES:
        raise InvalidImage(f"the image is {width} x {height} pixels: each side must have 300 to 6000")
    if not 4 * height <= 10 * width <= 25 * height:
        raise InvalidImage(f"the image is {width} x {height} pixels: width by height must lie between 0.4 and 2.5")


def _plain(image: Image.Image) -> Image.Image:
    """The upright first frame in sRGB, RGB or RGBA, with nothing attached."""
    upright = ImageOps.exif_transpose(image)
    _check_size(*upright.size)
    if upright.mode.startswith("I;16"):  # Pillow would clip its 16 bits instead of scaling them
        upright = upright.convert("I").point([level >> 8 for level in range(1 << 16)], "L")
    profile = upright.info.get("icc_profile")
    picture = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    if profile and upright.mode in {"RGB", "RGBA"}:
        picture = _in_srgb(picture, profile)
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    picture.info.clear()
    return picture


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        converted = ImageCms.profileToProfile(
            picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=picture.mode
        )
    except (ImageCms.PyCMSError, OSError):
        return picture  # a broken profile: the plain numbers are the best there is
    return converted or picture


def _encoded(picture: Image.Image) -> tuple[bytes, str]:
    kind = "png" if picture.mode == "RGBA" else "jpeg"
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=95)  # PNG is lossless and does not look at the quality
    return buffer.getvalue(), kind
