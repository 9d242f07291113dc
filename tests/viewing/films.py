"""Short clips made on purpose: good ones, and such as nobody would want to have paid for."""

import io
from array import array
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import repeat
from pathlib import Path

import av
from PIL import Image

from seedance_mcp.sandbox.scenery import DUSK, Light, landscape

FPS = 12
SIZE = (320, 180)
RATE = 48_000


@cache
def scene(light: Light = DUSK) -> Image.Image:
    """Wider than a frame."""
    return landscape(440, 180, "a test", light)


def moving(seconds: int, light: Light = DUSK) -> Iterator[Image.Image]:
    """The camera glides to the right, a pixel a frame."""
    for number in range(seconds * FPS):
        yield scene(light).crop((number, 0, number + SIZE[0], SIZE[1]))


def still(seconds: int, picture: Image.Image | None = None) -> Iterator[Image.Image]:
    return repeat(picture or scene().crop((0, 0, *SIZE)), seconds * FPS)


def black(seconds: int) -> Iterator[Image.Image]:
    return still(seconds, Image.new("RGB", SIZE))


def film(path: Path, pictures: Iterable[Image.Image], loudness: int | None = 3000) -> Path:
    """An MP4 of H.264 at ``path``, with a tone that is so loud (of 32767), or without sound."""
    pictures = list(pictures)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "20"})
        (video.width, video.height), video.pix_fmt = pictures[0].size, "yuv420p"
        audio = None if loudness is None else container.add_stream("aac", rate=RATE, layout="mono")
        for picture in pictures:
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # av's stub leaves it untyped
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            samples = array("h", [loudness or 0, -(loudness or 0)] * 50).tobytes() * (RATE // 100)
            sound = av.AudioFrame("s16", "mono", RATE * len(pictures) // FPS)
            sound.sample_rate, sound.pts = RATE, 0
            whole = samples * (len(pictures) // FPS + 1)
            sound.planes[0].update(whole[: sound.planes[0].buffer_size].ljust(sound.planes[0].buffer_size, b"\0"))
            container.mux(audio.encode(sound))
            container.mux(audio.encode())
    return path


def png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
