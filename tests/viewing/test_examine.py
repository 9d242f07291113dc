from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from seedance_mcp.sandbox.render import Shot, render
from seedance_mcp.sandbox.scenery import DAWN, DUSK, NIGHT, Light, landscape
from seedance_mcp.viewing.examine import examine
from seedance_mcp.viewing.findings import Expected, Findings
from seedance_mcp.viewing.stretches import Stretch
from tests.viewing.films import SIZE, black, film, moving, png, scene, still

FIRST = png(scene().crop((0, 0, *SIZE)))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def look(path: Path, **changes: Any) -> Findings:
    bought: dict[str, Any] = {"seconds": 3, "resolution": "180p", "aspect_ratio": "16:9", "audio": True} | changes
    return examine(path, expected=Expected(**bought))


def test_a_good_clip_passes_and_is_described(clip: Path) -> None:
    last = png(scene().crop((35, 0, 35 + SIZE[0], SIZE[1])))

    found = look(film(clip, moving(3)), first=FIRST, last=last)

    assert found.remarks == ()
    assert (found.length_ms, found.width, found.height, found.frame_rate) == (3000, 320, 180, 12_000)
    assert (found.codec, found.has_audio, found.silent) == ("h264", True, False)
    assert (found.black, found.frozen) == ((), ())
    assert min(found.first_likeness or 0, found.last_likeness or 0) > 90


@pytest.mark.parametrize("light", [DUSK, DAWN, NIGHT])
@pytest.mark.parametrize(("aspect_ratio", "size"), [("16:9", (426, 240)), ("9:16", (240, 426))])
def test_the_sandboxes_clips_pass(clip: Path, light: Light, aspect_ratio: str, size: tuple[int, int]) -> None:
    first = png(landscape(640, 360, "a test", light))
    shot = Shot(prompt="", frames=(first,), width=size[0], height=size[1], seconds=5, audio=True)
    clip.write_bytes(render(shot, lambda _: None).video)

    assert look(clip, seconds=5, resolution="240p", aspect_ratio=aspect_ratio, first=first).remarks == ()


def test_a_long_slow_move_between_two_pictures_passes(clip: Path) -> None:
    first, last = (png(landscape(640, 360, "a test", light)) for light in (NIGHT, DAWN))
    clip.write_bytes(
        render(Shot(prompt="", frames=(first, last), width=320, height=180, seconds=12), lambda _: None).video
    )

    assert look(clip, seconds=12, audio=False, first=first, last=last).remarks == ()


def test_black_from_start_to_end(clip: Path) -> None:
    found = look(film(clip, black(3)))

    assert found.remarks == ("The picture is black from start to end.",)
    assert found.black == (Stretch(0, 3000),)
    assert found.frozen == ()


def test_a_black_stretch(clip: Path) -> None:
    found = look(film(clip, [*moving(1), *black(1), *moving(1)]))

    assert found.remarks == ("The picture is black from 1.0 s to 2.0 s.",)


def test_a_dark_scene_is_not_black(clip: Path) -> None:
    found = look(film(clip, (picture.point(lambda level: level // 4) for picture in moving(3, NIGHT))))

    assert found.remarks == ()


def test_a_frozen_stretch(clip: Path) -> None:
    elsewhere = scene().crop((90, 0, 90 + SIZE[0], SIZE[1]))

    found = look(film(clip, [*moving(1), *still(2, elsewhere), *moving(1)]), seconds=4)

    assert found.remarks == ("Nothing moves from 1.0 s to 3.0 s.",)


def test_a_clip_that_stops_before_its_end(clip: Path) -> None:
    assert look(film(clip, [*moving(1), *still(2)])).remarks == ("Nothing moves from 1.0 s to the end.",)


def test_a_still_image_as_a_clip(clip: Path) -> None:
    assert look(film(clip, still(3))).remarks == ("Nothing moves from start to end.",)


def test_something_small_that_moves_is_enough(clip: Path) -> None:
    pictures = [picture.copy() for picture in still(3)]
    for number, picture in enumerate(pictures):
        ImageDraw.Draw(picture).ellipse((60 + number, 90, 68 + number, 98), "white")

    assert look(film(clip, pictures)).remarks == ()


def test_one_long_frame_is_frozen_too(clip: Path) -> None:
    """A file may hold one frame for seconds instead of repeating it."""
    pictures = [*moving(1), *still(2)]
    whole = film(clip, pictures).read_bytes()
    table = whole.index(b"stts")  # one entry: 36 frames of some ticks each
    assert int.from_bytes(whole[table + 8 : table + 12]) == 1
    ticks = int.from_bytes(whole[table + 16 : table + 20])
    clip.write_bytes(whole[: table + 16] + (5 * ticks).to_bytes(4) + whole[table + 20 :])

    found = look(clip, seconds=15)

    assert found.frozen == (Stretch(5000, 15_000),)


def test_a_silent_sound_track(clip: Path) -> None:
    found = look(film(clip, moving(3), loudness=0))

    assert found.remarks == ("The clip has a sound track, but nothing can be heard on it.",)
    assert (found.has_audio, found.silent) == (True, True)


def test_a_quiet_sound_is_a_sound(clip: Path) -> None:
    assert look(film(clip, moving(3), loudness=120)).silent is False


@pytest.mark.parametrize(
    ("loudness", "audio", "remarks"),
    [
        (None, True, ("The clip has no sound; sound was bought.",)),
        (None, False, ()),
        (None, None, ()),
        (0, False, ()),
        (3000, False, ("The clip has sound; none was wanted.",)),
        (3000, None, ()),
    ],
)
def test_the_sound_is_what_was_asked_for(
    clip: Path, loudness: int | None, audio: bool | None, remarks: tuple[str, ...]
) -> None:
    assert look(film(clip, moving(3), loudness), audio=audio).remarks == remarks


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"seconds": 5}, "The clip is 3.0 s long; 5 s were bought."),
        ({"seconds": 2}, "The clip is 3.0 s long; 2 s were bought."),
        ({"resolution": "480p"}, "The clip has 320 x 180 pixels; 480p was bought."),
        ({"aspect_ratio": "9:16"}, "The clip has 320 x 180 pixels; the shape that was bought is 9:16."),
    ],
)
def test_a_clip_of_another_length_or_size(clip: Path, changes: dict[str, Any], remark: str) -> None:
    assert look(film(clip, moving(3)), **changes).remarks == (remark,)


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_clip_of_another_picture(clip: Path, place: str) -> None:
    found = look(film(clip, moving(3)), **{place: png(scene(NIGHT))})

    assert len(found.remarks) == 1
    assert found.remarks[0].startswith(f"The {place} frame is only ")
    assert found.remarks[0].endswith(f" % like the {place} image that was given.")


def test_a_picture_of_another_shape_is_compared_by_its_middle(clip: Path) -> None:
    tall = Image.new("RGB", (SIZE[0], 2 * SIZE[1]), "white")
    tall.paste(scene(), (0, SIZE[1] // 2))

    assert (look(film(clip, moving(3)), first=png(tall)).first_likeness or 0) > 90


@pytest.mark.parametrize(
    "given", [b"no image", FIRST[:300], png(scene().convert("RGBA").point(lambda level: level // 2))]
)
def test_an_image_that_cannot_be_compared_is_left_out(clip: Path, given: bytes) -> None:
    found = look(film(clip, moving(3)), first=given)

    assert (found.first_likeness, found.remarks) == (None, ())
