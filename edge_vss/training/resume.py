"""Resume points: with what a run goes on as if it had never been stopped, and which run that is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from edge_vss.errors import BadInput
from edge_vss.training.checkpoint import read_metadata, read_tensors, write_tensors

__all__ = ["RESUME", "ResumePoint", "differences", "read_resume", "run_at", "write_resume"]

RESUME = "resume.safetensors"
SHOWN = 3
"""Differences that a line has room for."""


class ResumePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands, besides its tensors."""

    step: int
    """Steps that are done."""
    best: float | None
    """Held-out mIoU of the checkpoint; None before the first validation."""
    of: dict[str, Any]
    """What the run depends on, as its checkpoint says it too."""


def write_resume(folder: Path, point: ResumePoint, tensors: Mapping[str, Tensor]) -> None:
    """Replace the folder's resume point.

    Raises:
        BadInput: It cannot be written.
    """
    held = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    write_tensors(folder / RESUME, held, {"run": msgspec.json.encode(point).decode()})


def read_resume(folder: Path) -> tuple[ResumePoint, dict[str, Tensor]]:
    """The folder's resume point and its tensors.

    Raises:
        BadInput: It is missing, damaged, or of another version.
    """
    tensors, metadata = read_tensors(folder / RESUME)
    try:
        return _point(metadata), tensors
    except (KeyError, msgspec.MsgspecError) as error:
        raise BadInput(f"{folder / RESUME} is no resume point of this version: {error}") from error


def run_at(folder: Path) -> dict[str, Any] | None:
    """What the run of a folder's resume point depends on; None where it does not say."""
    try:
        return _point(read_metadata(folder / RESUME)).of
    except (BadInput, KeyError, msgspec.MsgspecError):
        return None


def _point(metadata: Mapping[str, str]) -> ResumePoint:
    return msgspec.json.decode(metadata["run"], type=ResumePoint)


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """In what two runs differ, in words, the first few; empty where they are one."""
    # As JSON has them, which knows no tuples.
    old, new = (dict(_leaves(msgspec.json.decode(msgspec.json.encode(run)))) for run in (there, here))
    found = [
        f"{name} was {_word(old.get(name))}, is {_word(new.get(name))}"
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "; ".join(found[:SHOWN] + more)


def _leaves(part: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted name, value) of a nested table."""
    found: list[tuple[str, Any]] = []
    for name, value in part.items():
        found += _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, value)]
    return found


def _word(value: Any) -> str:
    if value is None:
        return "none"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
