"""Short measurements beside the main one, from which ``simulate`` prices schedules that were not played.

Stages that run side by side share the threads out and slow each other down, and an adaptive clock fires as the
pictures ask for. Neither can be told from one schedule, so every profile also plays a few frames of others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import Manifest
from edge_vss.profiling.laps import Footage, Laps
from edge_vss.profiling.recorder import Rows
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Adaptive, Never, Schedule

__all__ = [
    "clocks_digest",
    "engine_digests",
    "lanes_of",
    "measure_prices",
    "parts_of",
    "seam_frames_of",
    "sequential_schedule",
]

FRAMES, LEAST_FRAMES, SECONDS = 120, 24, 3.0
"""Of one measurement of times: as many frames as these seconds hold, within limits."""
PACES = (1, 2, 4)
"""Intervals of the source between frames; times are also measured without waiting."""
FIRINGS = 240
"""Frames of one measurement of firings."""
SETTLE = 8

Open = Callable[[str, int], Pipeline]
"""Schedule, threads -> an open pipeline."""


def seam_frames_of(manifest: Manifest, schedule: Schedule) -> int:
    """Frames after a reset on which other stages fire than later: the first, one more for every late stage, and those
    that fill rings."""
    late = len({edge.stage for edge in schedule.delays})
    return 1 + late + max(tensor.depth if tensor.lives == "ring" else 0 for tensor in manifest.graph.tensors)


def lanes_of(schedule: Schedule) -> int:
    """Stages that the runtime lets run side by side; they share the threads out."""
    return 1 + len({edge.stage for edge in schedule.delays})


def sequential_schedule(manifest: Manifest) -> Schedule | None:
    """The schedule without late edges that rests the fewest stages: its times are those of stages alone."""
    found = [schedule for schedule in manifest.schedules if not schedule.delays]
    return min(
        found, key=lambda schedule: sum(isinstance(c, Never) + 1 for c in schedule.clocks.values()), default=None
    )


def clocks_digest(manifest: Manifest) -> str:
    """The same where schedules, their clocks and thresholds are."""
    return hashlib.sha256(msgspec.json.encode(manifest.schedules)).hexdigest()


def engine_digests(manifest: Manifest, variant: str) -> dict[str, str]:
    """Stage -> sha256 of the engine file that a variant runs; stages that are host operations have none."""
    found = next((one for one in manifest.variants if one.name == variant), None)
    engines = found.engines if found else {}
    return {stage: manifest.files[engine.file].sha256 for stage, engine in engines.items() if engine.file}


def parts_of(rows: Rows, stages: tuple[str, ...]) -> dict[str, Any]:
    """Mean times of the parts of a frame, ms; stages that never fired are left out."""
    fired = {stage: rows["fired"][:, place] for place, stage in enumerate(stages)}
    steps_s = np.diff(rows["begin_s"])
    together = (np.diff(rows["lap"]) == 0) & (steps_s > 0)
    return {
        "frames": int(rows.size),
        "interval_ms": float(steps_s[together].mean() * 1000) if together.any() else 0.0,
        "service": float((rows["end_s"] - rows["begin_s"]).mean() * 1000),
        "pre": float(rows["pre_ms"].mean()),
        "post": float(rows["post_ms"].mean()),
        "rest": float(_rest_ms(rows).mean()),
        "pre_and_engines": float(_pre_and_engines_ms(rows).mean()),
        "stages": {
            stage: float(rows["stage_ms"][there, place].mean())
            for place, (stage, there) in enumerate(fired.items())
            if there.any()
        },
    }


def _pre_and_engines_ms(rows: Rows) -> NDArray[np.float64]:
    """From the first to the last of both."""
    return np.asarray(rows["post_begin_ms"], np.float64)


def _rest_ms(rows: Rows) -> NDArray[np.float64]:
    """What the loop adds around a frame's pre-processing, engines and post-processing."""
    return np.asarray((rows["end_s"] - rows["begin_s"]) * 1000 - rows["post_begin_ms"] - rows["post_ms"], np.float64)


def measure_prices(
    manifest: Manifest,
    threads: int,
    footage: Footage,
    open_pipeline: Open,
    *,
    realtime: bool,
    progress: Callable[[str], None] = lambda doing: None,
) -> dict[str, Any]:
    """Play a few frames of what else ``simulate`` must know.

    Args:
        threads: Of the pipeline that the report is about.

    Returns:
        ``alone``: threads -> mean times of stages that run one after the other, at several paces; ``beside``: the same
        with a schedule that runs stages side by side; ``firings``: adaptive schedule -> stage -> "1" and "0" per frame
        of a lap.
    """
    stages = tuple(stage.name for stage in manifest.graph.stages)
    own = 1 if realtime else 0

    def record(name: str, count: int, frames: int, pace: int) -> Rows:
        seam, paced = seam_frames_of(manifest, manifest.schedule(name)), footage.slower(pace or 1)
        with (
            open_pipeline(name, count) as pipeline,
            Laps(pipeline, paced, realtime=pace > 0, seam_frames=seam, limit=frames) as laps,
        ):
            return np.concatenate(list(laps))

    def timed(name: str, count: int, pace: int) -> dict[str, Any]:
        progress(f"times of {name} on {count} thread{'s' if count > 1 else ''}")
        within = round(SECONDS * footage.source.fps / pace) if pace else FRAMES
        rows = record(name, count, min(FRAMES, max(LEAST_FRAMES, within)) + SETTLE, pace)[SETTLE:]
        return parts_of(rows[~rows["seam"]] if not rows["seam"].all() else rows, stages)

    alone, beside = {}, None
    late = [found for found in manifest.schedules if found.delays and not _adaptive_stages(found)]
    if (sequential := sequential_schedule(manifest)) is not None:
        shares = {1, *(max(1, threads // lanes_of(found)) for found in late)} if late else set()
        alone = {str(count): [timed(sequential.name, count, own)] for count in shares - {threads}}
        paces = (own,) if footage.live else (0, *PACES)
        alone[str(threads)] = [timed(sequential.name, threads, pace) for pace in paces]
    if late and threads > 1:
        simplest = min(late, key=lanes_of)
        beside = {"schedule": simplest.name, **timed(simplest.name, threads, own)}
    firings = {}
    for found in manifest.schedules:
        if adaptive := _adaptive_stages(found):
            progress(f"firings of {found.name}")
            firings[found.name] = firing_pattern(record(found.name, threads, FIRINGS, 0), stages, adaptive)
    return {"alone": alone, "beside": beside, "firings": firings}


def firing_pattern(rows: Rows, stages: tuple[str, ...], adaptive: tuple[str, ...]) -> dict[str, str]:
    """Adaptive stage -> "1" where it fired, "0" where it rested, per frame; frames at seams are left out."""
    counted = rows[~rows["seam"]]
    return {
        stage: "".join("1" if fired else "0" for fired in counted["fired"][:, stages.index(stage)])
        for stage in adaptive
    }


def _adaptive_stages(schedule: Schedule) -> tuple[str, ...]:
    return tuple(stage for stage, clock in schedule.clocks.items() if isinstance(clock, Adaptive))
