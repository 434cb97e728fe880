"""Lines on logarithmic axes, as SVG (pure)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_WIDTH: Final = 420
_HEIGHT: Final = 400
_LEFT: Final = 62
_RIGHT: Final = 12
_TOP: Final = 34
_BOTTOM: Final = 46
_GAP: Final = 10  # pixels between two names at the end of their lines, at least
_LABELS: Final = 96
_FEW: Final = 4
_COLOURS: Final = {
    "camward": "#c8321e",
    "aiortc": "#7a4fa3",
    "pion": "#1f78b4",
    "libdatachannel": "#2e8b57",
    "gstreamer": "#b8860b",
    "floor": "#888888",
}

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One set of axes: a line a name."""

    title: str
    across: str
    up: str
    lines: Mapping[str, Points]


def draw(panels: Sequence[Panel]) -> str:
    """Draw panels side by side, all on the same scales."""
    points = [point for panel in panels for line in panel.lines.values() for point in line]
    if not points:
        raise ValueError("nothing to draw")
    scale_x = _Scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    scale_y = _Scale([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    whole = (_WIDTH + _LABELS) * len(panels)
    drawn = [_panel(panel, scale_x, scale_y, index * (_WIDTH + _LABELS)) for index, panel in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {_HEIGHT}" width="{whole}" height="{_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">\n'
        f'<rect width="{whole}" height="{_HEIGHT}" fill="#ffffff"/>\n' + "".join(drawn) + "</svg>\n"
    )


class _Scale:
    """From values to pixels, logarithmically, with lines at the few values, or at 1, 2 and 5 of each decade."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        low, high = min(values) / 1.15, max(values) * 1.15
        self._low, self._span = math.log(low), math.log(high) - math.log(low)
        self._begin, self._end = begin, end
        own = sorted(set(values))
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        self.ticks = own if len(own) <= _FEW else [step for step in steps if low <= step <= high]

    def at(self, value: float) -> float:
        return self._begin + (self._end - self._begin) * (math.log(value) - self._low) / self._span


def _panel(panel: Panel, scale_x: _Scale, scale_y: _Scale, left: float) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [f'<g transform="translate({left} 0)">', _text(_LEFT, 20, panel.title, weight="bold")]
    for tick in scale_x.ticks:
        x = scale_x.at(tick)
        parts += [_line(x, _TOP, x, bottom), _text(x, bottom + 16, f"{tick:g}", anchor="middle")]
    for tick in scale_y.ticks:
        y = scale_y.at(tick)
        parts += [_line(_LEFT, y, right, y), _text(_LEFT - 6, y + 4, f"{tick:g}", anchor="end")]
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 10, panel.across, anchor="middle"))
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle" fill="#333">{panel.up}</text>'
    )
    free = math.inf
    for name, line in sorted(panel.lines.items(), key=lambda item: -item[1][-1][1]):
        colour = _COLOURS.get(name, "#333333")
        places = [(scale_x.at(x), scale_y.at(y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}')
        # From the top down, each name at its line's end or as far below the one before as it needs.
        label = places[-1][1] + 4
        label = label if free is math.inf else max(label, free + _GAP + 2)
        free = label
        parts.append(_text(places[-1][0] + 8, label, name, colour=colour))
    return "\n".join([*parts, "</g>\n"])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#333333"
) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">{text}</text>'
