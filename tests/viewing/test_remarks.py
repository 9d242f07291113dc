import pytest

from seedance_mcp.viewing.remarks import is_shape_of, is_size_of, seconds

SOLD = [
    ("480p", "16:9", 864, 496),
    ("480p", "4:3", 752, 560),
    ("480p", "1:1", 640, 640),
    ("480p", "9:16", 496, 864),
    ("480p", "21:9", 992, 432),
    ("720p", "16:9", 1280, 720),
    ("720p", "4:3", 1112, 834),
    ("720p", "1:1", 960, 960),
    ("720p", "9:16", 720, 1280),
    ("720p", "21:9", 1470, 630),
    ("1080p", "16:9", 1920, 1080),
    ("1080p", "4:3", 1664, 1248),
    ("1080p", "1:1", 1440, 1440),
    ("480p", "16:9", 854, 480),
    ("720p", "16:9", 1248, 704),
    ("720p", "1:1", 720, 720),
    ("1080p", "16:9", 1920, 1088),
    ("4k", "16:9", 3840, 2160),
]


@pytest.mark.parametrize(("resolution", "aspect_ratio", "width", "height"), SOLD)
def test_sizes_that_are_sold_are_told_apart(resolution: str, aspect_ratio: str, width: int, height: int) -> None:
    resolutions, shapes = ("480p", "720p", "1080p", "4k"), ("16:9", "4:3", "1:1", "9:16", "21:9")

    assert [name for name in resolutions if is_size_of(width, height, name)] == [resolution]
    assert [name for name in shapes if is_shape_of(width, height, name)] == [aspect_ratio]


def test_names_without_a_size_fit_all() -> None:
    assert is_size_of(320, 180, "best")
    assert is_shape_of(320, 180, "auto")


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0.0 s"), (49, "0.0 s"), (50, "0.1 s"), (4999, "5.0 s"), (12_340, "12.3 s")]
)
def test_seconds_have_one_decimal(ms: int, text: str) -> None:
    assert seconds(ms) == text
