"""A network in parts, as export hands it on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_vss.bundle import InputSpec, OutputSpec
from edge_vss.executor import StageFunction
from edge_vss.graph import Graph
from edge_vss.schedule import Schedule

__all__ = ["Exported", "bundle_name"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Engines and their description, before anything was run on video."""

    name: str
    graph: Graph
    engines: Mapping[str, bytes]
    """Stage -> ONNX file."""
    whole: bytes | None
    """The same as one file; None where the network has no such form."""
    functions: Mapping[str, StageFunction]
    """Stage -> what it is to compute, over numpy arrays: the network that the engines were written from."""
    reference: StageFunction | None = None
    """The image -> the graph's outputs, computed by the uncut original; None where ``functions`` are as good."""
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    schedules: tuple[Schedule, ...]
    """Thresholds and ages of adaptive clocks are first guesses."""
    provenance: Mapping[str, str]
    """Where the weights come from."""


def bundle_name(text: str) -> str:
    """A name for a bundle from a file's: letters, digits, '-' and '_'."""
    return re.sub(r"[^A-Za-z0-9_\-]+", "-", text).strip("-") or "network"
