import builtins
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from seedance_mcp.errors import InvalidSettings
from seedance_mcp.sandbox.render import Clip, Shot, frame_size, render, require_av, sample_image


def picture(first: str, second: str, size: tuple[int, int] = (600, 400)) -> bytes:
    """Two colours side by side."""
    image = Image.new("RGB", size, first)
    image.paste(Image.new("RGB", (size[0] // 2, size[1]), second), (0, 0))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def shot(*frames: bytes | None, **changes: Any) -> Shot:
    given: dict[str, Any] = {"prompt": "a lake", "frames": frames, "width": 320, "height": 180, "seconds": 4} | changes
    return Shot(**given)


def silent(percent: int) -> None:
    assert 0 <= percent < 100


def frames(clip: Clip) -> list[Image.Image]:
    with av.open(io.BytesIO(clip.video), "r") as container:
        decoded = container.decode(video=0)
        return [frame.to_image() for frame in decoded]  # type: ignore[no-untyped-call]  # av's stub leaves it untyped


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures' values, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other.resize(one.size))).mean) / 3


@pytest.mark.parametrize(
    ("resolution", "aspect_ratio", "size"),
    [
        ("720p", "16:9", (1280, 720)),
        ("720p", "9:16", (720, 1280)),
        ("720p", "1:1", (720, 720)),
        ("720p", "4:3", (960, 720)),
        ("720p", "3:4", (720, 960)),
        ("720p", "21:9", (1680, 720)),
        ("480p", "16:9", (854, 480)),
        ("1080p", "16:9", (1920, 1080)),
    ],
)
def test_the_short_side_is_the_resolution(resolution: str, aspect_ratio: str, size: tuple[int, int]) -> None:
    assert frame_size(resolution, aspect_ratio) == size


def test_a_clip_is_h264_of_the_asked_size_and_length_with_sound() -> None:
    clip = render(shot(picture("navy", "gold"), audio=True, seconds=5), silent)

    with av.open(io.BytesIO(clip.video), "r") as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height, video.frames) == (320, 180, 5 * 24)
        assert sound.codec_context.name == "aac"
        assert container.duration is not None
        assert abs(container.duration - 5_000_000) < 1_000_000 // 24
        loudest = max(max(map(abs, memoryview(frame.planes[0]).cast("f"))) for frame in container.decode(audio=0))
    assert 0 < loudest < 0.2
    assert clip.video.index(b"moov") < clip.video.index(b"mdat")
    with Image.open(io.BytesIO(clip.thumbnail)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (320, 180))


def test_a_clip_moves_all_the_time_but_never_jumps() -> None:
    seen = frames(render(shot(None), silent))

    assert len(seen) == 96
    assert distance(seen[0], seen[-1]) > 5
    assert min(distance(seen[n], seen[n + 12]) for n in range(0, 84, 12)) > 1
    assert max(distance(one, other) for one, other in pairwise(seen)) < 3


def test_it_begins_with_the_first_picture_and_ends_with_the_last() -> None:
    first, last = picture("navy", "gold", (640, 360)), picture("darkgreen", "white", (360, 640))

    seen = frames(render(shot(first, last, width=320, height=320), silent))

    square = Image.open(io.BytesIO(first)).convert("RGB").crop((140, 0, 500, 360))
    assert distance(seen[0], square) < 4
    square = Image.open(io.BytesIO(last)).convert("RGB").crop((0, 140, 360, 500))
    assert distance(seen[-1], square) < 4


def test_a_fixed_camera_keeps_its_place_while_the_light_changes() -> None:
    seen = frames(render(shot(picture("black", "white"), camera_fixed=True), silent))

    def edge(image: Image.Image) -> int:
        return next(x for x in range(image.width) if image.convert("L").getpixel((x, 90)) < 128)  # type: ignore[operator]  # "L" has numbers

    assert edge(seen[0]) == edge(seen[-1])
    assert distance(seen[0], seen[-1]) > 5


def test_a_scene_stands_in_for_a_picture_that_nobody_fetched() -> None:
    one, same, other = (
        frames(render(shot(None, prompt=prompt), silent))[0] for prompt in ("a lake", "a lake", "a wood")
    )

    assert distance(one, same) == 0
    assert distance(one, other) > 1


def test_progress_rises_and_its_error_stops_the_work() -> None:
    seen: list[int] = []

    def stop(percent: int) -> None:
        seen.append(percent)
        if percent == 50:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        render(shot(picture("navy", "gold")), stop)

    assert seen[0] == 0
    assert seen == sorted(seen)


def test_a_sample_picture_is_a_jpeg_with_something_on_it(tmp_path: Path) -> None:
    sample_image(tmp_path / "sample.jpg")

    with Image.open(tmp_path / "sample.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (1280, 720))
        assert min(ImageStat.Stat(image).stddev) > 20


def test_without_pyav_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_av(name: str, *rest: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_av)

    with pytest.raises(InvalidSettings, match=r"pip install av"):
        require_av()
