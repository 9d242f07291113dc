import io
from itertools import pairwise
from pathlib import Path

import av
import pytest
from PIL import Image, ImageStat

from seedance_mcp.viewing.sheet import (
    SHEET_BYTES,
    SHEET_SIDE,
    THUMBNAIL_BYTES,
    THUMBNAIL_SIDE,
    contact_sheet,
    thumbnail,
)
from tests.viewing.films import black, film, moving


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.convert("L")


def brightening(size: tuple[int, int], count: int = 41) -> list[Image.Image]:
    """Each frame a little lighter than the one before: 40, 44, 48 …"""
    return [Image.new("RGB", size, (40 + 4 * number,) * 3) for number in range(count)]


def cells(sheet: Image.Image, columns: int, rows: int) -> list[Image.Image]:
    wide, high = sheet.width / columns, sheet.height / rows
    return [
        sheet.crop((round(c * wide), round(r * high), round((c + 1) * wide), round((r + 1) * high)))
        for r in range(rows)
        for c in range(columns)
    ]


@pytest.mark.parametrize(("size", "columns", "rows"), [((640, 360), 3, 3), ((360, 360), 3, 3), ((360, 640), 4, 2)])
def test_a_sheet_goes_evenly_from_the_first_frame_to_the_last(
    tmp_path: Path, size: tuple[int, int], columns: int, rows: int
) -> None:
    sheet = opened(contact_sheet(film(tmp_path / "clip.mp4", brightening(size), None)))

    assert max(sheet.size) <= SHEET_SIDE
    levels = [int(ImageStat.Stat(cell).median[0]) for cell in cells(sheet, columns, rows)]
    assert len(levels) == columns * rows
    assert abs(levels[0] - 40) < 6
    assert abs(levels[-1] - 200) < 6
    step = 160 / (columns * rows - 1)
    assert all(abs(later - earlier - step) < 7 for earlier, later in pairwise(levels))


def test_a_broken_last_frame_leaves_its_place_to_the_one_before(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", brightening((640, 360)), None)
    with av.open(str(path), "r") as container:
        *_, last_packet = (packet for packet in container.demux(video=0) if packet.size)
    assert last_packet.pos is not None
    data = path.read_bytes()
    path.write_bytes(data[: last_packet.pos] + bytes(last_packet.size) + data[last_packet.pos + last_packet.size :])

    last = cells(opened(contact_sheet(path)), 3, 3)[-1]

    assert abs(int(ImageStat.Stat(last).median[0]) - 196) < 4


def test_each_time_stands_below_its_picture_and_not_on_it(tmp_path: Path) -> None:
    sheet = opened(contact_sheet(film(tmp_path / "clip.mp4", [Image.new("RGB", (640, 360), (90, 90, 90))] * 24, None)))

    for cell in cells(sheet, 3, 3):
        picture, label = (
            cell.crop((12, 12, cell.width - 12, cell.height - 44)),
            cell.crop((0, cell.height - 28, *cell.size)),
        )
        assert picture.getextrema() == pytest.approx((90, 90), abs=4)
        assert label.getextrema()[1] > 180  # type: ignore[operator]  # "L" has numbers
        across = label.point(lambda level: 255 * (level > 120)).getbbox()
        assert across is not None
        assert cell.width // 4 < across[0] < across[2] < 3 * cell.width // 4


def test_a_clip_of_few_frames_has_a_small_sheet(tmp_path: Path) -> None:
    sheet = opened(contact_sheet(film(tmp_path / "clip.mp4", brightening((320, 180), 2), None)))

    assert (sheet.width, sheet.height) == (3 * 326 + 6, 180 + 32 + 6)


def test_a_sheet_of_noise_stays_small(tmp_path: Path) -> None:
    noise = [Image.effect_noise((640, 360), 90).convert("RGB") for _ in range(9)]
    path = film(tmp_path / "clip.mp4", noise, None)

    assert len(contact_sheet(path)) <= SHEET_BYTES
    assert len(thumbnail(path)) <= THUMBNAIL_BYTES


def test_a_thumbnail_shows_what_the_clip_shows(tmp_path: Path) -> None:
    image = opened(thumbnail(film(tmp_path / "clip.mp4", [*black(2), *moving(1), *black(2)])))

    assert max(image.size) <= THUMBNAIL_SIDE
    assert ImageStat.Stat(image).stddev[0] > 20
