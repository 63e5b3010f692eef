"""``trace.json``: frames and their parts as ui.perfetto.dev and chrome://tracing show them."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_vss.profiling.session import Measurement

__all__ = ["MAX_FRAMES", "build_trace"]

MAX_FRAMES = 5000
"""The newest so many; viewers grow slow with more."""
_FRAMES, _PIXELS, _FIRST_STAGE = 1, 2, 3
"""Rows of the view."""


def build_trace(measured: Measurement) -> dict[str, Any]:
    """Complete events, microseconds since the measurement began, each at the moment when it really began."""
    rows, stages, start_s = measured.rows[-MAX_FRAMES:], list(measured.macs), measured.span_s[0]
    names = {_FRAMES: "frames", _PIXELS: "pixels", **{_FIRST_STAGE + i: stage for i, stage in enumerate(stages)}}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": f"edge-vss {measured.info.schedule}"}},
        *(
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": tid, "args": {"name": name}}
            for tid, name in names.items()
        ),
    ]
    for index, row in enumerate(rows):
        events += _frame_events(row, index, stages, (float(row["begin_s"]) - start_s) * 1e6)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _frame_events(row: Any, index: int, stages: list[str], begin_us: float) -> list[dict[str, Any]]:
    """Of one recorded frame that began at ``begin_us``."""

    def event(tid: int, name: str, begin_ms: float, ms: float, more: dict[str, Any]) -> dict[str, Any]:
        span = {"ts": round(begin_us + begin_ms * 1000, 3), "dur": round(ms * 1000, 3)}
        return {"ph": "X", "pid": 1, "tid": tid, "name": name, **span, "args": {"frame": index, **more}}

    facts: dict[str, Any] = {"age_frames": int(row["age_frames"]), "seam": bool(row["seam"])}
    if not np.isnan(row["due_s"]):
        facts["late_ms"] = round(float(row["begin_s"] - row["due_s"]) * 1000, 3)
    found = [
        event(_FRAMES, "frame", 0.0, float(row["end_s"] - row["begin_s"]) * 1000, facts),
        event(_PIXELS, "pre", float(row["pre_begin_ms"]), float(row["pre_ms"]), {}),
        event(_PIXELS, "post", float(row["post_begin_ms"]), float(row["post_ms"]), {}),
    ]
    for place, stage in enumerate(stages):
        if row["fired"][place]:
            change, begin_ms = float(row["change"][place]), float(row["stage_begin_ms"][place])
            more = {} if np.isnan(change) else {"change": round(change, 5)}
            found.append(event(_FIRST_STAGE + place, stage, begin_ms, float(row["stage_ms"][place]), more))
    return found
