"""What a clip should be, and what it is."""

from dataclasses import dataclass, field

from seedance_mcp.viewing.stretches import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was bought. None is for what was not said, or is not known any more.

    ``resolution`` is ``"480p"`` and the like, ``aspect_ratio`` ``"16:9"`` and the like; ``first`` and ``last`` are the
    files of the images that the clip was to begin and to end with.
    """

    seconds: int
    resolution: str
    aspect_ratio: str | None = None
    audio: bool | None = None
    first: bytes | None = field(default=None, repr=False)
    last: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was seen and heard; ``remarks`` are sentences about what is not as it should be, and empty if all is well.

    A clip that cannot be decoded has one remark and None everywhere else. ``frame_rate`` counts frames in a thousand
    seconds. ``silent`` is None without a sound that can be decoded. ``first_likeness`` and ``last_likeness`` compare
    the ends with the given images in percent, and are None where there is nothing to compare.
    """

    length_ms: int | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: int | None = None
    codec: str | None = None
    has_audio: bool | None = None
    silent: bool | None = None
    black: tuple[Stretch, ...] = ()
    frozen: tuple[Stretch, ...] = ()
    first_likeness: int | None = None
    last_likeness: int | None = None
    remarks: tuple[str, ...] = ()
