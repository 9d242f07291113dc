"""Draws a chart with matplotlib, which comes with the extra ``plot``; import this module only to draw."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from matplotlib import rc_context, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from seedance_mcp.money import dollars
from seedance_mcp.report.chart import Chart
from seedance_mcp.report.days import zone

# Okabe and Ito's colours, which people with any colour vision can tell apart.
_KNOWN = {"seedance": "#0072b2", "seedance-fast": "#56b4e9", "upload": "#e69f00", "outside": "#888888"}
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#8c6d46", "#888888")
_CAP = "#b3261e"
_TEXT, _FAINT, _GRID = "#222222", "#666666", "#e6e6e6"
_LINE, _KEY = 100, 6
"""Characters that a line of the legend has room for, and those that a coloured key takes."""
_WHOLE = 10_000
_LEAST_DAYS = 7
"""A shorter time is drawn as part of a week, so that one day is not one block."""


def draw(chart: Chart, file: Path) -> None:
    """Write the picture; the end of the name says which kind. Raises OSError, and ValueError for an unknown kind."""
    # Two dollar signs in one text are no formula, whatever style the operator has set for other pictures.
    with rc_context({**rcParamsDefault, "text.parse_math": False}):
        panels = 2 if chart.limits else 1
        figure = Figure(figsize=(10, 2.5 + 2.5 * panels), dpi=150, layout="constrained", facecolor="white")
        areas = figure.subplots(panels, 1, squeeze=False, height_ratios=[3, 2][:panels])
        _days(areas[0][0], chart)
        if chart.limits:
            _windows(areas[1][0], chart)
        figure.savefig(file)


def _days(axes: Axes, chart: Chart) -> None:
    many = len(chart.days) > 62
    bottom = [0] * len(chart.days)
    taken = {_KNOWN.get(group) for group in chart.groups}
    palette = iter([colour for colour in _COLOURS if colour not in taken])
    for group, amounts in chart.groups.items():
        axes.bar(
            range(len(chart.days)),
            amounts,
            bottom=bottom,
            width=1 if many else 0.75,
            color=_KNOWN[group] if group in _KNOWN else next(palette),
            label=f"{group}  {_cents(sum(amounts))}",
            zorder=2,
        )
        bottom = [below + amount for below, amount in zip(bottom, amounts, strict=True)]
    highest = max(*bottom, chart.day_cap or 0, 1)
    axes.set_ylim(0, highest * 112 // 100)
    _title(axes, f"Spending a day, by {chart.by}", chart)
    _frame(axes, chart.days)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda micros, _: dollars(round(micros))))
    axes.set_ylabel(f"US dollars, days in {zone()}", color=_FAINT)
    _legend(axes)
    if chart.day_cap is not None:
        _cap(axes, chart.day_cap, f"cap\n{dollars(chart.day_cap)}\na day")
    if len(chart.days) <= 2 * _LEAST_DAYS:
        for number, amount in enumerate(bottom):
            # Right below the cap there is no room for the words: they stand on its line.
            close = chart.day_cap is not None and 0 <= chart.day_cap - amount < highest * 6 // 100
            if amount:
                _amount(axes, number, amount, chart.day_cap if close and chart.day_cap else amount)


def _windows(axes: Axes, chart: Chart) -> None:
    """Each as a share of its cap, so that caps of any size are compared in one picture."""
    palette = iter(_COLOURS * (len(chart.limits) // len(_COLOURS) + 1))
    highest = _WHOLE
    for limit in chart.limits:
        shares = [_WHOLE * spent // limit.cap for spent in limit.spent]
        highest = max(highest, *shares)
        axes.plot(
            range(len(chart.days)),
            shares,
            color=next(palette),
            linewidth=1.8,
            marker="o" if len(chart.days) <= 2 * _LEAST_DAYS else None,
            markersize=4,
            label=f"{limit.name}  {_cents(limit.spent[-1])} of {dollars(limit.cap)}",
            zorder=3,
        )
    axes.set_ylim(0, highest * 112 // 100)
    _frame(axes, chart.days)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(share) * 100 // _WHOLE}%"))
    axes.set_ylabel("share of the cap", color=_FAINT)
    _legend(axes)
    _cap(axes, _WHOLE, "cap")


def _title(axes: Axes, text: str, chart: Chart) -> None:
    first, last = chart.days[0], chart.days[-1]
    period = _date(first) if first == last else f"{_date(first)} to {_date(last)}"
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.suptitle(f"{text}: {period}", x=0.01, ha="left", color=_TEXT, fontsize=14, fontweight="bold")


def _frame(axes: Axes, days: Sequence[date]) -> None:
    """Light, with lines for the amounts only, and as many dates as there is room for."""
    spare = max(0, _LEAST_DAYS - len(days)) / 2
    axes.set_xlim(-0.6 - spare, len(days) - 0.4 + spare)
    ticks = _ticks(days)
    axes.set_xticks(ticks, [_label(days, number, first=number == ticks[0]) for number in ticks])
    axes.tick_params(colors=_FAINT, labelcolor=_TEXT, length=3)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="y", color=_GRID, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)


def _ticks(days: Sequence[date]) -> list[int]:
    if len(days) <= 2 * _LEAST_DAYS:
        return list(range(len(days)))
    months = len(days) > 120
    starts = [number for number, day in enumerate(days) if (day.day == 1 if months else day.weekday() == 0)]
    return starts[:: len(starts) // 13 + 1]


def _label(days: Sequence[date], number: int, *, first: bool) -> str:
    """The year is told once, and again where another one begins."""
    day = days[number]
    short = f"{day:%b}" if len(days) > 120 else f"{day.day} {day:%b}"
    begins = day.month == 1 and (len(days) > 120 or day.day <= 7)
    return f"{short}\n{day.year}" if first or begins else short


def _legend(axes: Axes) -> None:
    """Above the bars or lines, in as many columns as there is room for."""
    _, labels = axes.get_legend_handles_labels()
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(len(labels), _LINE // (max(map(len, labels)) + _KEY))),
        frameon=False,
        borderaxespad=0.3,
        handlelength=1.2,
        columnspacing=2,
        labelcolor=_TEXT,
    )


def _cap(axes: Axes, height: int, name: str) -> None:
    """A line over the whole width; its name stands beside it, where nothing else is."""
    axes.axhline(height, color=_CAP, linestyle=(0, (5, 3)), linewidth=1.4, zorder=4)
    axes.annotate(
        name,
        (1, height),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        verticalalignment="center",
        color=_CAP,
        annotation_clip=False,
    )


def _amount(axes: Axes, number: int, amount: int, height: int) -> None:
    axes.annotate(
        _cents(amount),
        (number, height),
        (0, 3),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="bottom",
        color=_TEXT,
        fontsize=9,
        zorder=5,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"},  # over the lines of the grid
    )


def _cents(amount: int) -> str:
    """In whole cents: there is no room for the millionths that a fee may have."""
    return dollars((amount + 5_000) // 10_000 * 10_000)


def _date(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
