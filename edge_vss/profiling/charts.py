"""Charts as SVG, drawn from a report: axes, bars, lines and marks, and nothing that needs a script.

Colours are CSS variables of the page, so that one drawing serves light and dark. Every chart is drawn for a wide and
for a narrow page, because text that shrinks with its chart cannot be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["NARROW", "WIDE", "Canvas", "Scale", "ticks"]

WIDE, NARROW = 880, 360
TOP, BOTTOM, RIGHT = 12, 34, 14


@dataclass(frozen=True)
class Scale:
    """A straight map from values to pixels."""

    low: float
    high: float
    first_px: float
    last_px: float

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        span = self.high - self.low or 1.0
        return self.first_px + (value - self.low) / span * (self.last_px - self.first_px)


def ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers within [low, high]."""
    if high <= low:
        return [low]
    raw = (high - low) / max(1, count)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value: float) -> str:
    """A tick's text without needless digits."""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3g}"


@dataclass
class Canvas:
    """A drawing with a horizontal and a vertical axis."""

    width: int
    height: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_title: str
    y_title: str
    left: int = 46
    _parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.x = Scale(*self.x_range, self.left, self.width - RIGHT)
        self.y = Scale(*self.y_range, self.height - BOTTOM, TOP + 12)

    def grid(self) -> None:
        """Lines and numbers of both axes."""
        across = (self.left, self.width - RIGHT)
        for value in ticks(*self.y_range, 5):
            y = self.y(value)
            self._rule("g", across, (y, y))
            self.text(self.left - 6, y + 4, label(value), "end")
        for value in ticks(*self.x_range, 5 if self.width < WIDE else 10):
            self.text(self.x(value), self.height - BOTTOM + 15, label(value), "middle")
        base = self.height - BOTTOM
        self._rule("a", across, (base, base))
        self.text((self.left + self.width - RIGHT) / 2, self.height - 4, self.x_title, "middle", "t")
        self.text(2, TOP, self.y_title, "start", "t")

    def text(self, x: float, y: float, text: str, anchor: str, kind: str = "n") -> None:
        """Words at pixels."""
        self._parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def bar(self, x0: float, x1: float, y0: float, y1: float, colour: str, tip: str = "") -> None:
        """A rectangle between values."""
        left, right = sorted((self.x(x0), self.x(x1)))
        top, bottom = sorted((self.y(y0), self.y(y1)))
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect fill="var(--{colour})" x="{left:.2f}" y="{top:.2f}" width="{max(0.4, right - left):.2f}"'
            f' height="{max(0.4, bottom - top):.2f}">{inner}</rect>'
        )

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: str, tip: str = "", kind: str = "l") -> None:
        """Points joined by a line."""
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys))
        inner = f"<title>{escape(tip)}</title>"
        self._parts.append(f'<polyline class="{kind}" stroke="var(--{colour})" points="{points}">{inner}</polyline>')

    def mark_x(self, value: float, text: str, row: int, colour: str = "ink") -> None:
        """A dashed upright line with words; rows keep the words of neighbours apart."""
        x, y = self.x(value), TOP + 12 + 14 * row
        self._rule("m", (x, x), (y - 8, self.height - BOTTOM), colour)
        after = x < self.width * 0.7
        self.text(x + (4 if after else -4), y + 2, text, "start" if after else "end", "v")

    def mark_y(self, value: float, text: str, colour: str = "ink") -> None:
        """A dashed level line with words."""
        y = self.y(value)
        self._rule("m", (self.left, self.width - RIGHT), (y, y), colour)
        self.text(self.width - RIGHT - 2, y - 4, text, "end", "v")

    def _rule(self, kind: str, xs: tuple[float, float], ys: tuple[float, float], colour: str = "") -> None:
        stroke = f' stroke="var(--{colour})"' if colour else ""
        ends = f'x1="{xs[0]:.1f}" x2="{xs[1]:.1f}" y1="{ys[0]:.1f}" y2="{ys[1]:.1f}"'
        self._parts.append(f'<line class="{kind}"{stroke} {ends}/>')

    def shade_x(self, x0: float, x1: float, text: str) -> None:
        """A stretch of the horizontal axis, named."""
        left, right = self.x(x0), self.x(x1)
        self._parts.append(
            f'<rect class="s" x="{left:.1f}" y="{TOP + 12}" width="{max(0.0, right - left):.1f}"'
            f' height="{self.height - BOTTOM - TOP - 12}"/>'
        )
        self.text((left + right) / 2, TOP + 24, text, "middle", "v")

    def svg(self, title: str) -> str:
        """The drawing as an element of a page."""
        kind = "narrow" if self.width == NARROW else "wide"
        return (
            f'<svg class="{kind}" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(title)}">'
            + "".join(self._parts)
            + "</svg>"
        )
