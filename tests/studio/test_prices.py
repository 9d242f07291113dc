import pytest

from seedance_mcp.studio.prices import ROUTE_MAXIMA, assumed, estimate


@pytest.mark.parametrize(
    ("clip", "micros"),
    [
        (("seedance", 1, 4, "480p"), 330_000),
        (("seedance", 1, 5, "720p"), 412_500),
        (("seedance", 1, 12, "1080p"), 990_000),
        (("seedance-fast", 1, 4, "720p"), 40_000),
        (("seedance-fast", 1, 12, "720p"), 120_000),
        (("seedance", 2, 5, "480p"), 450_000),
        (("seedance", 2, 15, "1080p"), 8_100_000),
        (("seedance-fast", 2, 5, "720p"), 840_000),
    ],
)
def test_the_table_prices_a_clip_in_whole_micro_dollars(clip: tuple[str, int, int, str], micros: int) -> None:
    assert estimate(*clip) == micros


@pytest.mark.parametrize(
    "clip",
    [
        ("seedance", 1, 13, "720p"),
        ("seedance", 1, 3, "720p"),
        ("seedance", 2, 16, "720p"),
        ("seedance-fast", 2, 5, "1080p"),
        ("seedance", 1, 5, "4k"),
        ("seedance", 3, 5, "720p"),
        ("upload", 1, 5, "720p"),
    ],
)
def test_a_clip_without_a_row_has_no_price(clip: tuple[str, int, int, str]) -> None:
    assert estimate(*clip) is None


def test_while_no_generation_is_known_the_first_that_sells_the_clip_is_reckoned_with() -> None:
    assert assumed("seedance", 5, "720p") == 1
    assert assumed("seedance", 14, "720p") == 2
    assert assumed("seedance", 5, "4k") is None


def test_no_price_of_the_table_reaches_what_an_invalid_body_is_quoted() -> None:
    for generation, maximum in ROUTE_MAXIMA.items():
        prices = [estimate("seedance", generation, seconds, "1080p") or 0 for seconds in range(1, 20)]
        assert 0 < max(prices) < maximum
