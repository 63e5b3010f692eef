"""What each chart of the page shows of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_vss.profiling.charts import NARROW, WIDE, Canvas
from edge_vss.profiling.figures import number, power_reason

__all__ = ["Chart", "draw_all"]

COLOURS = 8
"""Categorical colours of the page, ``--c0`` to ``--c7``."""
FRAMES_WIDE, FRAMES_NARROW = 96, 32
"""Frames of the timeline."""
BINS = 48

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """A chart with its words."""

    title: str
    says: str
    """What one sees."""
    svgs: tuple[str, ...]
    """Wide and narrow; empty: there is nothing to draw, and ``says`` tells why."""
    legend: tuple[tuple[str, str], ...] = ()
    """(colour, text)."""


def draw_all(report: Report) -> list[Chart]:
    """Every chart of the page."""
    return [
        _distribution(report),
        _timeline(report),
        _latency_over_time(report),
        _update_rates(report),
        _ages(report),
        _power(report),
        _energy(report),
    ]


def _colours(report: Report) -> dict[str, str]:
    parts = ["pre", *report["stages"], "post"]
    return {part: f"c{index % COLOURS}" for index, part in enumerate(parts)}


def _both(draw: Callable[[int], Canvas], title: str) -> tuple[str, ...]:
    return tuple(draw(width).svg(title) for width in (WIDE, NARROW))


def _distribution(report: Report) -> Chart:
    title, values = "Latency distribution", np.array(report["samples"]["latency_ms"])
    if not values.size:
        return Chart(title, "No frame was counted.", ())
    marks = [(name, report["latency_ms"][name]) for name in ("p50", "p90", "p99")]
    known = [(name, value) for name, value in marks if value is not None]
    deadline = report["deadline"]
    if deadline:
        known.append(("deadline", deadline["ms"]))
    # A single straggler would press everything else into one bar: it is counted in the last one.
    high = max([float(np.percentile(values, 99.5)) * 1.05, *(value * 1.02 for _, value in known)])
    low = float(values.min()) * 0.98
    counts, edges = np.histogram(np.minimum(values, high), BINS, (low, high))
    shares = counts / values.size * 100

    def draw(width: int) -> Canvas:
        canvas = Canvas(width, 260, (low, high), (0.0, float(shares.max()) * 1.25), "ms, end to end", "% of frames")
        canvas.grid()
        for share, count, start, end in zip(shares, counts, edges[:-1], edges[1:]):
            if count:
                canvas.bar(start, end, 0.0, share, "c0", f"{start:.2f} to {end:.2f} ms: {count} frames, {share:.1f} %")
        for row, (name, value) in enumerate(known):
            colour = "bad" if name == "deadline" else "ink"
            canvas.mark_x(value, f"{name} {number(value)}", row, colour)
        return canvas

    beyond = int((values > high).sum())
    shown = (
        f"{values.size} frames in a row from the middle of the run; marks are of all {report['frames']} counted ones."
    )
    more = f" {beyond} beyond the right edge, the slowest {number(report['latency_ms']['max'])} ms." if beyond else ""
    return Chart(title, f"{report['pacing']['latency'].capitalize()}. {shown}{more}", _both(draw, title))


def _timeline(report: Report) -> Chart:
    title, samples, colours = "Stages by frame", report["samples"], _colours(report)
    count = len(samples["latency_ms"])
    if not count:
        return Chart(title, "No frame was counted.", ())
    pieces = [_pieces(samples, index) for index in range(min(count, FRAMES_WIDE))]

    def draw(width: int) -> Canvas:
        frames = min(len(pieces), FRAMES_WIDE if width == WIDE else FRAMES_NARROW)
        high = max(end for piece in pieces[:frames] for _, _, end, *_ in piece) * 1.05
        canvas = Canvas(width, 280, (0.0, frames), (0.0, high), "frames in a row", "ms since the frame's start")
        canvas.grid()
        for index in range(frames):
            for part, begin, end, lane, lanes in pieces[index]:
                left, share = index + 0.08 + 0.84 * lane / lanes, 0.84 / lanes
                canvas.bar(
                    left, left + share, begin, end, colours[part], f"frame {index}, {part}: {begin:.2f} to {end:.2f} ms"
                )
        return canvas

    legend = tuple((colours[part], part) for part in colours)
    says = "Each column is a frame, from its start upwards; parts that run side by side stand side by side."
    return Chart(title, says, _both(draw, title), legend)


def _pieces(samples: Mapping[str, Any], index: int) -> list[tuple[str, float, float, int, int]]:
    """(part, begin, end, lane, lanes) of one frame, ms."""
    spans = [("pre", samples["pre_begin_ms"][index], samples["pre_ms"][index])]
    for stage, found in samples["stages"].items():
        if found["ms"][index] is not None:
            spans.append((stage, found["begin_ms"][index], found["ms"][index]))
    spans.append(("post", samples["post_begin_ms"][index], samples["post_ms"][index]))
    busy: list[float] = []
    placed = []
    for part, begin, ms in sorted(spans, key=lambda span: span[1]):
        lane = next((i for i, end in enumerate(busy) if end <= begin + 0.01), len(busy))
        busy[lane : lane + 1] = [begin + ms]
        placed.append((part, begin, begin + ms, lane))
    return [(*piece, max(1, len(busy))) for piece in placed]


def _latency_over_time(report: Report) -> Chart:
    title, found = "Latency over time", report["over_time"]
    if len(found["seconds"]) < 2:
        return Chart(title, "The run is too short for a course over time.", ())
    deadline = report["deadline"]
    high = max([*found["max_ms"], deadline["ms"] if deadline else 0.0]) * 1.1

    def draw(width: int) -> Canvas:
        span = (found["seconds"][0], found["seconds"][-1])
        canvas = Canvas(width, 220, span, (0.0, high), "s since the measurement began", "ms")
        canvas.grid()
        canvas.line(found["seconds"], found["max_ms"], "c1", "slowest frame of each stretch")
        canvas.line(found["seconds"], found["p50_ms"], "c0", "median of each stretch")
        if deadline:
            canvas.mark_y(deadline["ms"], f"deadline {deadline['ms']:g}", "bad")
        return canvas

    says = "Stretches of about a second, seams included. A course that climbs is a machine that has not settled."
    return Chart(title, says, _both(draw, title), (("c0", "median"), ("c1", "slowest frame")))


def _update_rates(report: Report) -> Chart:
    title, found, colours = "Update rate over time", report["over_time"], _colours(report)
    if len(found["seconds"]) < 2:
        return Chart(title, "The run is too short for a course over time.", ())

    def draw(width: int) -> Canvas:
        span = (found["seconds"][0], found["seconds"][-1])
        canvas = Canvas(width, 200, span, (0.0, 105.0), "s since the measurement began", "% of frames")
        canvas.grid()
        for stage, rates in found["update_rate"].items():
            canvas.line(found["seconds"], [rate * 100 for rate in rates], colours[stage], stage)
        return canvas

    legend = tuple(
        (colours[stage], f"{stage} {'–' if rate is None else f'{rate:.1%}'}")
        for stage, rate in report["update_rate"].items()
    )
    return Chart(
        title, "Share of frames that fire each stage, in stretches of about a second.", _both(draw, title), legend
    )


def _ages(report: Report) -> Chart:
    title, ages = "Age of the label map", np.array(report["samples"]["age_frames"])
    if not ages.size:
        return Chart(title, "No frame was counted.", ())
    shares = np.bincount(ages) / ages.size * 100

    def draw(width: int) -> Canvas:
        canvas = Canvas(
            width, 200, (-0.5, max(3.5, shares.size - 0.5)), (0.0, float(shares.max()) * 1.15), "frames", "% of frames"
        )
        canvas.grid()
        for age, share in enumerate(shares):
            if share:
                canvas.bar(age - 0.35, age + 0.35, 0.0, share, "c2", f"{age} frames old: {share:.1f} %")
        return canvas

    mean, most = number(report["age_frames"]["mean"]), number(report["age_frames"]["max"], 0)
    says = (
        "How far the camera frame that the oldest score in a label map was computed from lies behind."
        f" Mean {mean}, at most {most} frames."
    )
    return Chart(title, says, _both(draw, title))


def _power(report: Report) -> Chart:
    title, trace, power = "Power", report["power_trace"], report["power"]
    if trace is None:
        return Chart(title, f"Power: {power_reason(report)}.", ())
    names = list(trace["watts"])
    colours = {name: f"c{index % COLOURS}" for index, name in enumerate(names)}
    high = max(max(values) for values in trace["watts"].values()) * 1.15 or 1.0

    def draw(width: int) -> Canvas:
        span = (trace["seconds"][0], trace["seconds"][-1])
        canvas = Canvas(width, 240, span, (0.0, high), "s since the measurement began", "W")
        canvas.shade_x(max(span[0], trace["measured_s"][0]), min(span[1], trace["measured_s"][1]), "measured")
        canvas.grid()
        for name in reversed(names):
            canvas.line(
                trace["seconds"], trace["watts"][name], colours[name], name, "l" if name == "total" else "l thin"
            )
        if power["idle_w"] is not None:
            canvas.mark_y(power["idle_w"], f"idle {number(power['idle_w'])} W")
        return canvas

    says = f"{power['label'] or 'rails'}: mean {number(power['mean_w'])} W, idle {number(power['idle_w'])} W."
    return Chart(title, says, _both(draw, title), tuple((colours[name], name) for name in names))


def _energy(report: Report) -> Chart:
    title, power, colours = "Energy of a frame", report["power"], _colours(report)
    if power["mj_per_frame"] is None:
        return Chart(title, f"Power: {power_reason(report)}.", ())
    over_idle = power["mj_per_frame_over_idle"]
    parts: list[tuple[str, float, str]] = []
    if over_idle is not None:
        parts.append(("idle machine", power["mj_per_frame"] - over_idle, "c7"))
    split = power["stages_mj"]
    for name, found in (split or {}).items():
        rate = 1.0 if name == "frame" else report["update_rate"][name] or 0.0
        what = "every frame" if name == "frame" else f"{name}, {rate:.0%} of frames"
        parts.append((what, found["mj"] * rate, colours.get(name, "c6")))
    if split is None:
        rest = power["mj_per_frame"] if over_idle is None else over_idle
        parts.append(("above idle" if parts else "all", rest, "c0"))
    high = max(value for _, value, _ in parts) * 1.2 or 1.0

    def draw(width: int) -> Canvas:
        canvas = Canvas(width, 60 + 34 * len(parts), (0.0, high), (0.0, len(parts)), "mJ per frame", "", left=12)
        for row, (name, value, colour) in enumerate(parts):
            bottom = len(parts) - row - 1
            canvas.bar(0.0, max(0.0, value), bottom + 0.05, bottom + 0.5, colour, f"{name}: {value:.2f} mJ")
            canvas.text(14, canvas.y(bottom + 0.58), f"{name}: {number(value)} mJ", "start", "v")
        return canvas

    why = "" if split is not None else f" Not split by stage: {report['null_because']['power.stages_mj']}."
    return Chart(title, f"{number(power['mj_per_frame'])} mJ per frame of {power['label']}.{why}", _both(draw, title))
