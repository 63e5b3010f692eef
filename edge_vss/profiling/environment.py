"""Where a run took place: what anyone must know who compares its figures with others."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edge_vss import __version__
from edge_vss.jetson.board import Board, BoardState
from edge_vss.jetson.sysfs import read_text
from edge_vss.profiling.monitor import Watched
from edge_vss.runtime import PipelineInfo, backends

__all__ = ["DECISIVE", "describe_environment"]

DECISIVE = (
    "board",
    "power_mode",
    "jetpack",
    "clocks_pinned",
    "cpu",
    "cores",
    "simd",
    "threads",
    "tensorrt",
    "onnxruntime",
    "cuda_graphs",
    "spinning",
)
"""Keys whose change makes two reports incomparable; the others say what happened on the way."""


def describe_environment(board: Board, watched: Watched, info: PipelineInfo, root: Path = Path("/")) -> dict[str, Any]:
    """Facts of the machine over a run; None = not available.

    Args:
        watched: From the beginning of the measurement to its end.
    """
    first, last = (watched.states[0], watched.states[-1]) if watched.states else (None, None)
    foreign, stolen = watched.mean_foreign_cores(), watched.stolen_cores()
    mode = board.power_mode
    return {
        "edge_vss": __version__,
        "board": board.module_name or board.model,
        "power_mode": f"{mode.id} {mode.name or ''}".strip() if mode else None,
        "jetpack": board.jetpack,
        "l4t": board.l4t,
        "cpu": _cpu_model(root),
        "cores": os.cpu_count(),
        "simd": info.simd,
        "threads": info.threads,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorrt": _version("tensorrt"),
        "onnxruntime": _version("onnxruntime"),
        "cuda_graphs": _cuda_graphs(info.backend),
        "spinning": "off" if info.backend == "onnxruntime" else None,
        "clocks_pinned": first.clocks_pinned if first else None,
        "clocks_mhz": {"start": _clocks_mhz(first), "end": _clocks_mhz(last)},
        "temperatures_c": {
            "start": first.temperatures_c if first else {},
            "end": last.temperatures_c if last else {},
        },
        "throttle_events": watched.events(),
        "load_average": _load_average(),
        "foreign_cores": foreign,
        "stolen_cores": sum(stolen) / len(stolen) if stolen else None,
        "swapped_pages": watched.swapped_pages(),
    }


def _cpu_model(root: Path) -> str | None:
    rows = (row.partition(":") for row in (read_text(root / "proc/cpuinfo") or "").splitlines())
    named = {key.strip(): value.strip() for key, _, value in rows}
    return named.get("model name") or named.get("Hardware") or None


def _version(backend: str) -> str | None:
    word, _, version = backends().get(backend, "").partition(" ")
    return version if word == "available" else None


def _cuda_graphs(backend: str) -> str | None:
    if backend != "tensorrt":
        return None
    return "off" if os.environ.get("EDGE_VSS_CUDA_GRAPHS") == "0" else "on"


def _clocks_mhz(state: BoardState | None) -> dict[str, float]:
    if state is None:
        return {}
    clocks = {**state.cpus, **({"gpu": state.gpu} if state.gpu else {})}
    return {name: clock.current_hz / 1e6 for name, clock in clocks.items()}


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
