import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedance_mcp.guard.positions import nearest, positions

TEXT = '''\
# caps = 1
version = 1
[caps] # a remark
per_day = "1 = per_hour"
  per_hour = """
per_week = "no key, but text"
"""
'per_week' = "3"

[agents."the ada"]
unresolved = 1
[models]
seedance . total = "4"
"upload" = { per_day = "per_month", per_month = "2" }
[studio]
pay_to = [
  "0x12",
]
hosts = [
  { url = "1", url_2 = "2" }, # name = "3"
  { "url_3" = "4", 'name' = "5" },
]
  "per\\u005fday" = "6"
[[odd]]
per_day = 1
[[odd]]
per_day = 2
'''


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (("version",), (2, 1)),
        (("caps",), (3, 2)),
        (("caps", "per_day"), (4, 1)),
        (("caps", "per_hour"), (5, 3)),
        (("caps", "per_week"), (8, 2)),
        (("agents",), (10, 2)),
        (("agents", "the ada"), (10, 10)),
        (("agents", "the ada", "unresolved"), (11, 1)),
        (("models", "seedance"), (13, 1)),
        (("models", "seedance", "total"), (13, 12)),
        (("models", "upload"), (14, 2)),
        (("models", "upload", "per_month"), (14, 37)),
        (("studio", "pay_to"), (16, 1)),
        (("studio", "hosts"), (19, 1)),
        (("studio", "hosts", "url"), (20, 5)),
        (("studio", "hosts", "url_2"), (20, 16)),
        (("studio", "hosts", "url_3"), (21, 6)),
        (("studio", "per_day"), (23, 3)),
        (("odd", "per_day"), (25, 1)),
    ],
)
def test_every_key_is_found_whichever_way_it_is_written(key: tuple[str, ...], place: tuple[int, int]) -> None:
    assert positions(TEXT)[key] == place


def test_windows_line_ends_move_nothing() -> None:
    assert positions(TEXT.replace("\n", "\r\n")) == positions(TEXT)


def test_what_is_not_there_is_looked_for_in_its_table() -> None:
    places = positions(TEXT)
    assert nearest(places, ("caps", "per_month")) == places["caps",]
    assert nearest(places, ("rails", "order")) is None


@given(st.text(alphabet="ab.=[]{}\"' \n#1,\\", max_size=60))
def test_a_place_is_given_for_every_key_of_any_document(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except ValueError:
        return
    places, lines = positions(text), text.split("\n")
    for key in document:
        line, column = places[key,]
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1])
