"""A clip of a still: a slow camera move, towards the last frame where there is one, as a real H.264 file."""

import io
import math
import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.sandbox.scenery import DUSK, landscape

if TYPE_CHECKING:
    from av.container import OutputContainer

FPS = 24
ZOOM = 0.18
"""How far the camera goes in, as a share of the picture."""

SAMPLE_RATE = 48_000
CHORD = (110, 165, 220, 277, 330)
"""Whole hertz, so that one second of the pad repeats without a seam."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """``frames``: the first and perhaps the last picture; a scene drawn for ``prompt`` stands in for None."""

    prompt: str
    frames: tuple[bytes | None, ...]
    width: int
    height: int
    seconds: int
    audio: bool = False
    camera_fixed: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """An MP4 and its JPEG thumbnail."""

    video: bytes
    thumbnail: bytes


def frame_size(resolution: str, aspect_ratio: str) -> tuple[int, int]:
    """Even pixels: ``720p`` is the short side, whatever the aspect."""
    short = int(resolution.removesuffix("p"))
    across, down = map(int, aspect_ratio.split(":"))
    long = 2 * ((short * max(across, down) // min(across, down) + 1) // 2)
    return (long, short) if across >= down else (short, long)


def sample_image(path: Path) -> None:
    """Writes a picture to try the tools with: 1280x720 JPEG."""
    landscape(1280, 720, "sample", DUSK).save(path, "JPEG", quality=92)


def require_av() -> None:
    """Raises InvalidSettings unless clips can be rendered here."""
    try:
        import av  # noqa: F401, PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise InvalidSettings(
            "The sandbox renders its clips with PyAV, which is not installed", next="Install it with `pip install av`."
        ) from error


def render(shot: Shot, progress: Callable[[int], None]) -> Clip:
    """Blocks for a little over half the clip's length at 720p; an error that ``progress`` (0 to 99) raises ends it.

    Raises InvalidSettings without PyAV, and PIL.UnidentifiedImageError for bytes that are no picture.
    """
    require_av()
    import av  # noqa: PLC0415 - an extra, and slow to import

    stages = [_stage(shot, number) for number in range(max(1, len(shot.frames)))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            thumbnail = _encode(container, shot, stages, progress)
        return Clip(path.read_bytes(), thumbnail)


def _encode(
    container: "OutputContainer", shot: Shot, stages: list[Image.Image], progress: Callable[[int], None]
) -> bytes:
    import av  # noqa: PLC0415 - an extra, and slow to import

    video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "22"})
    video.width, video.height, video.pix_fmt = shot.width, shot.height, "yuv420p"
    sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if shot.audio else None
    total = shot.seconds * FPS
    thumbnail = b""
    for number in range(total):
        progress(100 * number // total)
        picture = _picture(stages, number / (total - 1), camera_fixed=shot.camera_fixed)
        if number == total // 3:
            thumbnail = _jpeg(picture)
        frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # av's stub leaves it untyped
        container.mux(video.encode(frame))
    container.mux(video.encode())
    if sound is not None:
        for start, samples in _pad(shot.seconds):
            chunk = av.AudioFrame("s16", "mono", len(samples))
            chunk.sample_rate, chunk.pts = SAMPLE_RATE, start
            chunk.planes[0].update(samples.tobytes())
            container.mux(sound.encode(chunk))
        container.mux(sound.encode())
    return thumbnail


def _stage(shot: Shot, number: int) -> Image.Image:
    """The picture that the camera moves over: cropped to the clip's aspect, with pixels to spare for going in."""
    size = round(shot.width * (1 + ZOOM)), round(shot.height * (1 + ZOOM))
    data = shot.frames[number] if shot.frames else None
    if data is None:
        return landscape(*size, seed=f"{shot.prompt}{number}")
    with Image.open(io.BytesIO(data)) as source:
        upright = ImageOps.exif_transpose(source).convert("RGB")
    return ImageOps.fit(upright, size, Image.Resampling.LANCZOS)


def _picture(stages: list[Image.Image], time: float, *, camera_fixed: bool) -> Image.Image:
    """The frame at ``time``, 0 to 1."""
    dissolved = _ease((time - 0.4) / 0.5) if len(stages) > 1 else 0.0
    if dissolved == 1:
        return _camera(stages[1], 0 if camera_fixed else 1 - _ease(time))
    picture = _camera(stages[0], 0 if camera_fixed else _ease(time))
    if dissolved:
        return Image.blend(picture, _camera(stages[1], 0 if camera_fixed else 1 - _ease(time)), dissolved)
    if camera_fixed and len(stages) == 1:  # the light changes instead
        return Image.blend(picture, Image.new("RGB", picture.size, (255, 214, 160)), 0.16 * _ease(time))
    return picture


def _camera(stage: Image.Image, closeness: float) -> Image.Image:
    """What the camera sees, 0 the whole stage, 1 all the way in and a little to the upper right."""
    size = round(stage.width / (1 + ZOOM)), round(stage.height / (1 + ZOOM))
    share = 1 - closeness * ZOOM / (1 + ZOOM)
    left, top = stage.width * (1 - share) * 0.62, stage.height * (1 - share) * 0.42
    box = (left, top, left + stage.width * share, top + stage.height * share)
    return stage.resize(size, Image.Resampling.BILINEAR, box=box)


def _ease(time: float) -> float:
    """From 0 to 1 without a jolt at either end."""
    time = min(max(time, 0.0), 1.0)
    return time * time * (3 - 2 * time)


def _pad(seconds: int) -> Iterator[tuple[int, "array[int]"]]:
    """A quiet chord, second by second with the number of its first sample; it fades in and out."""
    step = math.tau / SAMPLE_RATE
    second = [sum(math.sin(step * hertz * n) for hertz in CHORD) * 900 / len(CHORD) for n in range(SAMPLE_RATE)]
    for number in range(seconds):
        rise = [_ease(n / SAMPLE_RATE) for n in range(SAMPLE_RATE)] if number in (0, seconds - 1) else None
        gain = rise[::-1] if rise and number else rise
        samples = second if gain is None else [sample * share for sample, share in zip(second, gain, strict=True)]
        yield number * SAMPLE_RATE, array("h", map(round, samples))


def _jpeg(picture: Image.Image) -> bytes:
    thumbnail = picture.copy()
    thumbnail.thumbnail((640, 640))
    data = io.BytesIO()
    thumbnail.save(data, "JPEG", quality=85)
    return data.getvalue()
