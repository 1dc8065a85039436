"""ECharts options. Charts are drawn as SVG with our CSS variables for colours, so a change of theme
needs no redraw; one accent plus greys, dashed for yesterday, a violet band for what is missing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hesper_ui.services import CompletenessHour, FleetLoad
from hesper_ui.views.load_profile import LoadProfile
from hesper_ui.views.wording import epoch_ms
from hesper_ui.words import say

ACCENT, GREY, LINE, GRID = (
    "var(--accent)",
    "var(--chart-grey)",
    "var(--line-strong)",
    "var(--chart-grid)",
)
TEXT, SECONDARY, STALE = "var(--text)", "var(--secondary)", "var(--stale-wash)"
FONT = '"Inter Variable", system-ui, sans-serif'


def _label() -> dict[str, Any]:
    return {"color": SECONDARY, "fontSize": 12, "fontFamily": FONT, "hideOverlap": True}


def _time_axis(start: int, end: int) -> dict[str, Any]:
    return {
        "type": "time",
        "min": start * 1000,
        "max": end * 1000,
        "axisLine": {"lineStyle": {"color": LINE}},
        "axisTick": {"show": False},
        "splitLine": {"show": False},
        "axisLabel": _label() | {":formatter": "(at) => hesperLive.axis(at)"},
    }


def _value_axis(unit: str = "") -> dict[str, Any]:
    ending = f" {unit}" if unit else ""
    label = _label() | {":formatter": f"(v) => hesperLive.number(v) + '{ending}'"}
    return {
        "type": "value",
        "splitNumber": 4,
        "axisLabel": label,
        "splitLine": {"lineStyle": {"color": GRID}},
    }


def _frame(unit: str, said: str) -> dict[str, Any]:
    return {
        "animation": False,
        "textStyle": {"fontFamily": FONT},
        "aria": {"enabled": True, "label": {"description": said}},
        "grid": {"left": 8, "right": 24, "top": 12, "bottom": 4, "containLabel": True},
        "tooltip": {
            "trigger": "axis",
            "renderMode": "html",
            "backgroundColor": "var(--raised)",
            "borderColor": "var(--line-strong)",
            "textStyle": {"color": TEXT, "fontSize": 13, "fontFamily": FONT},
            ":formatter": f"(points) => hesperLive.pointed(points, '{unit}')",
            "axisPointer": {"type": "line", "lineStyle": {"color": LINE}},
        },
    }


def _curve(name: str, points: Sequence[Sequence[float | None]], color: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "data": points,
        "showSymbol": False,
        "connectNulls": False,
        "sampling": "lttb",
        "lineStyle": {"color": color, "width": 1.6},
        "itemStyle": {"color": color},
        "emphasis": {"disabled": True},
    }


def load_profile(profile: LoadProfile, said: str) -> dict[str, Any]:
    """Draws a load profile, mean power per interval, with a violet band for each gap."""
    curve = _curve(say("Mean power"), [[at * 1000, kw] for at, kw in profile.corners], ACCENT)
    curve["step"] = "start"
    curve["markArea"] = {
        "silent": True,
        "itemStyle": {"color": STALE},
        "data": [
            [{"xAxis": band.start * 1000}, {"xAxis": band.end * 1000}] for band in profile.bands
        ],
    }
    return _frame("kW", said) | {
        "xAxis": _time_axis(profile.start, profile.end),
        "yAxis": _value_axis(),
        "series": [curve],
    }


def fleet_load(load: FleetLoad, said: str) -> dict[str, Any]:
    """Draws the rolling 24 hours of the fleet over the same hours a day before."""
    peak = max((abs(v) for v in (*load.today, *load.yesterday) if v is not None), default=0)
    divisor, unit = (1e6, "MW") if peak >= 1e6 else (1e3, "kW")

    def points(values: Sequence[int | None]) -> list[list[float | None]]:
        return [
            [at * 1000, None if value is None else round(value / divisor, 3)]
            for at, value in zip(load.times, values, strict=True)
        ]

    yesterday = _curve(say("Yesterday"), points(load.yesterday), GREY)
    yesterday["lineStyle"]["type"] = "dashed"
    ends = (load.times[0], load.times[-1]) if load.times else (0, 1)
    return _frame(unit, said) | {
        "xAxis": _time_axis(*ends),
        "yAxis": _value_axis(unit),
        "series": [yesterday, _curve(say("Last 24 h"), points(load.today), ACCENT)],
    }


def completeness(hours: Sequence[CompletenessHour], target: float, said: str) -> dict[str, Any]:
    """Draws the share of captures stored per hour; hours below the target are marked."""
    shares = [100 * hour.stored / hour.due if hour.due else None for hour in hours]
    floor = min((share for share in shares if share is not None), default=100.0)
    bars = [
        {
            "value": None if share is None else round(share, 2),
            "itemStyle": {
                "color": "var(--warning)" if share is not None and share < target else GREY
            },
        }
        for share in shares
    ]
    low = max(0, int(floor // 5 * 5 - 5))
    axis = _value_axis("%") | {"min": low, "max": 100, "interval": max(1, (100 - low) // 5)}
    return _frame("%", said) | {
        "xAxis": {
            "type": "category",
            "data": [str(epoch_ms(hour.hour)) for hour in hours],
            "axisLine": {"lineStyle": {"color": LINE}},
            "axisTick": {"show": False},
            "axisLabel": _label() | {":formatter": "(at) => hesperLive.hour(at)"},
        },
        "yAxis": axis,
        "series": [
            {
                "name": say("Stored"),
                "type": "bar",
                "data": bars,
                "barCategoryGap": "35%",
                "emphasis": {"disabled": True},
            }
        ],
    }


def counts(start: datetime, end: datetime, buckets: Sequence[int], said: str) -> dict[str, Any]:
    """Draws how often something happened in equal parts of a range."""
    first, width = epoch_ms(start), (epoch_ms(end) - epoch_ms(start)) / max(len(buckets), 1)
    points = [[first + (place + 0.5) * width, count] for place, count in enumerate(buckets)]
    return _frame("", said) | {
        "xAxis": _time_axis(int(start.timestamp()), int(end.timestamp())),
        "yAxis": _value_axis() | {"minInterval": 1},
        "series": [
            {
                "name": say("Alerts"),
                "type": "bar",
                "data": points,
                "itemStyle": {"color": ACCENT},
                "barCategoryGap": "20%",
                "emphasis": {"disabled": True},
            }
        ],
    }
