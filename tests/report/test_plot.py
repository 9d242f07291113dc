"""What can be told of a picture without looking: where its words stand, and that they do not cover one another."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from seedance_mcp.report.chart import Chart, Limit

plot = pytest.importorskip("seedance_mcp.report.plot", exc_type=ModuleNotFoundError)
figures = pytest.importorskip("matplotlib.figure")
texts = pytest.importorskip("matplotlib.text")

FIRST = date(2025, 9, 3)
CAP = 10_000_000


def chart(days: int, *, limits: bool = True, groups: int = 3, cap: int = CAP) -> Chart:
    spent = {f"agent-{group}": [123_457 * ((7 * day + group) % 90) for day in range(days)] for group in range(groups)}
    windows = [
        Limit(f"agent-{group}, last 7 days", CAP, [10_000 * (day % 1000) for day in range(days)]) for group in range(3)
    ]
    return Chart("agent", [FIRST + timedelta(day) for day in range(days)], spent, cap, windows if limits else [])


def words(what: Chart, file: Path, monkeypatch: pytest.MonkeyPatch) -> Sequence[object]:
    """The boxes of all words in the picture, once it is drawn."""
    drawn = []

    class Kept(figures.Figure):  # type: ignore[misc, name-defined]
        def savefig(self, *args: object, **options: object) -> None:
            super().savefig(*args, **options)
            drawn.append(self)

    monkeypatch.setattr(plot, "Figure", Kept)
    plot.draw(what, file)
    (figure,) = drawn
    beyond = [
        label
        for axes in figure.axes
        for label, value in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
        if value > axes.get_ylim()[1]
    ]
    shown = [
        text for text in figure.findobj(texts.Text) if text.get_text() and text.get_visible() and text not in beyond
    ]
    assert not any(text.get_parse_math() for text in shown), "two dollar signs are no formula"
    inside = [text.get_window_extent() for text in shown]
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in inside)
    assert all(box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in inside)
    return inside


@pytest.mark.parametrize("days", [1, 14, 120, 365])
@pytest.mark.parametrize("limits", [False, True])
def test_no_words_cover_others_or_leave_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, limits: bool
) -> None:
    boxes = words(chart(days, limits=limits), tmp_path / "spend.png", monkeypatch)
    assert len(boxes) > 8
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other), (one, other)  # type: ignore[attr-defined]


def test_four_years_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = words(chart(1400, limits=False, groups=1), tmp_path / "spend.png", monkeypatch)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))  # type: ignore[attr-defined]


def test_eight_groups_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = words(chart(14, groups=8), tmp_path / "spend.png", monkeypatch)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))  # type: ignore[attr-defined]


def test_the_picture_is_light_and_has_the_cap_over_its_width(tmp_path: Path) -> None:
    plot.draw(chart(7, limits=False), tmp_path / "spend.png")
    with Image.open(tmp_path / "spend.png") as picture:
        pixels = picture.convert("RGB")
    assert pixels.size == (1500, 750)
    assert {pixels.getpixel(corner) for corner in ((0, 0), (1499, 0), (0, 749), (1499, 749))} == {(255, 255, 255)}
    red = (0xB3, 0x26, 0x1E)
    rows = [[x for x in range(1500) if pixels.getpixel((x, y)) == red] for y in range(750)]
    assert max(row[-1] - row[0] for row in rows if row) > 1200


def test_a_cap_of_nothing_and_a_day_at_the_cap_can_be_drawn(tmp_path: Path) -> None:
    for cap in (0, 123_457 * (7 + 8 + 9)):
        plot.draw(chart(2, cap=cap), tmp_path / f"{cap}.png")
        assert (tmp_path / f"{cap}.png").stat().st_size > 10_000


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.png", b"\x89PNG")])
def test_the_name_says_what_kind_of_picture_is_written(tmp_path: Path, name: str, start: bytes) -> None:
    plot.draw(chart(1), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)
